"""Settings of the storage: which kind it is of, and what belongs to that kind."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components.problems import Problems, shown
from components.storage import Storage
from components.storage.base import Asked, Kind
from components.storage.table import CREATED, STORAGES, kind_of

URI = "storageUri"


def storage_settings(
    values: Mapping[str, Any], given: Collection[str], region: str, root: Path, problems: Problems
) -> Storage:
    """Settings of the storage. `given` are the keys with another value than the default; `region` is where the provider
    creates it, empty if it creates none; paths are relative to `root`.
    """
    uri = values[URI].rstrip("/")
    kind = kind_of(uri) or CREATED
    if uri or not region:
        problems.catch(URI, lambda: _place(uri), "")
    _refuse_others(kind, uri, given, problems)
    asked = Asked(values=values, places={URI: uri} if uri else {}, region=region, root=root, problems=problems)
    return Storage(uri=uri, backends=(kind.read(asked),))


def _place(uri: str) -> str:
    """The URI of a place. Raises ValueError if it is none."""
    if kind := kind_of(uri):
        return kind.uri(uri)
    expected = " or ".join(kind.uri.expected for kind in STORAGES)
    raise ValueError(f"{shown(uri)} is on no kind of storage that is known: expected {expected}")


def _refuse_others(used: Kind, uri: str, given: Collection[str], problems: Problems) -> None:
    """A key of a storage that no place is on would have no effect."""
    for kind in STORAGES:
        for key in kind.keys:
            if kind is not used and key in given:
                problems.add(
                    key, f"is a key of {kind.title}, and {URI} is {shown(uri)}, on {used.title}: expected none"
                )

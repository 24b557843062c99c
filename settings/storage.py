"""Settings of the storage: where its places are, of which kinds they are, and what belongs to these kinds."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.problems import Problems, shown
from components.storage import Storage
from components.storage.base import Asked, Kind
from components.storage.table import CREATED, STORAGES, kind_of

URI = "storageUri"
PLACES = ("haUri", "checkpointsUri", "savepointsUri")
"""Keys of what may be elsewhere."""


def storage_settings(
    values: Mapping[str, Any], given: Collection[str], region: str, root: Path, problems: Problems
) -> Storage:
    """Settings of the storage. `given` are the keys with another value than the default; `region` is where the provider
    creates it, empty if it creates none; paths are relative to `root`.
    """
    uris = {key: values[key].rstrip("/") for key in (URI, *PLACES)}
    if region and not uris[URI]:
        uris = {key: uri for key, uri in uris.items() if uri}
    places = {key: uri for key, uri in uris.items() if uri or key == URI}
    for key, uri in places.items():
        problems.catch(key, lambda uri=uri: _place(uri), "")  # type: ignore[misc]
    used = [kind for kind in STORAGES if any(kind_of(uri) is kind for uri in places.values())]
    if not kind_of(places.get(URI, "")):
        used = [CREATED, *(kind for kind in used if kind is not CREATED)]
    _refuse_others(used, places, given, problems)
    backends = []
    for kind in used:
        on = {key: uri for key, uri in places.items() if kind_of(uri) is kind}
        backends.append(kind.read(Asked(values=values, places=on, region=region, root=root, problems=problems)))
    known = {key: uri for key, uri in places.items() if kind_of(uri)}
    # Where the storage is anyway it is not elsewhere
    elsewhere = {key: uri for key, uri in known.items() if uri != known.get(URI, "")}
    return Storage(
        uri=known.get(URI, ""),
        ha_uri=elsewhere.get("haUri", ""),
        checkpoints_uri=elsewhere.get("checkpointsUri", ""),
        savepoints_uri=elsewhere.get("savepointsUri", ""),
        backends=tuple(backends),
    )


def _place(uri: str) -> str:
    """The URI of a place. Raises ValueError if it is none."""
    if kind := kind_of(uri):
        return kind.uri(uri)
    expected = " or ".join(kind.uri.expected for kind in STORAGES)
    raise ValueError(f"{shown(uri)} is on no kind of storage that is known: expected {expected}")


def _refuse_others(used: Sequence[Kind], places: Mapping[str, str], given: Collection[str], problems: Problems) -> None:
    """A key of a storage that no place is on would have no effect."""
    found = ", ".join(f"{key}: {shown(uri)}" for key, uri in places.items())
    for kind in STORAGES:
        for key in kind.keys:
            if kind not in used and key in given:
                problems.add(
                    key,
                    f"is for {kind.title}, and no place is there ({found}): expected no such key, or a place such as "
                    f"{kind.uri.expected}",
                )

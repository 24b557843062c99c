"""The one table of providers: where hosts and a storage come from.

A provider is a folder with a module `provider.py` of the form of `Provider`, and a line in `PROVIDERS`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from .flink.settings import ClusterSettings
from .host import Site
from .problems import Problems
from .storage import StorageSettings

PROVIDERS = ("existing", "aws")
"""The folders of `components/` that are providers; `provider` in the configuration is one of these."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a provider's own settings are read from."""

    stack: str
    values: Mapping[str, Any]
    """Keys of the configuration → values of the types that Pulumi.yaml declares."""
    raw: Mapping[str, str]
    """All of the stack's configuration, as `namespace:key` → text: for keys of Pulumi's own plugins."""
    cluster: ClusterSettings
    root: Path
    """Relative paths start here."""
    problems: Problems
    """What is wrong goes here, each with its key; nothing is raised."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A provider's settings, and the cluster's as they are with it."""

    settings: Any
    """For the provider's own `declare`."""
    cluster: ClusterSettings


class Provider(Protocol):
    """The module `components/NAME/provider.py`."""

    KEYS: Sequence[str]
    """Keys of the configuration that mean something with this provider only."""

    def region(self, raw: Mapping[str, str]) -> str:
        """The region in which the provider would make the storage; empty if it makes none."""

    def load(self, request: Request) -> Loaded:
        """The provider's settings, with the checks that need no request to its API."""

    def declare(self, stack: str, settings: Any, storage: StorageSettings, cluster: ClusterSettings) -> Site:
        """Hosts and storage, declared, or taken as they are. Raises ConfigError, with nothing declared, for what only
        the provider's API could tell.
        """


def provider(name: str) -> Provider:
    """The provider `name` of PROVIDERS. Imported only where it is used: the SDK of a cloud is large."""
    return cast(Provider, import_module(f".{name}.provider", __package__))

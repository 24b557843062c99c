"""The only table of providers: where hosts and a storage come from.

A provider is a folder with a module `provider.py` that implements `Provider`, and an entry in `PROVIDERS`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from .flink.settings import ClusterSettings
from .host import Site
from .problems import Problems
from .storage import Storage

PROVIDERS = ("existing", "aws")
"""The folders of `components/` that are providers, and the values of `provider` in the configuration."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """The input of `Provider.load`."""

    stack: str
    values: Mapping[str, Any]
    """Configuration keys → values of the types that Pulumi.yaml declares."""
    given: Collection[str]
    """Keys with another value than their default: the engine fills in defaults, so a key that somebody set to its
    default looks like one that nobody set."""
    raw: Mapping[str, str]
    """The whole configuration of the stack as `namespace:key` → text, for keys of Pulumi's plugins."""
    cluster: ClusterSettings
    root: Path
    """Base of relative paths."""
    problems: Problems
    """Invalid values are added here, with their keys; no exception is raised."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The settings of a provider, and those of the cluster, which the provider may change."""

    settings: Any
    """For the provider's `declare`."""
    cluster: ClusterSettings


class Provider(Protocol):
    """The module `components/NAME/provider.py`."""

    KEYS: Sequence[str]
    """Configuration keys that apply to this provider only."""

    def region(self, raw: Mapping[str, str]) -> str:
        """The region in which the provider creates a bucket, if it gets no storage; empty if it creates none."""

    def load(self, request: Request) -> Loaded:
        """The settings of the provider, validated without requests to its API."""

    def declare(self, stack: str, settings: Any, storage: Storage, cluster: ClusterSettings) -> Site:
        """The hosts and the storage, created or found. Raises ConfigError, before anything is declared, for problems
        that only the provider's API reports.
        """


def provider(name: str) -> Provider:
    """The provider `name` of PROVIDERS. Imported on use, because the SDK of a cloud is large."""
    return cast(Provider, import_module(f".{name}.provider", __package__))

"""The storage of a cluster, of whatever kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pulumi

from .base import Backend

T = TypeVar("T", bound=Backend)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The storage of a cluster."""

    uri: str
    """Such as `s3://bucket/prefix`, without a trailing slash. Empty in settings if the provider creates the storage."""
    backends: Sequence[Backend]
    """What hosts know of the kinds of storages that it is on, one for each kind."""
    ready: tuple[pulumi.Resource, ...] = field(default=(), compare=False)
    """Resources that must exist before Flink writes to the storage."""

    def of(self, kind: type[T]) -> T | None:
        """What hosts know of a kind of storage; None if no place is on it."""
        return next((found for found in self.backends if isinstance(found, kind)), None)

    def at(self, uri: str) -> Backend:
        """What hosts know of the kind of storage that `uri` is on: of the first one, if `uri` is empty. Raises
        ValueError if no backend has its scheme.
        """
        scheme = uri.partition("://")[0]
        for found in self.backends:
            if scheme in found.SCHEMES or not uri:
                return found
        known = ", ".join(scheme for found in self.backends for scheme in found.SCHEMES)
        raise ValueError(f"{uri} is on no storage of `backends`: expected one of the schemes {known or '(none given)'}")

    @property
    def plugin(self) -> str:
        """Flink's plugins, as one word."""
        return "+".join(name for backend in self.backends for name in backend.plugins)

    @property
    def options(self) -> Mapping[str, Any]:
        """Options in Flink's config.yaml."""
        return {key: value for backend in self.backends for key, value in backend.options.items()}

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """Environment variables of the daemons that are secrets."""
        return {key: value for backend in self.backends for key, value in backend.secrets.items()}

    @property
    def server(self) -> str:
        """URL of the HTTP server of `uri`; empty if there is none that could be asked."""
        return self.at(self.uri).server(self.uri)

    @property
    def copies(self) -> str:
        """URI of the folder with copies of releases (host_scripts/copies.sh)."""
        return f"{self.uri}/archives"

    @property
    def copies_url(self) -> str:
        """URL of that folder, with the bucket in the path, which all servers accept."""
        return f"{self.server}/{self.copies.partition('://')[2]}"

"""The storage of a cluster, of whatever kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pulumi

from .base import Backend
from .table import STORAGES

T = TypeVar("T", bound=Backend)


def mark(cluster_id: str) -> str:
    """The name of a folder in each folder of hosts that a cluster uses."""
    return f".shared-{cluster_id}"


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The storage of a cluster."""

    uri: str
    """Such as `s3://bucket/prefix`, without a trailing slash. Empty in settings if the provider creates the storage."""
    ha_uri: str = ""
    """Where HA metadata is instead of below `uri`."""
    checkpoints_uri: str = ""
    """Where checkpoints are instead of below `uri`."""
    savepoints_uri: str = ""
    """Where savepoints are that nobody says where to put, instead of below `uri`."""
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
    def places(self) -> Mapping[str, str]:
        """Everywhere it is, by the keys of the configuration: `uri` first, each once."""
        apart = {"haUri": self.ha_uri, "checkpointsUri": self.checkpoints_uri, "savepointsUri": self.savepoints_uri}
        found: dict[str, str] = {"storageUri": self.uri}
        for key, uri in apart.items():
            if uri and uri not in found.values():
                found[key] = uri
        return found

    @property
    def uris(self) -> Sequence[str]:
        """Everywhere it is: `uri` first, each once."""
        return tuple(self.places.values())

    @property
    def folders(self) -> Mapping[str, str]:
        """Folders of hosts that places are, by the keys of the configuration: all hosts share them."""
        found = {key: self.at(uri).folder(uri) for key, uri in self.places.items()}
        return {key: folder for key, folder in found.items() if folder}

    def marks(self, cluster_id: str) -> Sequence[str]:
        """Folders in them, in each of which a host that sees it finds the cluster's `token` (storage/shared.sh)."""
        return [f"{folder}/{mark(cluster_id)}" for folder in self.folders.values()]

    @property
    def is_apart(self) -> bool:
        """Whether not all of it is below `uri`."""
        return len(self.uris) > 1

    @property
    def ha(self) -> str:
        """The folder of HA metadata of all clusters."""
        return f"{self.ha_uri or self.uri}/ha"

    def checkpoints(self, cluster_id: str) -> str:
        """The folder of a cluster's checkpoints."""
        return f"{self.checkpoints_uri or self.uri}/checkpoints/{cluster_id}"

    def checkpoints_option(self, cluster_id: str) -> str:
        """The same for Flink: with entropy it writes data below random names in that folder, and metadata without."""
        entropy = self.at(self.checkpoints_uri or self.uri).entropy
        return "/".join(filter(None, (self.checkpoints(cluster_id), entropy)))

    def savepoints(self, cluster_id: str) -> str:
        """The folder of a cluster's savepoints, except for those of declared jobs."""
        return f"{self.savepoints_uri or self.uri}/savepoints/{cluster_id}"

    @property
    def plugins(self) -> Sequence[str]:
        """Flink's file systems that hosts install as plugins."""
        return [name for backend in self.backends for name in backend.plugins]

    @property
    def plugin(self) -> str:
        """The same as one word."""
        return "+".join(self.plugins)

    @property
    def options(self) -> Mapping[str, Any]:
        """Options in Flink's config.yaml."""
        return {key: value for backend in self.backends for key, value in backend.options.items()}

    @property
    def java_options(self) -> str:
        """JVM options of the daemons."""
        return " ".join(filter(None, (backend.java_options for backend in self.backends)))

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables of all that runs Flink's code, also of clients; none is a secret."""
        return {key: value for backend in self.backends for key, value in backend.environment.items()}

    @property
    def daemon_environment(self) -> Mapping[str, str]:
        """All environment variables of the daemons that are no secrets."""
        own = {key: value for backend in self.backends for key, value in backend.daemon_environment.items()}
        return {**self.environment, **own}

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """Environment variables of the daemons that are secrets."""
        return {key: value for backend in self.backends for key, value in backend.secrets.items()}

    @property
    def absent_steps(self) -> Sequence[str]:
        """The steps of kinds that it is not on, whose files hosts of earlier times may have."""
        used = {backend.host_step.script for backend in self.backends if backend.host_step}
        return [kind.step for kind in STORAGES if kind.step and f"storage/{kind.step}.sh" not in used]

    @property
    def servers(self) -> Sequence[str]:
        """URLs of the HTTP servers that have it, as far as there are any that could be asked; each once."""
        found = (self.at(uri).server(uri) for uri in self.uris)
        return tuple(dict.fromkeys(each for each in found if each))

    @property
    def copies(self) -> str:
        """URI of the folder with copies of releases (host_scripts/copies.sh)."""
        return f"{self.uri}/archives"

    @property
    def copies_url(self) -> str:
        """URL of that folder, with the bucket in the path, which all servers accept."""
        return f"{self.at(self.uri).server(self.uri)}/{self.copies.partition('://')[2]}"

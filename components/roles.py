"""The one table of roles: what a host of each role is, has and needs.

A role is a row here and a folder of its name in `components/`, with folders of the same name in `config_templates/` and
`host_scripts/` where it has something there. Nothing outside of the table and of a role's own folder asks which role a
host has. CONTRIBUTING.md (Adding a role) walks through one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from .flink import sizing
from .host import Role

if TYPE_CHECKING:
    from .flink.settings import ClusterSettings


class Health(Enum):
    """How the health of a daemon is checked; the values are words of the host tool (`host_tool/`)."""

    REST = "rest"
    """Its REST API answers."""
    REGISTERED = "registered"
    """It talks to a JobManager. Whether the leader counts its slots is for the check of the cluster."""
    ENSEMBLE = "zookeeper"
    """It serves, and no server of the ensemble is missing or behind."""


class Replacement(Enum):
    """How many machines of a role may be replaced at the same time by a provider that can replace them."""

    ONE = "each waits until the one before is in service again"
    MAX_UNAVAILABLE = "each waits until the one `maxUnavailable` before it is in service again"
    ALL = "none waits: nothing depends on them"


class Teardown(Enum):
    """When a role's hosts are cleaned, relative to the others, if the whole cluster is destroyed."""

    BEFORE_STORAGE = 1
    """Before the cluster's objects on the storage are removed: it may still write there."""
    AFTER_STORAGE = 2
    """After it: the objects are removed from this host."""
    LAST = 3
    """After all others, which may need it to stop cleanly."""


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The process that a role's hosts keep running under systemd, and the files of which each change restarts it."""

    unit: str
    inputs: tuple[str, ...]
    health: Health
    script: str = ""
    """Flink's own start script, in bin/; empty where Flink has none for it."""
    entrypoint: str = ""
    """The class that it starts."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What is known of a role. Whatever a role must decide about itself has no default."""

    title: str
    """What people call it."""
    prefix: str
    """A host's name where a provider makes one: the prefix, `-`, and a number that stays its own."""
    user: str
    """System user that owns its directories and runs its daemon; its configuration is in /etc/USER."""
    directories: tuple[str, ...]
    """Directories of that user."""
    shared_directories: tuple[str, ...] = ()
    """Directories that any user of the host may write to, as /tmp."""
    releases: tuple[str, ...]
    """What is installed: links below /opt."""
    memory: Callable[[ClusterSettings], int]
    """MiB that its daemon takes at least."""
    memory_on: Callable[[ClusterSettings, int], int]
    """MiB that its daemon takes on a machine with the given MiB."""
    declared_memory: Callable[[ClusterSettings], str]
    """The same for people."""
    memory_key: str
    """The key of the configuration that says it; empty where none does."""
    own_config: Callable[[ClusterSettings], Mapping[str, Any]]
    """Keys of Flink's config.yaml that the stack has for this role alone."""
    daemon: Daemon | None
    runs_flink: bool
    """It has Flink with the cluster's configuration."""
    uses_storage: bool
    """It may read and write the cluster's part of the storage."""
    logs_in: bool
    """Its daemons' user has a key for the hosts that accept logins: start-cluster.sh and rollouts run here."""
    accepts_logins: bool
    """The hosts whose role logs in may do so here, as the daemons' user."""
    data_directory: str = ""
    """Data that must outlive the machine, on a separate volume if the provider has volumes; empty: none."""
    replacement: Replacement
    """What keeps a machine from being replaced beside others of its role."""
    teardown: Teardown

    @property
    def unit(self) -> str:
        """Name of its daemon's unit; empty without one."""
        return self.daemon.unit if self.daemon else ""

    @property
    def configuration(self) -> str:
        """Directory of its configuration, which is root's."""
        return f"/etc/{self.user}"


LAUNCHES = "/var/lib/flink/launch"
"""Where Flink hosts keep what their daemons run: a folder for each configuration and version (launch.sh)."""


def unit_path(unit: str) -> str:
    """Path of a unit that the program installs."""
    return f"/etc/systemd/system/{unit}.service"


def _flink_daemon(role: Role, entrypoint: str, health: Health) -> Daemon:
    unit = f"flink-{role.value}"
    return Daemon(
        unit=unit,
        inputs=("/etc/flink/credentials.env", unit_path(unit), f"{LAUNCHES}/current"),
        health=health,
        script=f"{role.value}.sh",
        entrypoint=f"org.apache.flink.runtime.{entrypoint}",
    )


_FLINK_DIRECTORIES = (
    "/var/log/flink",
    *(f"/var/lib/flink/{name}" for name in ("tmp", "upload", "pids", "launch", "cds")),
)


ROLES: Mapping[Role, Row] = {
    Role.JOBMANAGER: Row(
        title="JobManager",
        prefix="jm",
        user="flink",
        directories=_FLINK_DIRECTORIES,
        releases=("java", "flink"),
        memory=lambda settings: settings.jobmanager_mib,
        memory_on=lambda settings, machine_mib: settings.jobmanager_mib,
        declared_memory=lambda settings: f"{settings.jobmanager_mib}m",
        memory_key="jobManagerMemory",
        own_config=lambda settings: settings.jobmanager_config,
        daemon=_flink_daemon(Role.JOBMANAGER, "entrypoint.StandaloneSessionClusterEntrypoint", Health.REST),
        runs_flink=True,
        uses_storage=True,
        logs_in=True,
        accepts_logins=True,
        replacement=Replacement.ONE,
        teardown=Teardown.AFTER_STORAGE,
    ),
    Role.TASKMANAGER: Row(
        title="TaskManager",
        prefix="tm",
        user="flink",
        directories=_FLINK_DIRECTORIES,
        releases=("java", "flink"),
        memory=lambda settings: settings.taskmanager_mib or sizing.TASKMANAGER_MINIMUM_MIB,
        memory_on=lambda settings, machine_mib: settings.taskmanager_mib or sizing.taskmanager_mib(machine_mib),
        declared_memory=lambda settings: f"{settings.taskmanager_mib}m" if settings.taskmanager_mib else "by machine",
        memory_key="taskManagerMemory",
        own_config=lambda settings: settings.taskmanager_config,
        daemon=_flink_daemon(Role.TASKMANAGER, "taskexecutor.TaskManagerRunner", Health.REGISTERED),
        runs_flink=True,
        uses_storage=True,
        logs_in=False,
        accepts_logins=True,
        replacement=Replacement.MAX_UNAVAILABLE,
        teardown=Teardown.BEFORE_STORAGE,
    ),
    Role.ZOOKEEPER: Row(
        title="ZooKeeper",
        prefix="zk",
        user="zookeeper",
        directories=("/var/lib/zookeeper/data",),
        releases=("java", "zookeeper"),
        memory=lambda settings: settings.zookeeper_heap_mib,
        memory_on=lambda settings, machine_mib: settings.zookeeper_heap_mib,
        declared_memory=lambda settings: f"{settings.zookeeper_heap_mib}m heap",
        memory_key="zookeeperHeap",
        own_config=lambda settings: {},
        daemon=Daemon(
            unit="zookeeper",
            inputs=(
                "/etc/zookeeper/zoo.cfg",
                "/etc/zookeeper/logback.xml",
                "/opt/zookeeper",
                "/opt/java",
                unit_path("zookeeper"),
            ),
            health=Health.ENSEMBLE,
        ),
        runs_flink=False,
        uses_storage=False,
        logs_in=False,
        accepts_logins=False,
        data_directory="/var/lib/zookeeper/data",
        replacement=Replacement.ONE,
        teardown=Teardown.LAST,
    ),
    Role.CLIENT: Row(
        title="Client",
        prefix="cl",
        user="flink",
        directories=(),
        # `flink` and `sql-client.sh` log here as the user who runs them
        shared_directories=("/var/log/flink",),
        releases=("java", "flink"),
        memory=lambda settings: sizing.CLIENT_MIB,
        memory_on=lambda settings, machine_mib: sizing.CLIENT_MIB,
        declared_memory=lambda settings: "",
        memory_key="",
        own_config=lambda settings: {},
        daemon=None,
        runs_flink=True,
        # Many people may log in to it, and jobs read and write on TaskManagers
        uses_storage=False,
        logs_in=False,
        accepts_logins=False,
        replacement=Replacement.ALL,
        teardown=Teardown.BEFORE_STORAGE,
    ),
}


def daemon_of(role: Role) -> Daemon:
    """The daemon of a role. Raises ValueError for a role without one."""
    daemon = ROLES[role].daemon
    if daemon is None:
        raise ValueError(f"a {role} has no daemon")
    return daemon


def needed_mib(role: Role, settings: ClusterSettings) -> int:
    """MiB of memory that a machine needs for its role."""
    return sizing.machine_mib(ROLES[role].memory(settings))


if missing := set(Role) - set(ROLES):
    raise NotImplementedError(f"components/roles.py has no row for {', '.join(sorted(missing))}")

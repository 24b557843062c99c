"""The only table of roles: what a host of each role has and needs.

A role is a row here and a folder with its name in `components/`, and in `config_templates/` and `host_scripts/` if it
has files there. Only the table and the folder of a role contain code that depends on the role of a host. For an example
see CONTRIBUTING.md (Adding a role).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from .circles import Circle
from .flink import sizing
from .host import Role

if TYPE_CHECKING:
    from .flink.settings import ClusterSettings


class Health(Enum):
    """How the host tool (`host_tool/`) checks the health of a daemon. The values are its arguments."""

    REST = "rest"
    """Its REST API answers."""
    REGISTERED = "registered"
    """It is connected to a JobManager. The cluster check verifies that the leader counts its slots."""
    ENSEMBLE = "zookeeper"
    """It serves, and no server of the ensemble is missing or out of sync."""


class Replacement(Enum):
    """How many machines of a role a provider may replace at once."""

    ONE = "each waits until the one before is in service again"
    MAX_UNAVAILABLE = "each waits until the one `maxUnavailable` before it is in service again"
    ALL = "none waits: nothing depends on them"


class Teardown(Enum):
    """When the hosts of a role are cleaned, relative to others, if the whole cluster is destroyed."""

    BEFORE_STORAGE = 1
    """Before the cluster's objects on the storage are removed, because its daemon may still write there."""
    AFTER_STORAGE = 2
    """After the storage, because the objects are removed from this host."""
    LAST = 3
    """After all others, because those may need it for a clean stop."""


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The process that systemd keeps running on hosts of a role, and the files (`inputs`) whose changes restart it."""

    unit: str
    inputs: tuple[str, ...]
    health: Health
    script: str = ""
    """Flink's start script in bin/. Empty if Flink has none for this daemon."""
    entrypoint: str = ""
    """The class that it starts."""
    session: str = ""
    """Where it notes its sessions with ZooKeeper, which holds that it leads; empty if it does not lead anything. The
    folder is new with each start of the unit.
    """


@dataclass(frozen=True, kw_only=True)
class Row:
    """A role. Fields that every role has to set have no default."""

    title: str
    """Name of the role for people."""
    prefix: str
    """Prefix of host names that a provider generates: prefix, `-`, and a number that does not change."""
    user: str
    """System user that owns its directories and runs its daemon. Its configuration is in /etc/USER."""
    directories: tuple[str, ...]
    """Directories that the user owns."""
    shared_directories: tuple[str, ...] = ()
    """Directories to which any user of the host may write, like /tmp."""
    releases: tuple[str, ...]
    """Installed releases: links in /opt."""
    memory: Callable[[ClusterSettings], int]
    """Minimum memory of its daemon in MiB."""
    memory_on: Callable[[ClusterSettings, int], int]
    """Memory of its daemon in MiB on a machine with the given MiB."""
    declared_memory: Callable[[ClusterSettings], str]
    """The configured memory, for people."""
    memory_key: str
    """The configuration key that sets the memory; empty if there is none."""
    own_config: Callable[[ClusterSettings], Mapping[str, Any]]
    """Keys of Flink's config.yaml that the stack sets for this role only."""
    daemon: Daemon | None
    runs_flink: bool
    """Flink is installed, with the cluster's configuration."""
    uses_storage: bool
    """The host has read and write access to the cluster's part of the storage."""
    logs_in: bool
    """The daemons' user has an SSH key for the hosts that accept logins: start-cluster.sh and rollouts run here."""
    accepts_logins: bool
    """Hosts of roles with `logs_in` may log in here as the daemons' user."""
    circles: tuple[Circle, ...]
    """With TLS its hosts have an identity in these circles (flink/encryption.py)."""
    data_directory: str = ""
    """Data that must outlive the machine, on a separate volume if the provider supports volumes. Empty: none."""
    replacement: Replacement
    """How many machines of the role may be replaced at once."""
    teardown: Teardown

    @property
    def unit(self) -> str:
        """Name of the unit of its daemon; empty without a daemon."""
        return self.daemon.unit if self.daemon else ""

    @property
    def configuration(self) -> str:
        """Directory of its configuration, owned by root."""
        return f"/etc/{self.user}"


LAUNCHES = "/var/lib/flink/launch"
"""Launches on Flink hosts: a folder for each configuration and version that their daemons run (launch.sh)."""


def unit_path(unit: str) -> str:
    """Path of a unit that the program installs."""
    return f"/etc/systemd/system/{unit}.service"


def _flink_daemon(role: Role, entrypoint: str, health: Health, *, leads: bool = False) -> Daemon:
    unit = f"flink-{role.value}"
    return Daemon(
        unit=unit,
        inputs=("/etc/flink/credentials.env", unit_path(unit), f"{LAUNCHES}/current"),
        health=health,
        script=f"{role.value}.sh",
        entrypoint=f"org.apache.flink.runtime.{entrypoint}",
        session=f"/run/{unit}/session" if leads else "",
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
        daemon=_flink_daemon(Role.JOBMANAGER, "entrypoint.StandaloneSessionClusterEntrypoint", Health.REST, leads=True),
        runs_flink=True,
        uses_storage=True,
        logs_in=True,
        accepts_logins=True,
        circles=(Circle.INTERNAL, Circle.REST, Circle.ZOOKEEPER),
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
        circles=(Circle.INTERNAL, Circle.ZOOKEEPER),
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
        circles=(Circle.ZOOKEEPER,),
        data_directory="/var/lib/zookeeper/data",
        replacement=Replacement.ONE,
        teardown=Teardown.LAST,
    ),
    Role.CLIENT: Row(
        title="Client",
        prefix="cl",
        user="flink",
        directories=(),
        # `flink` and `sql-client.sh` write logs here as the user who runs them
        shared_directories=("/var/log/flink",),
        releases=("java", "flink"),
        memory=lambda settings: sizing.CLIENT_MIB,
        memory_on=lambda settings, machine_mib: sizing.CLIENT_MIB,
        declared_memory=lambda settings: "",
        memory_key="",
        own_config=lambda settings: {},
        daemon=None,
        runs_flink=True,
        # Many people may log in here, and jobs access the storage from TaskManagers
        uses_storage=False,
        logs_in=False,
        accepts_logins=False,
        circles=(Circle.REST, Circle.ZOOKEEPER),
        replacement=Replacement.ALL,
        teardown=Teardown.BEFORE_STORAGE,
    ),
    Role.MONITORING: Row(
        title="Monitoring",
        prefix="mon",
        user="prometheus",
        directories=("/var/lib/prometheus/data",),
        # Those of its own folder, which removes them, too
        releases=(),
        memory=lambda settings: sizing.MONITORING_MIB,
        memory_on=lambda settings, machine_mib: sizing.MONITORING_MIB,
        declared_memory=lambda settings: "",
        memory_key="",
        own_config=lambda settings: {},
        # No daemon of the cluster: no rollout restarts it, and no cluster check waits for it
        daemon=None,
        runs_flink=False,
        uses_storage=False,
        logs_in=False,
        accepts_logins=False,
        # Its identity is not of a daemon in a JVM (components/monitoring)
        circles=(),
        data_directory="/var/lib/prometheus/data",
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

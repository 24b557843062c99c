"""The configuration of Flink and ZooKeeper as text, made by pure functions from the settings and the list of hosts."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from components import naming, ports
from components.flink.templates import render
from components.host import Host, Role, Storage
from settings import FlinkSettings

HEADER = "# Managed by Pulumi: changes are overwritten. config_templates/config.yaml.j2 says what the keys are for.\n"

# What conf/config.yaml of Flink 2.3.0 ships in env.java.opts.all, which a config.yaml of one's own must repeat.
EXPORTS = (
    "java.rmi/sun.rmi.registry", "jdk.compiler/com.sun.tools.javac.api", "jdk.compiler/com.sun.tools.javac.file",
    "jdk.compiler/com.sun.tools.javac.parser", "jdk.compiler/com.sun.tools.javac.tree",
    "jdk.compiler/com.sun.tools.javac.util", "java.security.jgss/sun.security.krb5",
)  # fmt: skip
OPENS = (
    "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
    "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
)  # fmt: skip


@dataclass(frozen=True)
class Members:
    """The hosts of a cluster, by role and in the order of their names."""

    hosts: tuple[Host, ...]

    def names(self, role: Role) -> list[str]:
        """Short names of the hosts of a role."""
        return [host.name for host in self.of(role)]

    def reached_as(self, role: Role) -> list[str]:
        """Names under which the hosts of a role are reached."""
        return [host.reached_as for host in self.of(role)]

    @property
    def flink(self) -> list[Host]:
        """Those that run Flink."""
        return [*self.of(Role.JOBMANAGER), *self.of(Role.TASKMANAGER)]

    def of(self, role: Role) -> list[Host]:
        """Hosts of a role, `tm-2` before `tm-10`."""
        return sorted((host for host in self.hosts if host.role is role), key=lambda host: (len(host.name), host.name))


def _numbers() -> dict[str, int]:
    return {port.name: port.number for port in ports.TABLE}


def _value(value: Any) -> Any:
    """YAML's own scalars as they are; anything else as Flink writes it: a list as `a;b`."""
    return ";".join(str(item) for item in value) if isinstance(value, list) else value


def flink_config(
    role: Role, settings: FlinkSettings, storage: Storage, members: Members, *, memory_mib: int = 0, slots: int = 0
) -> dict[str, Any]:
    """What is in config.yaml on the hosts of a role: the template's keys, then the stack's, flat.

    `memory_mib` is the size of the process in MiB; 0 leaves out what depends on the machine. `slots` matters to
    TaskManagers only. It is the same for all hosts of a role with machines of the same size: what differs by host is
    on the unit's command line.
    """
    zookeeper = ports.number("zk-client")
    base = yaml.safe_load(
        render(
            "config.yaml.j2",
            role=role.value,
            exports=EXPORTS,
            opens=OPENS,
            java_options=settings.java_options,
            quorum=",".join(f"{name}:{zookeeper}" for name in members.reached_as(Role.ZOOKEEPER)),
            cluster_id=settings.cluster_id,
            jobmanagers=members.reached_as(Role.JOBMANAGER),
            storage=storage,
            timings=settings.timings,
            ports=_numbers(),
            memory_mib=memory_mib,
            slots=slots,
        )
    )
    own = settings.jobmanager_config if role is Role.JOBMANAGER else settings.taskmanager_config
    return {key: _value(value) for key, value in {**base, **settings.common_config, **own}.items()}


def config_yaml(
    role: Role,
    settings: FlinkSettings,
    storage: Storage,
    members: Members,
    *,
    memory_mib: int,
    slots: int = 0,
) -> str:
    """config.yaml as text: sorted lines."""
    keys = flink_config(role, settings, storage, members, memory_mib=memory_mib, slots=slots)
    return HEADER + yaml.safe_dump(keys, default_flow_style=False, width=10_000, sort_keys=True)


def masters(members: Members) -> str:
    """conf/masters: with the port, since start-cluster.sh binds the web UI to a random one without."""
    return render("masters.j2", jobmanagers=members.reached_as(Role.JOBMANAGER), ports=_numbers())


def workers(members: Members) -> str:
    """conf/workers."""
    return render("workers.j2", taskmanagers=members.reached_as(Role.TASKMANAGER))


def zookeeper_config(settings: FlinkSettings, members: Members) -> dict[str, Any]:
    """What is in zoo.cfg, the same on all servers."""
    timings, extra = settings.timings, dict(settings.zookeeper_config)
    base: dict[str, Any] = {
        "tickTime": timings.tick_time,
        "initLimit": timings.init_limit,
        "syncLimit": timings.sync_limit,
        "dataDir": "/var/lib/zookeeper/data",
        "clientPort": ports.number("zk-client"),
        # A host's own name may be 127.0.1.1 to itself (Debian's custom)
        "quorumListenOnAllIPs": "true",
        "maxClientCnxns": 0,
        "autopurge.snapRetainCount": 5,
        "autopurge.purgeInterval": 6,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "ruok,srvr,mntr",
    }
    quorum, election = ports.number("zk-quorum"), ports.number("zk-election")
    servers = {
        f"server.{naming.server_id(host.name)}": f"{host.reached_as}:{quorum}:{election}"
        for host in members.of(Role.ZOOKEEPER)
    }
    return {**base, **extra, **servers}


def zoo_cfg(settings: FlinkSettings, members: Members) -> str:
    """zoo.cfg as text."""
    return render("zoo.cfg.j2", settings=list(zookeeper_config(settings, members).items()))


def credentials_env(access_key: str, secret_key: str) -> str:
    """The storage's keys as systemd and a login shell read them (both take single quotes alike)."""
    return f"AWS_ACCESS_KEY_ID='{access_key}'\nAWS_SECRET_ACCESS_KEY='{secret_key}'\n"


LAUNCHES = "/var/lib/flink/launch"
"""Where Flink hosts keep what their daemons run: a folder for each configuration and version (launch.sh)."""


@dataclass(frozen=True)
class Daemon:
    """A unit: what it is called, and the files of which each change is a reason to restart it."""

    unit: str
    title: str
    inputs: tuple[str, ...]
    script: str = ""
    """Flink's own start script, in bin/."""
    entrypoint: str = ""
    """The class that it starts."""


def unit_path(unit: str) -> str:
    """Where systemd finds a unit of ours."""
    return f"/etc/systemd/system/{unit}.service"


def _flink_daemon(role: str, title: str, entrypoint: str) -> Daemon:
    unit = f"flink-{role}"
    inputs = ("/etc/flink/credentials.env", unit_path(unit), f"{LAUNCHES}/current")
    return Daemon(unit, title, inputs, f"{role}.sh", f"org.apache.flink.runtime.{entrypoint}")


JOBMANAGER = _flink_daemon("jobmanager", "JobManager", "entrypoint.StandaloneSessionClusterEntrypoint")
TASKMANAGER = _flink_daemon("taskmanager", "TaskManager", "taskexecutor.TaskManagerRunner")
ZOOKEEPER = Daemon(
    "zookeeper",
    "ZooKeeper",
    (
        "/etc/zookeeper/zoo.cfg",
        "/etc/zookeeper/logback.xml",
        "/opt/zookeeper",
        "/opt/java",
        unit_path("zookeeper"),
    ),
)

DAEMONS = {Role.JOBMANAGER: JOBMANAGER, Role.TASKMANAGER: TASKMANAGER, Role.ZOOKEEPER: ZOOKEEPER}


def jobmanager_arguments(host: Host) -> list[str]:
    """What the JobManager's start script gets on a host."""
    return [host.reached_as, str(ports.number("rest"))]


def taskmanager_arguments(host: Host) -> list[str]:
    """What the TaskManager's start script gets on a host, whose name is its id: metrics keep their series over
    restarts.
    """
    return ["-D", f"taskmanager.host={host.reached_as}", "-D", f"taskmanager.resource-id={host.name}"]


def flink_unit(daemon: Daemon, *, memory_mib: int) -> str:
    """The unit of a JobManager or TaskManager whose process has `memory_mib`."""
    return render("flink.service.j2", daemon=daemon, launches=LAUNCHES, limit_mib=memory_limit_mib(memory_mib))


def memory_limit_mib(process_mib: int) -> int:
    """MiB at which the kernel ends a daemon, before it takes other processes of the host along: an eighth more than
    Flink's own sum, since RocksDB and glibc may exceed their parts of it, and what the system keeps (sizing.reserve)
    is not less.
    """
    return process_mib + max(256, process_mib // 8)


def daemon_conf(daemon: Daemon, check: str) -> str:
    """What host_scripts/daemon.sh has to know of the host's daemon; `check` holds when it is healthy."""
    inputs = " ".join(daemon.inputs)
    return (
        f"unit={daemon.unit}\ninputs=({inputs})\ncheck={shlex.quote(check)}\n"
        f"metrics_port={ports.number('prometheus')}\n"
    )


def zookeeper_unit(settings: FlinkSettings, *, data_disk: bool) -> str:
    """ZooKeeper's unit; with a `data_disk` it does not start while that is not mounted."""
    return render(
        "zookeeper.service.j2",
        inputs=ZOOKEEPER.inputs,
        heap_mib=settings.zookeeper_heap_mib,
        # A JVM needs about as much again as its heap, and little ones a fixed part
        limit_mib=settings.zookeeper_heap_mib * 2 + 256,
        data_disk=data_disk,
        java_options=settings.java_options,
    )


def hosts_block(host: Host, members: Members, addresses: Mapping[str, str]) -> str:
    """Lines for /etc/hosts on `host`, sorted by name: those that DNS does not have, and itself, since Java asks for
    that name before there is a network. `addresses`: short name → address.
    """
    listed = [other for other in members.hosts if other is host or not other.dns_name]
    names = {other.name: f"{other.dns_name} {other.name}".strip() for other in listed}
    return "\n".join(f"{addresses[name]} {names[name]}" for name in sorted(names))


def firewall(role: Role, addresses: Mapping[Role, Sequence[str]], operators: Sequence[str]) -> str:
    """The nftables rules of a host of `role`, from the port table."""
    rules = []
    for port in ports.listening(role):
        clients = ports.sources(port, addresses, operators)
        rules.append(
            {
                "name": port.name,
                "number": port.number,
                "ip4": [client for client in clients if ":" not in client],
                "ip6": [client for client in clients if ":" in client],
            }
        )
    return render("firewall.nft.j2", rules=rules)


def ssh_clients(role: Role, addresses: Mapping[Role, Sequence[str]], operators: Sequence[str]) -> list[str]:
    """Addresses and networks that the firewall of a host of `role` lets in by SSH."""
    return [
        client
        for port in ports.listening(role)
        if port.number == 22
        for client in ports.sources(port, addresses, operators)
    ]

"""The configuration of Flink and ZooKeeper as text, made by pure functions from the settings and the list of hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from components import naming, ports
from components.flink.templates import render
from components.host import Host, Role, Storage
from components.remote import File
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

    def of(self, role: Role) -> list[Host]:
        """Hosts of a role, `tm-2` before `tm-10`."""
        return sorted((host for host in self.hosts if host.role is role), key=lambda host: (len(host.name), host.name))


def _numbers() -> dict[str, int]:
    return {port.name: port.number for port in ports.TABLE}


def _value(value: Any) -> Any:
    """YAML's own scalars as they are; anything else as Flink writes it: a list as `a;b`."""
    return ";".join(str(item) for item in value) if isinstance(value, list) else value


def config_yaml(
    role: Role,
    settings: FlinkSettings,
    storage: Storage,
    members: Members,
    *,
    memory_mib: int,
    slots: int = 0,
) -> str:
    """config.yaml for the hosts of a role: the template's keys, then the stack's, as flat sorted lines.

    `memory_mib` is the size of the process in MiB; `slots` matters to TaskManagers only. The text is the same for all
    hosts of a role with machines of the same size: what differs by host is on the unit's command line.
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
    merged = {key: _value(value) for key, value in {**base, **settings.common_config, **own}.items()}
    return HEADER + yaml.safe_dump(merged, default_flow_style=False, width=10_000, sort_keys=True)


def masters(members: Members) -> str:
    """conf/masters: with the port, since start-cluster.sh binds the web UI to a random one without."""
    return render("masters.j2", jobmanagers=members.reached_as(Role.JOBMANAGER), ports=_numbers())


def workers(members: Members) -> str:
    """conf/workers."""
    return render("workers.j2", taskmanagers=members.reached_as(Role.TASKMANAGER))


def zoo_cfg(settings: FlinkSettings, members: Members) -> str:
    """zoo.cfg, the same on all servers."""
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
    return render("zoo.cfg.j2", settings=list({**base, **extra, **servers}.items()))


def credentials_env(access_key: str, secret_key: str) -> str:
    """The storage's keys as systemd and a login shell read them (both take single quotes alike)."""
    return f"AWS_ACCESS_KEY_ID='{access_key}'\nAWS_SECRET_ACCESS_KEY='{secret_key}'\n"


@dataclass(frozen=True)
class Daemon:
    """A unit: what it is called, what it runs, and which files it runs with."""

    unit: str
    title: str
    inputs: tuple[str, ...]


FLINK_INPUTS = (
    "/etc/flink/config.yaml",
    "/etc/flink/log4j-console.properties",
    "/etc/flink/credentials.env",
    "/opt/flink",
    "/opt/java",
)
ZOOKEEPER_INPUTS = ("/etc/zookeeper/zoo.cfg", "/etc/zookeeper/logback.xml", "/opt/zookeeper", "/opt/java")


def _unit_path(unit: str) -> str:
    return f"/etc/systemd/system/{unit}.service"


JOBMANAGER = Daemon("flink-jobmanager", "JobManager", (*FLINK_INPUTS, _unit_path("flink-jobmanager")))
TASKMANAGER = Daemon("flink-taskmanager", "TaskManager", (*FLINK_INPUTS, _unit_path("flink-taskmanager")))
ZOOKEEPER = Daemon("zookeeper", "ZooKeeper", (*ZOOKEEPER_INPUTS, _unit_path("zookeeper")))


def jobmanager_unit(host: Host, plugin: str) -> File:
    """The JobManager's unit on a host."""
    command = f"/opt/flink/bin/jobmanager.sh start-foreground {host.reached_as} {ports.number('rest')}"
    return _flink_unit(JOBMANAGER, command, plugin)


def taskmanager_unit(host: Host, plugin: str) -> File:
    """The TaskManager's unit on a host, whose name is also its id: metrics keep their series over restarts."""
    options = f"-D taskmanager.host={host.reached_as} -D taskmanager.resource-id={host.name}"
    return _flink_unit(TASKMANAGER, f"/opt/flink/bin/taskmanager.sh start-foreground {options}", plugin)


def _flink_unit(daemon: Daemon, command: str, plugin: str) -> File:
    """`plugin` is in the text because a daemon has to be restarted when it changes: plugins are loaded at the start."""
    text = render(
        "flink.service.j2",
        unit=daemon.unit,
        title=daemon.title,
        inputs=daemon.inputs,
        command=command,
        plugin=plugin,
    )
    return File(path=_unit_path(daemon.unit), text=text)


def zookeeper_unit(settings: FlinkSettings, *, data_disk: bool) -> File:
    """ZooKeeper's unit; with a `data_disk` it does not start while that is not mounted."""
    text = render(
        "zookeeper.service.j2",
        inputs=ZOOKEEPER.inputs,
        heap_mib=settings.zookeeper_heap_mib,
        data_disk=data_disk,
        java_options=settings.java_options,
    )
    return File(path=_unit_path("zookeeper"), text=text)


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

"""What every host of a cluster has, whatever its role: the user that daemons run as, directories, a JDK."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from components import naming
from components.flink import sizing
from components.flink.templates import render
from components.host import Host, Role
from components.remote import File, host_script, script_text, step
from settings import Archive, FlinkSettings

# Owned by the daemons' user; their configuration, /etc/flink and /etc/zookeeper, is root's
FLINK_DIRECTORIES = (
    "/var/log/flink",
    *(f"/var/lib/flink/{name}" for name in ("tmp", "upload", "pids", "launch", "cds")),
)
ZOOKEEPER_DIRECTORIES = ("/var/lib/zookeeper/data",)


def user(role: Role) -> str:
    """The system user that a role's daemon runs as."""
    return "zookeeper" if role is Role.ZOOKEEPER else "flink"


def needed_mib(role: Role, settings: FlinkSettings) -> int:
    """MiB of memory that a machine needs for its role."""
    daemon = {
        Role.JOBMANAGER: settings.jobmanager_mib,
        Role.TASKMANAGER: settings.taskmanager_mib or sizing.TASKMANAGER_MINIMUM_MIB,
        Role.ZOOKEEPER: settings.zookeeper_heap_mib,
    }[role]
    return sizing.machine_mib(daemon)


def probe(host: Host, settings: FlinkSettings, opts: pulumi.ResourceOptions) -> remote.Command:
    """Look at a host and change nothing; its result tells `machine` what the host has got."""
    text = script_text(
        host,
        "probe.sh",
        {
            "role": host.role.value,
            "needed_mib": needed_mib(host.role, settings),
            "firewall": "true" if settings.firewall else "false",
            "user": user(host.role),
            "releases": ("java", "zookeeper" if host.role is Role.ZOOKEEPER else "flink"),
        },
    )
    return step(host, "probe", text, seconds=360, opts=opts)


@dataclass(frozen=True)
class Machine:
    """What a host has got."""

    cpus: int
    memory_mib: int


def machine(host: Host, probed: remote.Command) -> pulumi.Output[Machine]:
    """What a host has got: as its provider says, so that a preview knows it, otherwise as the probe found."""
    if host.cpus and host.memory_mib:
        return pulumi.Output.from_input(Machine(host.cpus, host.memory_mib))

    def found(text: str) -> Machine:
        facts = json.loads(text)
        return Machine(host.cpus or facts["cpus"], host.memory_mib or facts["memoryMiB"])

    return probed.stdout.apply(found)


def install(
    host: Host,
    archive: Archive,
    check: str,
    opts: pulumi.ResourceOptions,
    script: str = "archive.sh",
    **values: str,
) -> remote.Command:
    """Install a release on a host; `check` is a file that it must have."""
    text = script_text(
        host,
        script,
        {
            "name": archive.name,
            "version": archive.version,
            "url": archive.url,
            "checksum": archive.checksum,
            "check": check,
            **values,
        },
        uses=("release.sh",),
    )
    # Long enough for some hundred MB at 100 KB/s; one that stands still ends itself after a minute
    return step(host, archive.name, text, seconds=3600, opts=opts)


@dataclass(frozen=True, kw_only=True)
class NodeArgs:
    """A host to prepare."""

    host: Host
    settings: FlinkSettings
    probes: Sequence[pulumi.Resource]
    """All hosts' probes: none is touched before every one of them has been found fit."""


class Node(pulumi.ComponentResource):
    """A host ready for its daemon: `prepared` is the step after which its files can be written. On a JobManager's host,
    `public_key` is that of start-cluster.sh.
    """

    def __init__(self, name: str, args: NodeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Node"), name, None, opts)
        host, role = args.host, args.host.role
        child = pulumi.ResourceOptions(parent=self, depends_on=list(args.probes))
        directories = ZOOKEEPER_DIRECTORIES if role is Role.ZOOKEEPER else FLINK_DIRECTORIES
        tools = ["fingerprint"] if role is Role.ZOOKEEPER else ["fingerprint", "daemon", "classes"]
        files = [
            *(File(path=f"/usr/local/lib/flink/{tool}", mode="0755", text=host_script(f"{tool}.sh")) for tool in tools),
            File(path="/etc/sysctl.d/60-flink.conf", text=render("sysctl.conf")),
        ]
        values: Mapping[str, str | Sequence[str]] = {
            "role": role.value,
            "user": user(role),
            "directories": directories,
            "configuration": f"/etc/{user(role)}",
        }
        self.system = step(host, "system", script_text(host, "system.sh", values, files), opts=child)
        self.prepared = self.system if host.data_device is None else self._data_disk(host, host.data_device)
        self.java = install(host, args.settings.java, "bin/java", child)
        self.public_key = self.system.stdout
        self.register_outputs({})

    def _data_disk(self, host: Host, device: pulumi.Input[str]) -> remote.Command:
        """Mount the disk that outlives the machine where the daemon keeps its data."""
        directory = ZOOKEEPER_DIRECTORIES[0]
        stdin = pulumi.Output.from_input(device).apply(
            lambda path: script_text(host, "disk.sh", {"device": path, "directory": directory, "user": user(host.role)})
        )
        return step(host, "disk", stdin, opts=pulumi.ResourceOptions(parent=self, depends_on=self.system))

"""The provider of existing hosts, from an inventory, and of an existing storage, from the configuration."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, naming, ports
from ..flink import composition, sizing
from ..flink.settings import ClusterSettings
from ..host import Role, Site
from ..problems import Problems, shown
from ..providers import Loaded, Request
from ..roles import ROLES
from ..storage import Storage
from . import inventory
from .hosts import Hosts
from .inventory import InventoryHost

_PLACES = ("haUri", "checkpointsUri", "savepointsUri")
"""On AWS hosts have rights in one bucket, below one prefix."""
_ENCRYPTION = ("storageEncryption", "storageKmsKey")
"""On AWS the bucket's default says it (`kmsKey`), and hosts have rights on that key only."""
KEYS = ("inventory", "firewall", "keepState", "storageAccessKey", "storageSecretKey", *_PLACES, *_ENCRYPTION)


@dataclass(frozen=True, kw_only=True)
class ExistingSettings:
    """The hosts of the inventory that the stack uses."""

    hosts: tuple[InventoryHost, ...]


def region(raw: Mapping[str, str]) -> str:
    """Empty, because the provider creates no storage."""
    return ""


def load(request: Request) -> Loaded:
    """The inventory, validated together with the rest of the configuration."""
    problems, cluster = request.problems, request.cluster
    hosts = _hosts(request.values, request.root, problems)
    _check_roles(hosts, cluster, request.given, problems)
    _check_ssh_ports(hosts, cluster, problems)
    _check_sizes(hosts, cluster, problems)
    composition.check_acme(cluster, [host.name for host in hosts if host.role is Role.JOBMANAGER], problems)
    slots = [cluster.taskmanager_slots or host.cpus or 0 for host in hosts if host.role is Role.TASKMANAGER]
    if all(slots):
        composition.check_parallelism(cluster, sum(slots), problems)
        composition.check_jobs(cluster.jobs, slots, problems)
    return Loaded(settings=ExistingSettings(hosts=hosts), cluster=cluster)


def declare(stack: str, settings: ExistingSettings, storage: Storage, cluster: ClusterSettings) -> Site:
    """The hosts and the storage, both existing."""
    return Site(hosts=Hosts(stack, settings.hosts).hosts, storage=storage)


def _hosts(values: Mapping[str, Any], root: Path, problems: Problems) -> tuple[InventoryHost, ...]:
    """The hosts of the inventory, but only the first `workers` TaskManagers."""
    if not values["inventory"]:
        problems.add("inventory", "is missing: expected the path of a YAML file that lists the hosts")
        return ()
    path = problems.catch("inventory", lambda: files.located(values["inventory"], root), None)
    hosts = inventory.load(path, problems) if path else ()
    taskmanagers = [host for host in hosts if host.role is Role.TASKMANAGER]
    workers = values["workers"] or len(taskmanagers)
    if not 0 <= workers <= len(taskmanagers):
        problems.add(
            "workers",
            f"{shown(workers)} is out of range: expected 0 to {len(taskmanagers)}, the TaskManagers of the inventory",
        )
    leaving = {host.name for host in taskmanagers[workers:]}
    return tuple(host for host in hosts if host.name not in leaving)


def _check_roles(
    hosts: Sequence[InventoryHost], cluster: ClusterSettings, given: Collection[str], problems: Problems
) -> None:
    """The inventory must make a complete cluster, in which each ZooKeeper server has an id of its own."""
    if not hosts:
        return  # the inventory could not be read, which is already reported
    count = {role: sum(host.role is role for host in hosts) for role in Role}
    for role in (Role.JOBMANAGER, Role.TASKMANAGER):
        if not count[role]:
            problems.add("inventory", f"has no {role}: expected at least one")
    names = [host.name for host in hosts if host.role is Role.ZOOKEEPER]
    ids = [problems.catch("inventory", lambda name=name: naming.server_id(name), 0) for name in names]  # type: ignore[misc]
    if len(set(ids)) < len(ids):
        problems.add(
            "inventory",
            f"has zookeeper hosts {', '.join(names)}: expected a different number at the end of each name, "
            "which is the id of the server",
        )
    composition.check({role: ("inventory", count[role]) for role in Role}, problems)
    composition.check_monitoring(cluster, ("inventory", count[Role.MONITORING]), given, problems)


def _check_ssh_ports(hosts: Sequence[InventoryHost], cluster: ClusterSettings, problems: Problems) -> None:
    """The host firewall accepts SSH only on the port in the table of ports. On another one it would lock us out."""
    for host in hosts:
        if cluster.firewall and host.sshd_port != ports.number("ssh"):
            key = "port" if host.sshd_port == host.login.port else "sshdPort"
            expected = f"expected {ports.number('ssh')}, or firewall: false"
            problems.add(
                f"inventory host {host.name} {key}", f"{host.sshd_port} is not open in the host firewall: {expected}"
            )


def _check_sizes(hosts: Sequence[InventoryHost], cluster: ClusterSettings, problems: Problems) -> None:
    """The memory of a daemon must fit its machine, if the inventory states the memory of the machine."""
    for host in hosts:
        if host.memory_mib is None:
            continue  # the host checks this itself before it is changed (host_scripts/probe.sh)
        row = ROLES[host.role]
        takes, free = row.memory_on(cluster, host.memory_mib), sizing.available(host.memory_mib)
        least = row.memory(cluster)
        key = row.memory_key or f"inventory host {host.name} memoryMiB"
        if takes > free:
            problems.add(
                key, f"{takes}m does not fit on {host.name}, which has {host.memory_mib} MiB: expected {free}m or less"
            )
        elif takes < least:
            problems.add(
                key, f"{host.name} has {host.memory_mib} MiB, which leaves {takes}m: expected {least}m or more"
            )

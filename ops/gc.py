"""HA metadata that dead clusters have left: objects below `storageUri`/ha, znodes below /flink. It is listed, and
deleted, on a JobManager's host with Flink's own classes (host_scripts/java/Leftovers.java).

Not listed are: live clusters of this backend, clusters with a live leader in the ensemble, whoever owns them, and
anything without the layout that Flink writes.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from components.host import Host as ClusterHost
from components.host import Role, Ssh
from components.remote import script_text
from ops import ssh
from ops.errors import OpsError
from ops.state import HighAvailability, Host

SECONDS = 1800
"""Seconds, enough for some hundred thousand objects."""


@dataclass
class Garbage:
    """What a cluster has left."""

    cluster: str
    objects: int = 0
    bytes: int = 0
    seconds_old: int | None = None
    """Since the last object was written."""
    znode: str = ""


@dataclass
class Listing:
    """The result: garbage, and what was skipped because it is alive or not Flink's."""

    storage: str
    garbage: dict[str, Garbage] = field(default_factory=dict)
    leaders: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "garbage": [asdict(found) for found in self.garbage.values()]}

    def text(self) -> str:
        """For people."""
        lines = [f"{self.storage}: {len(self.garbage)} dead clusters"]
        for found in self.garbage.values():
            parts = []
            if found.objects:
                age = _duration(found.seconds_old or 0)
                parts.append(f"{found.objects} objects, {found.bytes:,} bytes, the last written {age} ago")
            elif not found.znode:
                parts.append("empty folders")
            if found.znode:
                parts.append(f"znode {found.znode}")
            lines.append(f"  {found.cluster}: {'; '.join(parts)}")
        lines += [f"not touched: cluster {name} has a live JobManager in the ensemble" for name in self.leaders]
        lines += [f"not touched: {what} is not Flink's, so neither it nor objects beside it" for what in self.foreign]
        return "\n".join(lines)


def _duration(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


def list_garbage(hosts: Sequence[Host], cluster: HighAvailability, live: Collection[str]) -> Listing:
    """List what clusters other than `live` ones have left."""
    return parse(cluster.storage, _run(hosts, ["list", *_where(cluster), ",".join(sorted(live))]))


def delete(hosts: Sequence[Host], cluster: HighAvailability, found: Listing) -> Listing:
    """Delete what was listed, unless its cluster is alive again."""
    return parse(cluster.storage, _run(hosts, ["delete", *_where(cluster), ",".join(found.garbage)]))


def _where(cluster: HighAvailability) -> list[str]:
    return [cluster.storage, cluster.quorum, cluster.root]


def _run(hosts: Sequence[Host], arguments: list[str]) -> str:
    """Run the tool on the first reachable JobManager's host."""
    said = []
    for host in hosts:
        done = ssh.run(host.name, host.login, "sudo -n bash -s -- apply", script(host, arguments), SECONDS)
        if done.returncode == 0:
            return done.stdout
        said.append(f"{host.name}: {done.stderr.strip() or f'exited with {done.returncode}'}")
        if done.returncode != ssh.UNREACHED:
            break
    raise OpsError("\n".join(said) or "the stack has no JobManager")


def script(host: Host, arguments: Sequence[str]) -> str:
    """The complete script for bash's stdin."""
    login = host.login
    reached = Ssh(address=login.address, user=login.user, port=login.port, private_key="", host_key=login.host_key)
    known = ClusterHost(name=host.name, role=Role.JOBMANAGER, address=login.address, ssh=reached)
    return script_text(known, "gc.sh", {"arguments": arguments})


def parse(storage: str, output: str) -> Listing:
    """Parse the tool's output (Leftovers.java)."""
    listing = Listing(storage)
    for kind, *fields in (line.split("\t") for line in output.splitlines()):
        if kind == "objects":
            found = listing.garbage.setdefault(fields[0], Garbage(fields[0]))
            found.objects, found.bytes, age = (int(field) for field in fields[1:])
            found.seconds_old = age if age >= 0 else None
        elif kind == "znode":
            listing.garbage.setdefault(fields[0], Garbage(fields[0])).znode = fields[1]
        elif kind == "leader":
            listing.leaders.append(fields[0])
        elif kind == "foreign":
            listing.foreign.append(fields[0])
        elif kind == "removed" and fields[1] != "0":
            listing.removed.append(fields[0])
    return listing

"""HA metadata that dead clusters have left: objects below `storageUri`/ha, znodes below /flink. It is listed, and
deleted, on a JobManager's host with Flink's own classes (host_scripts/java/Leftovers.java).

These are not garbage: live clusters of this backend; clusters with a live leader in the ensemble, in any backend;
clusters that wrote anything within the last QUIET_SECONDS, because they may have their own ensemble; and anything
without the layout that Flink writes. Of the rest, only clusters with a znode in the stack's own ensemble are known to
be the stack's.
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
"""Seconds, enough for several hundred thousand objects."""


QUIET_SECONDS = 86_400
"""A cluster that has written nothing below ha/ for this long may be dead. Its JobManagers' hosts renew a mark there
every hour (flink-alive.timer), and each completed checkpoint writes an object. Clusters whose hosts an earlier version
installed have no mark.
"""


WRONG_USAGE = 2
OTHER_TOOL = "the hosts of this stack have the host tool of another version: run `pulumi up` first"
"""Exit status of the host tool (host_tool/commands.py)."""


@dataclass
class Garbage:
    """What a cluster has left."""

    cluster: str
    objects: int = 0
    bytes: int = 0
    seconds_old: int | None = None
    """Since the last object was written."""
    znode: str = ""
    own: bool = False
    """Whether it was the stack's: its znode is in the stack's own ensemble."""


@dataclass
class Listing:
    """The result: garbage, and what was skipped because it is alive or not Flink's."""

    storage: str
    garbage: dict[str, Garbage] = field(default_factory=dict)
    leaders: list[str] = field(default_factory=list)
    recent: dict[str, int] = field(default_factory=dict)
    """Seconds since the last object was written, by cluster."""
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
            if not found.own:
                parts.append("not known to be this stack's")
            lines.append(f"  {found.cluster}: {'; '.join(parts)}")
        return "\n".join(lines + self.kept())

    def kept(self) -> list[str]:
        """For people: what is not garbage, and why."""
        lines = [f"kept: cluster {name} has a live JobManager in the ensemble" for name in self.leaders]
        lines += [
            f"kept: cluster {name} wrote {_duration(seconds)} ago, and may be alive with its own ensemble; "
            f"expected nothing for {_duration(QUIET_SECONDS)}"
            for name, seconds in self.recent.items()
        ]
        return lines + [f"kept: {what} is not Flink's; the objects beside it stay, too" for what in self.foreign]


def _duration(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} seconds"


def list_garbage(hosts: Sequence[Host], cluster: HighAvailability, live: Collection[str]) -> Listing:
    """List what clusters other than `live` ones have left."""
    return parse(cluster.storage, _run(hosts, ["list", *_where(cluster), ",".join(sorted(live))]))


def delete(hosts: Sequence[Host], cluster: HighAvailability, ids: Sequence[str]) -> Listing:
    """Delete what these clusters have left, unless one is alive again."""
    return parse(cluster.storage, _run(hosts, ["delete", *_where(cluster), ",".join(ids)]))


@dataclass
class JobGarbage:
    """The checkpoints of a job that nothing needs."""

    job: str
    files: int
    bytes: int
    seconds_old: int


@dataclass
class JobListing:
    """The result: garbage, and why the other jobs' checkpoints stay."""

    garbage: dict[str, JobGarbage] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    recent: dict[str, int] = field(default_factory=dict)
    needed: dict[str, str] = field(default_factory=dict)
    """By job: an object that refers to its files."""
    foreign: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For people."""
        return [
            *(
                f"job {it.job}: {it.files} files, {it.bytes:,} bytes, the last written {_duration(it.seconds_old)} ago"
                for it in self.garbage.values()
            ),
            *(f"kept: job {job} runs, or will be recovered" for job in self.runs),
            *(f"kept: job {job} wrote {_duration(seconds)} ago" for job, seconds in self.recent.items()),
            *(f"kept: files of job {job} belong to {by}" for job, by in self.needed.items()),
            *(f"kept: {what} is not Flink's" for what in self.foreign),
        ]


def jobs(hosts: Sequence[Host], cluster: HighAvailability, days: int, ids: Sequence[str] = ()) -> JobListing:
    """List the checkpoints of ended jobs, or delete those of `ids` that are still garbage."""
    where = [cluster.storage, cluster.quorum, cluster.root, str(days * 86_400)]
    listing = JobListing()
    for kind, *fields in (line.split("\t") for line in _run(hosts, ["jobs", *where, ",".join(ids)]).splitlines()):
        if kind == "job":
            listing.garbage[fields[0]] = JobGarbage(fields[0], *map(int, fields[1:]))
        elif kind == "runs":
            listing.runs.append(fields[0])
        elif kind == "recent":
            listing.recent[fields[0]] = int(fields[1])
        elif kind == "needed":
            listing.needed[fields[0]] = fields[1]
        elif kind == "foreign":
            listing.foreign.append(fields[0])
        elif kind == "removed":
            listing.removed.append(fields[0])
    return listing


def _where(cluster: HighAvailability) -> list[str]:
    return [cluster.storage, cluster.quorum, cluster.root, str(QUIET_SECONDS)]


def _run(hosts: Sequence[Host], arguments: list[str]) -> str:
    """Run the tool on the first JobManager's host that is reachable."""
    said = []
    for host in hosts:
        done = ssh.run(host.name, host.login, "sudo -n bash -s -- apply", script(host, arguments), SECONDS)
        if done.returncode == 0:
            return done.stdout
        said.append(f"{host.name}: {done.stderr.strip() or f'exited with {done.returncode}'}")
        if done.returncode == WRONG_USAGE:
            said.append(OTHER_TOOL)
        if done.returncode != ssh.UNREACHED:
            break
    raise OpsError("\n".join(said) or "the stack has no JobManager")


def script(host: Host, arguments: Sequence[str]) -> str:
    """The complete script for bash's stdin."""
    login = host.login
    reached = Ssh(address=login.address, user=login.user, port=login.port, private_key="", host_key=login.host_key)
    known = ClusterHost(name=host.name, role=Role.JOBMANAGER, address=login.address, ssh=reached)
    # The host has the scripts of the last `up`, which may be of another version
    return script_text(known, "gc.sh", {"arguments": arguments}, alone=True)


def parse(storage: str, output: str) -> Listing:
    """Parse the tool's output (Leftovers.java)."""
    listing = Listing(storage)
    for kind, *fields in (line.split("\t") for line in output.splitlines()):
        if kind == "objects":
            found = listing.garbage.setdefault(fields[0], Garbage(fields[0]))
            found.objects, found.bytes, age = (int(field) for field in fields[1:])
            found.seconds_old = age if age >= 0 else None
        elif kind == "znode":
            found = listing.garbage.setdefault(fields[0], Garbage(fields[0]))
            found.znode, found.own = fields[1], True
        elif kind == "leader":
            listing.leaders.append(fields[0])
        elif kind == "recent":
            listing.recent[fields[0]] = int(fields[1])
        elif kind == "foreign":
            listing.foreign.append(fields[0])
        elif kind == "removed" and fields[1] != "0":
            listing.removed.append(fields[0])
    return listing

"""Every fault of the drill, in the order in which they run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drill import changes, disk, hosts, s3
from drill.scene import Scene
from lab.errors import LabError


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault, and the expected behavior of the job."""

    name: str
    title: str
    make: Callable[[Scene], None]
    """Causes the fault and returns when it is over, or when it has no further effect."""
    prepare: Callable[[Scene], None] | None = None
    """Runs before the job starts."""
    bound: float
    """Seconds until the job must run again: after the fault, or after the end of an outage."""
    interrupts: bool = True
    """Whether it must interrupt the job: then the drill waits for this. Otherwise it watches the job for a while."""
    quick: bool = False
    is_change: bool = False
    """Whether it is an `up`, which restarts daemons some time after its beginning: then only interruptions count."""

    @property
    def what(self) -> str:
        """What it does, in one line."""
        return " ".join((self.make.__doc__ or "").split())


FAILOVER = 45.0
"""Three times the lab's `failoverSeconds`: a lab has two cores for seven hosts, and other programs run beside it."""

CHANGE = 3 * FAILOVER
"""For an `up` that restarts JobManagers and two TaskManagers, one after the other: three interruptions."""


def _change(
    name: str,
    title: str,
    make: Callable[[Scene], None],
    *,
    prepare: Callable[[Scene], None] | None = None,
    interrupts: bool = True,
) -> Fault:
    return Fault(
        name=name,
        title=title,
        make=make,
        prepare=prepare,
        bound=CHANGE,
        interrupts=interrupts,
        is_change=True,
    )


ALL: Sequence[Fault] = (
    Fault(
        name="kill-jobmanager",
        title="kill -9 of the leading JobManager",
        make=hosts.kill_jobmanager,
        bound=FAILOVER,
        quick=True,
    ),
    Fault(
        name="stop-jobmanager-host",
        title="the leading JobManager's host powered off",
        make=hosts.stop_jobmanager_host,
        bound=FAILOVER,
    ),
    Fault(
        name="kill-taskmanager",
        title="kill -9 of a TaskManager",
        make=hosts.kill_taskmanager,
        bound=FAILOVER,
        quick=True,
    ),
    Fault(
        name="stop-taskmanager-host",
        title="a TaskManager's host powered off",
        make=hosts.stop_taskmanager_host,
        bound=FAILOVER,
        quick=True,
    ),
    Fault(
        name="kill-zookeeper",
        title="kill -9 of the ZooKeeper leader",
        make=hosts.kill_zookeeper,
        bound=FAILOVER,
        interrupts=False,
        quick=True,
    ),
    Fault(
        name="stop-zookeeper-host",
        title="a ZooKeeper server's host powered off",
        make=hosts.stop_zookeeper_host,
        bound=FAILOVER,
        interrupts=False,
    ),
    Fault(
        name="no-quorum",
        title="ZooKeeper without quorum for 30 s",
        make=hosts.no_quorum,
        bound=FAILOVER,
        interrupts=False,
    ),
    Fault(
        name="partition-jobmanager",
        title="the leading JobManager cut off from ZooKeeper for 30 s",
        make=hosts.partition_jobmanager,
        bound=FAILOVER,
    ),
    Fault(
        name="pause-jobmanager",
        title="the leading JobManager paused for 30 s",
        make=hosts.pause_jobmanager,
        bound=FAILOVER,
    ),
    Fault(
        name="partition-taskmanager",
        title="a TaskManager cut off from all for 30 s",
        make=hosts.partition_taskmanager,
        bound=FAILOVER,
    ),
    Fault(
        name="s3-away",
        title="S3 server away for 30 s",
        make=s3.away,
        bound=FAILOVER,
        interrupts=False,
    ),
    Fault(
        name="s3-refuses",
        title="S3 answers 503 to half of the requests for 30 s",
        make=s3.half_refused,
        bound=FAILOVER,
        interrupts=False,
    ),
    Fault(
        name="disk-full",
        title="a TaskManager's disk full for 30 s",
        prepare=disk.limit,
        make=disk.full,
        bound=FAILOVER,
        interrupts=False,
    ),
    Fault(
        name="reboot-all",
        title="all hosts reboot at once",
        make=hosts.reboot_everything,
        bound=180,
    ),
    _change("config-rollout", "up with a changed configuration", changes.config),
    _change("upgrade", "up to the next minor release of Flink", changes.upgrade, prepare=changes.earlier_version),
    _change("killed-up", "up killed in the middle of a rollout, and run again", changes.killed_up),
)


CHANGES: Sequence[Fault] = (
    _change("no-change", "up with nothing changed", changes.nothing, interrupts=False),
    _change("jobmanager-setting", "up with another setting of JobManagers", changes.jobmanagers),
    _change("taskmanager-setting", "up with another setting of TaskManagers", changes.taskmanagers),
    _change("zookeeper-setting", "up with another setting of ZooKeeper", changes.zookeeper, interrupts=False),
    _change("worker-joins", "one worker more", changes.worker_joins, prepare=changes.one_more, interrupts=False),
    _change(
        "worker-leaves", "one worker fewer", changes.worker_leaves, prepare=changes.one_more_in_use, interrupts=False
    ),
    _change("java-version", "up to another Java", changes.java),
)
"""Changes in docs/changes.md besides the faults: not part of the drill, but measured in the same way."""


def chosen(names: str | None, quick: bool) -> list[Fault]:
    """The faults with these names (separated by commas), the quick ones, or all. LabError for an unknown name.

    `changes` selects all CHANGES.
    """
    if not names:
        return [fault for fault in ALL if fault.quick or not quick]
    if names == "changes":
        return list(CHANGES)
    known = {fault.name: fault for fault in (*ALL, *CHANGES)}
    expected = [name.strip() for name in names.split(",")]
    if unknown := [name for name in expected if name not in known]:
        raise LabError(f"unknown fault {', '.join(unknown)}; expected one of {', '.join(known)}")
    return [known[name] for name in expected]

"""Runs one fault: a job, the fault, what became of the job, the counting, and everything as it was."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from drill.faults import Fault
from drill.records import Count, RecordsJob
from drill.scene import Scene
from drill.watch import Interruption, Watch
from lab import flights
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from toolbox import console
from toolbox.errors import ToolError

_QUIET_SECONDS = 15.0
"""How long a job that need not be interrupted is watched after the fault: twice the time that a session or a
heartbeat may be late (`failoverSeconds` / 2, docs/operations.md)."""
_END_SECONDS = 300.0
_WHOLE_SECONDS = 180.0


@dataclass(frozen=True)
class Row:
    """What became of the job."""

    fault: str
    title: str
    seconds: float | None = None
    """From the fault until the job ran again for good; of changes the sum of the interruptions; 0: not interrupted."""
    after_end: float | None = None
    """The same from the moment at which what was away was there again; negative: it ran again before."""
    interruptions: int = 0
    still: float | None = None
    """Sum of the times without a new record, by the times in the records themselves."""
    lost: int | None = None
    doubled: int | None = None
    miscounted: int | None = None
    load: float = 0.0
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why this row fails; empty if it does not."""


def run(cluster: Cluster, fault: Fault) -> Row:
    """Run a fault. What goes wrong is in the row; LabError only if the cluster does not become whole again."""
    with console.step("drill", fault.title):
        whole(cluster)
        row = _run(cluster, fault)
    with console.step("drill", "waiting for the whole cluster"):
        whole(cluster)
    return row


def whole(cluster: Cluster) -> None:
    """Wait until every daemon is there, and the ensemble complete. LabError if that takes too long."""
    cluster.wait_until_whole(_WHOLE_SECONDS)
    servers = len(cluster.hosts("zookeeper"))
    wait_for("the whole ensemble", _WHOLE_SECONDS, lambda: len(cluster.zookeeper_modes()) == servers)


def _run(cluster: Cluster, fault: Fault) -> Row:
    row: dict[str, Any] = {"fault": fault.name, "title": fault.title}
    problems = []
    try:
        with ExitStack() as undo:
            scene = Scene(cluster, undo)
            if fault.prepare:
                fault.prepare(scene)
            # Before anything is undone the job has ended: what undoing does to it is no part of the fault
            with _job(scene, fault) as watch:
                try:
                    _fault(scene, fault, watch)
                finally:
                    row |= _times(scene, fault, watch.since(scene.began))
                    row |= {"load": os.getloadavg()[0], "notes": tuple(scene.notes)}
                scene.job.hurry()
                flights.wait(cluster.urls, scene.job.job_id, _END_SECONDS)
        counted = scene.job.count()
        row |= {"lost": counted.lost, "doubled": counted.doubled, "miscounted": counted.miscounted}
        row["still"] = round(sum(other - one for one, other in counted.still), 1)
        problems = [*_late(row, fault), *_wrong(counted)]
    except ToolError as error:
        problems.append(str(error))
    return Row(**row, problem="; ".join(problems))


@contextmanager
def _job(scene: Scene, fault: Fault) -> Iterator[Watch]:
    """A job that counts, and somebody who watches it; afterwards it has ended, by itself or not."""
    scene.job = RecordsJob.start(scene.cluster, fault.name, inputs=scene.compiled_for)
    watch = Watch(scene.job)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
        with suppress(LabError):  # one that cannot be ended is not what is reported
            if not scene.job.ended():
                scene.job.cancel()


def _fault(scene: Scene, fault: Fault, watch: Watch) -> None:
    """Make the fault and wait until it is known what has become of the job."""
    fault.make(scene)
    since = scene.ended or scene.began
    quiet = 2.0 if fault.interrupts else _QUIET_SECONDS

    def settled() -> bool:
        if watch.state in flights.ENDED:
            raise LabError(f"the job is {watch.state} before it was known what the fault does to it")
        # An outage may interrupt the job at its beginning and not again at its end
        return watch.has_settled(since, quiet) and not (fault.interrupts and not watch.since(scene.began))

    wait_for("the job running again", fault.bound + quiet + 15, settled)


def _times(scene: Scene, fault: Fault, interruptions: list[Interruption]) -> dict[str, Any]:
    found: dict[str, Any] = {"interruptions": len(interruptions), "seconds": 0.0, "after_end": None}
    if not interruptions:
        return found
    last = interruptions[-1].ended
    if fault.is_change:
        found["seconds"] = round(sum(each.ended - each.began for each in interruptions), 1)
    else:
        found["seconds"] = round(last - scene.began, 1)
        found["after_end"] = round(last - scene.ended, 1) if scene.ended else None
    return found


def _late(row: dict[str, Any], fault: Fault) -> list[str]:
    """What is wrong with the times."""
    if fault.interrupts and not row["interruptions"]:
        return ["the job was not interrupted, though the fault has to"]
    measured = row["seconds"] if row["after_end"] is None else row["after_end"]
    return [f"it took {measured:.1f} s, expected at most {fault.bound:.0f} s"] if measured > fault.bound else []


def _wrong(counted: Count) -> list[str]:
    if counted.exact:
        return []
    return [f"{counted.lost} lost, {counted.doubled} doubled, {counted.miscounted} miscounted by state"]

"""Runs one fault: starts a job, causes the fault, observes the job, counts its records, and restores everything."""

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
"""Seconds for which a job that need not be interrupted is watched after the fault: twice the timeout of sessions and
heartbeats (`failoverSeconds` / 2, docs/operations.md)."""
_END_SECONDS = 300.0
_WHOLE_SECONDS = 180.0


@dataclass(frozen=True)
class Row:
    """What happened to the job."""

    fault: str
    title: str
    seconds: float | None = None
    """From the fault until the job ran again for good; for changes the sum of the interruptions; 0: not interrupted."""
    after_end: float | None = None
    """The same from the end of an outage; negative if the job ran again before."""
    interruptions: int = 0
    still: float | None = None
    """Sum of the gaps without a new record, by the timestamps in the records."""
    lost: int | None = None
    doubled: int | None = None
    miscounted: int | None = None
    load: float = 0.0
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why this row fails; empty if it passes."""


def run(cluster: Cluster, fault: Fault) -> Row:
    """Run a fault. Failures are in the row; LabError only if the cluster does not become complete again."""
    with console.step("drill", fault.title):
        whole(cluster)
        row = _run(cluster, fault)
    with console.step("drill", "waiting for the complete cluster"):
        whole(cluster)
    return row


def whole(cluster: Cluster) -> None:
    """Wait until every daemon is healthy and the ensemble complete. LabError if this takes too long."""
    cluster.wait_until_whole(_WHOLE_SECONDS)
    servers = len(cluster.hosts("zookeeper"))
    wait_for("the complete ensemble", _WHOLE_SECONDS, lambda: len(cluster.zookeeper_modes()) == servers)


def _run(cluster: Cluster, fault: Fault) -> Row:
    row: dict[str, Any] = {"fault": fault.name, "title": fault.title}
    problems = []
    try:
        with ExitStack() as undo:
            scene = Scene(cluster, undo)
            if fault.prepare:
                fault.prepare(scene)
            # The job has ended before anything is undone, since the effects of undoing are not part of the fault
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
    """A counting job and its watch; afterwards the job has ended or is cancelled."""
    scene.job = RecordsJob.start(scene.cluster, fault.name, inputs=scene.compiled_for)
    watch = Watch(scene.job)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()
        with suppress(LabError):  # a failed cancellation is not the reported error
            if not scene.job.ended():
                scene.job.cancel()


def _fault(scene: Scene, fault: Fault, watch: Watch) -> None:
    """Cause the fault and wait until its effect on the job is known."""
    fault.make(scene)
    since = scene.ended or scene.began
    quiet = 2.0 if fault.interrupts else _QUIET_SECONDS

    def settled() -> bool:
        if watch.state in flights.ENDED:
            raise LabError(f"the job is {watch.state} before the effect of the fault was known")
        # An outage may interrupt the job at its beginning but not again at its end
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
    """Problems of the times."""
    if fault.interrupts and not row["interruptions"]:
        return ["the job was not interrupted, although the fault must interrupt it"]
    measured = row["seconds"] if row["after_end"] is None else row["after_end"]
    return [f"it took {measured:.1f} s, expected at most {fault.bound:.0f} s"] if measured > fault.bound else []


def _wrong(counted: Count) -> list[str]:
    if counted.exact:
        return []
    return [f"{counted.lost} lost, {counted.doubled} duplicated, {counted.miscounted} miscounted by state"]

"""Which jobs run, by Flink's REST API."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .rest import JobManagers

OVERVIEW = "/jobs/overview"
ENDED = ("FINISHED", "FAILED", "CANCELED")


def running(overview: Any) -> list[str]:
    """Ids of the jobs whose tasks all run or have finished; none if there is no answer."""
    found = []
    for job in overview["jobs"] if overview else []:
        tasks = job["tasks"]
        if (
            job["state"] == "RUNNING"
            and tasks["running"] > 0
            and tasks["running"] + tasks["finished"] == tasks["total"]
        ):
            found.append(job["jid"])
    return found


def missing(rest: JobManagers, jobs: Iterable[str]) -> list[str]:
    """Those of the jobs that neither run nor have ended."""
    overview = rest.json(OVERVIEW)
    ended = [job["jid"] for job in overview["jobs"] if job["state"] in ENDED] if overview else []
    fine = {*running(overview), *ended}
    # A leader recovers all jobs before it answers; it does not know a job that ended under another leader
    return [job for job in jobs if job not in fine and rest.knows(f"/jobs/{job}") is not False]

"""Savepoints of another stack's jobs, from which a branch's jobs start. The jobs continue."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from branches import starts
from branches.errors import BranchesError, UsageError
from ops import savepoints, state
from ops.errors import OpsError

RUNNING = "RUNNING"


def taken(
    stack: str, deployment: Mapping[str, Any], jobs: Collection[str], say: Callable[[str], object]
) -> dict[str, str]:
    """Take a savepoint of each of the `jobs` of a stack, whose deployment was exported with its secrets; job → its URI.

    Raises UsageError, before any is taken, for a job that the stack does not have, or that does not run.
    """
    if not jobs:
        return {}
    known, hosts = starts.started(deployment), state.jobmanagers(deployment)
    for job in jobs:
        if job not in known:
            raise UsageError(f"--from-stack {stack}: the stack has no job {job}: it has {starts.listed(known)}")
    try:
        statuses = {job: savepoints.listed(hosts, job)[0].status for job in jobs}
        if resting := [f"{job} is {status.lower()}" for job, status in statuses.items() if status != RUNNING]:
            raise UsageError(
                f"--from-stack {stack}: {', '.join(resting)}: expected it running, to take a savepoint of it; or give "
                "the path of one with --from-savepoint"
            )
        found = {}
        for job in jobs:
            say(f"{stack}: taking a savepoint of job {job}, which continues")
            found[job] = savepoints.take(hosts, job).path
            say(f"{stack}: {found[job]}")
    except OpsError as error:
        raise BranchesError(f"--from-stack {stack}: {error}\nNothing was created") from None
    return found

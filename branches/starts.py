"""The states from which a branch's jobs start: snapshots of other stacks' jobs, which are read and never changed.

They are the setting `initialSavepoint` of the jobs in the configuration of the branch's stack, so the program gives the
branch's hosts the right to read them, and no other (components/aws/readings.py). It matters only to a job that has
never run, so later runs of `up` keep what a job has started from. Pure functions.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from branches.changes import DECLARED, STEP
from branches.errors import BranchesError, UsageError
from branches.jobs import PREFIX

JOBS = "flink:jobs"
INITIAL = "initialSavepoint"


@dataclass(frozen=True)
class From:
    """The options of `up`: either `savepoints`, texts `URI` or `JOB=URI`, or a `stack` and the names of `jobs` (none:
    all that the branch declares).
    """

    savepoints: Sequence[str] = ()
    stack: str = ""
    jobs: Sequence[str] = ()

    def asked(self, declared: Collection[str]) -> dict[str, str]:
        """Job → URI of its snapshot; empty if a savepoint is still to be taken. Raises UsageError."""
        if not (self.savepoints or self.stack or self.jobs):
            return {}
        if self.jobs and not self.stack:
            raise UsageError("--job: expected --from-stack STACK, whose jobs it names")
        if not declared:
            raise UsageError(
                "the branch declares no jobs: expected flink:jobs in Pulumi.ephemeral.yaml, or --set 'jobs={…}', for "
                "--from-savepoint and --from-stack"
            )
        found: dict[str, str] = {}
        for option, job, uri in self._pairs(declared):
            if job not in declared:
                raise UsageError(f"{option}: the branch declares no job {job!r}: expected {listed(declared)}")
            if job in found:
                raise UsageError(f"{option}: a second state for job {job}: expected one")
            found[job] = uri
        return found

    def _pairs(self, declared: Collection[str]) -> Sequence[tuple[str, str, str]]:
        if self.stack:
            return [("--job", job, "") for job in self.jobs or sorted(declared)]
        from components import forms  # `down` works where nothing of the program does

        pairs = []
        for text in self.savepoints:
            job, _, uri = text.partition("=") if "=" in text.partition("://")[0] else ("", "", text)
            if not forms.PLACE_URI.fits(uri):
                raise UsageError(
                    f"--from-savepoint {text!r}: {uri!r} is not {forms.PLACE_URI.what}: expected "
                    f"{forms.PLACE_URI.expected}, in front of it JOB= if the branch declares several jobs"
                )
            if not job and len(declared) > 1:
                raise UsageError(
                    f"--from-savepoint {text!r}: the branch declares the jobs {listed(declared)}: expected JOB=URI"
                )
            pairs.append(("--from-savepoint", job or next(iter(declared)), uri.rstrip("/")))
        return pairs


NOTHING = From()


def declared(content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The jobs in the content of a stack's file, as far as they have the form of some; the program checks them."""
    jobs = _mapping((content.get("config") or {}).get(JOBS))
    return {str(name): job for name, job in jobs.items() if isinstance(job, Mapping)}


def started(state: Mapping[str, Any]) -> dict[str, str]:
    """The jobs that a deployment has started → what they were to start from; empty if from nothing."""
    resources = [it for it in state.get("resources") or [] if not it.get("delete")]
    steps = {(it.get("parent"), _name(it)) for it in resources if it["type"] == STEP}
    found = {}
    for it in resources:
        name = _name(it)
        if it["type"] != DECLARED or not name.startswith(PREFIX):
            continue
        # HOST-job-NAME, once the job has become stable
        if any(parent == it.get("parent") and step.endswith(f"-{name}") for parent, step in steps):
            shown = _mapping(it.get("inputs", {}).get("input"))
            found[name.removeprefix(PREFIX)] = str(shown.get(INITIAL, ""))
    return found


def unstarted(asked: Mapping[str, str], started: Mapping[str, str], say: Callable[[str], object]) -> dict[str, str]:
    """What of `asked` concerns jobs that have not started yet. A job that has continues from its own state: another one
    for it raises BranchesError.
    """
    for job in asked.keys() & started.keys():
        if asked[job] not in ("", started[job]):
            raise BranchesError(
                f"job {job} of this branch has already started, from {started[job] or 'no state'}, and continues from "
                f"its own state instead of {asked[job]}. Nothing was changed: leave out the option, or `down` first"
            )
        say(f"job {job} has already started, and continues from its own state")
    return {job: uri for job, uri in asked.items() if job not in started}


def configured(content: dict[str, Any], states: Mapping[str, str]) -> dict[str, Any]:
    """The content of a stack's file, with the states from which its jobs start."""
    known = declared(content)
    merged = {name: {**known[name], INITIAL: uri} for name, uri in states.items() if uri and name in known}
    return (
        {**content, "config": {**content["config"], JOBS: {**content["config"][JOBS], **merged}}} if merged else content
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(resource: Mapping[str, Any]) -> str:
    return str(resource["urn"]).rpartition("::")[2]


def listed(names: Collection[str]) -> str:
    """The names, for a message."""
    return ", ".join(sorted(names)) or "none"

"""Creates lost machines of a long-lived stack again: what a person does with `pulumi up --refresh`, for CI.

It does nothing else. A run that nobody watches must not deploy what nobody has deployed, continue a `destroy` that was
interrupted, or replace a machine again and again (docs/decisions/0023-lost-machines-heal.md).
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pulumi import automation as auto

from automation.engine import Engine
from automation.pending import operations
from automation.stack import Stack
from automation.steps import Recorder
from automation.words import some
from automation.workspace import Workspace, opened, program, recorded
from branches import capacity, changes, previews, stacks
from branches.changes import Changes, Kind, Resource
from branches.errors import BranchesError, LockedError

MOST = 3
"""A machine is created again at most this many times within WITHIN."""
WITHIN = timedelta(hours=6)
PAUSE_SECONDS = 20
"""Between two attempts while another run has the stack locked."""
HISTORY = 100
"""Entries of the stack's history that are read, the newest first."""
MESSAGE = "heal:"
"""Begins the message of each such update in the stack's history; the names of the machines follow."""

_RULE = "aws:cloudwatch/eventRule:EventRule"
SHOWN = 5


@dataclass(frozen=True)
class Healed:
    """The result. `lost` are the names of the machines that were created again, or with `dry_run` would be."""

    stack: str
    lost: tuple[str, ...] = ()
    why: str = ""
    """Why nothing was done."""

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {"stack": self.stack, "lost": list(self.lost), "why": self.why or None}


@dataclass(frozen=True, kw_only=True)
class Healer:
    """Heals stacks of this checkout's program. `clock` and `sleep` are replaced in tests."""

    engine: Engine
    say: Callable[[str], object]
    run: auto.PulumiFn = program
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], object] = time.sleep

    def heal(self, name: str, *, wait: timedelta, dry_run: bool = False) -> Healed:
        """Create lost machines of a stack again. While another run has it locked, try again until `wait` is over.

        Raises UsageError, LockedError, and BranchesError if more has to change than a lost machine.
        """
        end = self.now() + wait
        while True:
            try:
                return self._heal(name, dry_run)
            except LockedError as error:
                if self.now() >= end:
                    raise
                self.say(f"waiting: {error}")
                self.sleep(PAUSE_SECONDS)

    def _heal(self, name: str, dry_run: bool) -> Healed:
        content = previews.content(name)
        with stacks.reported(name, "look at"), recorded(self.engine) as workspace:
            state = _state(workspace, name)
        there = machines(state)
        if not there:
            return Healed(name, why="the stack has no machines")
        events: list[auto.EngineEvent] = []
        recorder = Recorder(on_warning=self.say, on_event=events.append)
        with opened(name, content, engine=self.engine, run=self.run) as stack:
            with stacks.reported(name, "preview", recorder):
                stack.preview(recorder, refresh=True)
                history = _history(stack)
            found = changes.read(events)
            lost = lost_machines(found, there)
            if not lost:
                return Healed(name, why="no machine is missing")
            self.say(f"{name}: missing: {', '.join(lost)}")
            check_nothing_is_pending(name, state)
            check_nothing_else(name, found, lost)
            check_loop(name, history, lost, self.now())
            if not dry_run:
                refused = capacity.Refused()
                recorder = Recorder(
                    on_step=lambda step: self.say(f"{step.past} {step.name}"),
                    on_warning=self.say,
                    on_event=refused.event,
                )
                with stacks.reported(name, "update", recorder):
                    message = f"{MESSAGE} {' '.join(lost)}"
                    capacity.up(stack, content, refused, self.say, recorder, refresh=True, message=message)
        return Healed(name, lost)


def _state(workspace: Workspace, name: str) -> dict[str, Any]:
    """The deployment of a stack; empty if there is none. `stack ls` would read the state of all stacks, for which CI
    has no right.
    """
    try:
        return workspace.export(name)
    except auto.StackNotFoundError:
        return {}


def machines(state: Mapping[str, Any]) -> set[str]:
    """Names of the machines in a stack's state."""
    return {
        it["urn"].rpartition("::")[2]
        for it in state.get("resources") or []
        if it["type"] == changes.MACHINE and not it.get("delete")
    }


def lost_machines(found: Changes, there: set[str]) -> tuple[str, ...]:
    """The machines that are in the state and not in AWS: after the refresh they have to be created."""
    names = {it.name for it in found.of(Kind.CREATE) if it.type == changes.MACHINE}
    return tuple(sorted(names & there, key=changes.by_number))


def check_nothing_is_pending(name: str, state: Mapping[str, Any]) -> None:
    """Raise BranchesError if a run was killed: its person may have had another intention."""
    if found := operations(state):
        raise BranchesError(
            f"stack {name} has {len(found)} pending operations of a run that was killed: a machine is missing, but "
            f"nothing was changed. `python -m ops pending --stack {name}`, then `pulumi up --refresh`"
        )


def check_nothing_else(name: str, found: Changes, lost: Sequence[str]) -> None:
    """Raise BranchesError if more changes than the lost machines and what follows from their return."""
    other = [it for it in found.resources if not _follows(it, lost)]
    if other or found.settings:
        words = [f"the setting {it.path}" for it in found.settings] + [f"{it.kind.value} {it.name}" for it in other]
        raise BranchesError(
            f"stack {name}: {', '.join(lost)} is missing, but `up` of this checkout would change more: "
            f"{some(words, SHOWN)}. Nothing was changed, because nobody has reviewed that. A person has to deploy it, "
            f"or to complete a `destroy`: `pulumi up --refresh --stack {name}`"
        )


def _follows(resource: Resource, lost: Sequence[str]) -> bool:
    if any(resource.name == host or resource.name.startswith(f"{host}-") for host in lost):
        return not resource.danger
    # Files with the keys or addresses of a machine, checks of the cluster, and the rule that names the machines; copies
    # if the machine is the bastion through which all others are reached.
    # Kind.RESTART is a daemon with another desired state
    return resource.kind is Kind.UPDATE and resource.type in (changes.STEP, changes.COPY, _RULE)


def check_loop(name: str, history: Sequence[Mapping[str, Any]], lost: Sequence[str], now: datetime) -> None:
    """Raise BranchesError for a machine that is lost again and again."""
    recent = [
        str(entry.get("message") or "").removeprefix(MESSAGE).split()
        for entry in history
        if str(entry.get("message") or "").startswith(MESSAGE) and _began(entry) >= now - WITHIN
    ]
    again = [host for host in lost if sum(host in names for names in recent) >= MOST]
    if again:
        raise BranchesError(
            f"stack {name}: {', '.join(again)} was created again {MOST} times within "
            f"{int(WITHIN.total_seconds() // 3600)} hours, and is lost again. Nothing was changed: find the reason (no "
            "spot capacity, a system that does not boot), then `pulumi up --refresh`"
        )


def _history(stack: Stack) -> list[dict[str, Any]]:
    return list(json.loads(stack.pulumi("stack", "history", "--json", "--page-size", str(HISTORY), "--page", "1")))


def _began(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(entry["startTime"]))

"""What this checkout would change in a stack: the engine's preview, read from its events."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pulumi import automation as auto

from automation.engine import Engine
from automation.steps import Recorder
from automation.workspace import REPO, opened, program
from branches import changes, markdown, stacks, summary
from branches.changes import Changes
from branches.errors import UsageError

CODES = {"none": 0, "changes": 10, "dangerous": 20}
"""Exit code by verdict."""


@dataclass(frozen=True)
class Preview:
    """The result of a preview."""

    stack: str
    changes: Changes

    @property
    def exit_code(self) -> int:
        """One of CODES."""
        return CODES[self.changes.verdict.value]

    @property
    def markdown(self) -> str:
        """For reviewers."""
        return summary.markdown(self.changes, stack=self.stack, limit=markdown.ROOM)

    @property
    def left_out(self) -> str:
        """The complete summary, if it does not fit into a comment; otherwise empty."""
        whole = summary.markdown(self.changes, stack=self.stack, limit=sys.maxsize)
        return whole if whole != self.markdown else ""

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {"stack": self.stack, **self.changes.json()}


def preview(
    name: str, *, refresh: bool, engine: Engine, say: Callable[[str], object], run: auto.PulumiFn = program
) -> Preview:
    """Preview the program of this checkout in an existing stack. Changes nothing, not even in the backend. Raises
    UsageError, BranchesError.
    """
    contents = content(name)
    events: list[auto.EngineEvent] = []
    recorder = Recorder(on_warning=say, on_event=events.append)

    say(f"{name}: previewing changes")
    with (
        stacks.reported(name, "preview", recorder),
        opened(name, contents, engine=engine, run=run) as stack,
    ):
        stack.preview(recorder, refresh=refresh)
    return Preview(name, changes.read(events))


def content(name: str) -> dict[str, Any]:
    """The content of a long-lived stack's file in this checkout. Raises UsageError if there is none."""
    file = REPO / f"Pulumi.{name}.yaml"
    if not file.is_file():
        known = sorted(path.name.split(".")[1] for path in REPO.glob("Pulumi.*.yaml") if path != stacks.FILE)
        raise UsageError(f"--stack {name}: there is no {file.name} in this checkout; it has {', '.join(known)}")
    return stacks.read_yaml(file)

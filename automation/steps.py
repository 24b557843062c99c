"""What an operation of the engine did, from its events: `Recorder`. The engine masks secrets in them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pulumi import automation as auto

OnEvent = Callable[[auto.EngineEvent], object]

_KINDS = {"create-replacement": "replace", "delete-replaced": "replace", "read-replacement": "read"}
"""The engine's operations that are parts of another one."""

_PAST = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "read": "read",
    "same": "unchanged",
}


@dataclass(frozen=True)
class Step:
    """What was done to a resource, with its beginning and end in seconds from the start of the operation."""

    type: str
    name: str
    kind: str
    """`same`, `create`, `update`, `replace`, `delete` or `read`."""
    began: float
    ended: float

    @property
    def past(self) -> str:
        """The kind as a participle: `created`."""
        return _PAST.get(self.kind, self.kind)


@dataclass
class Steps:
    """What an operation did, in the order in which steps ended."""

    done: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    """Number of resources by kind, including components and the stack itself: the engine's own summary."""

    @property
    def summary(self) -> str:
        """`totals` for people: `1 created, 87 unchanged`."""
        order = [kind for kind in _PAST if kind in self.totals] + [kind for kind in self.totals if kind not in _PAST]
        return ", ".join(f"{self.totals[kind]} {_PAST.get(kind, kind)}" for kind in order) or "no resources"

    @property
    def commands(self) -> list[Step]:
        """The steps on hosts."""
        return [step for step in self.done if step.type.startswith("command:")]

    @property
    def operations(self) -> dict[str, str]:
        """Kind of each command, by name."""
        return {step.name: step.kind for step in self.commands}

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """Beginning and end of each command that ran, by name."""
        return {step.name: (step.began, step.ended) for step in self.commands if step.kind != "same"}

    def changed(self) -> list[str]:
        """Names of the commands that ran."""
        return sorted(self.spans)

    def changes(self) -> dict[tuple[str, str], str]:
        """Kind by type and name, for every changed resource with a provider."""
        return {(step.type, step.name): step.kind for step in self.done if step.kind not in ("same", "read")}


class Recorder:
    """Turns the engine's events into `Steps`. `on_step` receives each step that did something, `on_warning` messages
    of the engine or the program that are not errors, `on_event` every event. Messages that contain a text of `known`
    are omitted.
    """

    def __init__(
        self,
        *,
        on_step: Callable[[Step], object] | None = None,
        on_warning: Callable[[str], object] | None = None,
        on_event: OnEvent | None = None,
        known: Sequence[str] = (),
    ) -> None:
        self.found = Steps()
        self._on_step = on_step
        self._on_warning = on_warning
        self._on_event = on_event
        self._start = time.monotonic()
        self._began: dict[str, float] = {}
        self._known = ("an unhandled error occurred", *known)

    def event(self, event: auto.EngineEvent) -> None:
        """Process one event."""
        if self._on_event:
            self._on_event(event)
        diagnostic = event.diagnostic_event
        # What could not be removed from a dead host appears only in a status line of its command
        if diagnostic and (diagnostic.severity in ("error", "warning") or "NOT CLEANED" in diagnostic.message):
            self._diagnostic(diagnostic)
        if event.resource_pre_event:
            self._began[event.resource_pre_event.metadata.urn] = time.monotonic()
        if event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)
        if event.summary_event:
            self.found.totals = {_text(kind): count for kind, count in event.summary_event.resource_changes.items()}

    def _diagnostic(self, diagnostic: auto.DiagnosticEvent) -> None:
        text = diagnostic.message.strip()
        name = (diagnostic.urn or "").rpartition("::")[2]
        if not text or any(words in text for words in self._known):
            return
        named = f"{name}: {text}" if name else text
        if diagnostic.severity == "error":
            self.found.errors.append(named)
        else:
            self.found.warnings.append(named)
            if self._on_warning:
                self._on_warning(text)

    def _done(self, event: auto.StepEventMetadata) -> None:
        # Components and the stack itself have no provider; and a refresh is not a change of the resource
        if not event.provider or (kind := _text(event.op)) == "refresh":
            return
        now = time.monotonic()
        began = self._began.get(event.urn, now)
        step = Step(
            event.type,
            event.urn.rpartition("::")[2],
            _KINDS.get(kind, kind),
            began - self._start,
            now - self._start,
        )
        self.found.done.append(step)
        if self._on_step and step.kind != "same":
            self._on_step(step)


def _text(kind: auto.OpType | str) -> str:
    return str(getattr(kind, "value", kind))

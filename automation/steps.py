"""What an operation of the engine did, from its events: `Recorder`. Secrets are masked in them by the engine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pulumi import automation as auto

OnEvent = Callable[[auto.EngineEvent], object]

_KINDS = {"create-replacement": "replace", "delete-replaced": "replace", "read-replacement": "read"}
"""Steps of the engine that are parts of what a person would call another one."""

_PAST = {"create": "created", "update": "updated", "delete": "deleted", "replace": "replaced", "read": "read"}


@dataclass(frozen=True)
class Step:
    """What was done to a resource, and from when to when (seconds from the beginning of the operation)."""

    type: str
    name: str
    kind: str
    """`same`, `create`, `update`, `replace`, `delete` or `read`."""
    began: float
    ended: float

    @property
    def past(self) -> str:
        """The kind as what has been done: `created`."""
        return _PAST.get(self.kind, self.kind)


@dataclass
class Steps:
    """What an operation did, in the order of the steps' ends."""

    done: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    """How many resources by kind, also components and the stack itself: the engine's own count at the end."""

    @property
    def commands(self) -> list[Step]:
        """Those on hosts."""
        return [step for step in self.done if step.type.startswith("command:")]

    @property
    def operations(self) -> dict[str, str]:
        """Kind by name, of the commands."""
        return {step.name: step.kind for step in self.commands}

    @property
    def spans(self) -> dict[str, tuple[float, float]]:
        """From when to when each command ran, by name."""
        return {step.name: (step.began, step.ended) for step in self.commands if step.kind != "same"}

    def changed(self) -> list[str]:
        """Names of the commands that ran."""
        return sorted(self.spans)

    def changes(self) -> dict[tuple[str, str], str]:
        """Kind by type and name, of every resource with a provider that did not stay the same."""
        return {(step.type, step.name): step.kind for step in self.done if step.kind not in ("same", "read")}


class Recorder:
    """Turns the engine's events into `Steps`. `on_step` is told of each step that did something, `on_warning` of what
    the engine or the program says that is no error, `on_event` of every event; what has words of `known` in it is left
    out.
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
        """Take one event."""
        if self._on_event:
            self._on_event(event)
        diagnostic = event.diagnostic_event
        # What could not be taken off a dead host is only a status line of its command
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
        # Components and the stack itself are never sent to a provider; nor is a look at a resource a change of it
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

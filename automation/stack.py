"""The operations of a stack, with the same options for all callers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi import automation as auto

from automation.engine import Told
from automation.steps import Recorder, Steps

if TYPE_CHECKING:
    from automation.workspace import Workspace


@dataclass(frozen=True)
class Stack:
    """A stack of a workspace. An operation returns its steps; a recorder of the caller has them even after a failure.

    `tell` receives the lines that `pulumi` would print, including outputs, and with `diff` those of `--diff`; without
    it nothing is printed. Every operation raises auto.CommandError, and KeyboardInterrupt after a signal.
    """

    name: str
    workspace: "Workspace"

    def up(
        self,
        recorder: Recorder | None = None,
        *,
        refresh: bool = False,
        parallel: int | None = None,
        diff: bool = False,
        message: str | None = None,
        continue_on_error: bool = False,
        tell: Told | None = None,
    ) -> Steps:
        """Create and update everything as the program declares it; with `refresh` after reading the actual state. The
        `message` is recorded in the stack's history. With `continue_on_error` a resource that fails ends only what
        depends on it.
        """
        recorder = recorder or Recorder()
        self._stack().up(
            refresh=refresh,
            parallel=parallel,
            diff=diff,
            message=message,
            continue_on_error=continue_on_error,
            suppress_outputs=tell is None,
            **_shown(recorder, tell),
        )
        return recorder.found

    def preview(
        self, recorder: Recorder | None = None, *, refresh: bool = False, diff: bool = False, tell: Told | None = None
    ) -> Steps:
        """Return what `up` would do. Changes nothing."""
        recorder = recorder or Recorder()
        self._stack().preview(
            refresh=refresh, diff=diff, color="never", suppress_progress=True, on_event=recorder.event, on_output=tell
        )
        return recorder.found

    def refresh(
        self, recorder: Recorder | None = None, *, targets: Sequence[str] = (), tell: Told | None = None
    ) -> Steps:
        """Update the state from the actual resources, or only from those with the URNs `targets`. Differences are
        updates, missing resources deletions.
        """
        recorder = recorder or Recorder()
        self._stack().refresh(target=[*targets] or None, suppress_outputs=tell is None, **_shown(recorder, tell))
        return recorder.found

    def destroy(self, recorder: Recorder | None = None, *, tell: Told | None = None) -> Steps:
        """Delete all resources in the state, using only the state: it contains each resource as declared by the code
        that created the stack.
        """
        recorder = recorder or Recorder()
        self._stack().destroy(run_program=False, suppress_outputs=tell is None, **_shown(recorder, tell))
        return recorder.found

    def cancel(self) -> None:
        """Remove the lock of an operation that no longer runs."""
        self._stack().cancel()

    def export(self, *, secrets: bool = False) -> dict[str, Any]:
        """The deployment; with encrypted secrets unless `secrets` is set."""
        return self.workspace.export(self.name, secrets=secrets)

    def exported(self) -> dict[str, Any]:
        """What `stack export` prints, and `stack import` reads; with encrypted secrets."""
        return dict(json.loads(self.pulumi("stack", "export")))

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """Outputs of the program after the last operation; secret ones are `[secret]` unless `secrets` is set."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", *(["--show-secrets"] if secrets else []))))

    def pulumi(self, *args: str, stdin: str = "") -> str:
        """What `pulumi ARGS` prints for this stack."""
        # Arguments after -- are not options
        before, after = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, ())
        return self.workspace.pulumi(*before, "--stack", self.name, *after, stdin=stdin)

    def _stack(self) -> auto.Stack:
        return auto.Stack.select(self.name, self.workspace)


def _shown(recorder: Recorder, tell: Told | None) -> dict[str, Any]:
    """Arguments of all operations that change something."""
    return {
        "on_event": recorder.event,
        "on_output": tell,
        "show_secrets": False,
        "color": "never",
        "suppress_progress": True,
    }

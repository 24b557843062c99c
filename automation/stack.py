"""The operations of a stack, in the one form that everybody here has them in."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi import automation as auto

from automation.engine import Told
from automation.steps import Recorder, Steps

if TYPE_CHECKING:
    from automation.workspace import Workspace


@dataclass(frozen=True)
class Stack:
    """A stack of a workspace. An operation returns what it did; a recorder of the caller's has it also when it fails.

    `tell` takes the lines that `pulumi` would print, with `diff` those of `--diff`, and with the outputs; without it
    there are none. Every operation raises auto.CommandError, and KeyboardInterrupt after a signal.
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
        tell: Told | None = None,
    ) -> Steps:
        """Make everything as the program declares it, with `refresh` after a look at what has become of it."""
        recorder = recorder or Recorder()
        self._stack().up(
            refresh=refresh, parallel=parallel, diff=diff, suppress_outputs=tell is None, **_shown(recorder, tell)
        )
        return recorder.found

    def preview(
        self, recorder: Recorder | None = None, *, refresh: bool = False, diff: bool = False, tell: Told | None = None
    ) -> Steps:
        """What `up` would do. Changes nothing."""
        recorder = recorder or Recorder()
        self._stack().preview(
            refresh=refresh, diff=diff, color="never", suppress_progress=True, on_event=recorder.event, on_output=tell
        )
        return recorder.found

    def refresh(self, recorder: Recorder | None = None, *, tell: Told | None = None) -> Steps:
        """Take into the state what has become of everything. What differs is an update, what is gone a deletion."""
        recorder = recorder or Recorder()
        self._stack().refresh(suppress_outputs=tell is None, **_shown(recorder, tell))
        return recorder.found

    def destroy(self, recorder: Recorder | None = None, *, tell: Told | None = None) -> Steps:
        """Take everything away that is in the state, by the state alone: it has all that the code which made the stack
        has said of each resource.
        """
        recorder = recorder or Recorder()
        self._stack().destroy(run_program=False, suppress_outputs=tell is None, **_shown(recorder, tell))
        return recorder.found

    def cancel(self) -> None:
        """Take away the lock of an operation that is no more."""
        self._stack().cancel()

    def export(self, *, secrets: bool = False) -> dict[str, Any]:
        """The deployment; its secrets stay encrypted, unless they are asked for."""
        return self.workspace.export(self.name, secrets=secrets)

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """Of the program, as of the last operation; secret ones are `[secret]`, unless they are asked for."""
        return dict(json.loads(self.pulumi("stack", "output", "--json", *(["--show-secrets"] if secrets else []))))

    def pulumi(self, *args: str, stdin: str = "") -> str:
        """What `pulumi ARGS` prints, of this stack."""
        # What follows -- are no options
        before, after = (args[: args.index("--")], args[args.index("--") :]) if "--" in args else (args, ())
        return self.workspace.pulumi(*before, "--stack", self.name, *after, stdin=stdin)

    def _stack(self) -> auto.Stack:
        return auto.Stack.select(self.name, self.workspace)


def _shown(recorder: Recorder, tell: Told | None) -> dict[str, Any]:
    """What is the same for all operations that change something."""
    return {
        "on_event": recorder.event,
        "on_output": tell,
        "show_secrets": False,
        "color": "never",
        "suppress_progress": True,
    }

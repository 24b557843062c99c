"""What each resource type does for create, update and delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stand_ins.command_plugin import local, schema
from stand_ins.command_plugin.assets import content_hash
from stand_ins.plugin.log import Log
from stand_ins.plugin.schema import Shape
from stand_ins.plugin.values import UNKNOWN, Object, keep

_PREVIOUS = {"stdout": "PULUMI_COMMAND_STDOUT", "stderr": "PULUMI_COMMAND_STDERR"}

Run = Callable[[str, Object, dict[str, str], Log, float | None], Awaitable[Object]]
"""Runs a command: its text, the inputs, variables for the previous output, the log, the time limit in seconds."""


@dataclass(frozen=True)
class Call:
    """What an operation needs besides properties: its log, and the seconds of `customTimeouts`."""

    log: Log
    timeout: float | None


async def _run_remote(
    command: str, inputs: Object, previous: dict[str, str], log: Log, timeout: float | None
) -> Object:
    # Here, as below: asyncssh takes as long to import as everything else, and a preview does not need it.
    from stand_ins.command_plugin import remote

    return await remote.run(command, inputs, previous, log, timeout)


async def _copy(inputs: Object, call: Call) -> None:
    from stand_ins.command_plugin import copy

    await copy.copy(inputs, call.log, call.timeout)


class CommandResource:
    """`remote.Command` and `local.Command`: a command for create, update and delete."""

    id_has_name = True

    def __init__(self, shape: Shape, run: Run) -> None:
        self.shape = shape
        self._run = run

    def preview(self) -> Object:
        """The outputs that are known only after the command has run."""
        return {"stdout": UNKNOWN, "stderr": UNKNOWN}

    async def create(self, inputs: Object, call: Call) -> Object:
        """Run `create`, if there is one; returns the outputs."""
        return await self._step(inputs.get("create"), inputs, {"stdout": "", "stderr": ""}, call)

    async def update(self, state: Object, inputs: Object, call: Call) -> Object:
        """Run `update`, else `create`; without either the outputs stay."""
        outputs = {"stdout": "", "stderr": "", **keep(state, ("stdout", "stderr", "assets", "archive"))}
        command = inputs.get("update", inputs.get("create"))
        return await self._step(command, inputs, outputs, call)

    async def delete(self, state: Object, call: Call) -> None:
        """Run `delete`, if the old state has one, with the old state's connection and values."""
        await self._step(state.get("delete"), state, keep(state, ("stdout", "stderr")), call)

    async def _step(self, command: str | None, inputs: Object, outputs: Object, call: Call) -> Object:
        if command is None:
            return outputs
        previous: dict[str, str] = {}
        if inputs.get("addPreviousOutputInEnv", True):
            previous = {variable: outputs[name] for name, variable in _PREVIOUS.items() if outputs.get(name)}
        return {**outputs, **await self._run(command, inputs, previous, call.log, call.timeout)}


class CopyResource:
    """`remote.CopyToRemote`: copies on create, and again when the content or the path has changed."""

    id_has_name = False
    shape = schema.COPY_TO_REMOTE

    def preview(self) -> Object:
        """No output is unknown in a preview."""
        return {}

    async def create(self, inputs: Object, call: Call) -> Object:
        """Copy."""
        await _copy(inputs, call)
        return {}

    async def update(self, state: Object, inputs: Object, call: Call) -> Object:
        """Copy if the hash of the source or the remote path has changed; otherwise only the state changes."""
        same_content = content_hash(state["source"]) == content_hash(inputs["source"])
        if not same_content or state["remotePath"] != inputs["remotePath"]:
            await _copy(inputs, call)
        return {}

    async def delete(self, state: Object, call: Call) -> None:
        """The copied files stay."""


RESOURCES: dict[str, CommandResource | CopyResource] = {
    "command:remote:Command": CommandResource(schema.REMOTE_COMMAND, _run_remote),
    "command:local:Command": CommandResource(schema.LOCAL_COMMAND, local.run),
    "command:remote:CopyToRemote": CopyResource(),
}

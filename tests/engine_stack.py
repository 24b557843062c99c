"""A stack of its own under the real engine, for tests: a local backend, and another program at each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pulumi import automation

Program = Callable[[], None]


class EngineStack:
    """A stack in a local backend, whose program can be another at each step."""

    def __init__(self, directory: Path) -> None:
        self.printed = ""
        self._directory = directory
        settings = automation.ProjectSettings(
            "plugin", runtime="python", backend=automation.ProjectBackend(f"file://{directory}")
        )
        options = automation.LocalWorkspaceOptions(
            work_dir=str(directory),
            pulumi_home=str(directory / "home"),
            project_settings=settings,
            env_vars={"PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
        self._stack = automation.create_stack("test", program=_nothing, opts=options, project_name="plugin")

    def configure(self, values: Mapping[str, str | None]) -> None:
        """Set keys of the configuration, or take away those without a value."""
        set_values = {key: automation.ConfigValue(value) for key, value in values.items() if value is not None}
        self._stack.set_all_config(set_values)
        for key in values.keys() - set_values.keys():
            self._stack.remove_config(key)

    def up(self, program: Program, **more: Any) -> automation.UpResult:
        self.printed = ""
        self._stack.workspace.program = program
        return self._stack.up(on_output=self._note, suppress_progress=True, **more)

    def preview(self, program: Program) -> dict[automation.OpType, int]:
        self._stack.workspace.program = program
        return dict(self._stack.preview(on_output=self._note).change_summary)

    def destroy(self) -> None:
        self._stack.destroy(on_output=self._note)

    def state(self) -> dict[str, Any]:
        """Of each resource by name, what the state file has; `text` is the whole."""
        # The file itself, as the Automation API's export decrypts the secrets in it.
        text = (self._directory / ".pulumi" / "stacks" / "plugin" / "test.json").read_text()
        deployment = json.loads(text)["checkpoint"]["latest"]
        resources = {r["urn"].split("::")[-1]: r for r in deployment.get("resources", [])}
        return {**resources, "text": text, "pending": deployment.get("pending_operations")}

    def _note(self, text: str) -> None:
        self.printed += text + "\n"


def _nothing() -> None:
    """A program without resources."""

"""A separate stack under the real engine, for tests: a local backend, and a program that can change at each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from automation import local
from automation.engine import Engine
from automation.stack import Stack
from automation.steps import Steps
from automation.workspace import Workspace, write

Program = Callable[[], None]


class EngineStack:
    """A stack in a local backend; each step can use another program."""

    def __init__(self, directory: Path) -> None:
        self.printed = ""
        self._directory = directory
        local.prepare(directory)
        write(directory / "Pulumi.yaml", {"name": "plugin", "runtime": "python"})
        variables = local.variables(directory, home=local.without_log(directory / "home"))
        self._workspace = Workspace(directory, Engine(), run=_nothing, variables=variables)
        self._workspace.create_stack("test")
        self._stack = Stack("test", self._workspace)

    def configure(self, values: Mapping[str, str | None]) -> None:
        """Set keys of the configuration, or remove those without a value."""
        file = self._directory / "Pulumi.test.yaml"
        content = yaml.safe_load(file.read_text())
        config = {**content.get("config", {}), **values}
        write(file, {**content, "config": {key: value for key, value in config.items() if value is not None}})

    def up(self, program: Program, **more: Any) -> Steps:
        """`more` are arguments of `Stack.up`."""
        self.printed = ""
        self._workspace.program = program
        return self._stack.up(tell=self._note, **more)

    def preview(self, program: Program) -> Steps:
        self._workspace.program = program
        return self._stack.preview(tell=self._note)

    def destroy(self) -> None:
        self._stack.destroy(tell=self._note)

    def outputs(self, *, secrets: bool = False) -> dict[str, Any]:
        """The program's outputs; secret ones are `[secret]`, unless they are requested."""
        return self._stack.outputs(secrets=secrets)

    def state(self) -> dict[str, Any]:
        """The resources in the state file, by name; `text` is the complete file."""
        text = (self._directory / "state" / ".pulumi" / "stacks" / "plugin" / "test.json").read_text()
        deployment = json.loads(text)["checkpoint"]["latest"]
        resources = {r["urn"].split("::")[-1]: r for r in deployment.get("resources", [])}
        return {**resources, "text": text, "pending": deployment.get("pending_operations")}

    def _note(self, text: str) -> None:
        self.printed += text + "\n"


def _nothing() -> None:
    """A program without resources."""

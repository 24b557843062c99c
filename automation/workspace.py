"""A project in Pulumi's engine, usually this checkout's program, without changes to the repository's files.

The Automation API runs `__main__.py` of this checkout as an inline program, which needs no language host and works with
any `pulumi` (docs/decisions/0001-engine-and-inline-program.md). Backend, plugins, PULUMI_HOME and passphrase come from
the caller's environment, as for the `pulumi` command, unless a workspace has its own (`automation.local`).
"""

import contextlib
import hashlib
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from automation.engine import Engine
from automation.stack import Stack

REPO = Path(__file__).resolve().parent.parent

PROJECT = "flink"
"""Name of the project; repeated here because a stack must be found and removed even if the checkout is broken."""


class Workspace(auto.LocalWorkspace):
    """A folder with a project. No stack is selected in it: every command names its stack."""

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        *,
        run: auto.PulumiFn | None = None,
        variables: Mapping[str, str] | None = None,
        secrets_provider: str | None = None,
    ) -> None:
        super().__init__(
            work_dir=str(folder),
            program=run,
            env_vars=variables,
            secrets_provider=secrets_provider,
            pulumi_command=engine,
        )
        self.engine = engine

    def pulumi(self, *args: str, stdin: str = "", seconds: float | None = None) -> str:
        """What `pulumi ARGS` prints. Raises what `Engine.run` does."""
        return str(self.engine.run([*args], self.work_dir, self.env_vars, stdin=stdin, seconds=seconds).stdout)

    def export(self, name: str, *, secrets: bool = False, seconds: float | None = None) -> dict[str, Any]:
        """The deployment of a stack; with encrypted secrets unless `secrets` is set."""
        options = ["--show-secrets"] if secrets else []
        exported = json.loads(self.pulumi("stack", "export", "--stack", name, *options, seconds=seconds))
        return dict(exported.get("deployment") or {})

    # Methods that the Automation API calls

    def create_stack(self, stack_name: str) -> None:
        """Create an empty stack."""
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self.pulumi("stack", "init", stack_name, "--no-select", *provider)

    def select_stack(self, stack_name: str) -> None:
        """Nothing."""

    def stack_outputs(self, stack_name: str) -> auto.OutputMap:
        """Nothing: reading them would start the engine twice more after each operation. See `Stack.outputs`."""
        return {}


def program() -> None:
    """Run `__main__.py` as Pulumi would."""
    if str(REPO) not in sys.path:
        sys.path.insert(0, str(REPO))
    runpy.run_path(str(REPO / "__main__.py"), run_name="__main__")


@contextlib.contextmanager
def opened(
    name: str,
    content: Mapping[str, Any],
    *,
    create: bool = False,
    engine: Engine | None = None,
    run: auto.PulumiFn = program,
) -> Iterator[Stack]:
    """A stack of this checkout's program, in a temporary folder; with `create` a new, empty one.

    `content` is the content of its file: the configuration, and how it is encrypted.
    """
    with _folder() as folder:
        write_project(folder)
        write(folder / f"Pulumi.{name}.yaml", content)
        provider = str(content.get("secretsprovider") or "") or None
        workspace = Workspace(folder, engine or Engine(), run=run, secrets_provider=provider)
        if create:
            workspace.create_stack(name)
        yield Stack(name, workspace)


@contextlib.contextmanager
def recorded(engine: Engine | None = None) -> Iterator[Workspace]:
    """The project as recorded in the backend: its stacks can be inspected and destroyed without a program or a
    configuration. Of this checkout only the backend is used, if Pulumi.yaml names one and is readable.
    """
    with _folder() as folder:
        write(folder / "Pulumi.yaml", {"name": PROJECT, "runtime": "python", **_backend()})
        yield Workspace(folder, engine or Engine())


def _backend() -> dict[str, Any]:
    try:
        content = yaml.safe_load((REPO / "Pulumi.yaml").read_text())
        return {"backend": content["backend"]} if "backend" in content else {}
    except (OSError, yaml.YAMLError, TypeError):
        return {}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="flink-stack-") as name:
        folder = Path(name).resolve()
        try:
            yield folder
        finally:
            # The engine's record of the project's folder, in its home
            digest = hashlib.sha1(str(folder / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
            home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
            (home / "workspaces" / f"{PROJECT}-{digest}-workspace.json").unlink(missing_ok=True)


def write_project(folder: Path) -> None:
    """A Pulumi.yaml in `folder` for the program of this checkout."""
    write(folder / "Pulumi.yaml", {**yaml.safe_load((REPO / "Pulumi.yaml").read_text()), "main": str(REPO)})


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write one of Pulumi's files atomically."""
    temporary = path.with_suffix(".new")
    temporary.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    temporary.replace(path)

"""A project in Pulumi's engine, this checkout's program above all, without a touch on the repository's files.

The Automation API runs `__main__.py` of this checkout as an inline program: that needs no language host, and works with
any `pulumi` (docs/decisions/0001-engine-and-inline-program.md). Backend, plugins, PULUMI_HOME and passphrase are those
of the caller's environment, as for the `pulumi` command, unless a workspace is given its own (`automation.local`).
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
"""Name of the project; said here too, since a stack must be found and removed from a checkout that is broken."""


class Workspace(auto.LocalWorkspace):
    """A folder with a project. No stack is selected in it, since every command names its own."""

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
        """The deployment of a stack; its secrets stay encrypted, unless they are asked for."""
        options = ["--show-secrets"] if secrets else []
        exported = json.loads(self.pulumi("stack", "export", "--stack", name, *options, seconds=seconds))
        return dict(exported.get("deployment") or {})

    # What the Automation API asks of a workspace

    def create_stack(self, stack_name: str) -> None:
        """Make it, still empty."""
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self.pulumi("stack", "init", stack_name, "--no-select", *provider)

    def select_stack(self, stack_name: str) -> None:
        """Nothing."""

    def stack_outputs(self, stack_name: str) -> auto.OutputMap:
        """None: two more starts of the engine after every operation, one of them with secrets. See `Stack.outputs`."""
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
    """A stack of this checkout's program, in a temporary folder; with `create` it is made, still empty.

    `content` is what its file would hold: the configuration, and what that is encrypted with.
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
    """The project as the backend knows it: what is there can be looked at and destroyed, with no program, no
    configuration, and nothing of this checkout but its backend, if Pulumi.yaml names one and can be read.
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
            # What the engine remembers of a project's folder, in its home
            digest = hashlib.sha1(str(folder / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
            home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
            (home / "workspaces" / f"{PROJECT}-{digest}-workspace.json").unlink(missing_ok=True)


def write_project(folder: Path) -> None:
    """A Pulumi.yaml in `folder` for the program of this checkout."""
    write(folder / "Pulumi.yaml", {**yaml.safe_load((REPO / "Pulumi.yaml").read_text()), "main": str(REPO)})


def write(path: Path, content: Mapping[str, Any]) -> None:
    """A file of Pulumi's, whole or not at all."""
    temporary = path.with_suffix(".new")
    temporary.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    temporary.replace(path)

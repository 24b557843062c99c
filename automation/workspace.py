"""This project's program in Pulumi's engine, without a touch on the repository's files.

The Automation API runs `__main__.py` of this checkout as an inline program: that needs no language host, and works with
any `pulumi` (docs/decisions/0001-engine-and-inline-program.md). Backend, plugins, PULUMI_HOME and passphrase are those
of the caller's environment, as for the `pulumi` command.
"""

import contextlib
import hashlib
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

REPO = Path(__file__).resolve().parent.parent

PROJECT = "flink"
"""Name of the project; said here too, since a stack must be found and removed from a checkout that is broken."""

ENVIRONMENT = {
    "PULUMI_SKIP_UPDATE_CHECK": "true",
    # What a stack's secrets are encrypted with is in its state: any machine that reads it, and has the passphrase or
    # the key, can go on with the stack, without the file of the machine that made it
    "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
}


class Workspace(auto.LocalWorkspace):
    """Does not ask for the outputs after every operation: two more starts of the engine, one of them with secrets."""

    def stack_outputs(self, stack_name: str) -> auto.OutputMap:
        """None."""
        return {}

    def pulumi(self, *args: str) -> str:
        """What `pulumi ARGS` prints. Raises auto.CommandError."""
        return str(self.pulumi_command.run([*args], self.work_dir, self.env_vars).stdout)


class _Passing(Workspace):
    """In a folder that will be gone: no stack is selected there, since every command names its own."""

    def create_stack(self, stack_name: str) -> None:
        provider = ["--secrets-provider", self.secrets_provider] if self.secrets_provider else []
        self.pulumi("stack", "init", stack_name, "--no-select", *provider)

    def select_stack(self, stack_name: str) -> None:
        """Nothing: an operation says itself that there is no such stack."""


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
) -> Iterator[auto.Stack]:
    """A stack of this checkout's program, in a temporary folder; with `create` it is made, still empty.

    `content` is what its file would hold: the configuration, and what that is encrypted with.
    """
    with _folder() as folder:
        write_project(folder)
        write(folder / f"Pulumi.{name}.yaml", content)
        workspace = _workspace(folder, engine, run, str(content.get("secretsprovider") or "") or None)
        yield (auto.Stack.create if create else auto.Stack.select)(name, workspace)


@contextlib.contextmanager
def recorded(engine: Engine | None = None) -> Iterator[Workspace]:
    """The project as the backend knows it: what is there can be looked at and destroyed, with no program, no
    configuration, and nothing of this checkout but its backend, if Pulumi.yaml names one and can be read.
    """
    with _folder() as folder:
        write(folder / "Pulumi.yaml", {"name": PROJECT, "runtime": "python", **_backend()})
        yield _workspace(folder, engine, None, None)


def _backend() -> dict[str, Any]:
    try:
        content = yaml.safe_load((REPO / "Pulumi.yaml").read_text())
        return {"backend": content["backend"]} if "backend" in content else {}
    except (OSError, yaml.YAMLError, TypeError):
        return {}


def _workspace(
    folder: Path, engine: Engine | None, run: auto.PulumiFn | None, secrets_provider: str | None
) -> Workspace:
    return _Passing(
        work_dir=str(folder),
        program=run,
        env_vars=ENVIRONMENT,
        secrets_provider=secrets_provider,
        pulumi_command=engine or Engine(),
    )


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="flink-branches-") as name:
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

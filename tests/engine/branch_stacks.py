"""Stacks of branches under the real engine: a backend in a folder, and programs whose resources are local commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_command import local

from automation.engine import Engine
from branches import __main__
from branches.stacks import Stacks, Up
from stand_ins.plugins import COMMAND
from tests import tool_environment

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
CONTENT: dict[str, Any] = {"config": {"flink:workers": 1}}
SECRET = "hunter2-not-to-be-seen"
BOUND = 300
"""Seconds for what takes a few: the machine may be busy."""


class World:
    """A separate backend, and a user's environment."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.said: list[str] = []
        self.environment = tool_environment.made(folder, "passed on")
        COMMAND.install(folder / "plugins")
        self.waits.mkdir()
        patch.setenv("WAITS", str(self.waits))
        for key, value in self.environment.items():
            patch.setenv(key, value)
        patch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)

    def stacks(self, run: Callable[[], None] | None = None, content: Any = CONTENT) -> Stacks:
        return Stacks(Engine(), self.said.append, run=run or one, content=content)

    def up(self, branch: str, run: Callable[[], None] | None = None, *, content: Any = CONTENT, **more: Any) -> Up:
        options = {"ttl": timedelta(hours=8), "commit": "c0ffee", "changes": (), "now": NOW, **more}
        return self.stacks(run, content).up(branch, **options)

    @property
    def locks(self) -> list[Path]:
        return list((self.state / ".pulumi" / "locks").rglob("*.json"))

    @property
    def files(self) -> list[Path]:
        """The backend's content, except its own metadata."""
        found = (self.state / ".pulumi").rglob("*")
        return [path for path in found if path.is_file() and path.name not in ("meta.yaml", "meta.yaml.attrs")]

    def tags_file(self, stack: str) -> Path:
        return self.state / ".pulumi" / "stacks" / "flink" / f"{stack}.pulumi-tags"

    def tag(self, stack: str, tags: dict[str, str]) -> None:
        """Give a stack exactly these tags."""
        self.tags_file(stack).write_text(json.dumps({"version": 1, "tags": tags}))

    def pulumi(self, *words: str, check: bool = True) -> str:
        """The output of the user's own `pulumi`, in a folder with a project of this name."""
        folder = self.folder / "by-hand"
        folder.mkdir(exist_ok=True)
        (folder / "Pulumi.yaml").write_text("name: flink\nruntime: python\n")
        done = subprocess.run(
            ["pulumi", *words, "--non-interactive"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def tool(self, program: str, *words: str) -> Iterator[subprocess.Popen[str]]:
        """`python -m branches` with a program of this module, as a separate process; ended with its engine."""
        argv = [sys.executable, "-m", "tests.engine.branch_stacks", program, *words]
        process = subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "WAITS": str(self.waits)},
        )
        try:
            yield process
        finally:
            (self.waits / "go").touch()
            process.kill()
            process.wait()
            for holder in self.holders:
                with suppress(ProcessLookupError):
                    os.kill(holder, signal.SIGKILL)

    @property
    def holders(self) -> list[int]:
        """Processes that hold a lock."""
        return [int(json.loads(path.read_text())["pid"]) for path in self.locks]

    @property
    def waits(self) -> Path:
        """The folder in which `slow` and a test signal their progress."""
        return self.folder / "waits"

    def wait_until_slow(self) -> None:
        """Wait until the step of `slow` is running."""
        wait_for(lambda: (self.waits / "began").exists())


def wait_for(there: Callable[[], bool], seconds: float = BOUND) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "condition not met in time"
        time.sleep(0.05)


def one() -> None:
    """A resource, and an output that is a secret."""
    local.Command("thing", create="echo made", delete="true")
    pulumi.export("webUi", ["http://192.0.2.1:8081"])
    pulumi.export("password", pulumi.Output.secret(SECRET))


def failing() -> None:
    """A resource, and one whose creation fails."""
    thing = local.Command("thing", create="echo made", delete="true")
    local.Command("broken", create="echo no such luck >&2; exit 1", opts=pulumi.ResourceOptions(depends_on=thing))


def staying() -> None:
    """A resource that cannot be deleted while a file exists."""
    folder = os.environ["WAITS"]
    local.Command("thing", create="true", delete=f"test ! -e {folder}/stay")
    pulumi.export("password", pulumi.Output.secret(SECRET))


def slow() -> None:
    """A resource that is created when the test says so, and another one after it."""
    folder = os.environ["WAITS"]
    script = f"touch {folder}/began; for i in $(seq 600); do test -e {folder}/go && exit; sleep 0.1; done; exit 1"
    first = local.Command("slow", create=script, delete="true")
    local.Command("thing", create="true", delete="true", opts=pulumi.ResourceOptions(depends_on=first))


if __name__ == "__main__":
    __main__._stacks = lambda: Stacks(__main__._engine(), __main__._say, run=globals()[sys.argv[1]], content=CONTENT)
    sys.exit(__main__.main(sys.argv[2:]))

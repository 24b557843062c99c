"""A fresh clone of this checkout, with a shell in it: what a reader of the documents has."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from automation import local
from lab.errors import LabError
from stand_ins.builds import programs
from stand_ins.plugins import Plugin
from tests.documented.blocks import Block
from toolbox.files import write
from toolbox.paths import REPO

SECONDS = 900
"""For a block, on a machine that is busy with everything else."""


@dataclass(frozen=True)
class Clone:
    """The clone; `home` is the reader's home directory, `variables` what else the shell has."""

    folder: Path
    home: Path
    variables: Mapping[str, str]

    @classmethod
    def make(
        cls,
        folder: Path,
        plugins: Sequence[Plugin],
        variables: Mapping[str, str],
        *,
        aws: Mapping[str, str] | None = None,
    ) -> "Clone":
        """Clone what is committed, and take over what is not. With `aws` there is a command of this name, which has
        these variables.
        """
        clone, home, programs_folder = folder / "flink", folder / "home", folder / "bin"
        _git("clone", "--quiet", "--no-hardlinks", str(REPO), str(clone))
        changed = _git("-C", str(REPO), "ls-files", "-z", "--modified", "--others", "--exclude-standard")
        for name in filter(None, changed.split("\0")):
            (clone / name).unlink(missing_ok=True)
            if (REPO / name).exists():
                (clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPO / name, clone / name)
        home.mkdir(mode=0o700)
        local.without_log(home / ".pulumi")
        for plugin in plugins:
            plugin.install(programs_folder)
        for name, script, own in (("pulumi", "cli.py", {}), *([("aws", "aws_cli.py", aws)] if aws else [])):
            words = [*(f"{key}={value}" for key, value in own.items()), sys.executable]
            command = shlex.join(["env", *words, str(REPO / "tests/documented" / script)])
            write(programs_folder / name, f'#!/bin/sh\nexec {command} "$@"\n', 0o755)
        known = {
            "HOME": str(home),
            "PULUMI_HOME": str(home / ".pulumi"),
            "PATH": f"{programs_folder}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "ENGINE": str(programs.pulumi()),
            "ENVIRONMENT": str(REPO / ".venv"),
            # What the CLI asks a person for
            "PULUMI_CONFIG_PASSPHRASE": "known to nobody else",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in variables:
            del known["PULUMI_CONFIG_PASSPHRASE"]
        return cls(clone, home, {**known, **variables})

    def run(self, block: Block | str, typed: str = "") -> str:
        """What the commands print, of which each has to succeed; `typed` is what they ask for."""
        text = block if isinstance(block, str) else block.text
        print("".join(f"$ {line}\n" for line in text.splitlines()), end="", flush=True)
        done = subprocess.run(
            ["bash", "-e", "-c", text],
            cwd=self.folder,
            env=dict(self.variables),
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        print(done.stdout, flush=True)
        if done.returncode:
            raise LabError(f"ended with {done.returncode}:\n{text}\n{done.stdout[-5000:]}")
        return done.stdout


def _git(*words: str) -> str:
    # Also for a checkout that another user owns
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *words],
        env={**os.environ, "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout

"""The lab's commands as users run them, and what a lab leaves on a machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import group


@contextmanager
def lab_command(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """`python -m lab …` as users run it, in a process group that ends with the block at the latest."""
    with group.started(
        [sys.executable, "-u", "-m", "lab", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    ) as process:
        yield process


def finish(seconds: float, *arguments: str) -> tuple[int, str]:
    """Run one of the lab's commands until it has ended; returns exit code and output."""
    with lab_command(*arguments) as process:
        output, _ = process.communicate(timeout=seconds)
        print(output)
        return process.returncode, output


def traces(lab_id: str) -> list[str]:
    """What a lab has left on this machine: links, mounts, firewall tables, processes."""
    found = []
    for command in (["ip", "-o", "link"], ["nft", "list", "tables"]):
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        found += [line for line in lines if lab_id in line]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if lab_id in line]
    for process in Path("/proc").glob("[0-9]*/environ"):
        try:
            if lab_id.encode() in process.read_bytes():
                found.append(f"process {process.parent.name}")
        except OSError:
            continue
    return found

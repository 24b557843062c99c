"""The lab's commands as a person starts them, and what a lab leaves on a machine."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab.paths import REPO


def run_lab(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """`python -m lab …` as a person starts it, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "lab", *arguments],
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1"},
        **options,
    )


def traces(lab_id: str) -> list[str]:
    """What of a lab is left on this machine: links, mounts, firewall tables, processes."""
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

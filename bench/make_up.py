"""What a monitoring host adds to `make up`: the whole command from nothing, without and with one, in turns."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench import figures, throughput
from lab.lab import Lab
from toolbox import console
from toolbox.errors import ToolError


@dataclass
class Ups:
    """Seconds of each `up`."""

    off: list[float] = field(default_factory=list)
    on: list[float] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    """At the start of each."""


def measure(lab: Lab, rounds: int) -> Ups:
    """Measure, in turns. Raises ToolError if an `up` fails."""
    found = Ups()
    for _, on in figures.turns(rounds):
        lab.down()
        found.loads.append(round(os.getloadavg()[0], 1))
        (found.on if on else found.off).append(_up(lab.name, int(on)))
    return found


def _up(name: str, monitoring: int) -> float:
    words = [sys.executable, "-m", "lab", "up", "--name", name, "--monitoring", str(monitoring)]
    with console.step("bench", f"make up with {monitoring} monitoring hosts") as step:
        began = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True)
        seconds = round(time.monotonic() - began, 1)
        if done.returncode:
            raise ToolError(f"{' '.join(words[1:])} ended with status {done.returncode}:\n{done.stdout[-2000:]}")
        step.result = f"{seconds} s"
    return seconds


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = json.loads(file.read_text())
    off, on = found["off"], found["on"]
    return [
        "|  | without | with a monitoring host | difference |",
        "| --- | --- | --- | --- |",
        f"| seconds of `make up` | {throughput.shown(off)} | {throughput.shown(on)} | "
        f"{statistics.median(on) - statistics.median(off):.0f} |",
    ]

"""What a monitoring host adds to `make up`: the whole command from nothing, without and with one, in turns."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import throughput
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
    """Measure, in turns; the first of a round is the second of the next one. Raises ToolError if an `up` fails."""
    found = Ups()
    for number in range(rounds):
        for hosts in (0, 1) if number % 2 == 0 else (1, 0):
            lab.down()
            found.loads.append(round(os.getloadavg()[0], 1))
            seconds = _up(lab.name, hosts)
            (found.on if hosts else found.off).append(seconds)
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


def write(found: Ups, file: Path) -> None:
    """Store the figures."""
    file.write_text(json.dumps(asdict(found), indent=1) + "\n")


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

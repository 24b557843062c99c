"""The CPU time and peak memory of a process and all of its descendants, by sampling /proc.

Memory is the proportional set size (Pss, proc(5)): pages that several processes share count once in the sum.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.polling import polled

INTERVAL_SECONDS = 0.1
"""Seconds between two samples: what a process uses between the last one and its end is not counted."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """Of a tree of processes; some by name of the program."""

    seconds: float = 0.0
    """Wall time."""
    cpu: dict[str, float] = field(default_factory=dict)
    """CPU seconds."""
    peak_mib: float = 0.0
    """Of all processes together."""
    at_peak: dict[str, float] = field(default_factory=dict)
    """MiB of each when the sum was at its peak."""

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all processes."""
        return sum(self.cpu.values())


@contextmanager
def measured(pid: int) -> Iterator[Usage]:
    """Measure the process and its descendants until the end of the block; complete after it."""
    found = Usage()
    began = time.monotonic()
    try:
        with polled(_Sampler(pid, found).sample, INTERVAL_SECONDS):
            yield found
    finally:
        found.seconds = time.monotonic() - began


class _Sampler:
    def __init__(self, root: int, usage: Usage) -> None:
        self._root = root
        self._usage = usage
        self._cpu: dict[tuple[int, str], float] = {}

    def sample(self) -> None:
        memory: dict[str, float] = {}
        for pid in _tree(self._root):
            name = program(pid)
            if not name:
                continue
            memory[name] = memory.get(name, 0.0) + _pss_mib(pid)
            self._cpu[pid, name] = max(_cpu(pid), self._cpu.get((pid, name), 0.0))
        cpu: dict[str, float] = {}
        for (_, name), seconds in self._cpu.items():
            cpu[name] = cpu.get(name, 0.0) + seconds
        self._usage.cpu = cpu
        if sum(memory.values()) > self._usage.peak_mib:
            self._usage.peak_mib, self._usage.at_peak = sum(memory.values()), memory


def _tree(root: int) -> list[int]:
    """The process and its descendants, also those that its threads started."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue  # the thread has ended
    return found


def program(pid: int) -> str:
    """A readable name of a process; empty if it has ended."""
    words = _read(pid, "cmdline").split("\0")
    line = " ".join(words)
    for plugin in ("command", "aws", "tls"):
        if f"pulumi-resource-{plugin}" in line or f"{plugin}_plugin" in line or f"plugin.run_{plugin}" in line:
            return f"plugin {plugin}"
    if not words[0]:
        return ""
    name = Path(words[0]).name
    return "engine" if name == "pulumi" else "program" if name.startswith("python") else name


def _pss_mib(pid: int) -> float:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    """CPU seconds of the process itself."""
    after_name = _read(pid, "stat").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS if after_name else 0.0


def _read(pid: int, what: str) -> str:
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except OSError:
        return ""

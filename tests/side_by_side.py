"""A plugin for pytest: which tests run side by side, how long each folder took, and how such a run is ended.

pytest-xdist gives each of its processes a group of tests after the other. A group is a file, whose tests may share what
takes long to make; a test of a folder whose tests share nothing; or whatever shares a lab.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import NodeManager

BEFORE = "FLINK_LAB_PARTS"
"""The environment variable by which the runner (run.py) tells what the parts before pytest took, a line for each."""

CLEANING_SECONDS = 300
"""How long a process may take, when it is to end, to take its labs away; a few seconds are usual."""

TOGETHER = ("tests/lab/",)
"""Folders whose tests share a lab."""

ALONE = ("tests/engine/",)
"""Folders whose tests share nothing."""

FIRST = ("tests/lab/", "tests/aws/test_rehearsal.py", "tests/hosts/test_converge.py")
"""The groups that take longest, in the order in which they begin; then all others in the order of their collection."""


def group(nodeid: str) -> str:
    """The group of a test."""
    file = nodeid.partition("::")[0]
    if file.startswith(ALONE):
        return nodeid
    return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def _turn(nodeid: str) -> int:
    return FIRST.index(group(nodeid)) if group(nodeid) in FIRST else len(FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: _turn(item.nodeid))


# Not xdist's own groups (`--dist loadgroup`), which 3.8 keeps in ids that pytest 9.2 does not let it change
class Scheduling(LoadScopeScheduling):
    """Gives a process a group at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Ours."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


# --- How long it took


@dataclass
class Took:
    """What the tests of a folder took."""

    tests: int = 0
    seconds: float = 0
    """Of all processes, added up."""
    first: float = float("inf")
    last: float = 0
    """When the first test began and the last one ended, by the clock of time()."""


_took: defaultdict[str, Took] = defaultdict(Took)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what a test and its set-up took to its folder."""
    if not report.start:
        return  # what xdist reports of a process that has ended in the middle
    part = _took["/".join(report.nodeid.split("/")[:2])]
    part.tests += report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    part.seconds += report.duration
    part.first = min(part.first, report.start)
    part.last = max(part.last, report.stop)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each part took."""
    terminalreporter.section("how long each part took")
    for line in os.environ.get(BEFORE, "").splitlines():
        terminalreporter.write_line(line)
    for name, part in _took.items():
        span = part.last - part.first
        terminalreporter.write_line(f"{part.seconds:8.1f} s  {name}: {part.tests} tests, within {span:.0f} s")


# --- Ctrl-C


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have Ctrl-C end all processes gently: each has its test taken away what that had made, labs first of all."""
    config = session.config
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, _once)
    elif nodes := config.pluginmanager.getplugin("dsession"):
        # xdist would kill a process after 10 s, in the middle of the removal of a lab
        NodeManager.EXIT_TIMEOUT = CLEANING_SECONDS
        signal.signal(signal.SIGINT, lambda number, frame: _end(nodes))


def _once(number: int, frame: FrameType | None) -> None:
    """Interrupt the test that runs, and then nothing: neither may what cleans up be interrupted."""
    signal.signal(signal.SIGINT, lambda number, frame: None)
    raise KeyboardInterrupt


def _end(nodes: Any) -> None:
    """Begin no further test, and interrupt those that run. A terminal's Ctrl-C reaches all processes, others do not."""
    nodes.shouldstop = "interrupted"
    for gateway in nodes.nodemanager.group:
        with contextlib.suppress(ProcessLookupError):
            os.kill(gateway._io.popen.pid, signal.SIGINT)

"""A plugin for pytest: which tests run in parallel, how long each folder took, and how such a run is ended.

pytest-xdist assigns groups of tests to its processes, one at a time. A group is a file, whose tests may share slow
fixtures; a single test of a folder whose tests share nothing; or all tests that share a lab.
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
"""The environment variable in which run.py passes the durations of the parts before pytest, one line for each."""

CLEANING_SECONDS = 300
"""Maximum seconds for a process that is ended to remove its labs; a few seconds are usual."""

TOGETHER = ("tests/lab/",)
"""Folders whose tests share a lab."""

ALONE = ("tests/engine/",)
"""Folders whose tests share nothing."""

FIRST = (
    "tests/lab/",
    "tests/aws/test_rehearsal.py",
    "tests/hosts/test_converge.py",
    "tests/hosts/test_documented.py",
    "tests/aws/test_branch_clusters.py",
)
"""The groups that take longest, in their order; then all others in the order of their collection."""


def group(nodeid: str) -> str:
    """The group of a test."""
    file = nodeid.partition("::")[0]
    if file.startswith(ALONE):
        return nodeid
    return next((folder for folder in TOGETHER if file.startswith(folder)), file)


def _turn(nodeid: str) -> int:
    return FIRST.index(group(nodeid)) if group(nodeid) in FIRST else len(FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups begin first."""
    items.sort(key=lambda item: _turn(item.nodeid))


# Not xdist's own groups (`--dist loadgroup`), which 3.8 keeps in ids that pytest 9.2 does not let it change
class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Assigns one group at a time to a process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Our scheduler."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


# --- Durations


@dataclass
class Took:
    """The durations of a folder's tests."""

    tests: int = 0
    seconds: float = 0
    """The sum over all processes."""
    first: float = float("inf")
    last: float = 0
    """When the first test began and the last one ended, by time()."""


_took: defaultdict[str, Took] = defaultdict(Took)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add the duration of a test and its set-up to its folder."""
    if not report.start:
        return  # xdist's report on a process that ended in the middle of a test
    part = _took["/".join(report.nodeid.split("/")[:2])]
    part.tests += report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    part.seconds += report.duration
    part.first = min(part.first, report.start)
    part.last = max(part.last, report.stop)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the duration of each part."""
    terminalreporter.section("how long each part took")
    for line in os.environ.get(BEFORE, "").splitlines():
        terminalreporter.write_line(line)
    for name, part in _took.items():
        span = part.last - part.first
        terminalreporter.write_line(f"{part.seconds:8.1f} s  {name}: {part.tests} tests, within {span:.0f} s")


# --- Ctrl-C


def pytest_sessionstart(session: pytest.Session) -> None:
    """On Ctrl-C, end all processes gently: each cleans up after its test, labs first."""
    config = session.config
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, _once)
    elif nodes := config.pluginmanager.getplugin("dsession"):
        # xdist would kill a process after 10 s, while it removes a lab
        NodeManager.EXIT_TIMEOUT = CLEANING_SECONDS
        signal.signal(signal.SIGINT, lambda number, frame: _end(nodes))


def _once(number: int, frame: FrameType | None) -> None:
    """Interrupt the running test, and then ignore further signals: the clean-up must not be interrupted."""
    signal.signal(signal.SIGINT, lambda number, frame: None)
    raise KeyboardInterrupt


def _end(nodes: Any) -> None:
    """Begin no further test, and interrupt the running ones. Only a terminal sends Ctrl-C to all processes."""
    nodes.shouldstop = "interrupted"
    for gateway in nodes.nodemanager.group:
        with contextlib.suppress(ProcessLookupError):
            os.kill(gateway._io.popen.pid, signal.SIGINT)

"""Figures that tests print at the end of a run, from any of its processes: the fixture `measured`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Measured = Callable[[str], None]
"""Receives a line."""

_PROPERTY = "measured"
_lines: list[str] = []


@pytest.fixture
def measured(record_property: Callable[[str, object], None]) -> Measured:
    """Print a line at the end of the run."""
    return lambda line: record_property(_PROPERTY, line)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the lines of a test that has ended."""
    if report.when == "call":
        _lines.extend(str(value) for name, value in report.user_properties if name == _PROPERTY)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them."""
    if _lines:
        terminalreporter.section("measured")
        for line in _lines:
            terminalreporter.write_line(line)

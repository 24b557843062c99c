"""Runs the checks and the tests part by part and says how long each took: `make check`, `engine`, `test`.

All tests are one run of pytest, so that its closing line counts them all. This file is also the plugin that
tells the time of each folder of tests, and of the parts before, just above that line.
"""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BEFORE = "FLINK_LAB_PARTS"
"""The environment variable by which this runner tells the plugin what the parts before pytest took."""

LINT: dict[str, list[str | Path]] = {
    "lint": [BIN / "ruff", "check", "."],
    "format": [BIN / "ruff", "format", "--check", "."],
    "types": [BIN / "mypy"],
    # As old a Python as mypy knows; the tool has to run with 3.9, for which ruff checks its syntax
    "types of the host tool": [BIN / "mypy", "--python-version", "3.10", "host_tool"],
    "shell": [
        BIN / "shellcheck",
        "-x",
        "-P",
        "SCRIPTDIR",
        *sorted(ROOT.glob("host_scripts/*.sh")),
        "components/leave.sh",
        ".ci/run",
        ".github/scripts/comment.sh",
    ],
    "workflows": [sys.executable, "-m", "stand_ins.builds.actionlint"],
    # Nothing is asked of GitHub: a check must not depend on who else is asking
    "workflows' security": [BIN / "zizmor", "--offline", "--quiet", ".github"],
}
PREPARE = {"set-up": [sys.executable, "-m", "lab.prepare"]}
FOLDERS = {"check": ["unit"], "engine": ["engine", "aws"], "test": ["unit", "engine", "aws", "lab"]}

_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add what a test and its set-up took to its folder."""
    _seconds["/".join(report.nodeid.split("/")[:2])] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long each part took."""
    terminalreporter.section("how long each part took")
    before = os.environ.get(BEFORE, "").splitlines()
    for line in [*before, *(f"{seconds:8.1f} s  {name}" for name, seconds in _seconds.items())]:
        terminalreporter.write_line(line)


def run(parts: Mapping[str, Sequence[str | Path]], took: list[str]) -> list[str]:
    """Run the parts one after the other, note in `took` how long they took, and return the names of the failed."""
    failed = []
    for name, argv in parts.items():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        if subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode:
            failed.append(name)
        took.append(f"{time.monotonic() - began:8.1f} s  {name}{': FAILED' if name in failed else ''}")
    return failed


def main(what: str) -> int:
    """Run `check`, `engine` or `test`; the exit status is 0 only if every part passed."""
    # Tests send it to what they start; a run in the background of a script would have it ignored, and hand that on
    signal.signal(signal.SIGINT, signal.default_int_handler)
    took: list[str] = []
    failed = run({} if what == "engine" else LINT, took)
    if what == "test" and not failed:
        failed += run(PREPARE, took)
    if what == "check" or not failed:
        os.environ[BEFORE] = "\n".join(took)
        folders = [f"tests/{name}" for name in FOLDERS[what] if (ROOT / "tests" / name).is_dir()]
        chosen = ["-m", "not root"] if what == "engine" else []
        tests = [sys.executable, "-m", "pytest", "-p", "tests.run", "-q", "--durations=5", *chosen, *folders]
        failed += run({"tests": tests}, took)
    if failed:
        print("\n".join(["failed: " + ", ".join(failed), *(line for line in took if "FAILED" in line)]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

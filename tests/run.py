"""Runs checks and tests in parallel and prints their durations: `make check`, `engine`, `test`, `test-all`.

All tests are one run of pytest, in parallel processes, so that its last line counts them all. Before that line,
side_by_side.py prints the durations of each folder of tests, and of the earlier parts.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LAB_GIB = 8.0
"""Free memory for each process of pytest, if its tests have labs: one lab at a time, of seven or eight hosts."""

MOST = 4
"""More processes would only wait for the one with the longest group of tests."""

Argv = Sequence[str | Path]

LINT: dict[str, Argv] = {
    "lint": [BIN / "ruff", "check", "."],
    "format": [BIN / "ruff", "format", "--check", "."],
    "types": [BIN / "mypy"],
    # The oldest Python that mypy supports; the tool must run with 3.9, for which ruff checks its syntax
    "types of the host tool": [BIN / "mypy", "--python-version", "3.10", "host_tool"],
    "shell": [
        BIN / "shellcheck",
        "-x",
        "-P",
        "SCRIPTDIR",
        *sorted(ROOT.glob("host_scripts/**/*.sh")),
        "components/leave.sh",
        "ops/bundle.sh",
        ".ci/run",
        ".github/scripts/comment.sh",
    ],
    "workflows": [sys.executable, "-m", "stand_ins.builds.actionlint"],
    # Without requests to GitHub: a check must not depend on its rate limit
    "workflows' security": [BIN / "zizmor", "--offline", "--quiet", ".github"],
}
PREPARE: dict[str, Argv] = {"set-up": [sys.executable, "-m", "lab.prepare"]}


@dataclass(frozen=True)
class Run:
    """What a target of make runs."""

    folders: tuple[str, ...]
    """Folders of tests."""
    marks: str
    """Their selection, in the form of pytest's `-m`."""
    lint: bool = True
    prepare: bool = False


RUNS = {
    "check": Run(("unit",), "not exhaustive"),
    "engine": Run(("engine", "aws"), "not root and not exhaustive", lint=False),
    "test": Run(("lab", "aws", "hosts", "engine", "storages", "unit"), "not exhaustive", prepare=True),
    "test-all": Run(("lab", "aws", "hosts", "engine", "storages", "unit"), "", prepare=True),
}


class Ended(Exception):
    """The run is being ended."""


class Runner:
    """Runs parts and records their results."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.took: list[str] = []
        self.ending = False
        self._children: dict[subprocess.Popen[bytes], signal.Signals] = {}
        """The signal for each."""

    def at_once(self, parts: Mapping[str, Argv]) -> None:
        """Run parts in parallel; the output of each is shown when it has ended."""
        with ThreadPoolExecutor(max(1, len(parts))) as pool:
            for _ in pool.map(lambda name: self._quietly(name, parts[name]), parts):
                pass

    def _quietly(self, name: str, argv: Argv) -> None:
        began = time.monotonic()
        # Checks leave nothing behind, and mypy ignores Ctrl-C while it runs
        end = signal.SIGINT if name in PREPARE else signal.SIGTERM
        with self._child(argv, end, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            said = child.communicate()[0].decode(errors="replace").rstrip()
        self._note(name, child.returncode, began)
        print(f"== {name}\n{said}" if said else f"== {name}", flush=True)

    def shown(self, name: str, argv: Argv) -> None:
        """Run a part, and show its output immediately."""
        print(f"== {name}", flush=True)
        began = time.monotonic()
        with self._child(argv, signal.SIGINT) as child:
            child.wait()
        self._note(name, child.returncode, began)

    def _note(self, name: str, status: int, began: float) -> None:
        if status:
            self.failed.append(name)
        self.took.append(f"{time.monotonic() - began:8.1f} s  {name}{': FAILED' if status else ''}")

    @contextlib.contextmanager
    def _child(self, argv: Argv, end: signal.Signals, **more: Any) -> Iterator[subprocess.Popen[bytes]]:
        if self.ending:
            raise Ended
        child = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, **more)
        self._children[child] = end
        if self.ending:
            child.send_signal(end)
        try:
            yield child
        finally:
            del self._children[child]

    def end(self, number: int, frame: FrameType | None) -> None:
        """On Ctrl-C, or the signal that CI systems send to a cancelled job, signal all running parts and wait."""
        if not self.ending:
            print("\nending: waiting for the running parts to clean up", flush=True)
        self.ending = True
        for child, told in list(self._children.items()):
            child.send_signal(told)


def main(what: str, more: Sequence[str]) -> int:
    """Run a target of make; the exit status is 0 only if every part passed. `more` are arguments of pytest."""
    runner, run = Runner(), RUNS[what]
    if what == "test-all":
        # Other examples each time, and more of them (tests/unit/test_properties.py)
        print("HYPOTHESIS_SEED=" + os.environ.setdefault("HYPOTHESIS_SEED", str(secrets.randbelow(10**6))), flush=True)
    # Tests send SIGINT to what they start; a background run of a script ignores it, and children inherit that
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, runner.end)
    try:
        parts = {**(LINT if run.lint else {}), **(PREPARE if run.prepare else {})}
        if what == "check":
            # Run all parts, even after a failure
            with ThreadPoolExecutor(1) as pool:
                linted = pool.submit(runner.at_once, parts)
                runner.shown("tests", tests_argv(run, more))
                linted.result()
        else:
            runner.at_once(parts)
            if not runner.failed:
                # side_by_side.py shows it
                os.environ["FLINK_LAB_PARTS"] = "\n".join(runner.took)
                runner.shown("tests", tests_argv(run, more))
    except Ended:
        pass
    if runner.ending:
        return 130
    if what == "check" or runner.failed:
        print("\n".join(runner.took))
    if runner.failed:
        print("failed: " + ", ".join(runner.failed), flush=True)
    return 1 if runner.failed else 0


def processes(run: Run) -> int:
    """The number of pytest's processes: as many as there are processors, and memory for their labs."""
    cores = os.cpu_count() or 1
    if not run.prepare:
        return min(cores, MOST)
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 2**20
    return max(1, min(cores, MOST, int(free / LAB_GIB)))


def tests_argv(run: Run, more: Sequence[str]) -> Argv:
    """The tests."""
    folders = [f"tests/{name}" for name in run.folders if (ROOT / "tests" / name).is_dir()]
    side_by_side = ["-p", "tests.side_by_side", "-n", str(processes(run)), "--max-worker-restart", "0"]
    chosen = ["-m", run.marks] if run.marks else []
    return [sys.executable, "-m", "pytest", "-q", "--durations=10", *side_by_side, *chosen, *more, *folders]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

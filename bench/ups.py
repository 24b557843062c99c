"""A first `up` and the same work by plain parallel ssh and by Ansible, in turns and from freshly booted hosts: seconds,
and the CPU seconds of each part. And an `up` without changes, a failover, the start of a daemon.
"""

import json
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from automation.steps import Steps
from bench import by_ansible, cpu, figures, plain_ssh, starts, throughput
from bench.starts import Starts
from drill import changes
from lab.cluster import Cluster, SlowJob
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console

FILE = Path("bench/results/ups.json")
FAILOVER_BOUND = 60.0
UP, ANSIBLE = "up by Pulumi", "Ansible"
SSH, SHARED = "plain ssh, a connection for each step", "plain ssh, a connection for each host"
NO_CHANGE = "up with no change"
CHANGE, CHANGE_SSH = "up with another setting of all daemons", "the same by plain ssh"
PAIRS = {SSH: UP, SHARED: UP, ANSIBLE: UP, CHANGE_SSH: CHANGE}
"""What is compared with which of ours."""


@dataclass
class Run:
    """One measured piece of work."""

    seconds: float
    load: float
    """Load average (1 min) before it."""
    cpu: dict[str, float]
    """CPU seconds by part (cpu.py)."""


@dataclass
class Figures:
    """What was measured; lists have one entry for each round."""

    date: str
    runs: dict[str, list[Run]] = field(default_factory=dict)
    """By what was done."""
    phases: list[dict[str, float]] = field(default_factory=list)
    """Of the first `up`: seconds from the first beginning to the last end of each kind of step."""
    steps: list[dict[str, float]] = field(default_factory=list)
    """CPU seconds of each kind of step on all hosts, by plain ssh."""
    failover: list[float] = field(default_factory=list)
    """Seconds of each one."""
    starts: Starts = field(default_factory=Starts)


T = TypeVar("T")


class Bench:
    """Measures on a lab; `fresh` gives it newly booted, empty hosts."""

    def __init__(self, lab: Lab, fresh: Callable[[Lab], None]) -> None:
        self._lab, self._fresh = lab, fresh
        self.found = Figures(date=datetime.now(UTC).date().isoformat())

    def measure(self, rounds: int, failovers: int, start_rounds: int) -> None:
        """Measure everything, in turns."""
        inputs, found = archives.ensure(), self.found
        for number in range(rounds):
            self._fresh(self._lab)
            shutil.rmtree(self._lab.dir / "pulumi", ignore_errors=True)
            cluster = Cluster(self._lab, inputs)
            cluster.stack.prepare()
            found.phases.append(phases(self._timed(UP, cluster.stack.up)))
            self._timed(NO_CHANGE, cluster.stack.up)
            todo = plain_ssh.steps(cluster.stack.state())
            if number == 0:
                found.failover += [self._failover(cluster, index) for index in range(failovers)]
                if start_rounds:
                    found.starts = starts.measure(cluster, start_rounds)
            cluster.wait_until_whole()
            cluster.overrides |= changes.SETTINGS
            self._timed(CHANGE, cluster.stack.up)
            changed = plain_ssh.steps(cluster.stack.state())
            self._fresh(self._lab)
            self._timed(SHARED, partial(plain_ssh.run, self._lab, todo, shared=True))
            self._fresh(self._lab)
            found.steps.append(self._timed(SSH, partial(plain_ssh.run, self._lab, todo, shared=False)))
            cluster.wait_until_whole()
            self._timed(CHANGE_SSH, partial(plain_ssh.change, self._lab, changed))
            self._fresh(self._lab)
            self._timed(ANSIBLE, partial(by_ansible.run, self._lab, todo))

    def _timed(self, what: str, work: Callable[[], T]) -> T:
        load = round(os.getloadavg()[0], 1)
        with console.step("bench", f"{what} (load {load})"), cpu.counted(self._lab) as used:
            began = time.monotonic()
            result = work()
            seconds = round(time.monotonic() - began, 1)
        self.found.runs.setdefault(what, []).append(Run(seconds, load, used))
        return result

    def _failover(self, cluster: Cluster, number: int) -> float:
        """Seconds from kill -9 of the leading JobManager until the job runs again from its last checkpoint."""
        cluster.wait_until_whole()
        job = SlowJob.start(cluster, f"failover-{number}", 60)
        checkpoint, leader = job.checkpoint() or 0, cluster.leader()
        began = time.monotonic()
        cluster.lab.kill(leader, "flink-jobmanager")
        seconds = round(job.seconds_until_restored(began, checkpoint, FAILOVER_BOUND), 1)
        console.say("bench", f"failover {number + 1}: {seconds} s")
        job.finish()
        return seconds


def phases(steps: Steps) -> dict[str, float]:
    """Seconds from the first beginning to the last end of each kind of step, in the order of their beginnings."""
    spans: dict[str, tuple[float, float]] = {}
    for name, (began, ended) in steps.spans.items():
        kind = name.rpartition("-")[2]
        known = spans.get(kind, (began, ended))
        spans[kind] = (min(known[0], began), max(known[1], ended))
    ordered = sorted(spans.items(), key=lambda item: item[1][0])
    return {kind: round(ended - began, 1) for kind, (began, ended) in ordered}


def lines(file: Path) -> list[str]:
    """Seconds of everything, as a table in Markdown, with the ratio of ours to each of the others."""
    found = json.loads(file.read_text())
    seconds = {what: [run["seconds"] for run in runs] for what, runs in found["runs"].items()}
    rows = []
    for what in (UP, SSH, SHARED, ANSIBLE, CHANGE, CHANGE_SSH, NO_CHANGE):
        ratios = (
            [ours / theirs for ours, theirs in zip(seconds[PAIRS[what]], seconds[what], strict=True)]
            if what in PAIRS
            else []
        )
        loads = " ".join(f"{run['load']:.0f}" for run in found["runs"][what])
        rows.append([what, throughput.shown(seconds[what]), _ratios(ratios), loads])
    if found["failover"]:
        rows.append(["`kill -9` of the leading JobManager", throughput.shown(found["failover"]), "", ""])
    return figures.table(["", "seconds", "ours, as a ratio", "load"], rows)


def _ratios(ratios: Sequence[float]) -> str:
    if not ratios:
        return ""
    return f"**{statistics.median(ratios):.2f}** ({' '.join(f'{ratio:.2f}' for ratio in ratios)})"


def cpu_lines(file: Path, before: Path | None = None) -> list[str]:
    """CPU seconds by part, as a table in Markdown; `before`: an earlier result, of which the first `up` is shown."""
    now = {what: _parts(file, what) for what in (UP, SSH, ANSIBLE, CHANGE, NO_CHANGE)}
    columns = {**({f"{UP}, before": _parts(before, UP)} if before else {}), **now}
    rows = [[part, *(f"{parts[part]:.1f}" for parts in columns.values())] for part in now[UP]]
    rows.append(["together", *(f"{sum(parts.values()):.1f}" for parts in columns.values())])
    return figures.table(["CPU seconds", *columns], rows)


def _parts(file: Path, what: str) -> dict[str, float]:
    runs = [run["cpu"] for run in json.loads(file.read_text())["runs"][what]]
    return {part: statistics.median(run[part] for run in runs) for part in runs[0]}


def phase_lines(file: Path) -> list[str]:
    """When steps of each kind ran in a first `up`, as a table in Markdown."""
    found = json.loads(file.read_text())["phases"]
    rows = [[kind, throughput.shown([phase.get(kind, 0.0) for phase in found])] for kind in found[0]]
    return figures.table(["steps of a first `up`", "seconds from the first beginning to the last end"], rows)


def step_lines(file: Path) -> list[str]:
    """CPU seconds of steps on all hosts, as a table in Markdown."""
    found = json.loads(file.read_text())["steps"]
    rows = [[kind, throughput.shown([steps[kind] for steps in found])] for kind in found[0]]
    return figures.table(["steps on all hosts, by plain ssh", "CPU seconds"], rows)


def start_lines(file: Path) -> list[str]:
    """Starts of daemons, as a table in Markdown."""
    found = json.loads(file.read_text())["starts"]
    return starts.lines(found["seconds"], found["cpu"])

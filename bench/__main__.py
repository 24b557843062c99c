"""`python -m bench`: seconds of `up` by phase, of an `up` without changes, of a failover, of a daemon's start; and of
the same work by plain parallel ssh and by Ansible.

Everything is compared within one run, alternating and from freshly booted hosts, because other programs run on the
machine: the ratio is the result, the seconds are for orientation. It creates a separate lab and removes it.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from automation.command_line import ran
from automation.steps import Steps
from bench import (
    by_ansible,
    downtime,
    encryption,
    endpoints,
    figures,
    jobs,
    make_up,
    monitoring,
    plain_ssh,
    starts,
    steady,
)
from bench.starts import Starts
from components.flink.failover import MINIMUM_SECONDS
from lab import prepare
from lab.cluster import Cluster, SlowJob
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError

NAME = "bench"
FAILOVER_BOUND = 60.0


@dataclass
class Figures:
    """Measured seconds; each list has one entry for each round."""

    up: list[float] = field(default_factory=list)
    ssh: list[float] = field(default_factory=list)
    shared_ssh: list[float] = field(default_factory=list)
    ansible: list[float] = field(default_factory=list)
    no_change: list[float] = field(default_factory=list)
    failover: list[float] = field(default_factory=list)
    phases: list[dict[str, float]] = field(default_factory=list)
    loads: list[float] = field(default_factory=list)
    starts: Starts = field(default_factory=Starts)


def timed(what: str, work: Callable[[], object]) -> float:
    """Seconds that `work` takes; prints a line."""
    with console.step("bench", f"{what} (load {os.getloadavg()[0]:.1f})"):
        began = time.monotonic()
        work()
        return time.monotonic() - began


def fresh(lab: Lab, *, monitoring: int = 0) -> None:
    """Freshly booted, empty hosts, with the names, keys and S3 server of the previous ones."""
    lab.up(workers=0, jobmanagers=0, zookeepers=0, monitoring=0)
    lab.up(workers=2, jobmanagers=2, zookeepers=3, monitoring=monitoring)


def phases(steps: Steps) -> dict[str, float]:
    """Seconds from the first beginning to the last end of each kind of step, in the order of their beginnings."""
    spans: dict[str, tuple[float, float]] = {}
    for name, (began, ended) in steps.spans.items():
        kind = name.rpartition("-")[2]
        known = spans.get(kind, (began, ended))
        spans[kind] = (min(known[0], began), max(known[1], ended))
    return {kind: ended - began for kind, (began, ended) in sorted(spans.items(), key=lambda item: item[1][0])}


def measure(lab: Lab, rounds: int, failovers: int, start_rounds: int) -> Figures:
    """Measure everything, alternating."""
    found = Figures()
    inputs = archives.ensure()
    for _ in range(rounds):
        fresh(lab)
        shutil.rmtree(lab.dir / "pulumi", ignore_errors=True)
        cluster = Cluster(lab, inputs)
        cluster.stack.prepare()
        steps: list[Steps] = []
        found.loads.append(os.getloadavg()[0])
        found.up.append(timed("up by Pulumi", partial(_up, cluster, steps)))
        found.phases.append(phases(steps[0]))
        found.no_change.append(timed("up with no change", cluster.stack.up))
        todo = plain_ssh.steps(cluster.stack.state())
        if len(found.failover) < failovers:
            found.failover += [failover(cluster, number) for number in range(failovers)]
        if start_rounds and not found.starts.seconds:
            found.starts = starts.measure(cluster, start_rounds)
        for seconds, shared, how in ((found.ssh, False, "for each step"), (found.shared_ssh, True, "for each host")):
            fresh(lab)
            found.loads.append(os.getloadavg()[0])
            work = partial(plain_ssh.run, lab, todo, shared=shared)
            seconds.append(timed(f"the same by plain parallel ssh, a connection {how}", work))
        fresh(lab)
        found.loads.append(os.getloadavg()[0])
        found.ansible.append(timed("the same by Ansible", partial(by_ansible.run, lab, todo)))
    return found


def _up(cluster: Cluster, steps: list[Steps]) -> None:
    steps.append(cluster.stack.up())


def failover(cluster: Cluster, number: int) -> float:
    """Seconds from kill -9 of the leading JobManager until the job runs again from its last checkpoint."""
    cluster.wait_until_whole()
    job = SlowJob.start(cluster, f"failover-{number}", 60)
    checkpoint, leader = job.checkpoint() or 0, cluster.leader()
    began = time.monotonic()
    cluster.lab.kill(leader, "flink-jobmanager")
    seconds = job.seconds_until_restored(began, checkpoint, FAILOVER_BOUND)
    console.say("bench", f"failover {number + 1}: {seconds:.1f} s")
    job.finish()
    return seconds


def _new(lab: Lab, *, monitoring: int = 0) -> Cluster:
    fresh(lab, monitoring=monitoring)
    shutil.rmtree(lab.dir / "pulumi", ignore_errors=True)
    cluster = Cluster(lab, archives.ensure())
    cluster.stack.prepare()
    cluster.stack.up()
    return cluster


def _tls(lab: Lab, rounds: int, file: Path) -> int:
    figures.write(encryption.measure(_new(lab), rounds), file)
    print("\n".join(encryption.lines(file)))
    return 0


def _monitoring(lab: Lab, rounds: int, file: Path) -> int:
    figures.write(monitoring.measure(_new(lab, monitoring=1), rounds), file)
    print("\n".join(monitoring.lines(file)))
    return 0


def _make_up(lab: Lab, rounds: int, file: Path) -> int:
    figures.write(make_up.measure(lab, rounds), file)
    print("\n".join(make_up.lines(file)))
    return 0


def _jobs(lab: Lab, rounds: int, file: Path) -> int:
    cluster = _new(lab)
    before = os.getloadavg()[0]
    found = jobs.measure(cluster, rounds)
    jobs.write(found, file, [round(load, 1) for load in (before, os.getloadavg()[0])])
    print("\n".join(jobs.lines(file)))
    return 0


def _steady(lab: Lab, chosen: argparse.Namespace) -> int:
    found = steady.measure(_new(lab), chosen.minutes, chosen.failover_seconds, chosen.burners)
    figures.write(found, chosen.steady)
    print("\n".join(steady.lines(chosen.steady)))
    return 0


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """The ratio of the medians, and the ratio of each round."""
    by_round = " ".join(f"{one / other:.2f}" for one, other in zip(ours, theirs, strict=True))
    return f"{statistics.median(ours) / statistics.median(theirs):.2f} (by round: {by_round})"


def show(found: Figures) -> None:
    """Print the figures."""

    def row(what: str, values: Sequence[float]) -> str:
        shown = "  ".join(f"{value:6.1f}" for value in values)
        return f"{what:<44}{statistics.median(values):8.1f} s   ({shown})" if values else f"{what:<44}  not measured"

    lines = ["", row("up by Pulumi, from booted hosts", found.up)]
    for kind in found.phases[0]:
        lines.append(row(f"    {kind}", [phase.get(kind, 0.0) for phase in found.phases]))
    lines += [
        row("the same by plain ssh, connection per step", found.ssh),
        row("the same by plain ssh, connection per host", found.shared_ssh),
        row("the same by Ansible", found.ansible),
        row("up with no change", found.no_change),
        row("failover: kill -9 of the leader to job running", found.failover),
        f"load averages (1 min) at the starts: {' '.join(f'{load:.1f}' for load in found.loads)}",
        f"ratio of up to plain ssh: {ratio(found.up, found.ssh)}; expected: at most 0.75",
        f"ratio of up to plain ssh with shared connections: {ratio(found.up, found.shared_ssh)}",
        f"ratio of up to Ansible: {ratio(found.up, found.ansible)}",
    ]
    console.say("bench", "\n".join([*lines, *starts.lines(found.starts)]))


def main() -> int:
    """Measure and print; the exit status is 1 on failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        metavar="N",
        help="alternating rounds of Pulumi, plain ssh and Ansible (default: %(default)s)",
    )
    parser.add_argument(
        "--failovers", type=int, default=2, metavar="N", help="number of failovers (default: %(default)s)"
    )
    parser.add_argument(
        "--starts", type=int, default=3, metavar="N", help="starts of a daemon in each way (default: %(default)s)"
    )
    parser.add_argument(
        "--jobs",
        type=Path,
        metavar="FILE",
        help="measure only how long declared jobs stand still while they change, and write that to a file",
    )
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="FILE",
        help="measure only what TLS costs a job, and write that to a file",
    )
    parser.add_argument(
        "--monitoring",
        type=Path,
        metavar="FILE",
        help="measure only what metrics and logs cost a job, and write that to a file",
    )
    parser.add_argument(
        "--make-up",
        type=Path,
        metavar="FILE",
        help="measure only what a monitoring host adds to `make up`, and write that to a file",
    )
    parser.add_argument(
        "--endpoints",
        type=Path,
        metavar="FILE",
        help="measure only what Prometheus needs for 100 TaskManagers, without a lab, and write that to a file",
    )
    parser.add_argument(
        "--steady",
        type=Path,
        metavar="FILE",
        help="count only failovers without a cause on busy CPUs, and write them to a file",
    )
    parser.add_argument(
        "--minutes", type=float, default=60, metavar="N", help="for --steady: how long (default: %(default)s)"
    )
    parser.add_argument(
        "--failover-seconds",
        type=int,
        default=MINIMUM_SECONDS,
        metavar="N",
        help="for --steady: failoverSeconds (default: %(default)s)",
    )
    parser.add_argument(
        "--burners",
        type=int,
        default=os.cpu_count(),
        metavar="N",
        help="for --steady: processes on each host that only use CPU (default: one for each processor)",
    )
    parser.add_argument(
        "--downtime",
        type=Path,
        metavar="FILE",
        help="do not measure; show what `python -m drill --json` has written",
    )
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="with --downtime: an earlier result to compare with"
    )
    chosen = parser.parse_args()
    if chosen.downtime:
        print("\n".join(downtime.lines(chosen.downtime, chosen.before)))
        return 0
    if chosen.before:
        parser.error("--before requires --downtime")
    if chosen.endpoints:
        figures.write(endpoints.measure(), chosen.endpoints)
        print("\n".join(endpoints.lines(chosen.endpoints)))
        return 0
    lab = Lab(NAME)
    try:
        prepare.everything()
        if chosen.tls:
            return _tls(lab, max(1, chosen.rounds), chosen.tls)
        if chosen.monitoring:
            return _monitoring(lab, max(1, chosen.rounds), chosen.monitoring)
        if chosen.make_up:
            return _make_up(lab, max(1, chosen.rounds), chosen.make_up)
        if chosen.jobs:
            return _jobs(lab, max(1, chosen.rounds), chosen.jobs)
        if chosen.steady:
            return _steady(lab, chosen)
        show(measure(lab, max(1, chosen.rounds), chosen.failovers, chosen.starts))
    except ToolError as error:
        console.fail("bench", str(error))
        return 1
    finally:
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(ran(main))

"""`python -m bench`: a first `up`, one with a changed setting and one without changes, a failover, a daemon's start;
and the same work by plain parallel ssh and by Ansible. Seconds, ratios, and CPU seconds by part.

Everything is compared within one run, in turns and from freshly booted hosts, because other programs run on the
machine: the ratio is the result, the seconds are for orientation. It creates a separate lab and removes it.
"""

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path

from automation.command_line import ran
from bench import downtime, encryption, endpoints, figures, jobs, make_up, monitoring, steady, ups
from components.flink.failover import MINIMUM_SECONDS
from lab import prepare
from lab.cluster import Cluster
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError

NAME = "bench"
TABLES = ups.lines, ups.cpu_lines, ups.phase_lines, ups.step_lines, ups.start_lines


def fresh(lab: Lab, *, monitoring: int = 0, small: bool = False) -> None:
    """Freshly booted, empty hosts, with the names, keys and S3 server of the previous ones: 7, or 4 if `small`."""
    lab.up(workers=0, jobmanagers=0, zookeepers=0, monitoring=0)
    lab.up(workers=2, jobmanagers=1 if small else 2, zookeepers=1 if small else 3, monitoring=monitoring)


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
        "--small",
        action="store_true",
        help="four hosts instead of seven: one JobManager, one ZooKeeper server and two TaskManagers",
    )
    parser.add_argument(
        "--json", type=Path, default=ups.FILE, metavar="FILE", help="the figures (default: %(default)s)"
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
        bench = ups.Bench(lab, partial(fresh, small=chosen.small))
        bench.measure(max(1, chosen.rounds), chosen.failovers, chosen.starts)
        figures.write(bench.found, chosen.json)
        print("\n".join(line for lines in TABLES for line in ["", *lines(chosen.json)]))
    except ToolError as error:
        console.fail("bench", str(error))
        return 1
    finally:
        lab.down()
    return 0


if __name__ == "__main__":
    sys.exit(ran(main))

"""How a stack of many machines behaves: `python -m tests.aws.scale --help`.

Everything runs in a separate network namespace, where every address is local: moto is the API, and one process answers
over SSH for all of its instances (fake_hosts.py). The namespace has no connection to the outside.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.cluster import wait_for
from tests.aws import fake_hosts, operation
from tests.aws.inventory import client
from tests.aws.stack import limits
from tests.aws.usage import Usage, measured
from toolbox import console
from toolbox.paths import REPO

INSIDE = "FLINK_SCALE_INSIDE"
"""The environment variable that marks this process as being in the namespace."""


@dataclass
class Point:
    """The measurements for one size; seconds are wall time."""

    workers: int
    resources: int
    commands: int
    seconds: float
    """Of the operation in the engine, without the start of Python and its imports."""
    usage: Usage
    """Of all processes, from the start of Python to its end."""


@dataclass
class Created:
    """The creation of a stack by the real engine, with machines that only answer, and what follows."""

    workers: int
    seconds: float
    steps: int
    connections: int
    state_bytes: int
    """Of the state in the backend."""
    second: Point
    """The `up` after it, without changes."""
    changed: list[str]
    """Its changes; expected none."""
    connections_of_second: int
    grown: Point
    """One worker more."""
    grown_hosts: list[str]
    """On which that ran a step."""
    names: dict[str, int]
    """Requests to Route 53 that were `answered`, and those that were `throttled`, in the first `up`."""


@dataclass
class Found:
    """All measurements."""

    curve: list[Point] = field(default_factory=list)
    created: Created | None = None


def measure(folder: Path, endpoint: str, workers: int, what: str) -> tuple[Point, list[str]]:
    """One operation in a separate process, with the resources that it and its descendants used, and its changes."""
    argv = [sys.executable, "-m", "tests.aws.operation", what, str(folder), endpoint, str(workers)]
    with console.step("scale", f"{what} of {workers} TaskManagers") as step:
        process = subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE, text=True)
        try:
            with measured(process.pid) as usage:
                output, _ = process.communicate()
        finally:
            process.kill()
        if process.returncode:
            raise SystemExit(f"{what} of {workers} TaskManagers failed; what it says is above")
        found = json.loads(output.splitlines()[-1])
        point = Point(workers, found["resources"], found["commands"], found["seconds"], usage)
        step.result = f"{found['seconds']:.1f} s, {usage.cpu_seconds:.1f} CPU s, {usage.peak_mib:.0f} MiB"
    return point, found["changed"]


def curve(endpoint: str, sizes: Sequence[int]) -> list[Point]:
    """A preview of each size."""
    points = []
    for workers in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            operation.the_stack(folder, endpoint, workers).prepare()
            points.append(measure(folder, endpoint, workers, "preview")[0])
    return points


ROUTE53_PER_SECOND = 5
"""https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html: of an account."""


def create(endpoint: str, workers: int) -> Created:
    """Create a stack, check that a second `up` changes nothing, and destroy it. Route 53 throttles, as AWS does."""
    ec2 = client("ec2", endpoint, operation.REGION)

    def user_data(address: str) -> str | None:
        return fake_hosts.user_data(ec2, address)

    with tempfile.TemporaryDirectory() as scratch, fake_hosts.serving(user_data) as hosts:
        folder = Path(scratch)
        operation.the_stack(folder, endpoint, workers).prepare()
        limits(endpoint, {"route53PerSecond": ROUTE53_PER_SECOND})
        first, _ = measure(folder, endpoint, workers, "up")
        names = limits(endpoint)
        connections, steps = hosts.connections, sum(hosts.steps.values())
        files = (folder / "state" / ".pulumi" / "stacks").rglob("*.json*")
        (state,) = (file for file in files if file.name.endswith((".json", ".json.gz")))
        size = state.stat().st_size
        second, changed = measure(folder, endpoint, workers, "up")
        again = hosts.connections - connections
        hosts.ran.clear()
        grown, _ = measure(folder, endpoint, workers + 1, "up")
        created = Created(
            workers=workers,
            seconds=first.seconds,
            steps=steps,
            connections=connections,
            state_bytes=size,
            second=second,
            changed=changed,
            connections_of_second=again,
            grown=grown,
            grown_hosts=sorted(hosts.ran),
            names=names,
        )
        with console.step("scale", f"destroy of {workers} TaskManagers"):
            operation.the_stack(folder, endpoint, workers + 1).destroy()
    return created


def show(found: Found) -> str:
    """The measurements as a table."""
    lines = ["workers  resources  steps  preview s  CPU s  peak MiB  of which"]
    for point in found.curve:
        parts = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(point.usage.at_peak.items()))
        lines.append(
            f"{point.workers:7}  {point.resources:9}  {point.commands:5}  {point.seconds:9.1f}"
            f"  {point.usage.cpu_seconds:5.1f}  {point.usage.peak_mib:8.0f}  {parts}"
        )
    if it := found.created:
        lines.append(f"up of {it.workers}: {it.seconds:.1f} s, {it.steps} steps over {it.connections} connections")
        lines.append(f"state: {it.state_bytes / 10**6:.2f} MB")
        lines.append(f"Route 53: {it.names['answered']} requests answered, {it.names['throttled']} throttled")
        lines.append(
            f"up with no change: {it.second.seconds:.1f} s, {it.second.usage.peak_mib:.0f} MiB,"
            f" {it.connections_of_second} connections, {len(it.changed)} changes"
        )
        lines.append(f"up with one worker more: {it.grown.seconds:.1f} s, steps on {' '.join(it.grown_hosts)}")
    return "\n".join(lines)


@contextmanager
def moto() -> Iterator[str]:
    """moto as a server, without machines; its URL."""
    with socket.socket() as probe, tempfile.TemporaryDirectory() as scratch:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        argv = [sys.executable, "-m", "stand_ins.aws_cloud.moto_server", "--port", str(port), "--directory", scratch]
        process = subprocess.Popen(argv, cwd=REPO)
        try:
            wait_for("moto", 60, lambda: not _refuses(port) or process.poll() is not None)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return bool(probe.connect_ex(("127.0.0.1", port)))


def inside() -> list[str]:
    """A command prefix that runs a command in a network namespace where every address is local."""
    setup = 'ip link set lo up && ip route add local default dev lo && exec "$@"'
    return ["unshare", "--net", "--", "sh", "-c", setup, "sh"]


def main() -> int:
    """Measure and print; the last line is JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.aws.scale", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10, 30, 100], metavar="N", help="of the curve")
    parser.add_argument("--create", type=int, default=0, metavar="N", help="create so many for real; 0: none")
    parser.add_argument(
        "--writes",
        choices=operation.VARIABLES,
        default="end",
        help="when the engine writes the state: at the end (default), after each step, or that and compressed",
    )
    chosen = parser.parse_args()
    os.environ[operation.WRITES] = chosen.writes
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*inside(), sys.executable, "-m", "tests.aws.scale", *sys.argv[1:]])
    with moto() as endpoint:
        result = Found(curve(endpoint, chosen.sizes), create(endpoint, chosen.create) if chosen.create else None)
    print(show(result))
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Whether anything fails over without a cause: a job on hosts whose CPUs are all busy, with the shortest time-outs."""

import json
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import figures
from drill import records
from lab.cluster import Cluster, Job, wait_for
from lab.rest import Rest
from toolbox import console

LOOK_SECONDS = 10.0
_BURNER = "bench-burner"
_LOGS = "/var/log/flink/flink-*-standalonesession-*.log*"
_ELECTED = "Resource manager service is granted leadership"
_GONE = "(TaskManager|ResourceManager|JobManager) with id .* (timed out|is no longer reachable)"


@dataclass
class Steady:
    """What happened in `minutes`."""

    failover_seconds: int
    minutes: float
    burners: int
    """Processes on each host that only use CPU."""
    busy: float
    """Share of the machine's CPU time that was used, or that a hypervisor took."""
    loads: list[float]
    """Load averages (1 min): the lowest, the median, the highest."""
    leaders: int
    """Changes of the leader."""
    gone: int
    """Heartbeats that timed out or were refused."""
    restarts: int
    """Of the job."""


def measure(cluster: Cluster, minutes: float, failover_seconds: int, burners: int) -> Steady:
    """Measure. The machine may be busy with other programs, too."""
    cluster.overrides["flink:failoverSeconds"] = failover_seconds
    cluster.stack.up()
    cluster.wait_until_whole()
    seconds = 60 * minutes
    # Until it is cancelled
    arguments = ["--output", f"s3://{cluster.s3.bucket}/bench/steady", "--name", "steady", "--checkpoint-seconds", "1"]
    arguments += ["--records", str(int(200 * 2 * seconds)), "--records-per-second", "200"]
    arguments += ["--hurry-file", records.HURRY]
    with _burning(cluster, burners):
        job = Job(cluster, Rest(cluster.urls).run_jar(records.build_jar(cluster.archives), arguments, 2))
        job.wait_for_checkpoints()
        leaders, gone = _logged(cluster, _ELECTED), _logged(cluster, _GONE)
        began, (used, total) = time.monotonic(), _cpu()
        loads = []
        with console.step("bench", f"{minutes:.0f} min with failoverSeconds {failover_seconds}"):
            while time.monotonic() < began + seconds:
                time.sleep(LOOK_SECONDS)
                loads.append(round(os.getloadavg()[0], 1))
        then_used, then_total = _cpu()
        job.wait_for_checkpoints((job.checkpoint() or 0) + 1)
        # The first question only makes the JobManager collect metrics
        path = f"/jobs/{job.job_id}/metrics?get=numRestarts"
        restarts = wait_for("number of restarts", 60, lambda: cluster.rest.get(path))
        found = Steady(
            failover_seconds,
            minutes,
            burners,
            round((then_used - used) / (then_total - total), 3),
            [min(loads), statistics.median(loads), max(loads)],
            _logged(cluster, _ELECTED) - leaders,
            _logged(cluster, _GONE) - gone,
            int(float(restarts[0]["value"])),
        )
        job.cancel()
    return found


@contextmanager
def _burning(cluster: Cluster, burners: int) -> Iterator[None]:
    units = [f"{_BURNER}-{number}" for number in range(burners)]
    try:
        for host in cluster.lab.hosts:
            for unit in units:
                cluster.lab.ssh(host, f"sudo -n systemd-run -q --unit={unit} sh -c 'while :; do :; done'")
        yield
    finally:
        for host in cluster.lab.hosts:
            if units:
                cluster.lab.ssh(host, f"sudo -n systemctl stop {' '.join(units)}", check=False)


def _logged(cluster: Cluster, pattern: str) -> int:
    """Lines of JobManagers' logs."""
    command = f"sudo -n sh -c \"cat {_LOGS} | grep -cE '{pattern}'\""
    shown = [cluster.lab.ssh(name, command, check=False).stdout for name in cluster.hosts("jobmanager")]
    return sum(int(text) for text in shown)


def _cpu() -> tuple[int, int]:
    """CPU time of this machine: used or taken away, and all."""
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    ticks = [int(word) for word in words]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = Steady(**json.loads(file.read_text()))
    rows = [
        ["`failoverSeconds`", str(found.failover_seconds)],
        ["minutes", f"{found.minutes:.0f}"],
        ["processes on each host that only use CPU", str(found.burners)],
        ["CPU in use", f"{100 * found.busy:.0f} %"],
        ["load, median", f"{found.loads[1]:.1f}"],
        ["changes of the leader", str(found.leaders)],
        ["heartbeats that timed out or were refused", str(found.gone)],
        ["restarts of the job", str(found.restarts)],
    ]
    return figures.table(["", ""], rows)

"""What TLS costs: throughput and CPU time of a job that sends half of its records to the other TaskManager, with and
without TLS, alternating on the same cluster.
"""

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from drill import records
from lab import flights
from lab.cluster import Cluster, Job, wait_for
from lab.rest import Rest
from toolbox import console

RECORDS = 10_000_000
FINISHED_SECONDS = 1200
_PROCESS_TIMES = "cut -d' ' -f14,15 /proc/$(systemctl show -p MainPID --value flink-taskmanager)/stat"
"""User and system time of a TaskManager, in clock ticks."""


@dataclass
class Cost:
    """One entry for each round: seconds from the job's start to its end, and CPU seconds of the TaskManagers."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


@dataclass
class Costs:
    """Without and with TLS."""

    plain: Cost = field(default_factory=Cost)
    tls: Cost = field(default_factory=Cost)
    loads: list[float] = field(default_factory=list)


def measure(cluster: Cluster, rounds: int) -> Costs:
    """Measure, alternating; the cluster ends without TLS."""
    found = Costs()
    for number in range(rounds):
        for cost, tls in ((found.plain, False), (found.tls, True)):
            cluster.overrides["flink:tls"] = tls
            cluster.stack.up()
            cluster.wait_until_whole()
            found.loads.append(round(os.getloadavg()[0], 1))
            _run(cluster, f"{'tls' if tls else 'plain'}-{number}", cost)
    cluster.overrides["flink:tls"] = False
    cluster.stack.up()
    return found


def _run(cluster: Cluster, name: str, cost: Cost) -> None:
    output = f"s3://{cluster.s3.bucket}/bench/{name}"
    flights.remove_result(cluster.s3, output)
    arguments = ["--output", output, "--name", name, "--records", str(RECORDS), "--checkpoint-seconds", "10"]
    # In a hurry from the beginning
    arguments += ["--records-per-second", "200", "--hurry-file", "/etc/hostname"]
    with console.step("bench", f"{name} (load {os.getloadavg()[0]:.1f})") as step:
        before = _cpu_seconds(cluster)
        job = Job(cluster, Rest(cluster.urls).run_jar(records.build_jar(cluster.archives), arguments, 4))
        wait_for("the end of the job", FINISHED_SECONDS, job.ended)
        cost.cpu_seconds.append(round(_cpu_seconds(cluster) - before, 1))
        found: dict[str, Any] = cluster.rest.get(f"/jobs/{job.job_id}")
        assert found["state"] == "FINISHED", found["state"]
        cost.seconds.append(round(found["duration"] / 1000, 1))
        step.result = f"{cost.seconds[-1]} s, {cost.cpu_seconds[-1]} CPU seconds"
    flights.remove_result(cluster.s3, output)


def _cpu_seconds(cluster: Cluster) -> float:
    # From the processes: systemd counts no CPU time where the kernel's cgroups are those of version 1
    shown = [cluster.lab.ssh(name, _PROCESS_TIMES).stdout for name in cluster.hosts("taskmanager")]
    return sum(sum(map(int, text.split())) for text in shown) / os.sysconf("SC_CLK_TCK")


def write(found: Costs, file: Path) -> None:
    """Store the figures."""
    file.write_text(json.dumps(asdict(found), indent=1) + "\n")


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = json.loads(file.read_text())
    table = ["|  | without TLS | with TLS | ratio |", "| --- | --- | --- | --- |"]
    for key, title in (("seconds", "records per second"), ("cpu_seconds", "CPU microseconds per record")):
        plain, tls = ([_per_record(key, value) for value in found[which][key]] for which in ("plain", "tls"))
        ratio = statistics.median(tls) / statistics.median(plain)
        table.append(f"| {title} | {_shown(plain)} | {_shown(tls)} | {ratio:.2f} |")
    return table


def _per_record(key: str, value: float) -> float:
    return RECORDS / value if key == "seconds" else value / RECORDS * 1e6


def _shown(values: Sequence[float]) -> str:
    def text(value: float) -> str:
        return f"{value:,.0f}" if value > 1000 else f"{value:.1f}"

    return f"{text(statistics.median(values))} ({' '.join(map(text, values))})"

"""Throughput and CPU time of the records job, which sends half of its records to the other TaskManager: for comparisons
of a cluster in two forms, alternating in one run.
"""

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drill import records
from lab import flights
from lab.cluster import Cluster, Job, wait_for
from lab.rest import Rest
from toolbox import console

RECORDS = 10_000_000
FINISHED_SECONDS = 1200


@dataclass
class Cost:
    """One entry for each round: seconds from the job's start to its end, and CPU seconds of the TaskManagers."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def run(cluster: Cluster, name: str, cost: Cost, number: int = RECORDS) -> None:
    """Run the job once, and add what it took."""
    output = f"s3://{cluster.s3.bucket}/bench/{name}"
    flights.remove_result(cluster.s3, output)
    arguments = ["--output", output, "--name", name, "--records", str(number), "--checkpoint-seconds", "10"]
    # In a hurry from the beginning
    arguments += ["--records-per-second", "200", "--hurry-file", "/etc/hostname"]
    with console.step("bench", f"{name} (load {os.getloadavg()[0]:.1f})") as step:
        before = cpu_seconds(cluster, "flink-taskmanager")
        job = Job(cluster, Rest(cluster.urls).run_jar(records.build_jar(cluster.archives), arguments, 4))
        wait_for("the end of the job", FINISHED_SECONDS, job.ended)
        cost.cpu_seconds.append(round(cpu_seconds(cluster, "flink-taskmanager") - before, 1))
        found: dict[str, Any] = cluster.rest.get(f"/jobs/{job.job_id}")
        assert found["state"] == "FINISHED", found["state"]
        cost.seconds.append(round(found["duration"] / 1000, 1))
        step.result = f"{cost.seconds[-1]} s, {cost.cpu_seconds[-1]} CPU seconds"
    flights.remove_result(cluster.s3, output)


def cpu_seconds(cluster: Cluster, *units: str) -> float:
    """User and system time of the units' processes on the TaskManagers' hosts."""
    # From the processes: systemd counts no CPU time where the kernel's cgroups are those of version 1
    command = (
        f"for pid in $(systemctl show -p MainPID --value {' '.join(units)}); do "
        "[ $pid = 0 ] || cut -d' ' -f14,15 /proc/$pid/stat; done"
    )
    shown = [cluster.lab.ssh(name, command).stdout for name in cluster.hosts("taskmanager")]
    return sum(sum(map(int, text.split())) for text in shown) / os.sysconf("SC_CLK_TCK")


def table(found: Mapping[str, Any], forms: Mapping[str, str], number: int = RECORDS) -> list[str]:
    """A table in Markdown of stored figures. `forms`: key → title, of the two forms; `number`: of records."""
    table = [f"|  | {' | '.join(forms.values())} | ratio |", "| --- | --- | --- | --- |"]
    for key, title in (("seconds", "records per second"), ("cpu_seconds", "CPU microseconds per record")):
        first, second = ([_per_record(key, value, number) for value in found[form][key]] for form in forms)
        ratio = statistics.median(second) / statistics.median(first)
        table.append(f"| {title} | {shown(first)} | {shown(second)} | {ratio:.2f} |")
    return table


def _per_record(key: str, value: float, number: int) -> float:
    return number / value if key == "seconds" else value / number * 1e6


def shown(values: Sequence[float]) -> str:
    """The median, with all values in brackets."""

    def text(value: float) -> str:
        return f"{value:,.0f}" if value > 1000 else f"{value:.1f}"

    return f"{text(statistics.median(values))} ({' '.join(map(text, values))})"

"""What metrics and logs cost a job: its throughput and CPU time without a monitoring host and with one, one after the
other in each round, which begins with fresh hosts.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import throughput
from bench.throughput import Cost
from lab.cluster import Cluster

AGENTS = ("flink-logs", "flink-exporter")


@dataclass
class Costs:
    """Without and with a monitoring host."""

    off: Cost = field(default_factory=Cost)
    on: Cost = field(default_factory=Cost)
    agents: list[float] = field(default_factory=list)
    """CPU seconds of the agents of metrics and logs on the TaskManagers' hosts, during the job."""
    loads: list[float] = field(default_factory=list)


def measure(new: Callable[[], Cluster], rounds: int) -> Costs:
    """Measure, alternating. `new`: a cluster on fresh hosts, without a monitoring host; it gets one."""
    found = Costs()
    for number in range(rounds):
        cluster = new()
        cluster.wait_until_whole()
        found.loads.append(round(os.getloadavg()[0], 1))
        throughput.run(cluster, f"off-{number}", found.off)
        cluster.lab.up(monitoring=1)
        cluster.stack.up()
        cluster.wait_until_whole()
        found.loads.append(round(os.getloadavg()[0], 1))
        before = throughput.cpu_seconds(cluster, *AGENTS)
        throughput.run(cluster, f"on-{number}", found.on)
        found.agents.append(round(throughput.cpu_seconds(cluster, *AGENTS) - before, 1))
    return found


def write(found: Costs, file: Path) -> None:
    """Store the figures."""
    file.write_text(json.dumps(asdict(found), indent=1) + "\n")


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = json.loads(file.read_text())
    table = throughput.table(found, {"off": "without", "on": "with metrics and logs"})
    agents = throughput.shown([1e6 * value / throughput.RECORDS for value in found["agents"]])
    return [*table, f"| of the agents, CPU microseconds per record |  | {agents} |  |"]

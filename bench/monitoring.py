"""What metrics and logs cost a job: its throughput and CPU time on a cluster with a monitoring host, while all that
belongs to it is stopped, and while it runs, alternating, in short runs: what else a shared machine does hits both.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from bench import figures, throughput
from bench.throughput import Cost
from components.monitoring import targets
from lab.cluster import Cluster, wait_for

AGENTS = ("flink-logs", "flink-exporter")
"""On every host."""
CENTRAL = ("flink-prometheus", "flink-alertmanager", "flink-logstore")
"""On the monitoring host."""
RECORDS = 4_000_000
_BOUND = 180


@dataclass
class Costs:
    """While it is stopped, and while it runs."""

    off: Cost = field(default_factory=Cost)
    on: Cost = field(default_factory=Cost)
    agents: list[float] = field(default_factory=list)
    """CPU seconds of the agents of metrics and logs on the TaskManagers' hosts, during the job."""
    loads: list[float] = field(default_factory=list)


def measure(cluster: Cluster, rounds: int) -> Costs:
    """Measure, in turns."""
    found = Costs()
    try:
        for number, on in figures.turns(rounds):
            _switch(cluster, on)
            cluster.wait_until_whole()
            found.loads.append(round(os.getloadavg()[0], 1))
            before = throughput.cpu_seconds(cluster, *AGENTS)
            name, cost = (f"on-{number}", found.on) if on else (f"off-{number}", found.off)
            throughput.run(cluster, name, cost, RECORDS)
            if on:
                found.agents.append(round(throughput.cpu_seconds(cluster, *AGENTS) - before, 2))
    finally:
        _switch(cluster, True)
    return found


def _switch(cluster: Cluster, on: bool) -> None:
    """Start or stop everything of metrics and logs, and wait until all hosts are seen."""
    word = "start" if on else "stop"
    for host in cluster.lab.hosts:
        units = [*AGENTS, *(CENTRAL if host.role == "monitoring" else ())]
        cluster.lab.ssh(host, f"sudo -n systemctl {word} {' '.join(units)}", timeout=_BOUND)
    if not on:
        return
    url = f"{targets.prometheus_url(None)}/api/v1/query"
    ask = f"curl -sf --get {url} --data-urlencode 'query=count(up == 1) == count(up) and count(up) > 1'"

    def all_seen() -> bool:
        text = cluster.lab.ssh("mon-0", ask, check=False).stdout
        return bool(text and json.loads(text)["data"]["result"])

    wait_for("the metrics of all hosts", _BOUND, all_seen)


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = json.loads(file.read_text())
    table = throughput.table(found, {"off": "without", "on": "with metrics and logs"}, RECORDS)
    agents = throughput.shown([1e6 * value / RECORDS for value in found["agents"]])
    return [*table, f"| of the agents, CPU microseconds per record |  | {agents} |  |"]

"""What TLS costs: throughput and CPU time of a job that sends half of its records to the other TaskManager, with and
without TLS, alternating on the same cluster.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from bench import throughput
from bench.throughput import Cost
from lab.cluster import Cluster


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
            throughput.run(cluster, f"{'tls' if tls else 'plain'}-{number}", cost)
    cluster.overrides["flink:tls"] = False
    cluster.stack.up()
    return found


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    return throughput.table(json.loads(file.read_text()), {"plain": "without TLS", "tls": "with TLS"})

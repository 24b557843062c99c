"""Seconds and CPU seconds of the start of a Flink daemon: by Flink's own start script, with its launch, and with its
launch and an archive of classes. Alternating, on hosts of a running cluster, so that the ratios do not depend on other
programs on this machine.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import figures
from lab.cluster import Cluster
from toolbox import console

WAYS = ("bin/*.sh start-foreground", "launch", "launch with archived classes")
ROLES = {"jobmanager": "until REST answers", "taskmanager": "until it is registered"}

_MEASURE = (Path(__file__).parent / "start.sh").read_text()
"""Starts the daemon in one of the ways, in a separate unit, and prints the times; then restarts the original one.
"""

ENTRYPOINTS = {
    "jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}


@dataclass
class Starts:
    """Seconds and CPU seconds by role, and then by way, one entry for each round."""

    seconds: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    cpu: dict[str, dict[str, list[float]]] = field(default_factory=dict)


def measure(cluster: Cluster, rounds: int) -> Starts:
    """Measure all ways, alternating, on a standby JobManager and a TaskManager."""
    found = Starts()
    leader = cluster.leader()
    standby = next(name for name in cluster.hosts("jobmanager") if name != leader)
    hosts = {"jobmanager": standby, "taskmanager": cluster.hosts("taskmanager")[0]}
    for name in hosts.values():
        cluster.lab.ssh(name, "sudo -n systemctl start flink-classes", timeout=600)
        cluster.lab.ssh(name, "sudo -n sh -c 'ls /var/lib/flink/cds/*.jsa'")
    for number in range(rounds):
        for role, host in hosts.items():
            for way in WAYS:
                with console.step("bench", f"start {number + 1} of a {role}: {way}"):
                    words = ["bash", "-s", "--", f"flink-{role}", way, role, ENTRYPOINTS[role]]
                    took = json.loads(cluster.lab.ssh(host, words, input=_MEASURE, timeout=180).stdout)
                for what, values in ((found.seconds, took["seconds"]), (found.cpu, took["cpu"])):
                    what.setdefault(role, {}).setdefault(way, []).append(values)
            cluster.wait_until_whole()
    return found


def lines(seconds: Mapping[str, Mapping[str, Sequence[float]]], cpu: Mapping[str, Any]) -> list[str]:
    """A table in Markdown, with the ratios to Flink's own script; `seconds` and `cpu` as in `Starts`."""
    rows = []
    for role, until in ROLES.items() if seconds else ():
        for way in WAYS:
            took = [_figures(found[role][way], found[role][WAYS[0]]) for found in (seconds, cpu)]
            rows.append([f"{role} {until}: {way}", *took[0], *took[1]])
    return figures.table(["start", "seconds", "ratio", "CPU seconds", "ratio"], rows)


def _figures(values: Sequence[float], than: Sequence[float]) -> list[str]:
    middle = statistics.median(values)
    return [f"{middle:.1f}", f"{middle / statistics.median(than):.2f}"]

"""How long a daemon of Flink's takes to start, and what it costs: by Flink's own start script, by its launch, and by
its launch with an archive of classes. In turns, on hosts of a running cluster, so that the ratios hold whatever else
this machine does.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.cluster import Cluster
from toolbox import console

WAYS = ("bin/*.sh start-foreground", "launch", "launch with archived classes")
ROLES = {"jobmanager": "until REST answers", "taskmanager": "until it is registered"}

_MEASURE = (Path(__file__).parent / "start.sh").read_text()
"""Starts the daemon in one of the ways, in a unit of its own, and prints what that took; then the old one runs again.
"""

ENTRYPOINTS = {
    "jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}


@dataclass
class Starts:
    """Seconds and CPU seconds by role and way, an entry a round."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    cpu: dict[tuple[str, str], list[float]] = field(default_factory=dict)


def measure(cluster: Cluster, rounds: int) -> Starts:
    """In turns; a standby JobManager and a TaskManager."""
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
                found.seconds.setdefault((role, way), []).append(took["seconds"])
                found.cpu.setdefault((role, way), []).append(took["cpu"])
            cluster.wait_until_whole()
    return found


def lines(found: Starts) -> list[str]:
    """What was measured, as text."""
    shown: list[str] = []
    for role, until in ROLES.items() if found.seconds else ():
        shown.append(f"start of a {role} {until}; ratio to {WAYS[0]}")
        for way in WAYS:
            seconds, cpu = found.seconds[role, way], found.cpu[role, way]
            took = _figure(seconds, found.seconds[role, WAYS[0]], "s")
            shown.append(f"    {way:<32}{took} {_figure(cpu, found.cpu[role, WAYS[0]], 'CPU s')}")
    return shown


def _figure(values: Sequence[float], than: Sequence[float], unit: str) -> str:
    middle = statistics.median(values)
    return f"{middle:6.1f} {unit} ({middle / statistics.median(than):.2f})"

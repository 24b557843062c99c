"""Seconds and CPU seconds of the start of a Flink daemon: by Flink's own start script, with its launch, and with its
launch and an archive of classes. Alternating, on hosts of a running cluster, so that the ratios do not depend on other
programs on this machine.
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
"""Starts the daemon in one of the ways, in a separate unit, and prints the times; then restarts the original one.
"""

ENTRYPOINTS = {
    "jobmanager": "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
    "taskmanager": "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
}


@dataclass
class Starts:
    """Seconds and CPU seconds by role and way, one entry for each round."""

    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    cpu: dict[tuple[str, str], list[float]] = field(default_factory=dict)


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
                found.seconds.setdefault((role, way), []).append(took["seconds"])
                found.cpu.setdefault((role, way), []).append(took["cpu"])
            cluster.wait_until_whole()
    return found


def lines(found: Starts) -> list[str]:
    """The measurements as text."""
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

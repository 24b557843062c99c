"""How long a daemon of Flink's takes to start, and what it costs: by Flink's own start script, by its launch, and by its
launch with an archive of classes. In turns, on hosts of a running cluster, so that the ratios hold whatever else this
machine does.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from lab import console
from lab.cluster import Cluster

WAYS = ("bin/*.sh start-foreground", "launch", "launch with archived classes")
ROLES = {"jobmanager": "until REST answers", "taskmanager": "until it is registered"}

_MEASURE = r"""
set -euo pipefail
unit=$1 way=$2 role=$3 entry=$4
sudo() { command sudo -n "$@"; }
launch=$(readlink /var/lib/flink/launch/current)
archive=/var/lib/flink/cds/$(cat "$launch/classes").jsa
set -- "$launch/start"
case $way in
  launch) hidden=$archive ;;
  bin*)
    hidden=
    mapfile -d '' words <"$launch/argv"
    arguments=() found=false
    # What the unit gave the script, which puts it after what it found out itself
    for word in "${words[@]}"; do [ "$found" = false ] || arguments+=("$word"); [ "$word" != "$entry" ] || found=true; done
    set -- /opt/flink/bin/$role.sh start-foreground
    [ $role = jobmanager ] && set -- "$@" "$(hostname)" 8081 || set -- "$@" "${arguments[@]: -4}"
    ;;
  *) hidden= ;;
esac
sudo systemctl stop "$unit" flink-classes
while pgrep -u flink java >/dev/null; do sleep 0.05; done
[ -z "$hidden" ] || sudo mv "$hidden" "$hidden.hidden"
sync
trap '[ -z "$hidden" ] || sudo mv "$hidden.hidden" "$hidden"; sudo systemctl stop bench-start 2>/dev/null; sudo systemctl start "$unit"' EXIT
since=$(date +%s)
began=$(date +%s.%N)
sudo systemd-run -q --unit bench-start --uid flink --gid flink -p EnvironmentFile=-/etc/flink/credentials.env -p RuntimeDirectory=bench-start \
  -p PrivateTmp=yes -p LimitNOFILE=1048576 -E FLINK_PID_DIR=/run/bench-start -E USER=flink -E HOME=/var/lib/flink "$@"
of_use() {
  if [ $role = jobmanager ]; then
    curl -fsS -o /dev/null --max-time 2 http://localhost:8081/config 2>/dev/null
  else
    sudo journalctl -u bench-start --since "@$since" -o cat | grep -q 'Successful registration at resource manager'
  fi
}
for ((i = 0; i < 1500; i++)); do
  if of_use; then
    seconds=$(echo "$(date +%s.%N) $began" | awk '{print $1 - $2}')
    pid=$(systemctl show -p MainPID --value bench-start)
    # Of the process and of those that it has waited for, in hundredths
    cpu=$(awk '{print ($14 + $15 + $16 + $17) / 100}' "/proc/$pid/stat")
    echo "{\"seconds\": $seconds, \"cpu\": $cpu}"
    exit 0
  fi
  sleep 0.05
done
exit 1
"""
"""Starts the daemon in one of the ways, in a unit of its own, and prints what that took; then the old one runs again."""

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

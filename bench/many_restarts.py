"""A rollout over 100 TaskManagers: what the tool adds to the time that they take.

The tool is the host tool, on one host of a lab; it logs in by real SSH to 100 addresses of another one. There a script
plays the tool of a TaskManager's host, whose daemon ends and becomes healthy after fixed times, and on the first host a
server answers as REST: all daemons of a real cluster would start on this machine's few cores, which would be measured
instead.
"""

import base64
import io
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from components import ports
from lab.lab import Lab
from toolbox import console
from toolbox.paths import REPO

TASKMANAGERS, AT_ONCE = 100, 10
END_SECONDS = 1.0
"""From the signal to the end of the process."""
START_SECONDS = (4.0, 9.0)
"""From there until it is healthy. The first is that of a lab's TaskManager, with what systemd waits."""
TOOL = "/usr/local/lib/flink/flink-host"
_JM, _TM = "jm-0", "tm-0"


@dataclass
class Rollout:
    """One rollout."""

    restart_seconds: float
    """From the signal until the daemon is healthy."""
    seconds: float
    expected: float
    """(TaskManagers / maxUnavailable) x `restart_seconds`."""
    cpu_seconds: float
    """Of the tool and its `ssh`s."""
    load: float


def measure(lab: Lab) -> list[Rollout]:
    """Create two hosts, and roll out."""
    lab.up(workers=1, jobmanagers=1, zookeepers=0)
    with console.step("scale", f"{_TM} plays {TASKMANAGERS} TaskManagers"):
        _prepare(lab)
    return [_run(lab, seconds) for seconds in START_SECONDS]


def _run(lab: Lab, start: float) -> Rollout:
    names = [f"tm-{number}" for number in range(TASKMANAGERS)]
    values = {
        **{"host": _JM, "pending": names, "jobmanagers": [_JM], "taskmanagers": names},
        **{"restPort": ports.number("rest"), "strategy": "rolling", "maxUnavailable": AT_ONCE},
        **{"highAvailability": False, "seconds": 60, "user": "flink"},
    }
    times = f"{END_SECONDS} {1000 * start:.0f}"
    lab.ssh(_TM, f"sudo -n sh -c 'umask 0; rm -rf /run/played; mkdir /run/played; echo {times} >/run/played/times'")
    restart, load = END_SECONDS + start, os.getloadavg()[0]
    with console.step("scale", f"rollout over {TASKMANAGERS}, of which each takes {restart:g} s") as step:
        done = lab.ssh(
            _JM,
            "cd /opt/tool && TIMEFORMAT='%R %U %S' && time sudo -n python3 -m host_tool rollout",
            input=json.dumps(values),
            timeout=600,
        )
        seconds, user, system = map(float, done.stderr.splitlines()[-1].split())
        found = Rollout(restart, seconds, TASKMANAGERS / AT_ONCE * restart, user + system, load)
        step.result = f"the tool added {100 * (seconds / found.expected - 1):.1f} %"
    return found


def _prepare(lab: Lab) -> None:
    """Give one host the addresses and the script, and the other one the names, the tool and the server."""
    addresses = [lab.network.address(100 + number) for number in range(TASKMANAGERS)]
    key = "/home/flink/.ssh/id_ed25519"
    make = "sudo -n useradd --create-home --shell /bin/bash flink"
    public = lab.ssh(
        _JM, f"{make} && sudo -n -u flink ssh-keygen -q -t ed25519 -N '' -f {key} && sudo -n cat {key}.pub"
    ).stdout
    known = f"tm-* {lab.machine(_TM).host_key}\n"
    _put(lab, _JM, "/home/flink/.ssh/known_hosts", known)
    _put(lab, _JM, "/etc/hosts", "".join(f"{at} tm-{number}\n" for number, at in enumerate(addresses)), add=True)
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(REPO / "host_tool", "host_tool")
        text = base64.b64encode(packed.getvalue()).decode()
    lab.ssh(_JM, "sudo -n install -d -m 0755 /opt/tool && base64 -d | sudo -n tar -x -C /opt/tool", input=text)
    _put(lab, _JM, "/opt/tool/rest.py", _REST)
    lab.ssh(_JM, f"sudo -n systemd-run --quiet --working-directory=/opt/tool python3 rest.py {TASKMANAGERS}")
    lab.ssh(_TM, make)
    _put(lab, _TM, "/home/flink/.ssh/authorized_keys", public)
    _put(lab, _TM, TOOL, _PLAYED, mode="0755")
    # One sshd in place of a hundred
    _put(lab, _TM, "/etc/ssh/sshd_config.d/20-many.conf", "MaxStartups 500\n")
    added = "\n".join(f"address add {at}/24 dev host0" for at in addresses[1:])
    lab.ssh(_TM, "sudo -n ip -batch - && sudo -n systemctl reload ssh", input=added)


def _put(lab: Lab, host: str, path: str, text: str, *, mode: str = "0644", add: bool = False) -> None:
    tee = f"sudo -n tee {'-a' if add else ''} {path} >/dev/null && sudo -n chmod {mode} {path}"
    lab.ssh(host, f"sudo -n install -d -m 0755 {Path(path).parent} && {tee}", input=text)


_PLAYED = """\
#!/bin/sh
# A TaskManager's host, as host_tool/daemon.py: it is healthy from the time that its file says
set -- "$1" "${SSH_CONNECTION% *}"
file=/run/played/${2##* }
read -r end start </run/played/times
case $1 in
  state) if [ -e "$file" ]; then echo current flink flink go; else echo pending flink flink go; fi ;;
  switch) sleep "$end" && echo $(($(date +%s%3N) + start)) >"$file" ;;
  proves)
    read -r from <"$file"
    left=$((from - $(date +%s%3N)))
    [ "$left" -le 0 ] || sleep "$(((left + 199) / 200 * 200))e-3"
    ;;
esac
"""
_REST = """\
import http.server, json, sys

MORE = {"freeSlots": 2, "hardware": {"cpuCores": 2}, "memoryConfiguration": dict.fromkeys(map(str, range(30)), 10**9)}
ANSWERS = {
    "/taskmanagers": {"taskmanagers": [{"id": f"tm-{number}", **MORE} for number in range(int(sys.argv[1]))]},
    "/jobs/overview": {"jobs": [{"jid": "0" * 32, "name": "job", "state": "RUNNING",
                                 "tasks": {"running": 2, "finished": 0, "total": 2, "failed": 0}}]},
}

class Rest(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("", 8081), Rest).serve_forever()
"""

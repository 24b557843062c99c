"""The baseline: the same steps by plain parallel `ssh`, without an engine, state or a plan.

One loop for each host, all hosts in parallel, and a barrier where hosts depend on each other. Nothing is rendered or
decided here: the scripts are those that Pulumi ran. Only Flink's daemons start as in a hand-written script: by a unit
that runs Flink's `bin/*.sh start-foreground`. Each step has its own connection, as in a shell script and in Pulumi; or,
with `shared`, one connection serves all steps of a host (ControlMaster), the fastest possible ssh.
"""

import re
import shlex
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components import scripts
from lab.errors import LabError
from lab.lab import Lab
from ops import state

# First what a host does alone, then what needs other hosts: ZooKeeper before Flink, Flink before the cluster check
PHASES: tuple[tuple[str, ...], ...] = (
    ("probe",),
    ("system", "java", "zookeeper", "flink", "config", "credentials"),
    ("members", "trust"),
    ("zookeeper service",),
    ("ensemble",),
    ("flink service",),
    ("cluster",),
)

_USED = "user and system time:"
"""Begins the last line of what a step says here."""
_VALUE = re.compile(r"^(\w+)=((?:'[^']*'|[^'\n])*)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A step that Pulumi ran: its host, its kind, the command and its stdin."""

    host: str
    what: str
    create: str
    stdin: str


def steps(deployment: dict[str, Any]) -> list[Step]:
    """The steps in a stack's exported state."""
    found = []
    for name, inputs in state.commands(deployment):
        (host, _, what), text = name.rpartition("-"), inputs["stdin"]
        if what == "service":
            what = "zookeeper service" if "unit=zookeeper\n" in text else "flink service"
        if (what in _BY_SCRIPTS and "step=launch.sh" in text) or what == "flink service":
            text = _instead(text, _BY_SCRIPTS[what])
        found.append(Step(host, what, inputs["create"], text))
    return found


_BY_SCRIPTS = {
    "config": "apply() { write_files; }",
    "flink service": r"""
apply() {
  write_files
  local role=${unit#flink-} arguments
  arguments="-D taskmanager.host=$host -D taskmanager.resource-id=$host"
  [ "$role" = taskmanager ] || arguments="$host 8081"
  sed -i -e "s|^ExecStart=.*|ExecStart=/opt/flink/bin/$role.sh start-foreground $arguments|" \
    -e "s|^Type=.*|&\nEnvironment=FLINK_PID_DIR=/run/$unit|" -e /^ExecStartP/d "/etc/systemd/system/$unit.service"
  systemctl daemon-reload
  systemctl enable -q --now "$unit"
}
""",
}
"""Replacements of `apply` by kind of step."""


def _instead(text: str, function: str) -> str:
    """The step's script with another `apply`: bash calls the last definition."""
    body, last = text.rstrip("\n").rsplit("\n", 1)
    return f"{body}\n{function}\n{last}\n"


def run(lab: Lab, todo: Sequence[Step], *, shared: bool) -> dict[str, float]:
    """Run the steps; returns the CPU seconds of each kind on all hosts. Raises LabError for the first that fails."""
    used: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ThreadPoolExecutor(len(lab.hosts)) as pool:
        sockets = Path(folder) if shared else None
        list(pool.map(lambda host: _copy_scripts(lab, host.name, sockets), lab.hosts))
        for phase in PHASES:
            by_host: defaultdict[str, list[Step]] = defaultdict(list)
            for what in phase:
                for step in todo:
                    if step.what == what:
                        by_host[step.host].append(step)
            for each in pool.map(lambda host, work=by_host: _on_host(lab, host, work[host], sockets), by_host):
                for what, seconds in each:
                    used[what] += seconds
        if sockets:
            for host in lab.hosts:
                _ssh(lab, host.name, sockets, ["-O", "exit"], "")
    return {what: round(seconds, 1) for what, seconds in used.items()}


def change(lab: Lab, todo: Sequence[Step]) -> None:
    """Write the configuration of a changed setting on all hosts in parallel, then restart the daemons one after the
    other, each when the one before is healthy. Raises LabError for the first that is not.
    """
    configs = [step for step in todo if step.what == "config"]
    with ThreadPoolExecutor(len(configs)) as pool:
        list(pool.map(lambda step: _on_host(lab, step.host, [step], None), configs))
    for step in todo:
        if step.what == "flink service":
            values = values_of(step.stdin)
            unit, health = values["unit"], values["health"].strip("()")
            asked = f"sudo -n /usr/local/lib/flink/flink-host healthy --within 120 {health}"
            done = _ssh(lab, step.host, None, [f"sudo -n systemctl restart {unit} && {asked}"], "")
            if done.returncode:
                raise LabError(f"{step.host} {unit}: {done.stderr.strip()[-2000:]}")


def values_of(text: str) -> dict[str, str]:
    """The values at the beginning of a step's script; a list as bash writes it."""
    head = text.partition("\nwrite_files() {")[0]
    found = dict(_VALUE.findall(head))
    return {name: value if value.startswith("(") else shlex.split(f"{value} ''")[0] for name, value in found.items()}


def _copy_scripts(lab: Lab, host: str, sockets: Path | None) -> None:
    """The steps' texts only say which scripts they use."""
    done = _ssh(lab, host, sockets, [f"cat >{scripts.place(host)}"], scripts.whole())
    if done.returncode:
        raise LabError(f"{host} scripts: {done.stderr.strip()[-2000:]}")


def _on_host(lab: Lab, host: str, work: Sequence[Step], sockets: Path | None) -> list[tuple[str, float]]:
    used = []
    for step in work:
        # The login shell is bash, as on most machines
        done = _ssh(lab, host, sockets, [f"LC_ALL=C TIMEFORMAT='{_USED} %U %S'; time {{ {step.create}; }}"], step.stdin)
        if done.returncode:
            raise LabError(f"{host} {step.what}: {done.stderr.strip()[-2000:]}")
        used.append((step.what, sum(map(float, done.stderr.rpartition(_USED)[2].split()))))
    return used


def _ssh(lab: Lab, host: str, sockets: Path | None, words: list[str], text: str) -> "subprocess.CompletedProcess[str]":
    *options, destination = lab.machine(host).ssh_argv()
    if sockets:
        options += ["-o", "ControlMaster=auto", "-o", f"ControlPath={sockets}/{host}", "-o", "ControlPersist=600"]
    argv = [*options, *words, destination] if words[0] == "-O" else [*options, destination, *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=False)

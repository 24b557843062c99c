"""The same work by Ansible (ansible-core) with its usual modules: `bench/ansible/cluster.yml`.

Nothing is rendered here: releases, files and names are those of the steps that Pulumi ran, without the host tool, which
a playbook does not need. As with plain ssh, Flink's daemons start by a unit that runs Flink's `bin/*.sh
start-foreground`.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plain_ssh import Step, values_of
from components import scripts
from lab.errors import LabError
from lab.hosts import ADMIN
from lab.lab import Lab

PLAYBOOK = Path(__file__).parent / "ansible" / "cluster.yml"

_FILE = re.compile(r"^  write_file (\S+) (\d+) (\S+) <<'END_OF_FILE'\n(.*?)^END_OF_FILE$", re.MULTILINE | re.DOTALL)
_SHIPPED = re.compile(r"^  (from_\w+) write_file (\S+) (\d+) (\S+)$", re.MULTILINE)
"""A file that the hosts have from the program (components/scripts.py)."""
_RELEASES = {"java", "flink", "zookeeper"}
_OURS = re.compile(r"^(?:ExecStartP|ExecStopPost).*\n", re.MULTILINE)
"""What only Pulumi's daemons have in their units: marks of a rollout, launches, sessions that are given up."""


def run(lab: Lab, todo: Sequence[Step]) -> None:
    """Run the playbook. Raises LabError with the end of its output."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        inventory = Path(folder) / "inventory.json"
        inventory.write_text(json.dumps(_inventory(lab, todo)))
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), str(PLAYBOOK)]
        environment = {**os.environ, "ANSIBLE_CONFIG": str(PLAYBOOK.with_name("ansible.cfg")), "ANSIBLE_HOME": folder}
        done = subprocess.run(argv, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"ansible-playbook ended with status {done.returncode}:\n{done.stdout[-3000:]}")


def _inventory(lab: Lab, todo: Sequence[Step]) -> dict[str, Any]:
    by_host: defaultdict[str, list[Step]] = defaultdict(list)
    for step in todo:
        by_host[step.host].append(step)
    groups: dict[str, Any] = {role: {"hosts": {}} for role in ("zookeeper", "jobmanager", "taskmanager")}
    for host in lab.hosts:
        groups[host.role]["hosts"][host.name] = _variables(lab, host.name, host.role, by_host[host.name])
    groups["flink"] = {"children": {"jobmanager": {}, "taskmanager": {}}}
    return groups


def _variables(lab: Lab, name: str, role: str, steps: Sequence[Step]) -> dict[str, Any]:
    """What the playbook needs to know of a host."""
    # The last word is the destination
    machine, options = lab.host(name), lab.machine(name).ssh_argv()[1:-1]
    found: dict[str, Any] = {
        "ansible_host": machine.address,
        "ansible_user": ADMIN,
        "ansible_ssh_common_args": shlex.join(options),
        "releases": [],
        "files": [],
    }
    for step in steps:
        values = values_of(step.stdin)
        if step.what in _RELEASES:
            found["releases"].append(_release(values))
        if step.what == "flink":
            found |= {"plugin": shlex.split(values["plugin"].strip("()"))[0], "flink_version": values["version"]}
        if step.what == "system":
            found |= {"owner": values["user"], "logs_in": values["logs_in"] == "true"}
            found["directories"] = shlex.split(values["directories"].strip("()"))
        if step.what == "members":
            found["names"] = values["hosts_block"]
        if step.what.endswith("service"):
            found["unit"] = values["unit"]
        found["files"] += [
            {"path": path, "text": text, "mode": mode, "owner": owner, "group": group}
            for path, mode, owner, group, text in _files(step.stdin)
            if not path.startswith(scripts.FOLDER)
        ]
    for file in found["files"]:
        if file["path"] == f"/etc/systemd/system/{found['unit']}.service":
            kept = _OURS.sub("", file["text"])
            file["text"] = kept if role == "zookeeper" else _by_script(kept, role, name)
    return found


def _files(text: str) -> list[tuple[str, str, str, str, str]]:
    names = {scripts.file(name): name for name in scripts.parts()}
    shipped = [
        (path, mode, owner, scripts.text(names[function])) for function, path, mode, owner in _SHIPPED.findall(text)
    ]
    return [
        (shlex.split(path)[0], mode, *owner.partition(":")[::2], content)
        for path, mode, owner, content in [*_FILE.findall(text), *shipped]
    ]


def _release(values: Mapping[str, str]) -> dict[str, str]:
    return {key: values[key].replace("{arch}", "x64") for key in ("name", "version", "url", "check", "checksum")}


def _by_script(unit: str, role: str, name: str) -> str:
    """Flink's own script instead of a launch, as an administrator writes such a unit."""
    arguments = (
        f"{name} 8081" if role == "jobmanager" else f"-D taskmanager.host={name} -D taskmanager.resource-id={name}"
    )
    start = f"ExecStart=/opt/flink/bin/{role}.sh start-foreground {arguments}"
    kept = re.sub(r"^ExecStart=.*$", start, unit, flags=re.MULTILINE)
    return re.sub(r"^(Type=.*)$", rf"\1\nEnvironment=FLINK_PID_DIR=/run/flink-{role}", kept, flags=re.MULTILINE)

"""What a host that runs nothing answers to the steps of the program."""

import json
import re

HEAD = re.compile(r"# host (\S+), step (\S+)\n")
"""The beginning of a step's script: the host, and the script's name."""


def answer(script: str, *, taskmanagers: int) -> str:
    """The output of a step that other steps, or the outputs, use."""
    head = HEAD.match(script)
    host, step = head.groups() if head else ("", "")
    if step == "probe.sh":
        return '{"cpus": 4, "memoryMiB": 15800}'
    if step == "system.sh":
        return f"ssh-ed25519 AAAA{host} flink"
    if step == "cluster.sh":
        return json.dumps({"taskmanagers": taskmanagers, "slots-total": 4, "flink-version": "2.3.0"})
    return "ok"

"""The watch for notices of the provider on a machine that it may take back (host_tool/spot.py)."""

import json
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from .. import ports
from ..flink import host_tool
from ..host import Host, Notices, Role
from ..remote import File, script_text, shipped, step
from ..roles import daemon_of, unit_path


def facts(notices: Notices, jobmanagers: Sequence[str], slots: int) -> str:
    """What the watch has to know."""
    known = {
        "unit": daemon_of(Role.TASKMANAGER).unit,
        "slots": slots,
        "jobmanagers": list(jobmanagers),
        "metricsPort": ports.number("prometheus"),
        "rebalance": notices is Notices.REBALANCE,
    }
    return json.dumps(known, indent=2) + "\n"


def watch(
    host: Host, jobmanagers: Sequence[str], slots: pulumi.Output[int], opts: pulumi.ResourceOptions
) -> remote.Command | None:
    """The step that runs it. None on machines that nobody takes back; no machine changes from one kind to the other."""
    if host.notices is Notices.NONE:
        return None

    def text(slots: int) -> str:
        files = [
            host_tool.module("spot"),
            File(path="/etc/flink/spot.json", text=facts(host.notices, jobmanagers, slots)),
            shipped(unit_path("flink-spot"), "config_templates/taskmanager/flink-spot.service"),
        ]
        return script_text(host, "taskmanager/spot.sh", files=files)

    return step(host, "spot", slots.apply(text), opts=opts)

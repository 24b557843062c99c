"""The systemd unit of Flink's daemons, and what the host tool has to know of the host's daemon."""

import json

from .. import ports
from ..host import Role
from ..roles import LAUNCHES, ROLES, daemon_of
from ..templates import render
from . import daemon


def flink_unit(role: Role, *, memory_mib: int) -> str:
    """The unit of one of Flink's daemons whose process has `memory_mib`."""
    return render("flink.service.j2", row=ROLES[role], launches=LAUNCHES, limit_mib=memory_limit_mib(memory_mib))


def memory_limit_mib(process_mib: int) -> int:
    """MiB at which the kernel ends a daemon, before it takes other processes of the host along: an eighth more than
    Flink's own sum, since RocksDB and glibc may exceed their parts of it, and what the system keeps (sizing.reserve)
    is not less.
    """
    return process_mib + max(256, process_mib // 8)


def daemon_json(role: Role) -> str:
    """What the host tool has to know of the host's daemon."""
    process = daemon_of(role)
    kind, port = daemon.health(process)
    facts = {
        "unit": process.unit,
        "user": ROLES[role].user,
        "inputs": process.inputs,
        "health": kind,
        "port": int(port),
        "metricsPort": ports.number("prometheus"),
    }
    return json.dumps(facts, indent=2) + "\n"

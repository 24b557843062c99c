"""The systemd unit of Flink's daemons, and what the host tool has to know of the host's daemon."""

import shlex

from .. import ports
from ..host import Role
from ..roles import LAUNCHES, ROLES, Daemon
from ..templates import render


def flink_unit(role: Role, *, memory_mib: int) -> str:
    """The unit of one of Flink's daemons whose process has `memory_mib`."""
    return render("flink.service.j2", row=ROLES[role], launches=LAUNCHES, limit_mib=memory_limit_mib(memory_mib))


def memory_limit_mib(process_mib: int) -> int:
    """MiB at which the kernel ends a daemon, before it takes other processes of the host along: an eighth more than
    Flink's own sum, since RocksDB and glibc may exceed their parts of it, and what the system keeps (sizing.reserve)
    is not less.
    """
    return process_mib + max(256, process_mib // 8)


def daemon_conf(daemon: Daemon, check: str) -> str:
    """What host_scripts/daemon.sh has to know of the host's daemon; `check` holds when it is healthy."""
    inputs = " ".join(daemon.inputs)
    return (
        f"unit={daemon.unit}\ninputs=({inputs})\ncheck={shlex.quote(check)}\n"
        f"metrics_port={ports.number('prometheus')}\n"
    )

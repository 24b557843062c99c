"""The systemd unit of Flink's daemons, and the host tool's description of the daemon."""

import json
from collections.abc import Sequence

from .. import ports
from ..host import Role
from ..roles import LAUNCHES, ROLES, daemon_of
from ..templates import render
from . import daemon, encryption, local_disks, trusted
from .settings import ClusterSettings


def inputs(role: Role, settings: ClusterSettings) -> Sequence[str]:
    """The files whose changes restart the daemon of a role."""
    more = encryption.inputs(role) if encryption.applies(role, settings) else ()
    return [*daemon_of(role).inputs, *more, *trusted.inputs(settings)]


def flink_unit(
    role: Role,
    settings: ClusterSettings,
    *,
    memory_mib: int,
    disks: int = 0,
    high_availability: bool = False,
    marks: Sequence[str] = (),
) -> str:
    """The unit of a Flink daemon whose process has `memory_mib`, on a machine with so many local disks. `marks` are
    folders of the storage that it has to see.
    """
    return render(
        "flink.service.j2",
        row=ROLES[role],
        inputs=inputs(role, settings),
        launches=LAUNCHES,
        limit_mib=memory_limit_mib(memory_mib),
        local_disks=[local_disks.TOOL, ROLES[role].user, *local_disks.directories(disks)] if disks else [],
        devices=disks > 0 or _uses_devices(role, settings),
        marks=marks,
        gives_up=high_availability and bool(daemon_of(role).session),
    )


def _uses_devices(role: Role, settings: ClusterSettings) -> bool:
    """Whether jobs use devices of the machine, such as GPUs
    (https://nightlies.apache.org/flink/flink-docs-stable/docs/deployment/advanced/external_resources/).
    """
    return any("external-resources" in config for config in (settings.common_config, ROLES[role].own_config(settings)))


def memory_limit_mib(process_mib: int) -> int:
    """MiB at which the kernel kills a daemon before other processes of the host are affected: an eighth more than the
    size of the process, because RocksDB and glibc may exceed their shares. The system's reserve (sizing.reserve) is
    at least as large.
    """
    return process_mib + max(256, process_mib // 8)


def daemon_json(role: Role, settings: ClusterSettings, others: Sequence[str]) -> str:
    """The host tool's description of the daemon on a host; `others` as in `daemon.run`."""
    process = daemon_of(role)
    kind, port = daemon.health(process)
    facts = {
        "unit": process.unit,
        "user": ROLES[role].user,
        "inputs": inputs(role, settings),
        "health": kind,
        "port": int(port),
        "others": list(others),
        "metricsPort": ports.number("prometheus"),
        **({"session": process.session} if process.session else {}),
    }
    return json.dumps(facts, indent=2) + "\n"

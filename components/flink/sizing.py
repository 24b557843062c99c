"""How much memory of a machine its daemon gets, and whether the configured size fits."""

import re

from ..forms import SIZE

_UNITS = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024}

JOBMANAGER_MINIMUM_MIB = 832
"""Flink refuses less with its defaults: metaspace 256, off-heap 128, JVM overhead 192, heap 128, and a small margin."""

TASKMANAGER_MINIMUM_MIB = 1024
"""With less, Flink's defaults leave no task heap: metaspace 256, overhead 192, framework 256, managed 40 %, network
64.
"""


CLIENT_MIB = 512
"""Memory of the JVMs of `flink` and `sql-client.sh` on a client host, which runs no daemon."""

MONITORING_MIB = 640
"""Memory of Prometheus on a monitoring host, for a small cluster. docs/monitoring.md says how it grows."""


def mib(text: str) -> int:
    """MiB of a size in Flink's notation: 1600m, 4g, 2 gb. Raises ValueError for anything else."""
    number, unit = re.match(r"\s*([0-9]+)\s*([a-zA-Z])", SIZE(text), re.ASCII).groups()  # type: ignore[union-attr]
    return int(int(number) * _UNITS[unit.lower()])


def reserve(machine_mib: int) -> int:
    """MiB reserved for the system: an eighth, at least 384 MiB (kernel, sshd, journald, page cache for archives and
    logs).
    """
    return max(384, machine_mib // 8)


def available(machine_mib: int) -> int:
    """MiB available to a daemon on a machine with `machine_mib`."""
    return machine_mib - reserve(machine_mib)


def taskmanager_mib(machine_mib: int) -> int:
    """MiB for a TaskManager on a machine of its own, in multiples of 64, so that small differences have no effect."""
    return available(machine_mib) // 64 * 64


def machine_mib(daemon_mib: int) -> int:
    """Minimum memory of a machine in MiB for a daemon of `daemon_mib`."""
    return max(daemon_mib + 384, -(-daemon_mib * 8 // 7))

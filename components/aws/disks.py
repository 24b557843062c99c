"""IOPS and throughput of gp3 volumes, and the limits that AWS sets for them.

https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html, with the limits of September 2025 (before that
16,000 IOPS and 1,000 MiB/s). An instance type has limits of its own, often lower ones:
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-type-specifications.html.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..problems import Problems

IOPS = (3000, 80_000)
"""What every gp3 volume has, and the most that one can have."""
THROUGHPUT = (125, 2000)
"""Likewise, in MiB/s."""
IOPS_PER_GIB = 500
IOPS_PER_MIB = 4
"""At least so many IOPS for each MiB/s."""


@dataclass(frozen=True, kw_only=True)
class Performance:
    """IOPS and throughput (MiB/s) of a volume. None: what every gp3 volume has, at no extra cost."""

    iops: int | None = None
    throughput: int | None = None


ORDINARY = Performance()


def load(iops_key: str, throughput_key: str, gib: int, values: Mapping[str, Any], problems: Problems) -> Performance:
    """The performance of a volume of `gib`. Keys are empty if the volume has none."""
    iops = _number(iops_key, IOPS, "IOPS", values, problems)
    throughput = _number(throughput_key, THROUGHPUT, "MiB/s", values, problems)
    if iops and iops > gib * IOPS_PER_GIB:
        problems.add(
            iops_key,
            f"{iops} exceeds {IOPS_PER_GIB} for each GiB of a disk of {gib}: expected {gib * IOPS_PER_GIB} at most",
        )
    enough = IOPS_PER_MIB * (throughput or 0)
    if enough > (iops or IOPS[0]):
        problems.add(
            throughput_key,
            f"{throughput} MiB/s need {enough} IOPS, and there are {iops or IOPS[0]}: expected {enough} or more in "
            f"{iops_key}, or a lower throughput",
        )
    return Performance(iops=iops, throughput=throughput)


def _number(key: str, limits: tuple[int, int], unit: str, values: Mapping[str, Any], problems: Problems) -> int | None:
    number: int = values[key] if key else 0
    if number == 0:
        return None
    if not limits[0] <= number <= limits[1]:
        problems.add(key, f"{number} is out of range: expected 0, or {limits[0]} to {limits[1]} {unit}")
        return None
    return number

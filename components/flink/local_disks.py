"""The disks of the machine itself, such as an instance store of EC2, as directories for temporary data.

Several disks become several directories, not one RAID 0 or LVM volume: Flink distributes RocksDB's instances, ForSt's
and its temporary files over directories itself, Debian's image for EC2 has neither mdadm nor lvm2, and types of up to
32 CPUs mostly have one disk. The price: the state of one subtask must fit on one disk, and has the speed of one.
"""

from .. import scripts

TOOL = f"{scripts.FOLDER}/local-disks"
"""Gives them file systems and mounts them (host_scripts/local_disks_tool.sh)."""


def directories(count: int) -> tuple[str, ...]:
    """The mount points of so many disks."""
    return tuple(f"/var/lib/flink/local-{number}" for number in range(count))

"""EBS volumes and instance stores: sparse files that hosts have as block devices while they are attached."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lab import loops
from lab.errors import LabError
from lab.network import run
from stand_ins.aws_cloud.api import Volume

_GIB = 1 << 30
_BY_ID = "dev/disk/by-id"
LOCAL = "AWS"
"""How the serial numbers of an instance store's disks begin, which are their ids here."""


class Volumes:
    """The volumes of a data center, in files below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)

    def file(self, volume: str) -> Path:
        """The file of a volume."""
        return self._directory / volume

    def reconcile(self, volumes: Mapping[str, Volume], hosts: Mapping[str, int | None]) -> bool:
        """Make the files and devices match the volumes; False if something has to wait.

        `hosts` are the existing hosts by instance, with the pid of their init, or None while they are off.
        """
        settled = True
        for path in self._directory.iterdir():
            if path.name not in volumes:
                settled &= self._remove(path, hosts)
        for volume in volumes.values():
            path = self.file(volume.id)
            if not path.exists() or path.stat().st_size < volume.gib * _GIB:
                with path.open("ab") as file:
                    file.truncate(volume.gib * _GIB)
            settled &= self._place(volume, hosts)
        return settled

    def _remove(self, path: Path, hosts: Mapping[str, int | None]) -> bool:
        for pid in hosts.values():
            _take(pid, path.name)
        if not loops.detach(path, timeout=0):
            return False
        path.unlink(missing_ok=True)
        return True

    def _place(self, volume: Volume, hosts: Mapping[str, int | None]) -> bool:
        """Attach a volume to its instance, and to no other."""
        for instance, other in hosts.items():
            if instance != volume.instance:
                _take(other, volume.id)
        file = self.file(volume.id)
        if volume.instance not in hosts:
            return loops.detach(file, timeout=0)
        pid = hosts[volume.instance]
        if pid is None or not _booted(pid):
            return False
        if not _link(pid, volume.id).is_symlink():
            if not loops.detach(file, timeout=0):
                return False  # the previous host has not released it yet
            _give(pid, volume.id, loops.attach(file))
        return True


def by_id(volume: str) -> str:
    """The path of a volume's device on its host, as Debian's udev names it on EC2."""
    model = "EC2_NVMe_Instance_Storage" if volume.startswith(LOCAL) else "Elastic_Block_Store"
    return f"/{_BY_ID}/nvme-Amazon_{model}_{volume.replace('-', '')}"


def _booted(pid: int) -> bool:
    """Whether a host's init has set up its /dev completely."""
    return Path(f"/proc/{pid}/root/run/systemd/notify").exists()


def _link(pid: int, volume: str) -> Path:
    return Path(f"/proc/{pid}/root{by_id(volume)}")


def _give(pid: int, volume: str, device: Path) -> None:
    """Create a device node, and its name, in a host that is on."""
    dev = Path(f"/proc/{pid}/root/dev")
    node = next(f"nvme{number}n1" for number in range(1, 100) if not (dev / f"nvme{number}n1").exists())
    os.mknod(dev / node, stat.S_IFBLK | 0o660, device.stat().st_rdev)
    os.chown(dev / node, 0, 6)  # Debian's group disk
    link = _link(pid, volume)
    link.parent.mkdir(parents=True, exist_ok=True)
    # udev has a second name, with the namespace's number. The first one last: it shows that the device is complete
    for name in (f"{link.name}_1", link.name):
        link.with_name(name).symlink_to(f"../../{node}")


def _take(pid: int | None, volume: str) -> None:
    """Remove a volume's device from a host, if it exists, like a drive that is pulled: unmount it first."""
    if pid is None or not (link := _link(pid, volume)).is_symlink():
        return
    node = Path(f"/proc/{pid}/root/dev") / link.readlink().name
    for place in _mounted(pid, node.stat().st_rdev):
        inside = ("nsenter", f"--target={pid}", "--mount", "--root", "--wdns=/", "umount")
        try:
            run(*inside, place)
        except LabError:  # a process has a file open there
            run(*inside, "--lazy", place, check=False)
    link.unlink(missing_ok=True)
    link.with_name(f"{link.name}_1").unlink(missing_ok=True)
    node.unlink(missing_ok=True)


def _mounted(pid: int, device: int) -> list[str]:
    """The mount points of a device in a host, the last mount first (proc(5), mountinfo)."""
    expected = f"{os.major(device)}:{os.minor(device)}"
    rows = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return [row[4] for row in reversed(rows) if row[2] == expected]

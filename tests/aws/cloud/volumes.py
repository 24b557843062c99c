"""EBS volumes: sparse files, given to a host as block devices while they are attached to it."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from lab import loops
from lab.errors import LabError
from lab.launched import LaunchedMachine
from tests.aws.cloud.api import Volume

_GIB = 1 << 30
_BY_ID = "dev/disk/by-id"


class Volumes:
    """The volumes of a data centre, in files below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._directory.mkdir(parents=True, exist_ok=True)

    def file(self, volume: str) -> Path:
        """What is behind a volume."""
        return self._directory / volume

    def reconcile(self, volumes: Mapping[str, Volume], machines: Mapping[str, LaunchedMachine]) -> bool:
        """Make the files and devices be what the volumes say; False if something has to wait.

        `machines` are the hosts that there are, by instance.
        """
        settled = True
        for path in self._directory.iterdir():
            if path.name not in volumes:
                settled &= self._remove(path, machines)
        for volume in volumes.values():
            path = self.file(volume.id)
            if not path.exists() or path.stat().st_size < volume.gib * _GIB:
                with path.open("ab") as file:
                    file.truncate(volume.gib * _GIB)
            settled &= self._place(volume, machines)
        return settled

    def _remove(self, path: Path, machines: Mapping[str, LaunchedMachine]) -> bool:
        for machine in machines.values():
            _take(machine, path.name)
        if not loops.detach(path, timeout=0):
            return False
        path.unlink(missing_ok=True)
        return True

    def _place(self, volume: Volume, machines: Mapping[str, LaunchedMachine]) -> bool:
        """Have a volume at the instance that it is attached to, and nowhere else."""
        for instance, other in machines.items():
            if instance != volume.instance:
                _take(other, volume.id)
        machine = machines.get(volume.instance)
        if machine is None:
            return loops.detach(self.file(volume.id), timeout=0)
        init = machine.init()
        if init is None or not _booted(init.pid):
            return False
        if not _link(init.pid, volume.id).is_symlink():
            if (left := loops.device_of(self.file(volume.id))) and not loops.detach(self.file(volume.id), timeout=0):
                return bool(not left)  # another host still has it open
            device = loops.attach(self.file(volume.id))
            _give(init.pid, volume.id, device)
        return True


def by_id(volume: str) -> str:
    """The path of a volume's device on its host, as Debian's udev names it on EC2."""
    return f"/{_BY_ID}/nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"


def _booted(pid: int) -> bool:
    """Whether a host's init has got as far as to have a /dev of its own that it fills no more."""
    return Path(f"/proc/{pid}/root/run/systemd/notify").exists()


def _link(pid: int, volume: str) -> Path:
    return Path(f"/proc/{pid}/root{by_id(volume)}")


def _give(pid: int, volume: str, device: Path) -> None:
    """Make a device node, and a name for it, in a host that is on."""
    dev = Path(f"/proc/{pid}/root/dev")
    node = next(f"nvme{number}n1" for number in range(1, 100) if not (dev / f"nvme{number}n1").exists())
    os.mknod(dev / node, stat.S_IFBLK | 0o660, device.stat().st_rdev)
    with contextlib.suppress(KeyError):
        os.chown(dev / node, 0, 6)  # Debian's group disk
    link = _link(pid, volume)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(f"../../{node}")


def _take(machine: LaunchedMachine, volume: str) -> None:
    """Remove a volume's device from a host, if it is there, as a drive that is pulled: what is mounted goes first."""
    init = machine.init()
    if init is None or not (link := _link(init.pid, volume)).is_symlink():
        return
    node = Path(f"/proc/{init.pid}/root/dev") / link.readlink().name
    for place in _mounted(init.pid, node.stat().st_rdev):
        quoted = shlex.quote(place)
        with contextlib.suppress(LabError):
            machine.run_inside(f"umount {quoted} 2>/dev/null || umount --lazy {quoted}")
    link.unlink(missing_ok=True)
    node.unlink(missing_ok=True)


def _mounted(pid: int, device: int) -> list[str]:
    """Where a device is mounted in a host, the last mount first (proc(5), mountinfo)."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    rows = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return [row[4] for row in reversed(rows) if row[2] == wanted]

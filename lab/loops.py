"""Disks out of files: loop devices of this machine, each found by the file behind it."""

import json
import time
from pathlib import Path

from lab import network


def _devices() -> list[tuple[str, str]]:
    """Every loop device that is in use, with its file; a file that was removed meanwhile has its old name."""
    listed = json.loads(network.run("losetup", "--list", "--json", "--output=NAME,BACK-FILE") or "{}")
    rows = [(row["name"], row["back-file"] or "") for row in listed.get("loopdevices", [])]
    return [(name, file.removesuffix(" (deleted)")) for name, file in rows]


def device_of(file: Path) -> Path | None:
    """The loop device that has this file, if one has."""
    return next((Path(name) for name, behind in _devices() if behind == str(file)), None)


def attach(file: Path) -> Path:
    """The loop device with this file, made if there is none; `LabError` if that fails."""
    return device_of(file) or Path(network.run("losetup", "--find", "--show", "--nooverlap", str(file)).strip())


def detach(file: Path, timeout: float = 5) -> bool:
    """Take the loop device of a file away; whether it is gone.

    The kernel waits for those that have it open or mounted, and then does it by itself.
    """
    deadline = time.monotonic() + timeout
    while device := device_of(file):
        network.run("losetup", "--detach", str(device), check=False)
        if device_of(file) is None:
            break
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def detach_below(directory: Path) -> None:
    """Take away every loop device whose file is, or was, below a directory."""
    if not list(Path("/sys/block").glob("loop*/loop/backing_file")):
        return
    for _, file in _devices():
        if Path(file).is_relative_to(directory):
            detach(Path(file))

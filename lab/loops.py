"""Disks from files: loop devices of this machine, each found by its file."""

import json
import time
from pathlib import Path

from lab import network


def _devices() -> list[tuple[str, str]]:
    """Every loop device in use, with its file; a removed file has its old name."""
    listed = json.loads(network.run("losetup", "--list", "--json", "--output=NAME,BACK-FILE") or "{}")
    rows = [(row["name"], row["back-file"] or "") for row in listed.get("loopdevices", [])]
    return [(name, file.removesuffix(" (deleted)")) for name, file in rows]


def device_of(file: Path) -> Path | None:
    """The loop device of this file, if any."""
    return next((Path(name) for name, behind in _devices() if behind == str(file)), None)


def attach(file: Path) -> Path:
    """The loop device of this file, created if there is none; `LabError` if that fails."""
    return device_of(file) or Path(network.run("losetup", "--find", "--show", "--nooverlap", str(file)).strip())


def detach(file: Path, timeout: float = 5) -> bool:
    """Detach the loop device of a file; returns whether it is gone.

    While it is open or mounted the kernel waits, and detaches it afterwards.
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
    """Detach every loop device whose file is, or was, below a directory."""
    if not list(Path("/sys/block").glob("loop*/loop/backing_file")):
        return
    for _, file in _devices():
        if Path(file).is_relative_to(directory):
            detach(Path(file))

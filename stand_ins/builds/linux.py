"""What a virtual machine needs, from Debian: QEMU, a kernel with modules, and busybox. QEMU is installed; the others
are only unpacked, since this machine would boot a kernel that is installed.
"""

import shutil
from pathlib import Path

from stand_ins.builds import debian_packages, fetch
from toolbox import console
from toolbox.parallel import command
from toolbox.paths import cache_dir

QEMU = "qemu-system-x86_64"
VERSION = "6.1"
"""Debian 12's."""
MODULES = (
    *("failover", "net_failover", "virtio_ring", "virtio"),
    *("virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_net"),
)
"""Those of QEMU's network card, in the order in which they need each other."""
_NEWEST = "linux-image-cloud-amd64"
"""A package that depends on the newest of these kernels, which have the drivers of virtual machines alone."""


def qemu() -> str:
    """The program QEMU, installed if it is missing. `CommandError` if apt cannot deliver it."""
    if shutil.which(QEMU) is None:
        with console.step("linux", "installing qemu-system-x86 by apt-get") as step:
            debian_packages.install(["qemu-system-x86"], step.tell)
    return QEMU


def home() -> Path:
    """A folder with the files `kernel`, `busybox` and `modules/NAME.ko` for MODULES, made in the cache if they are
    missing. `ToolError` if apt cannot deliver them.
    """
    made = cache_dir() / f"linux-{VERSION}"
    fetch.cached(made, _make)
    return made


def _make(to: Path) -> None:
    # The newest package has the name of a version, which an older list may have, and the mirror no longer
    debian_packages.update()
    needed = command(["apt-cache", "depends", "--important", _NEWEST])
    kernels = [word for word in needed.split() if word.startswith(f"linux-image-{VERSION}.")]
    if not kernels:
        raise fetch.FetchError(f"Debian's {_NEWEST} depends on {needed.split()[1:]}, expected a kernel {VERSION}")
    with fetch.workspace() as work:
        debian_packages.unpack([kernels[0], "busybox-static"], work)
        (to / "modules").mkdir(parents=True)
        moved = {"boot/vmlinuz-*": "kernel", "bin/busybox": "busybox"}
        moved |= {f"lib/modules/*/kernel/**/{name}.ko": f"modules/{name}.ko" for name in MODULES}
        for pattern, name in moved.items():
            (found,) = work.glob(pattern)
            shutil.move(found, to / name)

"""Debian's packages, by apt with this machine's settings: apt checks them against Debian's signatures."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from stand_ins.builds import fetch
from toolbox.parallel import CommandError, command

_ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
_BOUNDS = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=15", "-o", "Acquire::https::Timeout=15")
_lock = threading.Lock()
_updated = False


def update(on_line: Callable[[str], None] | None = None) -> None:
    """Update the package lists, once in each process. `CommandError` names the mirror that did not answer."""
    global _updated
    with _lock:
        if not _updated:
            with fetch.locked("apt"):
                argv = ["apt-get", *_BOUNDS, "-o", "APT::Update::Error-Mode=any", "update"]
                command(argv, env=_ENVIRONMENT, timeout=300, on_line=on_line)
            _updated = True


def install(packages: Sequence[str], on_line: Callable[[str], None] | None = None) -> None:
    """Install packages without recommended ones; waits for another running apt."""
    update(on_line)
    options = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    with fetch.locked("apt"):
        argv = ["apt-get", *_BOUNDS, "install", *options, *packages]
        command(argv, env=_ENVIRONMENT, timeout=1200, on_line=on_line)


def unpack(packages: Sequence[str], to: Path) -> None:
    """Download packages and unpack their files below `to`: nothing is installed, and no script of theirs runs. Root is
    needed only if the package lists are missing, or older than the mirror's packages.
    """
    with fetch.workspace() as work:
        argv = ["apt-get", *_BOUNDS, "-q", "download", *packages]
        try:
            command(argv, cwd=work, env=_ENVIRONMENT, timeout=600)
        except CommandError:
            update()
            command(argv, cwd=work, env=_ENVIRONMENT, timeout=600)
        for package in sorted(work.glob("*.deb")):
            command(["dpkg-deb", "-x", package, to])

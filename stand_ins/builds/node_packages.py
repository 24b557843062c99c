"""Packages of Node.js that tests need, from its registry: pinned with their digests in `stand_ins/builds/npm`."""

import shutil
from functools import partial
from pathlib import Path

from stand_ins.builds import debian_packages, fetch
from toolbox import console
from toolbox.parallel import command
from toolbox.paths import cache_dir

_PINNED = Path(__file__).parent / "npm"


def openid_provider() -> Path:
    """A folder with the package `oidc-provider`, an OpenID Connect server that is certified by the OpenID Foundation.
    `CommandError` if it cannot be installed.
    """
    return _installed("oidc-provider")


def azurite() -> Path:
    """A folder with the package `azurite`, Microsoft's own emulator of Azure's storage. `CommandError` if it cannot be
    installed.
    """
    return _installed("azurite")


def _installed(name: str) -> Path:
    """The folder in which what `npm/NAME` pins is installed."""
    lock = fetch.digest(_PINNED / name / "package-lock.json", "sha256")[:12]
    home = cache_dir() / f"{name}-{lock}"
    if not home.exists():
        fetch.cached(home, partial(_install, _PINNED / name))
    return home


def _install(pinned: Path, to: Path) -> None:
    with console.step("engine", f"installing {pinned.name} by npm") as step:
        if shutil.which("npm") is None:
            debian_packages.install(["nodejs", "npm"], step.tell)
        to.mkdir(parents=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(pinned / file, to / file)
        # Exactly what is in the lock file, with its digests, and no script of a package is run
        argv = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        command(argv, cwd=to, timeout=600, on_line=step.tell)

"""Prometheus and promtool, with which rules and dashboards are tested: from Debian's package, without its service."""

import shutil
from pathlib import Path

from stand_ins.builds import archives, debian_packages, fetch
from toolbox.parallel import command
from toolbox.paths import cache_dir

VERSION = archives.PROMETHEUS["prometheus"]
"""Debian 12's. Rules use nothing newer; the official default (components/flink/releases.py) reads them as well."""


def folder() -> Path:
    """A folder with `prometheus` and `promtool`, made in the cache if it is missing. `ToolError` if apt cannot deliver
    them.
    """
    home = cache_dir() / f"promtool-{VERSION}"
    fetch.cached(home, _make)
    return home


def _make(home: Path) -> None:
    with fetch.workspace() as work:
        debian_packages.unpack(["prometheus"], work)
        home.mkdir()
        for name in ("prometheus", "promtool"):
            shutil.move(work / "usr/bin" / name, home / name)
    said = command([home / "promtool", "--version"])
    if f"version {VERSION}" not in said:
        raise fetch.FetchError(f"Debian's promtool is {said.splitlines()[0]!r}, expected version {VERSION}")

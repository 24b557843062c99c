"""Directories of the lab: those that all labs of this machine share, and those of one lab."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
"""Root of this clone."""


def cache_dir() -> Path:
    """Directory that all clones of this user share: engine, S3 server, base image, archives. Created if missing."""
    named = os.environ.get("FLINK_LAB_CACHE")
    if named:
        path = Path(named).expanduser().absolute()
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flink-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def lab_dir(name: str) -> Path:
    """State directory of the lab `name` of this clone (mode 0700 when the lab exists); not created here."""
    return REPO / ".lab" / name

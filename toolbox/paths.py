"""Where the lab keeps things: what all labs of this machine share, and what one lab has of its own."""

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
"""Root of this clone."""


def cache_dir() -> Path:
    """Directory that every clone of this user shares: engine, S3 server, base image, archives. Made if missing."""
    named = os.environ.get("FLINK_LAB_CACHE")
    if named:
        path = Path(named).expanduser().absolute()
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flink-lab"
    path.mkdir(parents=True, exist_ok=True)
    return path


def lab_dir(name: str) -> Path:
    """Directory of the state of the lab `name` of this clone (mode 0700 when the lab is there); not made here."""
    return REPO / ".lab" / name

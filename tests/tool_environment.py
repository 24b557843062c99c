"""A user's environment for `python -m branches`, in a test's own folder."""

import os
from pathlib import Path

from automation import local
from stand_ins.builds import programs


def made(folder: Path, passphrase: str) -> dict[str, str]:
    """Environment variables; `folder` gets `state`, `plugins` (on PATH and empty), and `home`."""
    for name in ("state", "plugins", "home"):
        (folder / name).mkdir(parents=True)
    local.without_log(folder / "home")
    return {
        "PATH": os.pathsep.join([str(programs.pulumi().parent), str(folder / "plugins"), os.environ["PATH"]]),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": passphrase,
    }

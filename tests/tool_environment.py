"""What a user's environment has for `python -m branches`, in a folder of a test's own."""

import os
from pathlib import Path

from automation import local
from stand_ins.builds import programs


def made(folder: Path, passphrase: str) -> dict[str, str]:
    """Variables; `folder` gets `state`, `plugins`, which is on PATH and empty, and `home`."""
    for name in ("state", "plugins", "home"):
        (folder / name).mkdir(parents=True)
    local.without_log(folder / "home")
    return {
        "PATH": os.pathsep.join([str(programs.pulumi().parent), str(folder / "plugins"), os.environ["PATH"]]),
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": passphrase,
    }

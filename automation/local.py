"""Stacks with everything in one folder: state, passphrase, plugins."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path


def prepare(folder: Path) -> None:
    """Create the folders `state` and `plugins` and the file `passphrase`, if missing, readable by their owner only."""
    for made in (folder, folder / "state", folder / "plugins"):
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrase = folder / "passphrase"
    if not passphrase.exists() or not passphrase.read_text():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(32))


def variables(folder: Path, *, home: Path, programs: Sequence[Path] = ()) -> dict[str, str]:
    """Environment with which the engine, here or in a shell, uses `folder` and the programs in these folders."""
    search = [*programs, folder / "plugins", os.environ.get("PATH", "")]
    return {
        "PATH": os.pathsep.join(str(entry) for entry in search),
        "PULUMI_HOME": str(home),
        # The state is renamed into place, but the file beside it with its type would not be: an engine that is killed
        # then leaves an empty .attrs, and an unreadable state (gocloud.dev, fileblob's setAttrs)
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        # The state is written completely and renamed into place after each step, so a second copy is not needed
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    }


def without_log(home: Path) -> Path:
    """Create a PULUMI_HOME with which the engine writes no log.

    Every operation would log what it sends and receives there, compressed and encrypted: half of the engine's time, and
    20 MB for each preview of a large stack. There is no switch, but the engine writes no log if `logs` is not a folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "logs").touch()
    return home

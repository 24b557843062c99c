"""Stacks of which all is in a folder: state, passphrase, plugins."""

import os
import secrets
from collections.abc import Sequence
from pathlib import Path


def prepare(folder: Path) -> None:
    """Make what is missing of the folders `state` and `plugins`, and of the file `passphrase`, for their owner only."""
    for made in (folder, folder / "state", folder / "plugins"):
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrase = folder / "passphrase"
    if not passphrase.exists() or not passphrase.read_text():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(32))


def variables(folder: Path, *, home: Path, programs: Sequence[Path] = ()) -> dict[str, str]:
    """What has the engine, in this process or in a shell, work in `folder`, with the programs in these folders."""
    search = [*programs, folder / "plugins", os.environ.get("PATH", "")]
    return {
        "PATH": os.pathsep.join(str(entry) for entry in search),
        "PULUMI_HOME": str(home),
        # The state is renamed into place, the file beside it that says its type would not be. An engine that is
        # killed then leaves an empty .attrs, and a state that cannot be read (gocloud.dev, fileblob's setAttrs)
        "PULUMI_BACKEND_URL": f"file://{folder / 'state'}?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(folder / "passphrase"),
        # The state is written whole, and renamed into place, after each step: a second copy helps nobody here
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    }


def without_log(home: Path) -> Path:
    """A PULUMI_HOME, which is made, whose engine writes no log.

    Every operation would write what it sends and receives there, compressed and encrypted: half of the engine's time,
    20 MB for each preview of a large stack. There is no switch, but it does without where `logs` is no folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    (home / "logs").touch()
    return home

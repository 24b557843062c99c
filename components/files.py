"""Files of the operator's: what is read before anything is changed, whatever it turns out to be."""

import stat
from pathlib import Path

from .forms import PATH
from .problems import shown

LARGEST = 4 * 2**20
"""Bytes: an inventory of 10,000 hosts is a fifth of it."""


def located(name: str, root: Path) -> Path:
    """The path that `name` means, relative to `root`; `~` is a home. Raises ValueError for what is not a path."""
    try:
        return root / Path(PATH(name)).expanduser()
    except RuntimeError:
        raise ValueError(f"{shown(name)} cannot be read: there is no such home") from None


def text(path: Path) -> str:
    """The text of a regular file in UTF-8. Raises ValueError that says what is wrong with it."""
    try:
        # Not a pipe or device, which has no end, or none that comes soon
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} cannot be read: it is not a regular file")
        if found.st_size > LARGEST:
            raise ValueError(f"{path} cannot be read: it has {found.st_size} bytes, expected {LARGEST} or fewer")
        return path.read_bytes().decode()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None

"""Files that nobody ever sees half of."""

import os
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that it is there whole or not at all; its mode, less the umask, is so from the first byte on."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    draft.replace(path)

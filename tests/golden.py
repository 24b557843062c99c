"""Golden files, which a person has reviewed. `UPDATE_GOLDEN=1` rewrites them."""

import os
from pathlib import Path


def same(path: Path, text: str) -> None:
    """Fail unless the file has this text."""
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs: UPDATE_GOLDEN=1 rewrites it"

"""Installs our plugins where the engine finds plugins: in a folder on its PATH."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from toolbox import files
from toolbox.paths import REPO


def install(directory: Path, name: str, module: str) -> Path:
    """Write an executable `pulumi-resource-<name>` into a folder, which is created; returns its path.

    It runs a module of this repository, as `-m` would, with the current Python. Repeating it changes nothing.
    """
    # Isolated (-I), and the repository in code, not in PYTHONPATH: local commands inherit the environment, which must
    # be the same as with the official plugin.
    path_entry = f"import sys; sys.path.insert(0, {str(REPO)!r})"
    code = f"{path_entry}; import runpy; runpy.run_module({module!r}, run_name='__main__')"
    script = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -c {shlex.quote(code)} "$@"\n'
    path = directory / f"pulumi-resource-{name}"
    if not path.exists() or path.read_text() != script:
        directory.mkdir(parents=True, exist_ok=True)
        files.write(path, script, 0o755)  # Atomically: an engine may be starting the old one.
    return path

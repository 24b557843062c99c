"""A package index with the packages of a requirements file, for hosts without another one: a folder of folders."""

import hashlib
import re
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stand_ins.builds import archives, fetch
from toolbox import console
from toolbox.parallel import command


def ensure(packages: Sequence[str]) -> Path:
    """The index in the folder that the lab's mirror serves, downloaded by pip with its configuration if missing.
    `packages` are lines for pip, with digests.
    """
    lines = [line for line in packages if not line.startswith("apache-flink-libraries==")]
    key = hashlib.sha256("\n".join([sys.version, *lines]).encode()).hexdigest()[:12]
    path = archives.folder() / f"python-{key}"
    fetch.cached(path, partial(_make, lines))
    return path


def _make(lines: list[str], path: Path) -> None:
    path.mkdir()
    with console.step("python", "downloading Python packages"), tempfile.TemporaryDirectory() as work:
        file = Path(work) / "requirements.txt"
        file.write_text("\n".join(lines) + "\n")
        options = ["--disable-pip-version-check", "--no-input", "-q", "--no-deps", "--require-hashes"]
        argv = [sys.executable, "-m", "pip", "download", *options, "-d", f"{work}/files", "-r", str(file)]
        command(argv, timeout=900)
        for archive in (Path(work) / "files").iterdir():
            name = re.match(r"(.*?)-[0-9]", archive.name)
            # PEP 503
            folder = path / re.sub(r"[-_.]+", "-", name[1] if name else archive.stem).lower()
            folder.mkdir(exist_ok=True)
            (folder / archive.name).write_bytes(archive.read_bytes())

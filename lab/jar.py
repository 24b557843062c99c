"""Jars from Java sources of this repository, compiled by the lab's own JDK against the lab's own Flink."""

import contextlib
import hashlib
import os
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError
from stand_ins.builds.fetch import cached
from toolbox import console
from toolbox.parallel import command
from toolbox.paths import cache_dir

if TYPE_CHECKING:
    from stand_ins.builds.archives import Archive, Archives


def version(sources: Path, flink_version: str) -> str:
    """12 hex digits that change with the sources under `sources` and with Flink's version."""
    digest = hashlib.sha256(flink_version.encode())
    for source in _java_files(sources):
        digest.update(source.relative_to(sources).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def build(name: str, sources: Path, main_class: str, archives: "Archives") -> Path:
    """The jar of all sources under `sources`, built once for each version. Raises LabError."""

    def make(jar: Path) -> None:
        with console.step("job", f"compiling {name}"), tempfile.TemporaryDirectory() as scratch:
            flink, classes = Path(scratch, "flink"), Path(scratch, "classes")
            _unpack(archives.flink.path, flink, "--wildcards", "*/lib/*.jar")
            with jdk(archives.java) as home:
                javac = home / "bin" / "javac"
                compile_java(javac, _java_files(sources), classes, sorted(flink.glob("*/lib/*.jar")))
            _pack(classes, main_class, jar)

    path = cache_dir() / "jars" / f"{name}-{version(sources, archives.flink.version)}.jar"
    cached(path, make)
    return path


def compile_java(javac: Path, sources: Sequence[Path], classes: Path, libraries: Sequence[Path] = ()) -> None:
    """Compile `sources` into the folder `classes`; a warning counts as an error. Raises LabError."""
    options = ["--release", "17", "-Xlint:all", "-Werror", "-proc:none"]
    classpath = ["-classpath", os.pathsep.join(map(str, libraries))] if libraries else []
    command: list[str | Path] = [javac, *options, *classpath, "-d", classes, *sources]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"{javac} refused the sources:\n{done.stdout}{done.stderr}")


def _unpack(archive: Path, to: Path, *members: str) -> None:
    """With tar: Debian 12's Python does not have tarfile's filters yet, and later versions warn without one."""
    to.mkdir(exist_ok=True)
    command(["tar", "-xzf", archive, "-C", to, "--no-same-owner", *members])


@contextlib.contextmanager
def jdk(java: "Archive") -> Iterator[Path]:
    """The home of the archive's JDK, unpacked until the end of the block."""
    with tempfile.TemporaryDirectory() as scratch:
        _unpack(java.path, Path(scratch))
        (home,) = Path(scratch).iterdir()
        yield home


def _java_files(sources: Path) -> list[Path]:
    return sorted(sources.rglob("*.java"))


def _pack(classes: Path, main_class: str, jar: Path) -> None:
    """Write a reproducible jar: no times, a fixed order."""
    entries = {"META-INF/MANIFEST.MF": f"Manifest-Version: 1.0\nMain-Class: {main_class}\n\n".encode()}
    for file in sorted(classes.rglob("*.class")):
        entries[file.relative_to(classes).as_posix()] = file.read_bytes()
    with zipfile.ZipFile(jar, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)

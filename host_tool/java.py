"""Our Java classes, for what needs Flink's own: its file systems, what it keeps in ZooKeeper, jobs as Java serialises
them.

They come as sources and are compiled once for each release of Flink, when they are first needed, by the host's JDK.
They run as Flink's user, with its plugins, configuration and credentials.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SOURCES = "/usr/local/lib/flink/java"
FLINK = "/opt/flink"
JAVA = "/opt/java"
CREDENTIALS = "/etc/flink/credentials.env"
SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a JVM that lives for seconds: what a long one gains from costs it more than it gives."""
RELEASE = "11"
"""The oldest Java that Flink 2.x runs on: classes for it run on all others, also on one without a compiler."""


class Java:
    """The classes. `root` stands before absolute paths, for tests."""

    def __init__(self, user: str, root: str = "") -> None:
        self._user = user
        self._sources = f"{root}{SOURCES}"
        self._flink = f"{root}{FLINK}"
        self._java = f"{root}{JAVA}"
        self._credentials = f"{root}{CREDENTIALS}"

    def run(self, main: str, *arguments: str, to_stderr: bool = False) -> bool:
        """Run the main class, whose output is ours; whether it succeeded. Raises Failure if it cannot be compiled."""
        classpath = f"{self.classes()}:{self._flink}/lib/*"
        java = [f"{self._java}/bin/java", *SHORT_LIVED, "-Xmx512m", "-Dlog4j2.statusLoggerLevel=OFF"]
        done = subprocess.run(
            ["runuser", "-u", self._user, "--", *java, "-cp", classpath, f"flinkhost.{main}", *arguments],
            cwd="/",
            env={**os.environ, **self._environment()},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if to_stderr else None,
            check=False,
        )
        return done.returncode == 0

    def classes(self) -> str:
        """The folder of the classes for the release of Flink that is installed, compiled if there is none yet."""
        sources = sorted(f"{self._sources}/{name}" for name in os.listdir(self._sources) if name.endswith(".java"))
        folder = f"{self._sources}/classes"
        release = os.path.basename(os.path.realpath(self._flink))
        path = f"{folder}/{release}-{_digest(sources)}"
        if os.path.isdir(path):
            return path
        os.umask(0o022)
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.isdir(path):
                self._forget(folder, release)
                self._compile(sources, path)
        return path

    def _compile(self, sources: Sequence[str], path: str) -> None:
        compiler = f"{self._java}/bin/javac"
        if not os.access(compiler, os.X_OK):
            raise Failure(
                f"{compiler} is missing: this needs a JDK, not only a JRE (javaUrl), once for each release of Flink"
            )
        with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as work:
            options = ["--release", RELEASE, "-proc:none", "-nowarn", "-d", f"{work}/made"]
            argv = [compiler, *(f"-J{flag}" for flag in SHORT_LIVED), *options, "-cp", f"{self._flink}/lib/*", *sources]
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
            if done.returncode:
                raise Failure(f"cannot compile our Java classes against {self._flink}; why is above")
            # Last: a folder with this name is whole
            os.rename(f"{work}/made", path)

    @staticmethod
    def _forget(folder: str, release: str) -> None:
        """Remove what was compiled for this release from other sources."""
        for name in os.listdir(folder):
            if name.rpartition("-")[0] == release:
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        found = {"FLINK_PLUGINS_DIR": f"{self._flink}/plugins"}
        try:
            with open(self._credentials) as file:
                for line in file:
                    name, is_set, value = line.strip().partition("=")
                    if is_set:
                        found[name] = value.strip("'")
        except FileNotFoundError:  # the host has an identity of its own
            pass
        return found


def _digest(paths: Sequence[str]) -> str:
    found = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            found.update(os.path.basename(path).encode() + b"\0" + file.read() + b"\0")
    return found.hexdigest()[:12]

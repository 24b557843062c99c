"""Our Java classes, for work that needs Flink's own: its file systems, its data in ZooKeeper, serialised jobs.

Hosts get the sources. The host's JDK compiles them once for each release of Flink, when they are first needed. They run
as Flink's user, with its plugins, configuration and credentials, and with the daemon's system properties.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile

from . import credentials
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SOURCES = "/usr/local/lib/flink/java"
FLINK = "/opt/flink"
JAVA = "/opt/java"
LAUNCHES = "/var/lib/flink/launch"
LAUNCH = f"{LAUNCHES}/expected"
OWN_PROPERTIES = ("-Dlog", "-Dcom.sun.management.")
"""System properties that are the daemon's alone: its log file, and the port that it already listens on."""
KERBEROS_EXPORT = "--add-exports=java.security.jgss/"
SHORT_LIVED = (
    *("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"),
    # The JVM's own warnings go to stdout by default, where our programs answer
    *("-Xlog:disable", "-Xlog:all=warning:stderr"),
)
"""For a JVM that runs for seconds: optimizations for long runs would cost more than they save. It leaves no
/tmp/hsperfdata_USER, which would stay on a host.
"""
END_SECONDS = 10.0
"""For a process to end by itself."""
RELEASE = "11"
"""The oldest Java that Flink 2.x supports: classes for it run on all later versions."""


class Java:
    """The classes. `root` is a prefix of absolute paths, for tests."""

    def __init__(self, user: str, root: str = "") -> None:
        self._user = user
        self._sources = f"{root}{SOURCES}"
        self._flink = f"{root}{FLINK}"
        self._java = f"{root}{JAVA}"
        self._credentials = f"{root}{credentials.FILE}"
        self._launch = f"{root}{LAUNCH}"

    def run(self, main: str, *arguments: str) -> bool:
        """Run a main class with our stdout; returns whether it succeeded. Raises Failure if it cannot be compiled."""
        return self._run(main, arguments, None).returncode == 0

    def lines(self, main: str, *arguments: str) -> tuple[int, list[str]]:
        """Run a main class, and show its stdout on stderr; returns its exit code and the lines. Raises as `run`."""
        done = self._run(main, arguments, subprocess.PIPE)
        sys.stderr.write(done.stdout)
        return done.returncode, done.stdout.splitlines()

    def _run(self, main: str, arguments: Sequence[str], stdout: int | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._argv(main, arguments),
            cwd="/",
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            text=True,
            check=False,
        )

    def start(self, main: str) -> subprocess.Popen[str]:
        """Start a main class that answers on stdout what it reads on stdin. Raises Failure as `run`."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._argv(main, []), cwd="/", env=self.environment(), stdin=pipe, stdout=pipe, text=True
        )

    def _argv(self, main: str, arguments: Sequence[str]) -> list[str]:
        environment = self.environment()
        more = [environment[name] for name in ("HADOOP_CLASSPATH", "HADOOP_CONF_DIR") if environment.get(name)]
        classpath = ":".join([self.classes(), f"{self._flink}/lib/*", *more])
        java = [
            f"{self._java}/bin/java",
            *SHORT_LIVED,
            "-Xmx512m",
            "-Dlog4j2.statusLoggerLevel=OFF",
            *self.properties(),
        ]
        return ["runuser", "-u", self._user, "--", *java, "-cp", classpath, f"flinkhost.{main}", *arguments]

    def properties(self) -> list[str]:
        """The daemon's system properties (`-DNAME=VALUE`): a trust store, a proxy or the address family matters here,
        too. Its heap, collector, agents and dumps do not. With Kerberos also the JDK's package that Hadoop needs.
        """
        try:
            with open(f"{self._launch}/argv") as file:
                words = file.read().split("\0")
        except FileNotFoundError:  # there has been no daemon here yet
            return []
        options = words[: words.index("-classpath")] if "-classpath" in words else words
        return [
            word
            for word in options
            if (len(word) > 2 and word.startswith("-D") and not word.startswith(OWN_PROPERTIES))
            or (self._has_hadoop() and word.startswith(KERBEROS_EXPORT))
        ]

    def _has_hadoop(self) -> bool:
        return bool(self.environment().get("HADOOP_CLASSPATH"))

    def classes(self) -> str:
        """The folder of the classes for the installed release of Flink; compiles them if necessary."""
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
                f"{compiler} is missing: javaUrl must be a JDK, not only a JRE; each release of Flink needs it once"
            )
        with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as work:
            options = ["--release", RELEASE, "-proc:none", "-nowarn", "-d", f"{work}/made"]
            argv = [compiler, *(f"-J{flag}" for flag in SHORT_LIVED), *options, "-cp", f"{self._flink}/lib/*", *sources]
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
            if done.returncode:
                raise Failure(f"cannot compile our Java classes against {self._flink}; the compiler's output is above")
            # Last: a folder with this name is complete
            os.rename(f"{work}/made", path)

    @staticmethod
    def _forget(folder: str, release: str) -> None:
        """Remove what was compiled for this release from other sources."""
        for name in os.listdir(folder):
            if name.rpartition("-")[0] == release:
                shutil.rmtree(f"{folder}/{name}", ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """The environment of this process, with Flink's plugins and the storage's credentials."""
        plugins = {"FLINK_PLUGINS_DIR": f"{self._flink}/plugins"}
        return {**os.environ, **plugins, **credentials.variables(self._credentials)}


class Conversation:
    """A process that answers on stdout what it reads on stdin, as `Java.start` starts it. `start` does so at the first
    question.
    """

    def __init__(self, start: Callable[[], subprocess.Popen[str]]) -> None:
        self._start = start
        self._process: subprocess.Popen[str] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there is a process, which may have ended."""
        return self._process is not None

    def ask(self, line: str) -> Iterator[str]:
        """Ask, and read lines of the answer, of which the process says which is the last one. None if it has ended."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
        for line in process.stdout:  # `yield from` would close it for who stops reading
            yield line

    def terminate(self) -> None:
        """Ask the process to end, also while it is asked."""
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not sent is of no use any more
                pipe and pipe.close()
        # It is runuser's: that ends what it runs, if it is asked to
        for end in (process.terminate, process.kill):
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                end()
        process.wait()


def _digest(paths: Sequence[str]) -> str:
    found = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            found.update(os.path.basename(path).encode() + b"\0" + file.read() + b"\0")
    return found.hexdigest()[:12]

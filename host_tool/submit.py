"""Submits jobs with Flink's own client on this host."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import zipfile

from . import artifacts, configuration
from .job_attempts import innermost
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .artifacts import Artifacts

FLINK = "/opt/flink"
SQL_CLASSES = "flinkhost/Sql"
"""What the names of the classes that run SQL scripts begin with (SqlJob.java)."""
NOT_STARTED = "Failed to start Python process"
"""Flink's client says so of a program that ends before the client looks, which happens on a busy host, and does not
show what the program has said (PythonEnvUtils.startPythonProcess).
"""
STARTS = 6
_UNCHANGING = (1980, 1, 1, 0, 0, 0)


class Submitter:
    """Submits as the daemons' user `user`. `environment` is the one for Flink, `classes` the folder of our Java classes
    (java.py).
    """

    def __init__(self, user: str, kept: Artifacts, environment: dict[str, str], classes: Callable[[], str]) -> None:
        self._user = user
        self._kept = kept
        self._environment = environment
        self._classes = classes

    def __call__(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        """Submit; returns why it was not accepted."""
        try:
            files = self._kept.bring(spec)
            jar = self._jar(spec, files)
            program = self._archive(spec, files[0]) if artifacts.kind(spec) == "python" else files[0]
        except Failure as error:
            return str(error)
        argv = [
            "runuser",
            "-u",
            self._user,
            "--",
            "timeout",
            str(seconds),
            *self.argv(job, spec, restore, program, jar),
        ]
        with configuration.complete(self._user) as folder:
            for _ in range(STARTS):
                done = self._run(argv, folder)
                if NOT_STARTED not in done.stdout:
                    break
        if done.returncode:
            return innermost(done.stdout)
        if artifacts.kind(spec) == "python" and job not in done.stdout:
            return "the program has ended without a job: expected execute() or execute_sql() with an INSERT in it"
        return ""

    def _run(self, argv: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            cwd="/",
            env={**self._environment, "FLINK_CONF_DIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    @staticmethod
    def argv(job: str, spec: dict[str, Any], restore: str, program: str, jar: str) -> list[str]:
        """The command line of Flink's client. `program` is the job's program on this host, `jar` the one with
        everything of it that is Java.
        """
        words = [f"{FLINK}/bin/flink", "run", "-d", "-t", "remote", f"-D$internal.pipeline.job-id={job}"]
        words += [f"-D{key}={value}" for key, value in spec["flinkConfig"].items()]
        if spec["parallelism"]:
            words += ["-p", str(spec["parallelism"])]
        if restore:
            # It may be another cluster's, or what a failed change goes back to: Flink must never delete it
            words += ["-s", restore, "--claimMode", "NO_CLAIM"]
            if spec["allowNonRestoredState"]:
                words.append("-n")
        if artifacts.kind(spec) == "python":
            python = f"{spec['environment']}/bin/python"
            words += [f"-Dpython.executable={python}", f"-Dpython.client.executable={python}"]
            words += ["-pyfs", program, "-pym", spec["entryModule"], *(["-j", jar] if jar else [])]
            return [*words, "--", *spec["args"]]
        if artifacts.kind(spec) == "sql":
            return [*words, "-c", "flinkhost.SqlJob", jar, program]
        return [*words, *(["-c", spec["entryClass"]] if spec["entryClass"] else []), jar, *spec["args"]]

    def _jar(self, spec: dict[str, Any], files: Sequence[str]) -> str:
        """The path of one jar with all that is Java in it: Flink's client adds the jars in a jar's folder `lib` to the
        job's classpath, here and on TaskManagers. It overwrites the option `pipeline.jars`, and takes only one jar.
        """
        jars = files[1:]
        if artifacts.kind(spec) == "python":
            return self._joined(jars, _begin, jars) if jars else ""
        if artifacts.kind(spec) == "sql":
            classes = self._classes()
            return self._joined([classes, *jars], lambda new: _pack(classes, new), jars)
        return self._joined(files, lambda new: shutil.copyfile(files[0], new), jars) if jars else files[0]

    def _archive(self, spec: dict[str, Any], path: str) -> str:
        """The path of an archive with the program's modules: Flink's client brings it to TaskManagers, and its name
        ends as Python expects it.
        """
        name = artifacts.program(spec)["name"]
        if not os.path.exists(f"{spec['environment']}/bin/python"):
            raise Failure(f"{spec['environment']} is missing on this host: run up with repair: true")

        def write(new: str) -> None:
            if name.endswith(".py"):
                with zipfile.ZipFile(new, "w") as archive, open(path, "rb") as file:
                    archive.writestr(_entry(name), file.read())
            else:
                shutil.copyfile(path, new)

        return self._kept.make(f"{os.path.basename(path)}.zip", write)

    def _joined(self, parts: Sequence[str], start: Callable[[str], object], jars: Sequence[str]) -> str:
        """A jar that `start` begins, with `jars` in its folder `lib`; it is always the same for the same `parts`."""

        def write(new: str) -> None:
            start(new)
            with zipfile.ZipFile(new, "a") as whole:
                for path in jars:
                    with open(path, "rb") as file, whole.open(_entry(f"lib/{os.path.basename(path)}"), "w") as entry:
                        shutil.copyfileobj(file, entry)

        digest = hashlib.sha256("\0".join(os.path.basename(part) for part in parts).encode()).hexdigest()
        return self._kept.make(f"{digest}.jar", write)


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _UNCHANGING)


def _begin(jar: str) -> None:
    """A jar without classes."""
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr(_entry("META-INF/MANIFEST.MF"), "Manifest-Version: 1.0\n\n")


def _pack(classes: str, jar: str) -> None:
    """A jar with our classes that run SQL scripts."""
    _begin(jar)
    with zipfile.ZipFile(jar, "a") as archive:
        for name in sorted(os.listdir(f"{classes}/flinkhost")):
            if f"flinkhost/{name}".startswith(SQL_CLASSES):
                with open(f"{classes}/flinkhost/{name}", "rb") as file:
                    archive.writestr(_entry(f"flinkhost/{name}"), file.read())

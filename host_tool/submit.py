"""Submits jobs with Flink's own client on this host, and keeps their jars on the storage."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess

from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .store import Store

FLINK = "/opt/flink/bin/flink"
JARS = "/var/lib/flink/jobs"
SAID_LINES = 40


class Submitter:
    """Submits as the daemons' user `user`. `folder` is the job's on the storage, `environment` the one for Flink."""

    def __init__(self, user: str, store: Store, folder: str, environment: dict[str, str]) -> None:
        self._user = user
        self._store = store
        self._folder = folder
        self._environment = environment

    def keep(self, jar: dict[str, Any], file: str) -> None:
        """Keep a jar that was copied to `file` on the storage: a later run may need it on another host. Raises Failure
        if it is not the declared one.
        """
        name = f"{jar['sha256']}.jar"
        if not os.path.exists(f"{JARS}/{name}"):
            self._get(jar, file, self._new(name))
            self._check(name, jar)
        if name not in self._store.files(f"{self._folder}/jars"):
            self._store.put(f"{JARS}/{name}", f"{self._folder}/jars/{name}")

    def _get(self, jar: dict[str, Any], file: str, new: str) -> None:
        """Copy the jar from where it is."""
        kept = f"{self._folder}/jars/{jar['sha256']}.jar"
        path = os.path.expanduser(file)
        if "://" in file:
            found = self._download(file, new) if file.startswith("http") else self._store.fetch(file, new)
        elif os.path.exists(path):
            shutil.copyfile(path, new)
            os.unlink(path)
            return
        else:
            found = False
        if not found and not self._store.fetch(kept, new):
            raise Failure(f"{jar['name']} is neither at {file} nor on the storage: run up with repair: true")

    @staticmethod
    def _download(url: str, new: str) -> bool:
        argv = ["curl", "-fsSL", "--retry", "3", "--connect-timeout", "20", "-o", new, url]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode == 0

    def __call__(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        """Submit; returns why it was not accepted. Raises Failure if the jar is nowhere."""
        jar = spec["jar"]
        name = f"{jar['sha256']}.jar"
        if not os.path.exists(f"{JARS}/{name}"):
            if not self._store.fetch(f"{self._folder}/jars/{name}", self._new(name)):
                return f"its jar {jar['name']} ({jar['sha256'][:12]}) is no longer on the storage"
            self._check(name, jar)
        done = subprocess.run(
            ["runuser", "-u", self._user, "--", "timeout", str(seconds), *self.argv(job, spec, restore)],
            cwd="/",
            env={**self._environment, "FLINK_CONF_DIR": "/etc/flink"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return _why(done.stdout) if done.returncode else ""

    @staticmethod
    def argv(job: str, spec: dict[str, Any], restore: str) -> list[str]:
        """The command line of Flink's client."""
        words = [FLINK, "run", "-d", "-t", "remote", f"-D$internal.pipeline.job-id={job}"]
        words += [f"-D{key}={value}" for key, value in spec["flinkConfig"].items()]
        if spec["parallelism"]:
            words += ["-p", str(spec["parallelism"])]
        if spec["entryClass"]:
            words += ["-c", spec["entryClass"]]
        if restore:
            words += ["-s", restore]
            if spec["allowNonRestoredState"]:
                words.append("-n")
        return [*words, f"{JARS}/{spec['jar']['sha256']}.jar", *spec["args"]]

    @staticmethod
    def _new(name: str) -> str:
        os.umask(0o022)
        os.makedirs(JARS, exist_ok=True)
        shutil.chown(JARS, "flink", "flink")
        return f"{JARS}/.{name}"

    @staticmethod
    def _check(name: str, jar: dict[str, Any]) -> None:
        found = hashlib.sha256()
        with open(f"{JARS}/.{name}", "rb") as file:
            while block := file.read(1 << 20):
                found.update(block)
        if found.hexdigest() != jar["sha256"]:
            os.unlink(f"{JARS}/.{name}")
            raise Failure(f"{jar['name']}: its sha256 is {found.hexdigest()}, expected {jar['sha256']}")
        os.rename(f"{JARS}/.{name}", f"{JARS}/{name}")


def _why(said: str) -> str:
    from .declared_job import innermost

    return innermost(said)

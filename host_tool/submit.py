"""Submits jobs with Flink's own client on this host, and keeps their jars on the storage."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess

from .job_attempts import innermost
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .store import Store

FLINK = "/opt/flink/bin/flink"
JARS = "/var/lib/flink/jobs"


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
        path = self._here(jar, lambda new: self._get(file, new) or self._store.fetch(self._kept(jar), new))
        if path is None:
            raise Failure(f"{jar['name']} is neither at {file} nor on the storage: run up with repair: true")
        if os.path.basename(path) not in self._store.files(f"{self._folder}/jars"):
            self._store.put(path, self._kept(jar))
        if "://" not in file:
            # From now on it is here and on the storage
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.expanduser(file))

    def __call__(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        """Submit; returns why it was not accepted."""
        jar = spec["jar"]
        if self._here(jar, lambda new: self._store.fetch(self._kept(jar), new)) is None:
            return f"its jar {jar['name']} ({jar['sha256'][:12]}) is no longer on the storage"
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
        return innermost(done.stdout) if done.returncode else ""

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
            # It may be another cluster's, or what a failed change goes back to: Flink must never delete it
            words += ["-s", restore, "--claimMode", "NO_CLAIM"]
            if spec["allowNonRestoredState"]:
                words.append("-n")
        return [*words, _path(spec["jar"]), *spec["args"]]

    def _here(self, jar: dict[str, Any], get: Callable[[str], bool]) -> str | None:
        """The jar's path on this host; `get` copies it to a path if it is not here yet, and says whether it could."""
        path = _path(jar)
        if os.path.exists(path):
            return path
        os.umask(0o022)
        os.makedirs(JARS, exist_ok=True)
        # Flink's file systems run as this user
        shutil.chown(JARS, self._user, self._user)
        # Another job may have the same jar, and comes here at the same time
        new = f"{JARS}/.{os.getpid()}-{os.path.basename(path)}"
        if not get(new):
            return None
        _check(jar, new)
        os.rename(new, path)
        return path

    def _kept(self, jar: dict[str, Any]) -> str:
        """Where the storage has it."""
        return f"{self._folder}/jars/{os.path.basename(_path(jar))}"

    def _get(self, file: str, new: str) -> bool:
        """Copy the declared jar from where it is; whether it is there."""
        if "://" in file:
            return self._store.fetch(file, new)
        path = os.path.expanduser(file)
        if not os.path.exists(path):
            return False
        shutil.copyfile(path, new)
        return True


def _path(jar: dict[str, Any]) -> str:
    return f"{JARS}/{jar['sha256']}.jar"


def _check(jar: dict[str, Any], path: str) -> None:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    if found.hexdigest() != jar["sha256"]:
        os.unlink(path)
        raise Failure(f"{jar['name']}: its sha256 is {found.hexdigest()}, expected {jar['sha256']}")

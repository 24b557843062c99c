"""The files that a declared job is made of, on this host and on the storage, by their checksums.

An artifact is a mapping with the `name` of the file, for people, and its `sha256`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil

from .daemon import account
from .output import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .store import Store

FOLDER = "/var/lib/flink/jobs"
KINDS = ("jar", "sql", "python")
"""Of programs: also the suffixes of their names."""


def kind(spec: dict[str, Any]) -> str:
    """What the job's program is, one of KINDS."""
    return next(each for each in KINDS if each in spec)


def program(spec: dict[str, Any]) -> dict[str, Any]:
    """The artifact with the job's program."""
    found: dict[str, Any] = spec[kind(spec)]
    return found


def of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All artifacts of a job, the program first, by their names on hosts and on the storage."""
    jars = {f"{each['sha256']}.jar": each for each in spec.get("dependencies", [])}
    return {f"{program(spec)['sha256']}.{kind(spec)}": program(spec), **jars}


class Artifacts:
    """A job's artifacts. `folder` is the job's on the storage; `user` is the daemons' user."""

    def __init__(self, user: str, store: Store, folder: str) -> None:
        self._user = user
        self._store = store
        self._folder = f"{folder}/jars"

    def keep(self, spec: dict[str, Any], files: dict[str, str]) -> None:
        """Keep all artifacts on the storage: a later run may need them on another host. `files` says where each is now,
        by its name in `of`: on this host, or on the storage. Raises Failure if one is not the declared one.
        """
        kept = self._store.files(self._folder)
        for name, artifact in of(spec).items():
            file = files[name]
            path = self._here(name, artifact, file)
            if path is None:
                raise Failure(f"{artifact['name']} is neither at {file} nor on the storage: run up with repair: true")
            if name not in kept:
                self._store.put(path, f"{self._folder}/{name}")
            if "://" not in file:
                # From now on it is here and on the storage
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.expanduser(file))

    def bring(self, spec: dict[str, Any]) -> list[str]:
        """The paths of all artifacts on this host, the program first. Raises Failure if one is no longer there."""
        paths = []
        for name, artifact in of(spec).items():
            path = self._here(name, artifact)
            if path is None:
                raise Failure(f"{artifact['name']} ({artifact['sha256'][:12]}) is no longer on the storage")
            paths.append(path)
        return paths

    def make(self, name: str, write: Callable[[str], None]) -> str:
        """The path of a file that is made of others; `write` makes it if it is not here yet."""
        path = f"{FOLDER}/{name}"
        if not os.path.exists(path):
            new = self._new(name)
            write(new)
            os.rename(new, path)
        return path

    def _here(self, name: str, artifact: dict[str, Any], file: str = "") -> str | None:
        """The artifact's path on this host, to which it is copied from `file` or the storage; None if nobody has it."""
        path = f"{FOLDER}/{name}"
        if os.path.exists(path):
            return path
        new = self._new(name)
        if not self._copy(artifact, file, new):
            places = [file] if "://" in file else []
            if not any(self._store.fetch(place, new) for place in (*places, f"{self._folder}/{name}")):
                return None
            _check(artifact, new)
        os.rename(new, path)
        return path

    def _new(self, name: str) -> str:
        """Where a file is written until it is complete: another job may bring the same at the same time."""
        os.umask(0o022)
        os.makedirs(FOLDER, exist_ok=True)
        # Flink's file systems run as this user, who could put links in place of the folder, or of a name that is known
        if os.path.islink(FOLDER):
            raise Failure(f"{FOLDER} is a link: expected a folder; remove the link")
        owner = account(self._user)
        os.chown(FOLDER, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
        return f"{FOLDER}/.{secrets.token_hex(8)}-{name}"

    def _copy(self, artifact: dict[str, Any], file: str, new: str) -> bool:
        """Copy the declared artifact from this host, and check it; whether it is there. Nobody else reads the copy
        before: the daemons' user could have had root copy what only root reads.
        """
        path = os.path.expanduser(file)
        if not os.path.exists(path):
            return False
        with open(path, "rb", opener=_no_link) as source, open(new, "xb", opener=_hidden) as target:
            shutil.copyfileobj(source, target)
            target.flush()
            _check(artifact, new)
            os.fchmod(target.fileno(), 0o644)
        return True


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _hidden(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _check(artifact: dict[str, Any], path: str) -> None:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    if found.hexdigest() != artifact["sha256"]:
        os.unlink(path)
        raise Failure(f"{artifact['name']}: its sha256 is {found.hexdigest()}, expected {artifact['sha256']}")

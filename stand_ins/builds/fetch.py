"""Files from project sites, bounded and verified, and a cache that several processes may fill at the same time."""

import fcntl
import hashlib
import http.client
import shutil
import tempfile
import threading
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolbox.errors import ToolError
from toolbox.parallel import stopping
from toolbox.paths import cache_dir

ANSWER_SECONDS = 8.0
"""Seconds for a project's site to answer before the registries are used instead."""

_CHUNK = 1 << 20


class FetchError(ToolError):
    """A site did not answer, refused, or sent something unexpected: the message says which."""


def pins() -> dict[str, Any]:
    """The table `stand_ins/builds/pins.toml`: the expected SHA-256 of files from the registries."""
    return tomllib.loads((Path(__file__).parent / "pins.toml").read_text())


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file; `algorithm` is `sha256` or `sha512`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def get(url: str) -> bytes:
    """A small file, complete within `ANSWER_SECONDS` (including the name lookup); `FetchError` if not."""
    answer: list[bytes | Exception] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response:
                answer.append(response.read(_CHUNK))
        except (OSError, http.client.HTTPException) as error:
            answer.append(error)

    asker = threading.Thread(target=ask, name=f"get {url}", daemon=True)  # a name lookup has no timeout
    asker.start()
    asker.join(ANSWER_SECONDS)
    if not answer:
        raise FetchError(f"no answer within {ANSWER_SECONDS:.0f} s")
    if isinstance(answer[0], Exception):
        raise FetchError(_reason(answer[0])) from answer[0]
    return answer[0]


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(getattr(reason, "strerror", None) or reason)


def download(url: str, to: Path, algorithm: str, expected: str, progress: Callable[[str], None]) -> None:
    """Download a large file and verify its digest; `progress` receives the progress.

    `FetchError` if the site stalls for `ANSWER_SECONDS`, refuses, or sends a file with another digest.
    """
    hashed, size = hashlib.new(algorithm), 0
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as response, to.open("wb") as file:
            while chunk := response.read(_CHUNK):
                if stopping():
                    raise FetchError("the run is being stopped")
                file.write(chunk)
                hashed.update(chunk)
                size += len(chunk)
                progress(f"{size >> 20} MiB")
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(_reason(error)) from error
    if hashed.hexdigest() != expected:
        raise FetchError(f"{url} has {algorithm} {hashed.hexdigest()}, expected {expected} as its site publishes")


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the lock `name`, which all threads and processes with this cache share; waits up to 30 minutes."""
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    deadline = time.monotonic() + 1800
    with (folder / name).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stopping() or time.monotonic() > deadline:
                    raise FetchError(f"{folder / name} is held by another process") from None
                threading.Event().wait(0.2)
        yield


@contextmanager
def workspace() -> Iterator[Path]:
    """A directory on the cache's own file system, so that its content can be renamed into place."""
    path = Path(tempfile.mkdtemp(prefix="tmp-", dir=cache_dir()))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def cached(path: Path, make: Callable[[Path], None]) -> bool:
    """Create a file or directory by `make(new)` and move it to `path`, unless that exists; returns whether it did.

    `path` is either complete or absent, even after an interruption, and two processes never create it twice.
    """
    if path.exists():
        return False
    with locked(path.name):
        if path.exists():
            return False
        with workspace() as work:
            new = work / path.name
            make(new)
            path.parent.mkdir(parents=True, exist_ok=True)
            new.rename(path)
    return True

"""Engines that a test's own process runs, to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path


def running() -> list[int]:
    """Their processes."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            comm, fields = stat.read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue  # it has ended meanwhile
        if comm == "pulumi" and int(fields.split()[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def kill() -> bool:
    """`kill -9`; whether there was one."""
    found = running()
    for engine in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(engine, signal.SIGKILL)
    return bool(found)


@contextlib.contextmanager
def killed_after(file: Path, writes: int) -> Iterator[threading.Event]:
    """Kill the engine of the block when the state was written so often. The event is set if it was killed."""
    over, happened = threading.Event(), threading.Event()

    def written() -> int:
        return file.stat().st_mtime_ns if file.exists() else 0

    def watch() -> None:
        seen, last = 0, written()
        while not over.wait(0.005):
            now = written()
            seen, last = seen + (now != last), now
            if seen >= writes and kill():
                happened.set()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield happened
    finally:
        over.set()
        thread.join()

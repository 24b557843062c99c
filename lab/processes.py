"""The lab's long-lived processes, found by a mark in their environment.

Each has `FLINK_LAB=<lab id>/<name>` in its environment during its whole life. So there is no pid file that could be
stale, missing, or name another program's process.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

MARK = "FLINK_LAB"


@dataclass(frozen=True)
class Process:
    """A process of the host or server `name` of a lab."""

    pid: int
    name: str

    def _is_init(self) -> bool:
        """Whether it is pid 1 of its own pid namespace, as the init of a host is."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        ids = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
        return len(ids) > 1 and ids[-1] == "1"

    def program(self) -> str:
        """Its command line, separated by spaces; empty if it has ended."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""

    def uptime(self) -> float:
        """Seconds since its start; 0 if it has ended."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            now = float(Path("/proc/uptime").read_text().split()[0])
        except OSError:
            return 0.0
        return now - int(fields[19]) / os.sysconf("SC_CLK_TCK")


def mark(lab_id: str, name: str) -> str:
    """The environment entry of all processes of `name`."""
    return f"{MARK}={lab_id}/{name}"


def find(lab_id: str, name: str = "") -> list[Process]:
    """All processes of the lab, or of its host or server `name`."""
    prefix = f"{MARK}={lab_id}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:  # it has ended
            continue
        if prefix not in environment:
            continue
        for line in environment.split(b"\0"):
            if line.startswith(prefix) and (owner := line[len(prefix) :].decode()) and name in ("", owner):
                found.append(Process(int(entry.name), owner))
    return found


def init_of(lab_id: str, host: str) -> Process | None:
    """The init (pid 1 inside) of a host, if the host is on."""
    return next((process for process in find(lab_id, host) if process._is_init()), None)


def inits(lab_id: str) -> dict[str, Process]:
    """The init of each running host, by the host's name; scans /proc once."""
    return {process.name: process for process in find(lab_id) if process._is_init()}


def spawn(
    lab_id: str, name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process that outlives this one, in a separate session, with its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {}), MARK: f"{lab_id}/{name}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # During execve a process has no environment that it could be found by
    deadline = time.monotonic() + 5
    while process.poll() is None and not find(lab_id, name) and time.monotonic() < deadline:
        time.sleep(0.01)
    return process


def kill(lab_id: str, name: str = "", timeout: float = 20) -> None:
    """Kill all processes of the lab, or of `name` (SIGKILL), and wait until they have ended.

    All processes of a host end with its init. `LabError` if some still exist after `timeout` seconds; the only known
    reason is a disk that does not answer.
    """
    deadline = time.monotonic() + timeout
    while left := find(lab_id, name):
        for process in left:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            pids = ", ".join(str(process.pid) for process in left)
            raise LabError(f"processes {pids} did not end within {timeout:.0f} s of SIGKILL")
        time.sleep(0.02)

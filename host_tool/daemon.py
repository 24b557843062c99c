"""This host's Flink daemon: what it runs, whether it is healthy, and how to restart it with what is expected.

The rollout calls these commands from the first JobManager's host, as the daemons' user. That user may only end the
process; systemd, which supervises the daemon, then starts it again.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from .clock import Clock
from .health import KINDS
from .output import Failure
from .rest import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pwd
    from typing import Any

FACTS = "/etc/flink/daemon.json"
STOP_SECONDS = 60
"""As in the unit (TimeoutStopSec)."""
HOLD_SECONDS = 600
"""As in the launch (launch.sh)."""
LOG_LINES = 25
LOG_BYTES = 64 * 1024
LEADS = "flink_jobmanager_numRegisteredTaskManagers"
"""A standby has no resource manager, and therefore no such metric."""


def facts() -> dict[str, Any]:
    """Facts about this host's daemon: unit, user, inputs (paths), health, port, others
    (hosts that its health depends on), metricsPort; session (the path of its note), of those that lead."""
    import json

    with open(FACTS) as file:
        found: dict[str, Any] = json.load(file)
    return found


def account(user: str) -> pwd.struct_passwd:
    """The entry of the daemons' user. Raises Failure if there is no such user."""
    import pwd

    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise Failure(f"user {user} is missing, which the step system creates") from None


def become(user: str) -> None:
    """Continue as `user` if this is root, which must not follow what that user writes. Raises Failure if there is
    no such user.
    """
    if os.geteuid() != 0:
        return
    known = account(user)
    os.setgroups(os.getgrouplist(user, known.pw_gid))
    os.setgid(known.pw_gid)
    os.setuid(known.pw_uid)


def of_this_host() -> Daemon:
    """This host's daemon, for which this program continues as its user."""
    known = facts()
    become(known["user"])
    return Daemon(known, Clock())


class Daemon:
    """The daemon that `facts` describes. `root` is a prefix of absolute paths, for tests."""

    def __init__(self, facts: dict[str, Any], clock: Clock, root: str = "") -> None:
        self._unit: str = facts["unit"]
        self._inputs: list[str] = facts["inputs"]
        self._health = KINDS[facts["health"]](facts["port"], facts.get("others", ()))
        self._metrics = Server("localhost", facts["metricsPort"])
        self._clock = clock
        self._run = f"{root}/run/{self._unit}"
        self._launches = f"{root}/var/lib/flink/launch"
        self._hold = f"{self._launches}/hold"
        self._logs = f"{root}/var/log/flink"
        self._fingerprint = f"{root}/usr/local/lib/flink/fingerprint"

    def state(self) -> str:
        """The daemon's state in one line, for the rollout (`State` in rollout.py parses it)."""
        what = "current" if self._expected() == self._runs() else "pending"
        if not self._lives():
            what = "down"
        held = "held" if self._is_held() else "go"
        return f"{what} {self._release('current')} {self._release('expected')} {held}"

    def switch(self) -> None:
        """End it, so that systemd restarts it with what is expected."""
        current, expected = _link(f"{self._launches}/current"), os.readlink(f"{self._launches}/expected")
        # Not if it was switched already: what it ran before would be lost
        if current and current != expected:
            self._point("previous", current)
        self._restart_with(expected)

    def hold(self) -> None:
        """Hold the next start until `go` or `back`, for 10 minutes at most."""
        # Since an interrupted rollout it may start with something else than it ran
        ran = _text(self._hold) or _link(f"{self._launches}/current")
        with open(f"{self._hold}.new", "w") as file:
            file.write(ran)
        os.replace(file.name, self._hold)

    def back(self) -> None:
        """Let it start with what it ran at `hold`: if it was switched since, end it, and systemd restarts it."""
        ran = _text(self._hold)
        if ran and ran != _link(f"{self._launches}/current"):
            self._restart_with(ran)
        self.go()

    def go(self) -> None:
        """Let it start."""
        if os.path.exists(self._hold):
            os.remove(self._hold)

    def proves(self, seconds: float) -> bool:
        """Whether it runs what is expected and is healthy, within the given seconds."""
        return self._clock.until(seconds, self._is_healthy)

    def leads(self) -> bool:
        """Whether it is the leading JobManager."""
        metrics = self._metrics.text("/metrics") or ""
        return any(line.startswith(LEADS) for line in metrics.splitlines())

    def process(self) -> list[int] | None:
        """Its process: the PID, and when it started, as the file system tells time. None if it does not live."""
        process = self._pid()
        return [process, os.stat(f"{self._run}/pid").st_mtime_ns] if _lives(process) else None

    def tell(self) -> None:
        """Print the end of its log. Raises Failure if there is none."""
        logs = [f"{self._logs}/{name}" for name in os.listdir(self._logs) if name.endswith(".log")]
        if not logs:
            raise Failure(f"there is no log in {self._logs}")
        with open(max(logs, key=os.path.getmtime), "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES))
            lines = log.read().splitlines(keepends=True)
        sys.stdout.buffer.writelines(lines[-LOG_LINES:])
        sys.stdout.flush()

    def _is_held(self) -> bool:
        try:
            return time.time() - os.stat(self._hold).st_mtime < HOLD_SECONDS
        except FileNotFoundError:
            return False

    def _is_healthy(self) -> bool:
        # The cheapest check first: this runs several times a second while a JVM starts
        return self._lives() and self._health.healthy() and self._expected() == self._runs()

    def _expected(self) -> str:
        """The expected fingerprint, from the tool with which the unit records the running one."""
        import subprocess

        argv = [self._fingerprint, "--expected", *self._inputs]
        return subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()

    def _runs(self) -> str:
        return _text(f"{self._run}/fingerprint")

    def _pid(self) -> int:
        """The PID of its current or last process; 0 if it has not run since the host booted."""
        found = _text(f"{self._run}/pid")
        return int(found) if found.isdigit() else 0

    def _lives(self) -> bool:
        return _lives(self._pid())

    def _release(self, launch: str) -> str:
        return _text(f"{self._launches}/{launch}/release") or "none"

    def _restart_with(self, launch: str) -> None:
        process = self._pid()
        self._point("current", launch)
        if not _lives(process):
            return
        os.kill(process, signal.SIGTERM)
        if not self._clock.until(STOP_SECONDS, lambda: not _lives(process)):
            os.kill(process, signal.SIGKILL)

    def _point(self, link: str, launch: str) -> None:
        """Replace the link atomically."""
        new = f"{self._launches}/.{link}"
        if os.path.islink(new):
            os.remove(new)
        os.symlink(launch, new)
        os.replace(new, f"{self._launches}/{link}")


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    return os.readlink(path) if os.path.islink(path) else ""


def _lives(process: int) -> bool:
    if not process:
        return False
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True

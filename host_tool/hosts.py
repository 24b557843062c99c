"""The other hosts of the cluster, by the SSH access that JobManagers have for start-cluster.sh."""

from __future__ import annotations

import contextlib
import sys

from .daemon import account

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

TOOL = "/usr/local/lib/flink/flink-host"
CONNECT_SECONDS = 10
KEY_EXCHANGE = "KexAlgorithms=^curve25519-sha256,curve25519-sha256@libssh.org"
"""Before what Debian 12 prefers, because no quantum computer breaks it (sntrup761): that takes 0.13 of the 0.15 s of
CPU time of a login. A host that accepts nothing else is still reached. What is said here is no secret: whether a daemon
runs, and that it has to restart.
"""
AT_ONCE = 20
"""Hosts asked in parallel: each is a process here."""
LOST = 255
"""How OpenSSH ends if it could not log in, or the connection was lost."""
LAST_SECONDS = 4.0
"""For what hosts still do when this program is ended: what it tells them then must not overtake that."""
WAITS = 4
"""Time limits of a login that waits: until others are healthy, have registered, and run their jobs; then its own."""


def as_user(user: str) -> dict[str, Any]:
    """Arguments of `Popen` for a process of `user`. By `runuser`, which opens a session of PAM for each, a login would
    take half as much CPU time again. Raises Failure if there is no such user.
    """
    import os

    group = account(user).pw_gid
    return {"user": user, "group": group, "extra_groups": os.getgrouplist(user, group)}


class Hosts:
    """Logs in as the daemons' user `user` and runs the tool there. A command fails if it takes longer than `seconds`,
    including the login.
    """

    def __init__(self, user: str, seconds: int) -> None:
        self._user = user
        self._seconds = seconds

    def ask(self, host: str, *words: str) -> str | None:
        """The output of a command of the tool on a host; None if it failed, or the login did."""
        return self.ask_all([host], *words)[host]

    def does(self, host: str, *words: str) -> bool:
        """Whether a command of the tool succeeds on a host."""
        return self.ask(host, *words) is not None

    def ask_all(self, hosts: Sequence[str], *words: str) -> dict[str, str | None]:
        """The output of a command on each of the hosts, in parallel; None where it failed."""
        ran = self._run_on(hosts, words)
        return {host: output.strip() if status == 0 else None for host, status, output, _ in ran}

    def log_in(self, hosts: Sequence[str], *words: str) -> Waiting:
        """Log in to the hosts, at most `AT_ONCE` of them; the command runs when it is told to. It never does if this
        program ends before.
        """
        import subprocess

        def start(host: str) -> subprocess.Popen[str]:
            argv = self._argv(host, ("read", "-r", "_", "&&", TOOL, *words), WAITS * self._seconds)
            as_them = as_user(self._user)
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, **as_them)

        return Waiting({host: start(host) for host in hosts[:AT_ONCE]}, self._seconds)

    def problems(self, hosts: Sequence[str]) -> dict[str, str]:
        """For each of the hosts where nobody can log in and run the tool, what was said about that."""
        import subprocess

        ran = self._run_on(hosts, ("--help",), stderr=subprocess.PIPE)
        return {host: " ".join(said.split()) or f"exit status {status}" for host, status, _, said in ran if status}

    def show(self, host: str, *words: str) -> bool:
        """Show the output of a command on a host on stderr; returns whether it succeeded."""
        import subprocess

        sys.stderr.flush()
        # What is shown may be a log
        argv = self._argv(host, (TOOL, *words), self._seconds, options=())
        shown = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, **as_user(self._user))
        return shown.returncode == 0

    def _run_on(
        self, hosts: Sequence[str], words: Sequence[str], stderr: int | None = None
    ) -> Iterator[tuple[str, int, str, str]]:
        """Run a command on hosts in parallel: host, exit status, output, and what was said on `stderr` if that is a
        pipe.
        """
        left = list(hosts)
        started: dict[str, subprocess.Popen[str]] = {}
        try:
            while left or started:
                while left and len(started) < AT_ONCE:
                    host = left.pop(0)
                    started[host] = self._start(host, words, stderr)
                host, process = next(iter(started.items()))
                output, said = process.communicate()
                del started[host]
                yield host, process.returncode, output, said
        finally:
            _await(started.values(), LAST_SECONDS)

    def _start(self, host: str, words: Sequence[str], stderr: int | None = None) -> subprocess.Popen[str]:
        import subprocess

        argv = self._argv(host, (TOOL, *words), self._seconds)
        pipe, as_them = subprocess.PIPE, as_user(self._user)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=stderr, text=True, **as_them)

    def _argv(
        self, host: str, words: Sequence[str], seconds: int, options: Sequence[str] = (KEY_EXCHANGE,)
    ) -> list[str]:
        options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "ServerAliveInterval=10", *options]
        return ["timeout", str(seconds), "ssh", *(word for option in options for word in ("-o", option)), host, *words]


def _await(processes: Iterable[subprocess.Popen[str]], seconds: float) -> None:
    """Wait until they have ended, within the given seconds."""
    import subprocess
    import time

    end = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, end - time.monotonic()))


class Waiting:
    """Logins whose command waits for `go`."""

    def __init__(self, started: dict[str, subprocess.Popen[str]], seconds: float) -> None:
        self.started = started
        self._seconds = seconds

    def go(self, hosts: Sequence[str]) -> dict[str, bool]:
        """Let the command run on those of the hosts where it waits. Returns whether it succeeded, in the time limit of
        one; not of hosts whose connection was lost, where it may not have run.
        """
        import subprocess
        import time

        told = [host for host in hosts if host in self.started and self._end(host, "\n")]
        end, ran = time.monotonic() + self._seconds, {}
        for host in told:
            process = self.started[host]
            try:
                status = process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.terminate()
                status = -1
            if status != LOST:
                ran[host] = status == 0
        return ran

    def close(self) -> None:
        """Log out where the command still waits: it does not run."""
        for host in self.started:
            self._end(host)

    def _end(self, host: str, last: str = "") -> bool:
        stdin = self.started[host].stdin
        try:
            if stdin and not stdin.closed:
                stdin.write(last)
                stdin.close()
                return True
        except OSError:  # the login has failed, or the connection was lost
            pass
        return False

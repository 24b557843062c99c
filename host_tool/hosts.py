"""The other hosts of the cluster, by the SSH access that JobManagers have for start-cluster.sh."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

TOOL = "/usr/local/lib/flink/flink-host"
CONNECT_SECONDS = 10
AT_ONCE = 20
"""Hosts asked in parallel: each is a process here."""


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
        found = {}
        for first in range(0, len(hosts), AT_ONCE):
            started = {host: self._start(host, words) for host in hosts[first : first + AT_ONCE]}
            for host, process in started.items():
                output, _ = process.communicate()
                found[host] = output.strip() if process.returncode == 0 else None
        return found

    def problems(self, hosts: Sequence[str]) -> dict[str, str]:
        """For each of the hosts where nobody can log in and run the tool, what was said about that."""
        import subprocess

        found = {}
        for first in range(0, len(hosts), AT_ONCE):
            started = {
                host: self._start(host, ("--help",), stderr=subprocess.PIPE) for host in hosts[first : first + AT_ONCE]
            }
            for host, process in started.items():
                _, said = process.communicate()
                if process.returncode:
                    found[host] = " ".join(said.split()) or f"exit status {process.returncode}"
        return found

    def show(self, host: str, *words: str) -> bool:
        """Show the output of a command on a host on stderr; returns whether it succeeded."""
        import subprocess

        sys.stderr.flush()
        argv = self._argv(host, words)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0

    def _start(self, host: str, words: Sequence[str], stderr: int | None = None) -> subprocess.Popen[str]:
        import subprocess

        argv = self._argv(host, words)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def _argv(self, host: str, words: Sequence[str]) -> list[str]:
        # `timeout` runs as the user: as root it would end runuser, but not its children
        bound = ["runuser", "-u", self._user, "--", "timeout", str(self._seconds)]
        options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "ServerAliveInterval=10"]
        return [*bound, "ssh", "-n", *(word for option in options for word in ("-o", option)), host, TOOL, *words]

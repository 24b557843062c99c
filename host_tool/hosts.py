"""The other hosts of the cluster, over the SSH that JobManagers have for start-cluster.sh."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

TOOL = "/usr/local/lib/flink/flink-host"
CONNECT_SECONDS = 10
AT_ONCE = 20
"""Hosts that are asked side by side: each is a process here."""


class Hosts:
    """Logs in as the daemons' user `user` and runs the tool there; a command that takes longer than `seconds`, with the
    login, is ended and has failed.
    """

    def __init__(self, user: str, seconds: int) -> None:
        self._user = user
        self._seconds = seconds

    def ask(self, host: str, *words: str) -> str | None:
        """What a command of the tool prints on a host; None if it failed there, or nobody could log in."""
        return self.ask_all([host], *words)[host]

    def does(self, host: str, *words: str) -> bool:
        """Whether a command of the tool succeeds on a host."""
        return self.ask(host, *words) is not None

    def ask_all(self, hosts: Sequence[str], *words: str) -> dict[str, str | None]:
        """What a command prints on each of the hosts, side by side; None for one where it failed."""
        found = {}
        for first in range(0, len(hosts), AT_ONCE):
            started = {host: self._start(host, words) for host in hosts[first : first + AT_ONCE]}
            for host, process in started.items():
                output, _ = process.communicate()
                found[host] = output.strip() if process.returncode == 0 else None
        return found

    def show(self, host: str, *words: str) -> bool:
        """Show on stderr what a command prints on a host; whether it succeeded."""
        import subprocess

        sys.stderr.flush()
        argv = self._argv(host, words)
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False).returncode == 0

    def _start(self, host: str, words: Sequence[str]) -> subprocess.Popen[str]:
        import subprocess

        argv = self._argv(host, words)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def _argv(self, host: str, words: Sequence[str]) -> list[str]:
        # `timeout` is the user's: root could end runuser, but not what that has started
        bound = ["runuser", "-u", self._user, "--", "timeout", str(self._seconds)]
        options = ["BatchMode=yes", f"ConnectTimeout={CONNECT_SECONDS}", "ServerAliveInterval=10"]
        return [*bound, "ssh", "-n", *(word for option in options for word in ("-o", option)), host, TOOL, *words]

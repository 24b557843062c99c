"""Health checks of daemons. Their names are those in the table of roles (`components/roles.py`).

Each answers four questions about this host's daemon, given its port and the other hosts that its health depends on:

- healthy: it answers and does its work.
- serves: it works for the cluster, so that only the rollout may restart it.
- stoppable: stopping it does no harm.
- joins: others already run, so that this one joins a running cluster.
"""

from __future__ import annotations

from . import connection, zookeeper
from .rest import JobManager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = "localhost"
CONNECT_SECONDS = 5.0
TASKMANAGER_RPC = 6122
"""As in the table of ports (`components/ports.py`)."""


class Health:
    """A daemon that is either healthy or not healthy."""

    def __init__(self, port: int, others: Sequence[str] = ()) -> None:
        self.port = port
        self.others = others

    def healthy(self) -> bool:
        """Whether it answers and does its work."""
        raise NotImplementedError

    def serves(self) -> bool:
        """Whether it works for the cluster."""
        return self.healthy()

    def stoppable(self) -> bool:
        """Whether stopping it does no harm."""
        return True

    def joins(self) -> bool:
        """Whether another one runs."""
        return any(connection.opens(other, self.port, CONNECT_SECONDS) for other in self.others)


class Rest(Health):
    """A JobManager: its REST API answers. `others`: the other JobManagers."""

    def healthy(self) -> bool:
        """Whether it answers, itself or for the leader."""
        return JobManager(HERE, self.port).answers("/overview")

    def joins(self) -> bool:
        """Whether another JobManager answers."""
        return any(JobManager(other, self.port).answers("/overview") for other in self.others)


class Registered(Health):
    """A TaskManager: there is an RPC connection between it and a JobManager (`port`). `others`: the JobManagers."""

    def healthy(self) -> bool:
        """Whether there is a connection: it is opened to register, which takes milliseconds, and then kept.

        Usually the TaskManager opens it. A JobManager that knew an earlier TaskManager of this host may be first, to
        its RPC port. Pekko then uses that connection both ways (pekko.remote.classic.use-passive-connections).
        """
        import subprocess

        # Not /proc/net/tcp: it takes the kernel 5 ms of CPU time on a large machine; `ss` takes 2 ms
        argv = ["ss", "-Htn", "state", "established", f"( dport = :{self.port} or sport = :{TASKMANAGER_RPC} )"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        # Lines: bytes received, bytes sent, ADDRESS:PORT here, ADDRESS:PORT there
        peers = [line.split()[3].rpartition(":") for line in done.stdout.decode().splitlines()]
        return any(port == str(self.port) for _, _, port in peers) or self._from_others([peer[0] for peer in peers])

    def _from_others(self, addresses: Sequence[str]) -> bool:
        if not addresses or not self.others:
            return False
        import socket

        known = set()
        for other in self.others:
            try:
                found = socket.getaddrinfo(other.encode("ascii"), None, type=socket.SOCK_STREAM)
            except OSError:
                continue
            known |= {str(entry[4][0]) for entry in found}
        # A JVM's sockets are IPv6, also for IPv4
        return any(address.strip("[]").replace("::ffff:", "") in known for address in addresses)


class Ensemble(Health):
    """A ZooKeeper server: it serves, and none of the ensemble is missing or behind. `others`: the other servers."""

    def healthy(self) -> bool:
        """Whether it serves, and the leader has all its followers in sync."""
        return self.serves() and self._in_sync()

    def serves(self) -> bool:
        """Whether it serves, which it does only with a quorum."""
        return bool(zookeeper.mode(HERE, self.port))

    def stoppable(self) -> bool:
        """Whether no member is missing, or it does not serve anyway: another loss could end the quorum."""
        return not self.serves() or self._in_sync()

    def joins(self) -> bool:
        """Whether another server serves."""
        return any(zookeeper.mode(other, self.port) for other in self.others)

    def _in_sync(self) -> bool:
        return zookeeper.in_sync([HERE, *self.others], self.port)


KINDS: Mapping[str, type[Health]] = {"rest": Rest, "registered": Registered, "zookeeper": Ensemble}

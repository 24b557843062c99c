"""Health checks of daemons. Their names are those in the table of roles (`components/roles.py`).

Each answers four questions about the daemon of this host, given the port and the other hosts that matter to it:

- healthy: it does all that it is there for.
- serves: it does something for the cluster, so that its restart has to wait for its turn.
- stoppable: stopping it does no harm.
- joins: the others run already, so that this one comes to a cluster that works.
"""

from __future__ import annotations

from . import connection, zookeeper
from .rest import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = "localhost"
CONNECT_SECONDS = 5.0


class Health:
    """A daemon that is healthy, or not; nothing between."""

    def __init__(self, port: int, others: Sequence[str] = ()) -> None:
        self.port = port
        self.others = others

    def healthy(self) -> bool:
        """Whether it does all that it is there for."""
        raise NotImplementedError

    def serves(self) -> bool:
        """Whether it does something for the cluster."""
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
        return Server(HERE, self.port).answers("/overview")

    def joins(self) -> bool:
        """Whether another JobManager answers."""
        return any(Server(other, self.port).answers("/overview") for other in self.others)


class Registered(Health):
    """A TaskManager: it talks to a JobManager, at the port of its RPC. `others`: the JobManagers."""

    def healthy(self) -> bool:
        """Whether there is a connection; it is opened to register, which takes milliseconds then, and kept."""
        import subprocess

        # Not /proc/net/tcp: the kernel takes 5 ms of CPU time for it, on a large machine, and `ss` 2
        argv = ["ss", "-Htn", "state", "established", f"dport = :{self.port}"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        return bool(done.stdout.strip())


class Ensemble(Health):
    """A ZooKeeper server: it serves, and none of the ensemble is missing or behind. `others`: the other servers."""

    def healthy(self) -> bool:
        """Whether it serves, and the leader has all its followers in sync."""
        return self.serves() and self._in_sync()

    def serves(self) -> bool:
        """Whether it has a quorum to serve with."""
        return bool(zookeeper.mode(HERE, self.port))

    def stoppable(self) -> bool:
        """Whether no member is missing, or it does not serve anyway: another loss could be the end of the quorum."""
        return not self.serves() or self._in_sync()

    def joins(self) -> bool:
        """Whether another server serves."""
        return any(zookeeper.mode(other, self.port) for other in self.others)

    def _in_sync(self) -> bool:
        return zookeeper.in_sync([HERE, *self.others], self.port)


KINDS: Mapping[str, type[Health]] = {"rest": Rest, "registered": Registered, "zookeeper": Ensemble}

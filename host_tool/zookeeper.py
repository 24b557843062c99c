"""ZooKeeper's servers, by the four-letter words that each answers on its client port (ZooKeeper administrator's guide,
"The Four Letter Words"). With TLS it answers them over TLS only, and only to hosts of the cluster: then this host's own
identity proves that it is one.
"""

from __future__ import annotations

from . import connection, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_SECONDS = 2.0
CONFIGURATION = "/etc/zookeeper/zoo.cfg"
IDENTITIES = "/etc/zookeeper/tls"


def ask(server: str, port: int, word: str) -> str:
    """A server's answer; empty if there is none within `ANSWER_SECONDS`."""
    try:
        secured = identity.context("zookeeper", IDENTITIES) if is_secure() else None
        return connection.ask(server, port, word.encode(), ANSWER_SECONDS, secured).decode(errors="replace")
    except OSError:
        return ""


def is_secure() -> bool:
    """Whether the servers are to answer over TLS only."""
    try:
        with open(CONFIGURATION) as file:
            return any(line.startswith("secureClientPort=") for line in file)
    except FileNotFoundError:
        return False


def mode(server: str, port: int) -> str:
    """`leader`, `follower`, `observer` or `standalone`; empty if it does not serve, without a quorum for example."""
    for line in ask(server, port, "srvr").splitlines():
        name, _, value = line.partition(": ")
        if name == "Mode":
            return value.strip()
    return ""


def synced_followers(server: str, port: int) -> int | None:
    """The number of followers in sync with this server; None if it is not the leader: only the leader reports it."""
    for line in ask(server, port, "mntr").splitlines():
        name, _, value = line.partition("\t")
        if name == "zk_synced_followers":
            return int(float(value))
    return None


def in_sync(servers: Sequence[str], port: int) -> bool:
    """Whether one of the servers leads, and all others are in sync with it."""
    for server in servers:
        found = synced_followers(server, port)
        if found is not None:
            return found >= len(servers) - 1
    return False

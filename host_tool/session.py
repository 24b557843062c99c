"""Gives up what a JobManager that has ended held in ZooKeeper, so that another one leads at once.

A process that ends without closing its session leaves its ephemeral nodes there until ZooKeeper takes the session for
expired. systemd knows at once that the process is dead, and the unit then runs `flink-host relinquish`, which deletes
the nodes by which that process led, or waited to lead. They belong to its sessions, whose numbers the daemon's log
wrote to a file of this very start of the unit (log4j-console.properties), so no other process loses anything. It is
never needed: without it, the time-out does the same.
"""

from __future__ import annotations

import re

from . import identity
from .daemon import facts
from .output import say
from .znodes import Nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set
    from typing import TypeVar

    T = TypeVar("T")

LAUNCH = "/var/lib/flink/launch/current/conf/config.yaml"
_SESSION = re.compile(r"session id = 0x([0-9a-f]+),")
"""What ZooKeeper's client logs of each new session (ClientCnxn, since 3.4)."""


def relinquish() -> None:
    """Delete the nodes of the sessions that the daemon of this host had, below the folder of its leaders."""

    def tell(text: str) -> None:
        say("flink-host", f"relinquish: {text}")

    known = own()
    deleted = _ask(lambda nodes, folder: delete(nodes, folder, known), tell) if known else None
    if deleted is not None:
        found = ", ".join(f"{session:#x}" for session in sorted(known))
        tell(f"{len(deleted)} nodes of the process that has ended (session {found})")


def own() -> set[int]:
    """All sessions that the daemon of this host has had since it started: also those of what jobs have run in it."""
    return sessions(_text(facts().get("session", "")))


def places() -> set[int]:
    """The sessions of the cluster's JobManagers that lead or wait to lead; none if ZooKeeper does not answer."""
    return _ask(latches, lambda _: None) or set()


def timeout_seconds() -> float:
    """After which a session expires whose client is gone; 0 if that is unknown."""
    word = options(_text(LAUNCH)).get("timeout", "")
    return int(word.removesuffix(" ms")) / 1000 if word.endswith(" ms") else 0.0


def _ask(question: Callable[[Nodes, str], T], tell: Callable[[str], None]) -> T | None:
    """Ask the first server that answers about the folder of the cluster's leaders; None if none does."""
    found = options(_text(LAUNCH))
    tls = identity.context("zookeeper") if identity.runs_with_tls() else None
    folder = f"{found['root'].rstrip('/')}/{found['id'].strip('/')}/leader"
    for server, port in servers(found.get("quorum", "")):
        try:
            with Nodes(server, port, tls) as nodes:
                return question(nodes, folder)
        except OSError as error:
            tell(f"{server}:{port}: {error}")
    return None


def latches(nodes: Nodes, folder: str) -> set[int]:
    """The sessions that own a latch in the folder of leaders."""
    return {nodes.owner(f"{folder}/latch/{name}") for name in nodes.children(f"{folder}/latch")} - {0}


def delete(nodes: Nodes, folder: str, sessions: Set[int]) -> Sequence[str]:
    """Delete what the sessions own at or below a folder; returns the paths. The latch first: the next one in line leads
    when it is gone.
    """
    found = sorted(below(nodes, folder), key=lambda path: "/latch/" not in path)
    owned = [path for path in found if nodes.owner(path) in sessions]
    for path in owned:
        nodes.delete(path)
    return owned


def below(nodes: Nodes, path: str) -> Iterator[str]:
    """All nodes below a node."""
    for name in nodes.children(path):
        child = f"{path}/{name}"
        yield child
        yield from below(nodes, child)


def sessions(log: str) -> set[int]:
    """The numbers of all sessions that a log tells of."""
    return {int(number, 16) for number in _SESSION.findall(log)}


def options(config: str) -> dict[str, str]:
    """What Flink's configuration says of ZooKeeper: `quorum`, `timeout`, `root` and `id`, with Flink's defaults of
    the last two. config.yaml.j2 writes each key on a line of its own.
    """
    names = {
        "high-availability.zookeeper.quorum": "quorum",
        "high-availability.zookeeper.path.root": "root",
        "high-availability.zookeeper.client.session-timeout": "timeout",
        "high-availability.cluster-id": "id",
    }
    found = {"root": "/flink", "id": "/default"}
    for line in config.splitlines():
        key, separator, value = line.partition(": ")
        if separator and key in names:
            found[names[key]] = value.strip().strip("'\"")
    return found


def servers(quorum: str) -> list[tuple[str, int]]:
    """The servers of `HOST:PORT,…`."""
    found = (one.strip().rpartition(":") for one in quorum.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in found if port.isdigit()]


def _text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""

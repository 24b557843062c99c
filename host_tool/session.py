"""Gives up what a JobManager that has ended held in ZooKeeper, so that another one leads at once.

A process that ends without closing its session leaves its ephemeral nodes there until ZooKeeper takes the session for
expired. systemd knows at once that the process is dead, and the unit then runs `flink-host relinquish`, which deletes
the nodes by which that process led, or waited to lead. They belong to its session, whose number the daemon's log wrote
to a file of this very start of the unit (log4j-console.properties), so no other process loses anything. It is never
needed: without it, the time-out does the same.
"""

from __future__ import annotations

import re

from . import identity
from .daemon import facts
from .output import say
from .znodes import Nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LAUNCH = "/var/lib/flink/launch/current/conf/config.yaml"
_SESSION = re.compile(r"session id = 0x([0-9a-f]+),")
"""What ZooKeeper's client logs of each new session (ClientCnxn, since 3.4)."""


def relinquish() -> None:
    """Delete the nodes of the session that the daemon of this host had, below the folder of its leaders."""
    session = last_session(_text(facts().get("session", "")))
    found = options(_text(LAUNCH))
    if not session or not found.get("quorum"):
        return
    tls = identity.context("zookeeper") if identity.runs_with_tls() else None
    folder = f"{found['root'].rstrip('/')}/{found['id'].strip('/')}/leader"
    for server, port in servers(found["quorum"]):
        try:
            with Nodes(server, port, tls) as nodes:
                deleted = delete(nodes, folder, session)
        except OSError as error:
            say("flink-host", f"relinquish: {server}:{port}: {error}")
            continue
        say("flink-host", f"relinquish: {len(deleted)} nodes of the session {session:#x} of the process that has ended")
        return


def delete(nodes: Nodes, folder: str, session: int) -> Sequence[str]:
    """Delete what the session owns at or below a folder; returns the paths. The latch first: the next one in line leads
    when it is gone.
    """
    found = sorted(below(nodes, folder), key=lambda path: "/latch/" not in path)
    owned = [path for path in found if nodes.owner(path) == session]
    for path in owned:
        nodes.delete(path)
    return owned


def below(nodes: Nodes, path: str) -> Iterator[str]:
    """All nodes below a node."""
    for name in nodes.children(path):
        child = f"{path}/{name}"
        yield child
        yield from below(nodes, child)


def last_session(log: str) -> int:
    """The number of the last session that a log tells of; 0 if there is none. A process has another one only after it
    has lost the one before.
    """
    found = _SESSION.findall(log)
    return int(found[-1], 16) if found else 0


def options(config: str) -> dict[str, str]:
    """What Flink's configuration says of ZooKeeper: `quorum`, `root` and `id`, with Flink's defaults. config.yaml.j2
    writes each key on a line of its own.
    """
    names = {
        "high-availability.zookeeper.quorum": "quorum",
        "high-availability.zookeeper.path.root": "root",
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

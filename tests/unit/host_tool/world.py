"""A simulated cluster: its hosts answer over a fake `ssh`, its JobManagers over REST, and it has its own clock.

`ssh` is an executable that comes first on PATH and forwards its arguments to a server of this process.
"""

import http.server
import json
import os
import socket
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from host_tool import connection
from host_tool import hosts as hosts_module
from host_tool.clock import Clock
from host_tool.hosts import TOOL
from tests.serving import serving

SSH = """\
#!/bin/bash
words=$*
case $words in *"read -r _ &&"*) read -r _ || exit 1 ;; esac
exec 3<>"/dev/tcp/127.0.0.1/$WORLD_PORT"
printf '%s\\n' "${words/read -r _ && /}" >&3
read -r status <&3
cat <&3
[ "$status" != 254 ] || { echo "flink@host: Permission denied (publickey)." >&2 && exit 255; }
[ "$status" != 255 ] || echo "ssh: connect to host: No route to host" >&2
exit "$status"
"""


class FakeClock(Clock):
    """Time passes only during waits; an action that is planned for a time runs at that time."""

    def __init__(self) -> None:
        self.time = 1000.0
        self._plans: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    def pause(self, seconds: float) -> None:
        self.time += seconds
        for plan in [plan for plan in self._plans if plan[0] <= self.time]:
            self._plans.remove(plan)
            plan[1]()

    def after(self, seconds: float, happens: Callable[[], object]) -> None:
        """Plan an action."""
        self._plans.append((self.time + seconds, happens))


@dataclass
class FakeDaemon:
    """A daemon on a host."""

    what: str = "pending"
    running: str = "flink-2.3.0"
    expected: str = "flink-2.3.0"
    held: bool = False
    ran: str = ""
    """The release that it ran when it was held."""
    stopped: bool = False
    """It has ended and, because it is held, not started again."""
    denied: bool = False
    """True: sshd refuses the user."""
    reached: bool = True
    """False: the login fails."""
    heals: bool = True
    """False: it is not healthy after a restart."""

    @property
    def state(self) -> str:
        return f"{self.what} {self.running} {self.expected} {'held' if self.held else 'go'}"


def job(number: int, *, name: str = "job", state: str = "RUNNING", running: int = 2, total: int = 2) -> dict[str, Any]:
    """A job as /jobs/overview shows it."""
    tasks = {"running": running, "finished": 0, "total": total, "failed": 0}
    return {"jid": f"{number:032x}", "name": name, "state": state, "tasks": tasks}


@dataclass
class World:
    """All hosts of a cluster."""

    jobmanagers: list[str]
    taskmanagers: list[str]
    clock: FakeClock = field(default_factory=FakeClock)
    leader: str | None = "jm-0"
    """None during an election."""
    daemons: dict[str, FakeDaemon] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    jobs: list[dict[str, Any]] = field(default_factory=list)
    unavailable: set[str] = field(default_factory=set)
    """JobManagers that answer 503."""
    fails: set[str] = field(default_factory=set)
    """Commands that fail where they run, as the log shows them."""
    log: list[str] = field(default_factory=list)
    """The commands that hosts received, in order."""
    happens: dict[str, Callable[[], object]] = field(default_factory=dict)
    """Actions after one of the entries of the log."""
    raw: dict[str, bytes] = field(default_factory=dict)
    """Complete answers of all JobManagers by path, for what no HTTP server sends."""

    def __post_init__(self) -> None:
        for name in [*self.jobmanagers, *self.taskmanagers]:
            self.daemons.setdefault(name, FakeDaemon(what="current"))
        self.registered |= {name.partition(".")[0] for name in self.taskmanagers}

    def pending(self, *names: str) -> list[str]:
        """Let these daemons wait for a restart."""
        for name in names:
            self.daemons[name].what = "pending"
        return list(names)

    # A host's commands

    def ssh(self, host: str, words: list[str]) -> tuple[int, str]:
        """Status and output."""
        daemon = self.daemons[host]
        if not daemon.reached:
            return 255, ""
        entry = f"{host} {' '.join(words)}"
        self.log.append(entry)
        if daemon.denied:
            return 254, ""
        if entry in self.fails:
            return 1, ""
        status, output = getattr(self, f"_{words[0].removeprefix('--')}")(host, daemon)
        if entry in self.happens:
            self.happens[entry]()
        return status, output

    def _help(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        return 0, "usage\n"

    def _state(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        return 0, daemon.state

    def _leads(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        return int(self.leader != host), ""

    def _hold(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        daemon.held, daemon.ran = True, daemon.ran or daemon.running
        return 0, ""

    def _go(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        daemon.held, daemon.ran, daemon.stopped = False, "", False
        self.leader = self.leader or host
        return 0, ""

    def _switch(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        daemon.what, daemon.running, daemon.stopped = "current", daemon.expected, daemon.held
        if self.leader == host:
            self.leader = next(
                (name for name in self.jobmanagers if name != host and not self.daemons[name].stopped),
                None if daemon.stopped else host,
            )
        return 0, ""

    def _back(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        if daemon.ran and daemon.ran != daemon.running:
            daemon.what, daemon.running = "pending", daemon.ran
        return self._go(host, daemon)

    def _proves(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        return int(not daemon.heals), ""

    def _tell(self, host: str, daemon: FakeDaemon) -> tuple[int, str]:
        return 0, f"the log of {host}\n"

    # A JobManager's answers

    def rest(self, host: str, path: str) -> tuple[int, Any]:
        """Status and answer."""
        if host in self.unavailable or self.leader is None:
            return 503, {"errors": ["Service temporarily unavailable due to an ongoing leader election."]}
        if path == "/overview":
            return 200, {
                "taskmanagers": len(self.registered),
                "slots-total": 2 * len(self.registered),
                "flink-version": "2.3.0",
            }
        if path == "/taskmanagers":
            return 200, {"taskmanagers": [{"id": name} for name in sorted(self.registered)]}
        if path == "/jobs/overview":
            return 200, {"jobs": self.jobs}
        known = any(path == f"/jobs/{job['jid']}" for job in self.jobs)
        return (200, {}) if known else (404, {"errors": ["not found"]})


class _Hosts(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        words = self.rfile.readline().decode().split()
        where = words.index(TOOL)
        status, output = self.server.world.ssh(words[where - 1], words[where + 1 :])  # type: ignore[attr-defined]
        self.wfile.write(f"{status}\n{output}".encode())


class _Rest(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        world: World = self.server.world  # type: ignore[attr-defined]
        if self.path in world.raw:
            self.wfile.write(world.raw[self.path])
            return
        status, answer = world.rest(self.headers["Host"].partition(":")[0], self.path)
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 50


@contextmanager
def standing(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world as the tool sees it: by `ssh`, and by the names of its JobManagers."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(SSH)
    (programs / "ssh").chmod(0o755)
    hosts, rest = _Threads(("127.0.0.1", 0), _Hosts), _Threads(("127.0.0.1", 0), _Rest)

    def connect(host: str, port: int, seconds: float) -> socket.socket:
        name = world.jobmanagers[0] if host == "localhost" else host
        if world.daemons[name].what == "down":
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection(rest.server_address[:2], seconds)  # type: ignore[arg-type]

    # Its user does not exist here
    monkeypatch.setattr(hosts_module, "as_user", lambda user: {})
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("WORLD_PORT", str(hosts.server_address[1]))
    monkeypatch.setattr(connection, "connect", connect)
    for server in (hosts, rest):
        server.world = world  # type: ignore[attr-defined]
    with serving(hosts), serving(rest):
        yield world

"""The watch on spot instances: which notice stops the TaskManager, and which does not."""

import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import components.taskmanager.spot
from components import ports
from components.aws import security
from components.host import Notices, Role
from host_tool import connection, spot
from tests.serving import serving
from tests.unit.host_tool.world import FakeClock

UNIT = "flink-taskmanager"
ACTION = '{"action": "terminate", "time": "2026-11-28T14:32:00Z"}'
INTERRUPTION, RECOMMENDATION = "spot/instance-action", "events/recommendations/rebalance"


REACHED = {
    port.number
    for port in ports.table(rebalance=True)
    if Role.JOBMANAGER in port.listens and Role.TASKMANAGER in port.clients
}
"""What the firewall lets a TaskManager reach on JobManagers."""


class Machine:
    """A spot instance with a TaskManager of 4 slots, and two JobManagers behind the firewall of the table of ports."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notices: dict[str, str] = {}
        self.calls: list[str] = []
        self.active = True
        self.leader = "jm-1"
        """Empty: none leads."""
        self.free = 0
        """Free slots on all TaskManagers, with those of this one."""
        self.clock = FakeClock()
        self._drained = str(folder / "drained")
        monkeypatch.setattr(connection, "ask", self._ask)

    def _ask(self, host: str, port: int, request: bytes, *_: Any) -> bytes:
        if port not in REACHED:
            raise TimeoutError(f"{host}:{port} does not answer")
        assert port == ports.number("prometheus") and request.startswith(b"GET /metrics?")
        text = "# HELP flink_jobmanager_taskSlotsAvailable taskSlotsAvailable (scope: jobmanager)\n"
        if host == self.leader:
            text += f'flink_jobmanager_taskSlotsAvailable{{host="{host}",}} {self.free}.0\n'
        return b"HTTP/1.0 200 OK\r\n\r\n" + text.encode()

    def text(self, path: str) -> str | None:
        return self.notices.get(path)

    def systemctl(self, *words: str) -> bool:
        if words[0] == "is-active":
            return self.active
        self.calls.append(" ".join(words))
        self.active = words[0] == "start"
        return True

    def watch(self, *, rebalance: bool = True) -> spot.Watch:
        notices = Notices.REBALANCE if rebalance else Notices.INTERRUPTION
        facts = json.loads(components.taskmanager.spot.facts(notices, ["jm-0", "jm-1"], 4))
        return spot.Watch(facts, self, self.clock, self.systemctl, self._drained)  # type: ignore[arg-type]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_without_a_notice_nothing_stops(machine: Machine) -> None:
    machine.watch().look()
    assert machine.calls == []


def test_an_interruption_stops_it_and_keeps_it_stopped(machine: Machine) -> None:
    watch = machine.watch(rebalance=False)
    machine.notices[INTERRUPTION] = ACTION
    watch.look()
    watch.look()
    assert machine.calls == [f"stop {UNIT}"]
    machine.active = True  # an `up` has started it again
    watch.look()
    assert machine.calls == [f"stop {UNIT}"] * 2


def test_a_recommendation_alone_is_only_reported(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.notices[RECOMMENDATION], machine.free = "{}", 4
    watch = machine.watch(rebalance=False)
    watch.look()
    watch.look()
    assert machine.calls == []
    assert capsys.readouterr().err.count("recommends a rebalance") == 1


def test_a_recommendation_moves_tasks_only_if_others_have_room(machine: Machine) -> None:
    # 2 of its own 4 slots are free: with 1 free slot of others there are 3
    machine.notices[RECOMMENDATION], machine.free = "{}", 3
    watch = machine.watch()
    watch.look()
    assert machine.calls == []
    machine.free = 4
    watch.look()
    assert machine.calls == [f"stop {UNIT}"]


def test_after_a_recommendation_without_an_interruption_it_starts_again_and_stays(machine: Machine) -> None:
    machine.notices[RECOMMENDATION], machine.free = "{}", 4
    machine.watch().look()
    machine.clock.pause(spot.RETURN_SECONDS - 1)
    watch = machine.watch()  # the watch itself was restarted meanwhile
    watch.look()
    assert machine.calls == [f"stop {UNIT}"]
    machine.clock.pause(1)
    watch.look()
    watch.look()
    assert machine.calls == [f"stop {UNIT}", f"start --no-block {UNIT}"]
    machine.notices[INTERRUPTION] = ACTION
    watch.look()
    assert machine.calls[-1] == f"stop {UNIT}"


def test_while_no_jobmanager_leads_a_recommendation_stops_nothing(machine: Machine) -> None:
    machine.notices[RECOMMENDATION], machine.free, machine.leader = "{}", 4, ""
    machine.watch().look()
    assert machine.calls == []


def test_the_firewall_lets_taskmanagers_read_metrics_of_jobmanagers_only_for_this() -> None:
    port = ports.number("prometheus")
    closed = {rule.name for rule in security.rules(list(Role), ["198.51.100.0/24"], False)}
    more = {rule.name: rule for rule in security.rules(list(Role), ["198.51.100.0/24"], False, rebalance=True)}
    (added,) = (rule for name, rule in more.items() if name not in closed)
    assert (added.source, added.target, added.number) == (Role.TASKMANAGER, Role.JOBMANAGER, port)
    assert ports.number("rest") not in REACHED


@contextmanager
def service(content: dict[str, str], tokens: list[str]) -> Iterator[int]:
    """A metadata service whose valid token is the last of `tokens`; each request for one adds another."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def _say(self, status: int, text: str = "") -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def do_PUT(self) -> None:
            assert self.headers["X-aws-ec2-metadata-token-ttl-seconds"] == str(spot.TOKEN_SECONDS)
            tokens.append(f"token-{len(tokens)}")
            self._say(200, tokens[-1])

        def do_GET(self) -> None:
            if self.headers.get("X-aws-ec2-metadata-token") not in tokens[-1:]:
                self._say(401)
            elif (found := content.get(self.path)) is None:
                self._say(404)
            else:
                self._say(200, found)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port


def test_the_metadata_service_is_asked_with_a_token_that_is_renewed_when_it_has_expired() -> None:
    tokens: list[str] = []
    with service({f"/latest/meta-data/{INTERRUPTION}": ACTION}, tokens) as port:
        metadata = spot.Metadata("127.0.0.1", port)
        assert metadata.text(RECOMMENDATION) is None
        assert json.loads(metadata.text(INTERRUPTION) or "")["action"] == "terminate"
        assert len(tokens) == 1
        tokens.append("another: the first has expired")
        assert metadata.text(INTERRUPTION) == ACTION
        assert len(tokens) == 3


def test_no_answer_is_an_oserror() -> None:
    with service({}, []) as port:
        pass
    with pytest.raises(OSError):
        spot.Metadata("127.0.0.1", port).text(INTERRUPTION)

"""The watch on spot instances: which notice stops the TaskManager, and which does not."""

import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from host_tool import spot
from host_tool.rest import JobManagers
from tests.serving import serving
from tests.unit.host_tool.world import FakeClock

UNIT = "flink-taskmanager"
ACTION = '{"action": "terminate", "time": "2026-11-28T14:32:00Z"}'
INTERRUPTION, RECOMMENDATION = "spot/instance-action", "events/recommendations/rebalance"


class Machine:
    """A spot instance with a TaskManager, and another TaskManager with `free` slots."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notices: dict[str, str] = {}
        self.calls: list[str] = []
        self.active = True
        self.free = 0
        self.clock = FakeClock()
        self._drained = str(folder / "drained")
        monkeypatch.setattr(
            JobManagers, "json", lambda _, path: self._taskmanagers() if path == "/taskmanagers" else None
        )

    def _taskmanagers(self) -> Any:
        return {
            "taskmanagers": [
                {"id": "tm-0", "slotsNumber": 4, "freeSlots": self.free},
                {"id": "tm-1", "slotsNumber": 4, "freeSlots": 2},
            ]
        }

    def text(self, path: str) -> str | None:
        return self.notices.get(path)

    def systemctl(self, *words: str) -> bool:
        if words[0] == "is-active":
            return self.active
        self.calls.append(" ".join(words))
        self.active = words[0] == "start"
        return True

    def watch(self, *, rebalance: bool = True) -> spot.Watch:
        facts = {"unit": UNIT, "id": "tm-1", "jobmanagers": ["jm-0"], "restPort": 8081, "rebalance": rebalance}
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
    machine.notices[RECOMMENDATION], machine.free = "{}", 1
    watch = machine.watch()
    watch.look()
    assert machine.calls == []
    machine.free = 2
    watch.look()
    assert machine.calls == [f"stop {UNIT}"]


def test_after_a_recommendation_without_an_interruption_it_starts_again_and_stays(machine: Machine) -> None:
    machine.notices[RECOMMENDATION], machine.free = "{}", 2
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


def test_without_an_answer_of_the_jobmanagers_a_recommendation_stops_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobManagers, "json", lambda *_: None)
    machine.notices[RECOMMENDATION] = "{}"
    machine.watch().look()
    assert machine.calls == []


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

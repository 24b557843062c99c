"""Which JobManager is ended because another one has taken its place."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tool.clock import Clock
from host_tool.daemon import Daemon
from host_tool.superseded import SECONDS, Watch

OWN, OTHER = 7, 8
FACTS = {"unit": "flink-jobmanager", "inputs": [], "health": "rest", "port": 8081, "metricsPort": 9249}


class Host:
    """A host with a daemon, and time that tests set."""

    def __init__(self, root: Path) -> None:
        self.root, self.time = root, 1000.0
        self.start()

    def start(self) -> None:
        """Another process of the daemon."""
        self.process = subprocess.Popen(["sleep", "600"])
        folder = self.root / "run/flink-jobmanager"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pid").write_text(f"{self.process.pid}\n")

    def look(self, *places: int, own: int = OWN, after: float = 15) -> bool:
        """Look some seconds later; returns whether the daemon lives on."""
        self.time += after
        daemon = Daemon(FACTS, Clock(), str(self.root))
        Watch(daemon, str(self.root / "seen.json"), lambda: self.time).look(own, set(places))
        # A process that was killed may take a moment to end
        end = time.monotonic() + 0.2
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return self.process.poll() is None


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_who_has_lost_its_place_to_another_one_is_ended(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    assert host.look(OWN, OTHER)
    assert host.look(OTHER) and host.look(OTHER), "it may still learn of it"
    assert not host.look(OTHER, after=SECONDS - 15)
    said = capfd.readouterr().err
    assert f"superseded: another JobManager leads, and process {host.process.pid} has had no place" in said


def test_who_has_a_new_session_lives(host: Host) -> None:
    assert host.look(OWN, OTHER)
    assert host.look(OTHER) and host.look(OTHER, own=9)
    assert host.look(9, OTHER, own=9)
    assert host.look(OTHER, own=9, after=SECONDS), "the time begins again"
    assert not host.look(OTHER, own=9, after=SECONDS)


def test_who_starts_lives_however_long_that_takes(host: Host) -> None:
    for _ in range(3):
        assert host.look(OTHER, own=0, after=SECONDS)
        assert host.look(OTHER, after=SECONDS)


def test_the_process_that_follows_one_with_a_place_has_all_the_time(host: Host) -> None:
    assert host.look(OWN, OTHER)
    assert host.look(OTHER)
    host.process.kill()
    host.process.wait()
    assert not host.look(OTHER, after=SECONDS), "there is nothing to end"
    host.start()
    assert host.look(OTHER, after=SECONDS) and host.look(OTHER, after=SECONDS)
    assert host.look(OWN, OTHER)
    assert host.look(OTHER) and not host.look(OTHER, after=SECONDS)


def test_without_an_answer_of_zookeeper_nobody_is_ended(host: Host) -> None:
    assert host.look(OWN, OTHER)
    for _ in range(3):
        assert host.look(after=SECONDS), "or no one leads"
    assert host.look(OTHER)
    assert host.look(after=SECONDS) and host.look(OTHER, after=SECONDS), "the time begins again"
    assert not host.look(OTHER, after=SECONDS)

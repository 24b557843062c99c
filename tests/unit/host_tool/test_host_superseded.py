"""Which JobManager is ended because another one has taken its place."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from host_tool.clock import Clock
from host_tool.daemon import Daemon
from host_tool.superseded import SECONDS, SEEN, Watch

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

    def look(self, *places: int, own: tuple[int, ...] = (OWN,), after: float = 15) -> None:
        """Look some seconds later."""
        self.time += after
        daemon = Daemon(FACTS, Clock(), str(self.root))
        Watch(daemon, SECONDS, f"{self.root}{SEEN}", lambda: self.time).look(set(places), set(own))

    def lives(self) -> bool:
        """Whether the daemon does, however late the kernel ends one that was killed."""
        # Signals of a process to another one come in their order
        os.kill(self.process.pid, signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self.process.returncode = -os.WTERMSIG(status)
            return False
        os.kill(self.process.pid, signal.SIGCONT)
        return True


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_who_has_lost_its_place_to_another_one_is_ended(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    host.look(OWN, OTHER)
    host.look(OTHER)
    host.look(OTHER)
    assert host.lives(), "it may still learn of it"
    host.look(OTHER, after=SECONDS - 15)
    assert not host.lives()
    said = capfd.readouterr().err
    assert (
        f"superseded: another JobManager has led for 30 s, and process {host.process.pid}, which had lost its" in said
    )


def test_who_has_learned_of_it_lives(host: Host) -> None:
    host.look(OWN, OTHER)
    host.look(OTHER)
    host.look(OTHER, own=(OWN, 9))
    host.look(OTHER, own=(OWN, 9), after=SECONDS - 1)
    assert host.lives(), "the time begins again with another session"
    host.look(9, OTHER, own=(OWN, 9))
    host.look(OTHER, own=(OWN, 9), after=SECONDS)
    assert host.lives()
    host.look(OTHER, own=(OWN, 9), after=SECONDS)
    assert not host.lives()


def test_sessions_of_what_a_job_runs_in_the_jobmanager_are_no_reason(host: Host) -> None:
    """Its `main()` may have a client of ZooKeeper, whose session has no place."""
    for _ in range(4):
        host.look(OWN, OTHER, own=(OWN, 9), after=SECONDS)
    assert host.lives()


def test_another_process_that_writes_the_note_is_no_reason(host: Host) -> None:
    """Flink's own scripts use the same configuration of logs: `sql-gateway.sh start-foreground`, for example."""
    host.look(OWN, OTHER)
    for _ in range(3):
        host.look(OWN, OTHER, own=(9,), after=SECONDS)
    assert host.lives()
    for _ in range(3):
        host.look(OTHER, own=(9,), after=SECONDS)
    assert host.lives()
    host.look(OTHER)
    host.look(OTHER, after=SECONDS)
    assert not host.lives(), "the daemon's own session is in it again"


def test_without_a_note_of_sessions_nobody_is_ended(host: Host) -> None:
    host.look(OWN, OTHER)
    for _ in range(3):
        host.look(OTHER, own=(), after=SECONDS)
    assert host.lives()


def test_who_starts_lives_however_long_that_takes(host: Host) -> None:
    for _ in range(3):
        host.look(OTHER, own=(), after=SECONDS)
        host.look(OTHER, after=SECONDS)
    assert host.lives()


def test_the_process_that_follows_one_with_a_place_has_all_the_time(host: Host) -> None:
    host.look(OWN, OTHER)
    host.look(OTHER)
    host.process.kill()
    host.process.wait()
    host.look(OTHER, after=SECONDS)
    host.start()
    for _ in range(3):
        host.look(OTHER, after=SECONDS)
    assert host.lives()
    host.look(OWN, OTHER)
    host.look(OTHER)
    host.look(OTHER, after=SECONDS)
    assert not host.lives()


def test_without_an_answer_of_zookeeper_nobody_is_ended(host: Host) -> None:
    host.look(OWN, OTHER)
    for _ in range(3):
        host.look(after=SECONDS)
    assert host.lives(), "or no one leads"
    host.look(OTHER)
    host.look(after=SECONDS)
    host.look(OTHER, after=SECONDS)
    assert host.lives(), "the time begins again"
    host.look(OTHER, after=SECONDS)
    assert not host.lives()


def test_a_daemon_that_ends_during_a_look_is_no_failure(host: Host) -> None:
    shutil.rmtree(host.root / "run/flink-jobmanager")
    host.look(OWN, OTHER)
    assert host.lives()


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "[1]"])
def test_what_cannot_be_read_is_as_if_nothing_was_seen(host: Host, text: str) -> None:
    host.look(OWN, OTHER)
    Path(f"{host.root}{SEEN}").write_text(text)
    host.look(OTHER, after=SECONDS)
    host.look(OTHER, after=SECONDS)
    assert host.lives()

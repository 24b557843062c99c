"""What `flink-host relinquish` reads: the daemon's note of its sessions, and where ZooKeeper is."""

from pathlib import Path

import pytest

from host_tool import session

GOLDEN = Path(__file__).parent / "golden"

LINE = "Session establishment complete on server zk-0/10.0.0.5:2181, session id = 0x{}, negotiated timeout = 7500\n"


@pytest.mark.parametrize(
    ("log", "found"),
    [
        ("", set()),
        ("Opening socket connection to server zk-0\n", set()),
        (LINE.format("10000a1b2c30001"), {0x10000A1B2C30001}),
        (LINE.format("1") + LINE.format("ff00000000000002"), {1, 0xFF00000000000002}),
        # Cut while it was written
        (LINE.format("7") + LINE.format("8")[:-50], {7}),
    ],
)
def test_all_sessions_count(log: str, found: set[int]) -> None:
    assert session.sessions(log) == found


def test_the_configuration_that_the_program_writes_has_the_place() -> None:
    config = (GOLDEN / "jobmanager-config.yaml").read_text()
    found = session.options(config)
    assert found == {"quorum": "zk-0:2181,zk-1:2181,zk-2:2181", "timeout": "7500 ms", "root": "/flink", "id": "/dev"}
    assert session.servers(found["quorum"]) == [("zk-0", 2181), ("zk-1", 2181), ("zk-2", 2181)]


def test_without_a_place_there_are_flinks_defaults() -> None:
    assert session.options("high-availability.type: NONE\n") == {"root": "/flink", "id": "/default"}
    assert session.servers("[fd00::1]:2181") == [("fd00::1", 2181)]


def test_without_a_session_nothing_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for known in ({}, {"session": str(tmp_path / "session")}):
        monkeypatch.setattr(session, "facts", lambda: known)  # noqa: B023
        session.relinquish()


@pytest.mark.parametrize(("line", "seconds"), [("", 0), ("7500 ms", 7.5), ("1 min", 0)])
def test_how_long_a_session_lasts(line: str, seconds: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"high-availability.zookeeper.client.session-timeout: {line}\n" if line else "")
    monkeypatch.setattr(session, "LAUNCH", str(config))
    assert session.timeout_seconds() == seconds

"""A host's daemon: what it runs, whether it is healthy, and how it is restarted; and the health checks."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from components import ports
from components.sources import SCRIPTS
from host_tool import commands, connection, health, zookeeper
from host_tool.daemon import Daemon
from host_tool.health import KINDS, Health
from host_tool.output import Failure
from host_tool.rest import Server
from tests.unit.host_tool.world import FakeClock


class Host:
    """A host's files below a folder, and a process instead of the daemon's."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.clock, self.healthy = root, FakeClock(), True
        self.launches = root / "var/lib/flink/launch"
        for release in ("one", "two"):
            (self.launches / release).mkdir(parents=True)
            (self.launches / release / "release").write_text(f"flink-{release}\n")
        self.point("current", "one")
        self.point("expected", "one")
        (root / "run/flink-x").mkdir(parents=True)
        (root / "var/log/flink").mkdir(parents=True)
        tool = root / "usr/local/lib/flink/fingerprint"
        tool.parent.mkdir(parents=True)
        shutil.copy(SCRIPTS / "fingerprint.sh", tool)
        tool.chmod(0o755)
        self.inputs = [str(self.launches / "current"), "/etc/no-such-file"]
        self.process = subprocess.Popen(["sleep", "100"])
        self.starts()
        host = self

        class Asked(Health):
            def healthy(self) -> bool:
                return host.healthy

        monkeypatch.setitem(KINDS, "asked", Asked)
        facts = {"unit": "flink-x", "inputs": self.inputs, "health": "asked", "port": 1, "metricsPort": 2}
        self.daemon = Daemon(facts, self.clock, str(root))

    def point(self, link: str, launch: str) -> None:
        path = self.launches / link
        path.unlink(missing_ok=True)
        path.symlink_to(self.launches / launch)

    def target(self, link: str) -> str:
        return (self.launches / link).readlink().name

    def starts(self) -> None:
        """What the unit does at its start."""
        tool = self.root / "usr/local/lib/flink/fingerprint"
        found = subprocess.run([tool, *self.inputs], capture_output=True, text=True, check=True).stdout
        (self.root / "run/flink-x/fingerprint").write_text(found)
        (self.root / "run/flink-x/pid").write_text(f"{self.process.pid}\n")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path, monkeypatch)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_state_says_what_runs_and_what_is_expected(host: Host) -> None:
    assert host.daemon.state() == "current flink-one flink-one go"
    host.point("expected", "two")
    host.daemon.hold()
    assert host.daemon.state() == "pending flink-one flink-two held"
    os.utime(host.launches / "hold", (1, 1))
    assert host.daemon.state() == "pending flink-one flink-two go", "it holds nothing any more"
    host.daemon.go()
    host.daemon.go()
    host.process.kill()
    host.process.wait()
    assert host.daemon.state() == "down flink-one flink-two go"


def test_of_a_host_that_was_never_started_it_says_so(host: Host) -> None:
    for name in ("pid", "fingerprint"):
        (host.root / "run/flink-x" / name).unlink()
    (host.launches / "current").unlink()
    assert host.daemon.state() == "down none flink-one go"


def test_switch_ends_the_process_and_leaves_a_way_back(host: Host) -> None:
    host.point("expected", "two")
    # A zombie is alive for `kill -0`: its parent, systemd on a host, has to reap it
    threading.Thread(target=host.process.wait, daemon=True).start()
    host.clock.after(0.1, host.process.wait)
    host.daemon.switch()
    assert host.process.wait(10) == -signal.SIGTERM
    assert (host.target("current"), host.target("previous")) == ("two", "one")
    host.daemon.switch()
    assert host.target("previous") == "one", "a second switch keeps the previous launch"


def switched(host: Host) -> None:
    """It is held, and ended."""
    host.point("expected", "two")
    host.daemon.hold()
    host.process.kill()
    host.process.wait()
    host.daemon.switch()


def test_back_lets_it_start_with_what_it_ran_when_it_was_held(host: Host) -> None:
    switched(host)
    assert host.target("current") == "two"
    # An interrupted rollout begins again
    host.daemon.hold()
    host.daemon.back()
    assert host.target("current") == "one"
    assert not (host.launches / "hold").exists()


def test_back_only_lets_one_start_that_was_not_switched_since(host: Host) -> None:
    host.point("expected", "two")
    host.point("previous", "two")
    host.daemon.hold()
    host.daemon.back()
    assert host.process.poll() is None
    assert (host.target("current"), host.daemon.state()) == ("one", "pending flink-one flink-two go")
    host.daemon.back()
    assert host.process.poll() is None, "nor one that is not held"


def test_back_lets_one_start_that_has_not_run_before(host: Host) -> None:
    (host.launches / "current").unlink()
    switched(host)
    host.daemon.back()
    assert (host.target("current"), (host.launches / "hold").exists()) == ("two", False)


def test_who_is_held_again_waits_as_long_again(host: Host) -> None:
    """What starts looks at the file's age."""
    switched(host)
    os.utime(host.launches / "hold", (1, 1))
    host.daemon.hold()
    assert (host.launches / "hold").stat().st_mtime > 1


def test_a_process_that_does_not_end_is_killed_after_a_minute(host: Host) -> None:
    host.process.kill()
    host.process.wait()
    script = "trap '' TERM; echo ready; exec sleep 100"
    host.process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE)
    assert host.process.stdout and host.process.stdout.readline() == b"ready\n"
    host.starts()
    began = host.clock.time
    host.daemon.switch()
    assert host.process.wait(10) == -signal.SIGKILL
    assert 60 <= host.clock.time - began < 61
    host.process.stdout.close()


def test_proves_waits_for_the_process_its_health_and_what_it_runs(host: Host) -> None:
    assert host.daemon.proves(0)
    host.healthy = False
    assert not host.daemon.proves(5)
    host.clock.after(3, lambda: setattr(host, "healthy", True))
    assert host.daemon.proves(5)
    host.point("expected", "two")
    assert not host.daemon.proves(5), "it does not run what is expected"
    host.clock.after(3, lambda: host.point("current", "two"))
    host.clock.after(3, host.starts)
    assert host.daemon.proves(5)


def test_the_leader_is_known_by_its_metrics(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = '# HELP x\nflink_jobmanager_Status_JVM_CPU_Load{host="a"} 0.1\n'
    monkeypatch.setattr(Server, "text", lambda self, path: metrics)
    assert not host.daemon.leads()
    metrics += 'flink_jobmanager_numRegisteredTaskManagers{host="a"} 2.0\n'
    assert host.daemon.leads()
    monkeypatch.setattr(Server, "text", lambda self, path: None)
    assert not host.daemon.leads()


def test_tell_prints_the_end_of_the_newest_log(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match="no log"):
        host.daemon.tell()
    logs = host.root / "var/log/flink"
    (logs / "old.log").write_text("old\n")
    os.utime(logs / "old.log", (1, 1))
    (logs / "new.log").write_bytes(b"x" * 200_000 + b"\n" + b"".join(b"line %d \xff\n" % n for n in range(100)))
    (logs / "newer.out").write_text("no\n")
    assert commands.ask_daemon(host.daemon, "tell", []) == 0
    told = capfd.readouterr().out.splitlines()
    assert len(told) == 25 and told[0].startswith("line 75 ") and told[-1].startswith("line 99 ")


def test_commands_of_the_daemon_answer_by_their_status(host: Host, capfd: pytest.CaptureFixture[str]) -> None:
    assert commands.ask_daemon(host.daemon, "state", []) == 0
    assert capfd.readouterr().out == "current flink-one flink-one go\n"
    assert commands.ask_daemon(host.daemon, "proves", ["1"]) == 0
    host.healthy = False
    assert commands.ask_daemon(host.daemon, "proves", ["1"]) == 1
    with pytest.raises(commands.Usage):
        commands.ask_daemon(host.daemon, "proves", ["soon"])
    with pytest.raises(commands.Usage):
        commands.ask_daemon(host.daemon, "state", ["now"])


# Health


def test_a_jobmanager_is_healthy_when_rest_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    up = {"http://localhost:8081/overview"}
    monkeypatch.setattr(Server, "answers", lambda self, path: self.url(path) in up)
    rest = KINDS["rest"](8081, ["jm-1", "jm-2"])
    assert rest.healthy() and rest.serves() and rest.stoppable() and not rest.joins()
    up = {"http://jm-2:8081/overview"}
    assert not rest.healthy() and not rest.serves() and rest.stoppable() and rest.joins()


def test_a_taskmanager_is_healthy_while_it_has_a_connection_to_a_jobmanager() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        here = KINDS["registered"](port, ["127.0.0.1"])
        assert not here.healthy() and here.joins()
        with socket.create_connection(("127.0.0.1", port)):
            assert here.healthy()
    assert not here.joins()


def test_a_taskmanager_is_healthy_with_a_connection_that_a_jobmanager_has_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ports.number("tm-rpc") == health.TASKMANAGER_RPC
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server, free_port() as nobody:
        port = server.getsockname()[1]
        monkeypatch.setattr(health, "TASKMANAGER_RPC", port)
        jobmanager = KINDS["registered"](nobody, ["localhost"])
        other = KINDS["registered"](nobody, ["192.0.2.1", "no.invalid"])
        assert not jobmanager.healthy()
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            with accepted:
                assert jobmanager.healthy()
                assert not other.healthy() and not KINDS["registered"](nobody).healthy()


@contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class Servers:
    """ZooKeeper servers with these answers."""

    def __init__(self, **modes: str) -> None:
        self.modes, self.synced = modes, len(modes) - 1

    def ask(self, server: str, port: int, word: str) -> str:
        mode = self.modes["zk_0" if server == "localhost" else server]
        if not mode:
            return ""
        if mode == "none":
            return "This ZooKeeper instance is not currently serving requests\n"
        if word == "srvr":
            return f"Zookeeper version: 3.9.5\nLatency min/avg/max: 0/0.0/0\nMode: {mode}\nNode count: 5\n"
        return "zk_version\t3.9.5\n" + (f"zk_synced_followers\t{self.synced}.0\n" if mode == "leader" else "")


def test_a_zookeeper_server_is_healthy_with_all_of_the_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(zk_0="follower", zk_1="leader", zk_2="follower")
    monkeypatch.setattr(zookeeper, "ask", servers.ask)
    here = KINDS["zookeeper"](2181, ["zk_1", "zk_2"])
    assert here.healthy() and here.serves() and here.stoppable() and here.joins()
    servers.modes["zk_2"], servers.synced = "", 1
    assert not here.healthy() and here.serves() and not here.stoppable(), "another loss would end the quorum"
    servers.modes |= {"zk_0": "none", "zk_1": "none"}
    assert not here.healthy() and not here.serves() and here.stoppable() and not here.joins()


@contextmanager
def answering(*parts: bytes, closes: bool = True) -> Iterator[int]:
    """A server that gives every connection this answer; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                try:
                    accepted, _ = server.accept()
                except OSError:
                    return
                with closing(accepted):
                    accepted.recv(1000)
                    for part in parts:
                        accepted.sendall(part)
                    if not closes:
                        done.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_words_of_four_letters_are_asked_over_tcp() -> None:
    with answering(b"Zookeeper version: x\nMode: ", b"follower\n") as port:
        assert zookeeper.mode("127.0.0.1", port) == "follower"
    assert zookeeper.mode("127.0.0.1", port) == ""


def test_a_server_that_never_ends_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\n\r\n{", closes=False) as port,
        pytest.raises(OSError, match=r"within 0\.1 s|timed"),
    ):
        connection.ask("127.0.0.1", port, b"x", 0.1)


def test_a_name_that_is_not_there_is_no_answer() -> None:
    assert Server("no-such-host.invalid", 80).json("/") is None
    assert not connection.opens("no-such-host.invalid", 80, 1)


def test_urls_have_brackets_around_ipv6() -> None:
    assert Server("fd00::5", 8081).url("/overview") == "http://[fd00::5]:8081/overview"

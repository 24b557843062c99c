"""What a process that was killed left in ZooKeeper is deleted: a real server, with its own client as that process."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tool import session
from host_tool.znodes import Nodes, Refused
from stand_ins.builds import archives
from tests.engine.test_acme import free_port
from tests.engine.test_front_door import until as within
from toolbox.parallel import command

LEADER = "/flink/dev/leader"


def until(condition: Callable[[], object]) -> None:
    within(condition, 120)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Java's and ZooKeeper's."""
    root, found = tmp_path_factory.mktemp("opt"), archives.ensure()
    for name, archive in (("java", found.java), ("zookeeper", found.zookeeper)):
        (root / name).mkdir()
        command(["tar", "-xzf", archive.path, "-C", root / name, "--strip-components=1", "--no-same-owner"])
    return root / "java", root / "zookeeper"


class Ensemble:
    """One server, which keeps the session of a dead client for 40 seconds at least."""

    def __init__(self, homes: tuple[Path, Path], folder: Path) -> None:
        self.java, self.home = homes
        self.folder, self.port = folder, free_port()

    def words(self, main: str, *arguments: str) -> list[str]:
        java = [str(self.java / "bin/java"), "-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        return [*java, "-cp", f"{self.home}/lib/*", f"org.apache.zookeeper.{main}", *arguments]

    @contextmanager
    def server(self) -> Iterator[None]:
        lines = ["tickTime=2000", f"dataDir={self.folder}/data", f"clientPort={self.port}", "minSessionTimeout=40000"]
        lines += ["maxSessionTimeout=60000", "admin.enableServer=false", "clientPortAddress=127.0.0.1"]
        (self.folder / "zoo.cfg").write_text("\n".join(lines) + "\n")
        log = (self.folder / "server.log").open("w")
        words = self.words("server.quorum.QuorumPeerMain", str(self.folder / "zoo.cfg"))
        process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            until(self.answers)
            yield
        finally:
            process.kill()
            process.wait()
            log.close()

    def answers(self) -> bool:
        try:
            with self.nodes() as nodes:
                return nodes.children("/") == ["zookeeper"]
        except OSError:
            return False

    def nodes(self) -> Nodes:
        return Nodes("127.0.0.1", self.port)

    @contextmanager
    def client(self, name: str, *commands: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """ZooKeeper's own client, which stays, and its log."""
        log = self.folder / f"{name}.log"
        words = self.words("ZooKeeperMain", "-server", f"127.0.0.1:{self.port}")
        with log.open("w") as output:
            process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=output, stderr=output, text=True)
        try:
            assert process.stdin
            process.stdin.write("".join(f"{line}\n" for line in commands))
            process.stdin.flush()
            until(lambda: log.read_text().count("Created ") == len(commands))
            yield process, log
        finally:
            process.kill()
            process.wait()


def test_only_what_the_dead_session_owned_is_deleted_and_at_once(homes: tuple[Path, Path], tmp_path: Path) -> None:
    ensemble = Ensemble(homes, tmp_path)
    folders = ["/flink", "/flink/dev", LEADER, f"{LEADER}/latch", f"{LEADER}/rest"]
    leads = [f"create -e {LEADER}/latch/_c_1-latch-0000000000", f"create -e {LEADER}/rest/connection_info"]
    waits = [f"create -e {LEADER}/latch/_c_2-latch-0000000001"]
    with (
        ensemble.server(),
        ensemble.client("leader", *(f"create {path}" for path in folders), *leads) as (leader, log),
        ensemble.client("standby", *waits) as (_, standby),
    ):
        (first,), (second,) = (session.sessions(found.read_text()) for found in (log, standby))
        assert first != second
        leader.kill()
        leader.wait()
        ended = time.monotonic()
        with ensemble.nodes() as nodes:
            assert nodes.owner(f"{LEADER}/latch/_c_1-latch-0000000000") == first, "it is still there"
            assert session.latches(nodes, LEADER) == {first, second}
            assert session.latches(nodes, "/flink/other") == set()
            assert session.delete(nodes, LEADER, {0x1234}) == []
            deleted = session.delete(nodes, LEADER, {first, 0x1234})
            assert deleted == [path.split()[-1] for path in leads], "the latch first"
            assert session.delete(nodes, LEADER, {first, 0x1234}) == [], "again is nothing"
            assert nodes.children(f"{LEADER}/latch") == ["_c_2-latch-0000000001"]
            assert nodes.owner(f"{LEADER}/latch/_c_2-latch-0000000001") == second
            assert nodes.owner(LEADER) == 0
            assert nodes.children("/flink/other") == [] and nodes.owner("/flink/other") == 0
            with pytest.raises(Refused, match="it has children"):
                nodes.delete("/flink")
        assert time.monotonic() - ended < 40, "sooner than the server would have done it, or this shows nothing"


def test_without_a_server_it_says_so_in_time(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"refused"):
        Nodes("127.0.0.1", free_port())

"""The real agent (OpenTelemetry Collector) and the real store (VictoriaLogs) with the configuration that hosts get."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import tarfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components import ports
from components.host import Role
from components.logs import collector, store
from components.logs.settings import Destination, LogsSettings
from stand_ins.builds import archives
from tests.engine.test_acme import free_port
from tests.engine.test_front_door import until as within
from tests.engine.test_monitoring import identity, started
from tests.serving import serving
from tests.unit.test_tls_signer import Pki

LOGGER = "org.apache.flink.runtime.taskmanager.Task"
JOB = "0123456789abcdef0123456789abcdef"
TRACE = (
    "Source: a [x] -> Map (1/2)#0 switched from RUNNING to FAILED\n"
    "java.lang.RuntimeException: boom\n\tat a.b.C.d(C.java:1)\n"
    "Caused by: java.io.IOException: no - space\n\t... 3 more"
)


def until(condition: Callable[[], object]) -> None:
    within(condition, 120)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The releases, as hosts have them in /opt."""
    folder = tmp_path_factory.mktemp("opt")
    for archive in (archives.otelcol(), archives.victorialogs()):
        with tarfile.open(archive.path) as release:
            release.extractall(folder, filter="data")
    return folder


@dataclass
class Place:
    """A host's files and ports, below a folder. The store's port stays the same when it starts again."""

    programs: Path
    folder: Path
    store_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    own: tuple[Path, Path, Path] | None = None

    def here(self, text: str) -> str:
        """A text with ports and places of this test."""
        text = text.replace(str(ports.number("log-store")), str(self.store_port))
        text = text.replace(f"port: {ports.number('log-metrics')}", f"port: {self.metrics_port}")
        return text.replace(collector.AUTHORITIES, str(self.own[2])) if self.own else text

    @property
    def log(self) -> Path:
        """The log of a TaskManager."""
        return self.folder / "log" / "flink-taskmanager.log"

    def write(self, *messages: str, thread: str = "main", level: str = "INFO ", job: str = "") -> None:
        """Lines as Flink's daemons write them (log4j-console.properties), with the time of now."""
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("a") as log:
            for message in messages:
                now = datetime.now().strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
                log.write(f"{now} {level} {LOGGER:<60} [{job}] [{thread}] - {message}\n")

    @contextmanager
    def agent(
        self, destinations: Sequence[Destination] = (), *, builtin: bool = True
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The agent with the options of its unit."""
        tls = self.own is not None
        own = collector.Builtin(url=f"{store.url('localhost', tls=tls)}/insert/opentelemetry", tls=tls)
        text = collector.agent_yaml(
            "dev",
            "tm-0",
            Role.TASKMANAGER,
            front_door=False,
            builtin=own if builtin else None,
            destinations=destinations,
            monitored=False,
            state=str(self.folder / "state"),
            logs=str(self.folder / "log"),
            journal=False,
        )
        config = self.folder / "agent.yaml"
        # Waits less, after a time in which nothing could be sent
        config.write_text(self.here(text).replace("max_interval: 30s", "max_interval: 1s"))
        program = str(self.programs / "otelcol-contrib")
        assert subprocess.run([program, "validate", f"--config={config}"], check=False).returncode == 0
        words = [program, f"--feature-gates={collector.GATES}", f"--config={config}"]
        with started(words, self.folder / "agent.log") as process:
            yield process

    @contextmanager
    def stored(self) -> Iterator[Stored]:
        """The store with the options of its unit."""
        made = self.own or ("", "", "")
        flags = store.flags(
            LogsSettings(), tls=self.own is not None, data=str(self.folder / "data"), identity=list(map(str, made))
        )
        words = [str(self.programs / "victoria-logs-prod"), *map(self.here, flags)]
        with started(words, self.folder / "store.log"):
            found = Stored(self)
            until(found.answers)
            yield found

    def metrics(self, name: str) -> float:
        """The sum of a metric of the agent; 0 without it, and while the agent does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0
        return sum(float(line.rpartition(" ")[2]) for line in lines if re.match(rf"{name}(_total)?[{{}}, ]", line))


@dataclass
class Stored:
    """A running store."""

    place: Place

    def _get(self, path: str) -> str:
        own = self.place.own
        trust = ssl.create_default_context(cafile=str(own[2])) if own else None
        url = self.place.here(store.url("localhost", tls=own is not None))
        with urllib.request.urlopen(f"{url}{path}", timeout=10, context=trust) as answer:
            found: str = answer.read().decode()
            return found

    def answers(self) -> bool:
        try:
            return self._get("/health") == "OK"
        except OSError:
            return False

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The records that a query finds, in the order of time."""
        lines = self._get(f"/select/logsql/query?query={urllib.parse.quote(f'{query} | sort by (_time)')}").splitlines()
        return [json.loads(line) for line in lines]

    def messages(self) -> list[str]:
        """The messages of all records."""
        return [each["_msg"] for each in self.ask("*")]


@pytest.mark.parametrize("tls", [False, True])
def test_lines_of_flink_arrive_whole_with_their_fields(programs: Path, tmp_path: Path, tls: bool) -> None:
    place = Place(programs, tmp_path, own=identity(tmp_path / "tls", Pki(), "localhost") if tls else None)
    place.write("Starting")
    place.write(TRACE, thread="Source: a [x] (1/2)#0", level="WARN ", job=JOB)
    place.write("Ended", "Last, with nothing after it")
    # As lines were before the agent was there
    with place.log.open("a") as log:
        log.write(f"{datetime.now():%Y-%m-%d %H:%M:%S},001 ERROR org.apache.flink.Old{' ' * 9} [] - An older line\n")
    with place.stored() as stored, place.agent():
        until(lambda: len(stored.ask("*")) == 5)
        by = {each["_msg"]: each for each in stored.ask("*")}
        failed = by[TRACE]
        assert {name: failed[name] for name in ("level", "thread", "job_id", "severity_text")} == {
            "level": "WARN",
            "thread": "Source: a [x] (1/2)#0",
            "job_id": JOB,
            "severity_text": "WARN",
        }
        assert failed["logger"] == LOGGER
        where = {"cluster": "dev", "host": "tm-0", "role": "taskmanager", "source": "flink"}
        assert where.items() <= failed.items()
        moment = datetime.fromisoformat(failed["_time"]).timestamp()
        assert abs(moment - datetime.now().timestamp()) < 3600, "another zone"
        assert by["Starting"]["thread"] == "main" and "job_id" not in by["Starting"]
        assert by["An older line"]["level"] == "ERROR" and "thread" not in by["An older line"]


def test_nothing_is_lost_when_store_and_agent_are_away_and_files_are_rolled(programs: Path, tmp_path: Path) -> None:
    """The store is away, the agent is killed twice, and the log is rolled meanwhile. Lines may be doubled: those that
    the agent had read and not yet noted as read when it was killed.
    """
    place = Place(programs, tmp_path)
    expected = [f"line {number}" for number in range(6000)]
    with place.stored() as stored, place.agent():
        place.write(*expected[:1000])
        until(lambda: len(stored.messages()) == 1000)
    with place.agent() as agent:
        place.write(*expected[1000:3000])
        until(lambda: place.metrics("otelcol_exporter_queue_size") > 0)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    place.log.rename(place.log.with_suffix(".log.1"))
    place.write(*expected[3000:5000])
    with place.agent() as agent:
        until(lambda: place.metrics("otelcol_receiver_accepted_log_records") > 0)
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    place.write(*expected[5000:])
    with place.agent(), place.stored() as stored:
        until(lambda: set(expected) <= set(stored.messages()))
        until(lambda: place.metrics("otelcol_exporter_queue_size") == 0)
        found = stored.messages()
        assert set(found) == set(expected)
        # Read and perhaps not noted: 1000 to 3000 at the first kill; at the second, 1000 to 5000
        assert len(found) - len(expected) <= 2000 + 4000, "more than what was read around the two kills"


def test_what_cannot_be_sent_waits_on_the_disk_and_is_counted(programs: Path, tmp_path: Path) -> None:
    place = Place(programs, tmp_path)
    place.write("waits")
    with place.agent():
        until(lambda: place.metrics("otelcol_exporter_queue_size") > 0)
        assert place.metrics("otelcol_exporter_queue_capacity") == collector.QUEUE_MIB << 20
        assert list((tmp_path / "state/queue").glob("exporter_otlp_http*"))
        assert place.metrics("otelcol_exporter_send_failed_log_records") == 0
        with place.stored() as stored:
            until(lambda: stored.messages() == ["waits"])
            until(lambda: place.metrics("otelcol_exporter_sent_log_records") == 1)


@pytest.mark.exhaustive
def test_nothing_is_lost_when_a_destination_is_away_for_ten_minutes(programs: Path, tmp_path: Path) -> None:
    """By its own default the agent gives up after five."""
    place = Place(programs, tmp_path)
    attempts: list[float] = []

    class Away(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            attempts.append(time.monotonic())
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    expected = [f"line {number}" for number in range(1000)]
    with place.agent():
        with serving(ThreadingHTTPServer(("127.0.0.1", place.store_port), Away)):
            place.write(*expected)
            within(lambda: attempts and attempts[-1] - attempts[0] > 600, 700)
        with place.stored() as stored:
            until(lambda: sorted(stored.messages()) == sorted(expected))
            assert place.metrics("otelcol_exporter_send_failed_log_records") == 0


RECEIVER = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:PORT", include_metadata: true}}}}
exporters: {debug: {verbosity: detailed}}
service:
  pipelines: {logs: {receivers: [otlp], exporters: [debug]}}
  telemetry: {metrics: {level: none}}
"""


def test_a_receiver_of_otlp_gets_them_besides_the_store_or_instead(programs: Path, tmp_path: Path) -> None:
    place, port = Place(programs, tmp_path), free_port()
    (tmp_path / "receiver.yaml").write_text(RECEIVER.replace("PORT", str(port)))
    words = [str(programs / "otelcol-contrib"), f"--config={tmp_path / 'receiver.yaml'}"]
    to = [Destination(kind="otlp", url=f"http://127.0.0.1:{port}", headers={"X-Key": "a"})]
    said = tmp_path / "receiver.log"
    place.write(TRACE, job=JOB)
    with started(words, said), place.agent(to, builtin=False):
        until(lambda: "-> thread: Str(main)" in said.read_text())
        text = said.read_text()
        assert f"-> job_id: Str({JOB})" in text and "-> host: Str(tm-0)" in text
        assert "Body: Str(Source: a [x] -> Map (1/2)#0 switched from RUNNING to FAILED" in text
        assert "SeverityText: INFO" in text


@contextmanager
def guarded(key: str) -> Iterator[tuple[int, list[str]]]:
    """A server that wants a key, and refuses for good without: its port, and the paths that it has accepted."""
    accepted: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            fits = self.headers["Authorization"] == key
            if fits:
                accepted.append(self.path)
            self.send_response(200 if fits else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_address[1], accepted


def test_a_server_gets_its_key_and_what_it_refuses_is_counted_and_in_no_log(programs: Path, tmp_path: Path) -> None:
    key = "Bearer a$b${c}"
    with guarded(key) as (port, accepted):
        right, wrong = Place(programs, tmp_path / "right"), Place(programs, tmp_path / "wrong")
        for place, given in ((right, key), (wrong, "Bearer planted")):
            place.folder.mkdir()
            place.write("a message")
            to = [Destination(kind="loki", url=f"http://127.0.0.1:{port}/otlp", headers={"Authorization": given})]
            with place.agent(to, builtin=False):
                if place is right:
                    until(lambda: accepted)
                else:
                    until(lambda: wrong.metrics("otelcol_exporter_send_failed_log_records") == 1)
        assert set(accepted) == {"/otlp/v1/logs"}
        assert "planted" not in (wrong.folder / "agent.log").read_text()

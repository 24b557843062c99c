"""The agent with the configuration that hosts get for OpenSearch, Elasticsearch and Splunk: with a real OpenSearch, and
with servers that speak the interfaces of the others.

Where otelcol-contrib's release cannot be downloaded, these three exporters are stand-ins
(stand_ins/builds/gomod/otelcol/stores.go); queue, retries, TLS and login are the collector's own.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import shutil
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.logs import collector
from components.logs.settings import Destination
from stand_ins.builds import fetch, maven_jars
from tests.engine.test_acme import free_port
from tests.engine.test_logs import JOB, TRACE, Place, programs, until  # noqa: F401
from tests.engine.test_monitoring import identity, started
from tests.serving import serving
from tests.unit.test_tls_signer import Pki
from toolbox.paths import cache_dir

HERE = Path(__file__).parent / "opensearch"
OPENSEARCH = "2.19.3"
JARS_SHA256 = "5d674c628a2d1b4078ece42cdca3494ad93bdadf2cddc1b2dfa3f8406fbb5b2c"
"""Of a file with the checksums of all its jars."""
Answer = tuple[int, Any]


@contextmanager
def receiving(
    answer: Callable[[BaseHTTPRequestHandler, bytes], Answer], port: int = 0, own: tuple[Path, Path, Path] | None = None
) -> Iterator[int]:
    """A server's port. `answer` gets a request with its body; `own`: its certificate and key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, found = answer(self, self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    if own:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own[0], own[1])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server):
        yield server.server_address[1]


def said(place: Place) -> str:
    return (place.folder / "agent.log").read_text()


def lost(place: Place) -> bool:
    return place.metrics(FAILED) == 1


FAILED = "otelcol_exporter_send_failed_log_records"
SENT = "otelcol_exporter_sent_log_records"

# ---- OpenSearch


def jars() -> Path:
    """OpenSearch's jars, from Maven."""

    def make(to: Path) -> None:
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={to}")
        maven_jars.run(HERE / "pom.xml", *goal)
        lines = (f"{fetch.digest(jar, 'sha256')}  {jar.name}\n" for jar in sorted(to.glob("*.jar")))
        found = hashlib.sha256("".join(lines).encode()).hexdigest()
        assert found == JARS_SHA256, f"Maven gave other jars of OpenSearch, with {found}"

    home = cache_dir() / f"opensearch-{OPENSEARCH}"
    fetch.cached(home, make)
    return home


class Search:
    """A running OpenSearch."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, {"Content-Type": kind})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def answers(self) -> bool:
        try:
            return self.send("GET", "/_cluster/health")[1]["status"] in ("green", "yellow")
        except (OSError, http.client.HTTPException, LookupError):
            return False

    def documents(self, index: str) -> list[dict[str, Any]]:
        self.send("POST", f"/{index}/_refresh")
        status, found = self.send("GET", f"/{index}/_search?size=1000&sort=@timestamp")
        return [hit["_source"] for hit in found["hits"]["hits"]] if status == 200 else []


@contextmanager
def opensearch(folder: Path) -> Iterator[Search]:
    java = shutil.which("java")
    assert java, "the tests' machine has no Java"
    (folder / "home").mkdir()
    search = Search(free_port())
    words = [java, "-Xmx512m", "-cp", f"{jars()}/*", str(HERE / "OpenSearchNode.java"), str(folder / "home")]
    with started([*words, str(search.port)], folder / "opensearch.log"):
        until(search.answers)
        yield search


@pytest.mark.exhaustive
def test_lines_arrive_in_a_data_stream_of_opensearch(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    """Through TLS of an own authority, and a login. What it refuses for good is counted, and no secret is in a log."""
    own = identity(tmp_path / "tls", Pki(), "localhost")
    login = "Basic " + base64.b64encode(b"flink:a$planted").decode()
    asked: list[str] = []
    stream = collector.OPENSEARCH_INDEX

    with opensearch(tmp_path) as search:

        def forward(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
            asked.append(request.headers["Authorization"])
            if request.headers["Authorization"] != login:
                return 401, {"error": "Unauthorized"}
            return search.send("POST", request.path, body, request.headers["Content-Type"])

        template = {
            "index_patterns": ["ss4o_logs-*-*"],
            "data_stream": {},
            "template": {"mappings": {"properties": {"attributes": {"properties": {"logger": {"type": "keyword"}}}}}},
        }
        assert search.send("PUT", "/_index_template/logs", json.dumps(template).encode())[0] == 200
        with receiving(forward, own=own) as port:

            def to(password: str, index: str = "") -> list[Destination]:
                url = f"https://localhost:{port}"
                authorities = own[2].read_text()
                return [
                    Destination(
                        kind="openSearch",
                        url=url,
                        user="flink",
                        password=password,
                        index=index,
                        authorities=authorities,
                    )
                ]

            right = Place(programs, tmp_path / "right")
            right.folder.mkdir()
            right.write("Starting")
            right.write(TRACE, thread="Source: a [x] (1/2)#0", level="WARN ", job=JOB)
            with right.agent(to("a$planted"), builtin=False):
                until(lambda: len(search.documents(stream)) == 2)
                until(lambda: right.metrics(SENT) == 2)
            failed = search.documents(stream)[1]
            assert failed["body"] == TRACE
            assert failed["resource"] == {"cluster": "dev", "host": "tm-0", "role": "taskmanager", "source": "flink"}
            expected = {"level": "WARN", "thread": "Source: a [x] (1/2)#0", "job_id": JOB}
            assert expected.items() <= failed["attributes"].items()
            assert failed["severity"]["text"] == "WARN" and failed["@timestamp"] > "2026"
            assert search.send("GET", f"/_data_stream/{stream}")[0] == 200, "not a data stream"

            # A field of another type: refused for good, by OpenSearch itself
            strict = {"mappings": {"properties": {"attributes": {"properties": {"thread": {"type": "long"}}}}}}
            assert search.send("PUT", "/numbers", json.dumps(strict).encode())[0] == 200
            for name, given, index in (("mapping", "a$planted", "numbers"), ("login", "wrong", "")):
                place = Place(programs, tmp_path / name)
                place.folder.mkdir()
                place.write("a message")
                with place.agent(to(given, index), builtin=False):
                    until(partial(lost, place))
                assert "planted" not in said(place) and login not in said(place)
            assert len(search.documents("numbers")) == 0 and len(search.documents(stream)) == 2
        # What cannot be reached is given up by this exporter (issue 49208 of otelcol-contrib): counted. If this fails
        # with a release of otelcol-contrib, that has been corrected: then docs/logs.md should say so
        away = Place(programs, tmp_path / "away")
        away.folder.mkdir()
        away.write("a message")
        with away.agent(to("a$planted"), builtin=False):
            until(lambda: away.metrics(FAILED) == 1)
    assert set(asked) == {login, "Basic " + base64.b64encode(b"flink:wrong").decode()}


# ---- Splunk


class Collector:
    """Splunk's HTTP Event Collector, as its documents say (Troubleshoot HTTP Event Collector: answers)."""

    TOKEN = "planted-$token"

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.busy = 0
        self.refused = 0
        self.disabled = False

    def __call__(self, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        if request.path != "/services/collector":
            return 404, {"text": "The requested URL was not found on this server.", "code": 404}
        given = request.headers["Authorization"]
        if not given:
            return 401, {"text": "Token is required", "code": 2}
        if given != f"Splunk {self.TOKEN}" or self.disabled:
            self.refused += 1
            return 403, {"text": "Invalid token", "code": 4}
        if self.busy:
            self.busy -= 1
            return 503, {"text": "Server is busy", "code": 9}
        text = (gzip.decompress(body) if request.headers["Content-Encoding"] == "gzip" else body).decode()
        found = []
        try:
            while text.strip():
                event, end = json.JSONDecoder().raw_decode(text.lstrip())
                found.append(event)
                text = text.lstrip()[end:]
        except ValueError:
            return 400, {"text": "Invalid data format", "code": 6}
        if any(not event.get("event") for event in found):
            return 400, {"text": "Event field cannot be blank", "code": 13}
        if any(event.get("index", "main") not in ("main", "flink") for event in found):
            return 400, {"text": "Incorrect index", "code": 7}
        self.events += found
        return 200, {"text": "Success", "code": 0}

    def messages(self) -> list[str]:
        return [event["event"] for event in self.events]


def test_splunk_gets_events_also_after_it_was_busy_or_its_token_wrong(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    place, port = Place(programs, tmp_path), free_port()
    receiver = Collector()
    to = [Destination(kind="splunk", url=f"http://127.0.0.1:{port}", key=receiver.TOKEN, index="flink")]
    place.write(TRACE, level="WARN ", job=JOB)
    with place.agent(to, builtin=False):
        # Away, then busy, then with a token that it does not know
        until(lambda: place.metrics("otelcol_exporter_queue_size") > 0)
        receiver.busy, receiver.disabled = 2, True
        with receiving(receiver, port):
            until(lambda: receiver.refused >= 2)
            assert place.metrics(FAILED) == 0
            receiver.disabled = False
            place.write("After it")
            until(lambda: set(receiver.messages()) == {TRACE, "After it"})
            until(lambda: place.metrics(SENT) == 2)
            assert receiver.busy == 0 and len(receiver.events) == 2
    event = next(each for each in receiver.events if each["event"] == TRACE)
    assert (event["host"], event["source"], event["sourcetype"], event["index"]) == ("tm-0", "flink", "flink", "flink")
    assert {"cluster": "dev", "role": "taskmanager", "level": "WARN", "job_id": JOB}.items() <= event["fields"].items()
    assert receiver.TOKEN not in said(place)


def test_what_splunk_refuses_is_counted(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    place, receiver = Place(programs, tmp_path), Collector()
    place.write("a message")
    with receiving(receiver) as port:
        to = [Destination(kind="splunk", url=f"http://127.0.0.1:{port}", key=receiver.TOKEN, index="unknown")]
        with place.agent(to, builtin=False):
            until(lambda: place.metrics(FAILED) == 1)
    assert receiver.events == [] and receiver.TOKEN not in said(place)


# ---- Elasticsearch


def test_elasticsearch_gets_documents_also_after_it_was_away(programs: Path, tmp_path: Path) -> None:  # noqa: F811
    place, port = Place(programs, tmp_path), free_port()
    key = "planted-key=="
    stored: list[tuple[str, dict[str, Any]]] = []
    unavailable = [2]

    def answer(request: BaseHTTPRequestHandler, body: bytes) -> Answer:
        assert request.path.partition("?")[0] == "/_bulk"
        if request.headers["Authorization"] != f"ApiKey {key}":
            return 401, {"error": {"type": "security_exception"}}
        if unavailable[0]:
            unavailable[0] -= 1
            return 503, {"error": {"type": "cluster_block_exception"}}
        lines = [json.loads(line) for line in body.decode().splitlines()]
        items: list[dict[str, Any]] = []
        for action, document in zip(lines[::2], lines[1::2], strict=True):
            index = action["create"]["_index"]
            if document["body"]["text"] == "Odd":
                error = {"type": "document_parsing_exception", "reason": "odd"}
                items.append({"create": {"_index": index, "status": 400, "error": error}})
                continue
            stored.append((index, document))
            items.append({"create": {"_index": index, "status": 201}})
        return 200, {"took": 1, "errors": any("error" in each["create"] for each in items), "items": items}

    to = [Destination(kind="elasticsearch", url=f"http://127.0.0.1:{port}", key=key)]
    place.write(TRACE, level="WARN ", job=JOB)
    with place.agent(to, builtin=False):
        until(lambda: place.metrics("otelcol_exporter_queue_size") > 0)
        with receiving(answer, port):
            until(lambda: len(stored) == 1 and place.metrics(SENT) == 1)
            assert place.metrics(FAILED) == 0
            # Refused alone, and counted where LogsDropped looks
            place.write("Odd", "After it")
            until(lambda: len(stored) == 2)
            name = 'otelcol_elasticsearch_docs_processed(_total)?{[^}]*outcome="failed_client"'
            until(lambda: place.metrics(name) == 1)
    index, document = stored[0]
    assert index == "logs-flink.otel-default"
    assert document["body"]["text"] == TRACE and document["severity_text"] == "WARN"
    assert document["resource"]["attributes"]["host"] == "tm-0" and document["attributes"]["job_id"] == JOB
    assert key not in said(place)

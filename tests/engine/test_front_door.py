"""The front door as it runs on hosts: Caddy with our configuration, in front of JobManagers that record what arrives.

A stranger, a viewer and an operator try what they may not, in ways that proxies were fooled by before.
"""

import base64
import http.client
import json
import socket
import ssl
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.balancing import ALIVE
from components.frontdoor.caddyfile import LEADER_METRIC, caddyfile
from components.frontdoor.settings import User
from ops.password import hashed
from stand_ins.builds import archives
from tests.unit.test_front_door import JOB, made

PASSWORDS = {"anna": "operators-password", "vic": "viewers-password"}
REST, METRICS = 8081, 9249
LISTENS = "0A"
"""The state of a socket in /proc/net/tcp."""


@dataclass
class JobManager:
    """A server with the ports of a JobManager, which knows whether it leads."""

    address: str
    leads: bool = False
    status: int = 200
    requests: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)
    """Method, target, headers, bytes of the body."""
    servers: list[ThreadingHTTPServer] = field(default_factory=list)

    def start(self) -> None:
        this = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                size = 0
                if self.headers.get("Transfer-Encoding") == "chunked":
                    while length := int(self.rfile.readline(), 16):
                        size += len(self.rfile.read(length))
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    left = int(self.headers.get("Content-Length") or 0)
                    while left:
                        block = self.rfile.read(min(left, 1 << 20))
                        size, left = size + len(block), left - len(block)
                if self.connection.getsockname()[1] == METRICS:
                    text = f'# TYPE {LEADER_METRIC} gauge\n{LEADER_METRIC}{{host="a",}} 2.0\n' if this.leads else ""
                    status = 200
                else:
                    this.requests.append((self.command, self.path, dict(self.headers), size))
                    text, status = json.dumps({"by": this.address}), this.status
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Access-Control-Allow-Origin", "*")
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = answer

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                """The door closes connections that it does not need."""

        for port in (REST, METRICS):
            server = Server((self.address, port), Handler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.servers.append(server)

    def stop(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()


@dataclass
class Door:
    """A running front door."""

    folder: Path
    caddy: Path
    port: int
    first: JobManager
    second: JobManager
    certificate: Path

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def connection(self, timeout: float = 60) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("localhost", self.port, context=self.context(), timeout=timeout)

    def ask(
        self, who: str, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        connection = self.connection()
        try:
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            if who:
                headers["Authorization"] = login(who)
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def status(self, who: str, method: str, target: str, **headers: str) -> int:
        return self.ask(who, method, target, None, **headers)[0]

    def raw(self, text: bytes) -> bytes:
        """What the door answers to exactly these bytes."""
        with (
            socket.create_connection(("localhost", self.port), timeout=30) as plain,
            self.context().wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(text)
            answer = b""
            while block := connection.recv(65536):
                answer += block
            return answer

    def arrived(self) -> list[tuple[str, str, dict[str, str], int]]:
        return [*self.first.requests, *self.second.requests]

    def audit(self, of: str = "audit") -> list[dict[str, Any]]:
        """The lines of those who are known, or of `strangers`."""
        path = self.folder / f"{of}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def write(self, users: list[User] | None, wait: int = 2, **more: Any) -> None:
        text = caddyfile(
            served_as="localhost",
            realm="Flink",
            port=self.port,
            users=users,
            jobmanagers=[self.first.address, self.second.address],
            wait=wait,
            **more,
        )
        for ours, theirs in (
            # The test need not wait as long
            ("read_header 10s", "read_header 2s"),
            ("/etc/flink-frontdoor", str(self.folder)),
            ("/run/flink-frontdoor", str(self.folder)),
            ("/var/log/flink-frontdoor", str(self.folder)),
        ):
            text = text.replace(ours, theirs)
        (self.folder / "Caddyfile").write_text(text)

    def reload(self) -> None:
        words: list[str | Path] = [
            self.caddy,
            "reload",
            "--adapter",
            "caddyfile",
            "--config",
            self.folder / "Caddyfile",
            "--force",
        ]
        socket_path = f"unix/{self.folder}/admin.sock"
        subprocess.run([*words, "--address", socket_path], check=True, capture_output=True)
        # Caddy answers before it closes the earlier listener, and then answers nothing that has come to that one
        until(lambda: self.listeners() == 1, 60)

    def listeners(self) -> int:
        """How many sockets listen at the door's port."""
        sockets = "".join(Path("/proc/net", table).read_text() for table in ("tcp", "tcp6"))
        lines = [line.split() for line in sockets.splitlines()]
        return sum(words[1].endswith(f":{self.port:04X}") and words[3] == LISTENS for words in lines)


def login(who: str, password: str = "") -> str:
    return "Basic " + base64.b64encode(f"{who}:{password or PASSWORDS.get(who, 'x')}".encode()).decode()


def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


def users() -> list[User]:
    roles = {"anna": "operator", "vic": "viewer"}
    return [User(name=name, password_hash=hashed(PASSWORDS[name], 4), role=role) for name, role in roles.items()]


@contextmanager
def serving(folder: Path, prepare: Callable[[Door], None]) -> Iterator[Door]:
    """A front door with the Caddyfile that `prepare` writes."""
    with tarfile.open(archives.caddy().path) as archive:
        archive.extract("caddy", folder, filter="data")
    certificate, key = made(["localhost"])
    (folder / "certificate.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    net = f"127.{port >> 8}.{port & 255}"
    first, second = JobManager(f"{net}.1", leads=True), JobManager(f"{net}.2")
    door = Door(folder, folder / "caddy", port, first, second, folder / "certificate.pem")
    prepare(door)
    process = None
    try:
        for one in (first, second):
            one.start()
        words: list[str | Path] = [door.caddy, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log, env={"HOME": str(folder)})
        until(lambda: answers(door), 60)
        yield door
    finally:
        if process:
            process.kill()
            process.wait()
        for one in (first, second):
            one.stop()


def answers(door: Door) -> bool:
    try:
        return door.status("vic", "GET", "/overview") == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with serving(tmp_path_factory.mktemp("door"), lambda door: door.write(users())) as door:
        yield door


@pytest.fixture
def door(running: Door) -> Iterator[Door]:
    running.first.leads, running.second.leads = True, False
    running.first.status = running.second.status = 200
    until(lambda: running.ask("vic", "GET", "/overview")[1] == json.dumps({"by": running.first.address}).encode(), 60)
    running.first.requests.clear()
    running.second.requests.clear()
    yield running
    running.first.status = 200
    assert answers(running), "it has not crashed"


# --- login


@pytest.mark.parametrize(
    "authorization",
    [
        *("", login("anna", "wrong"), login("nobody"), login("", "x"), login("anna", "viewers-password")),
        *("Basic", "Basic !!!", "Bearer operators-password", "Basic " + base64.b64encode(b"anna").decode()),
        *(login("ANNA", "operators-password"), login("anna", "operators-password\x00"), login("anna", "x" * 5000)),
    ],
)
def test_nobody_gets_in_without_a_password(door: Door, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    for target in ("/", "/overview", "/jars/upload", "/nothing"):
        connection = door.connection()
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 401 and "Basic" in str(answer.headers["WWW-Authenticate"])
        assert b"by" not in answer.read().split(b"errors")[0]
        connection.close()
    assert not door.arrived()


def test_headers_of_others_are_no_login(door: Door) -> None:
    for name in ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Forwarded-For", "X-Real-IP", "Forwarded"):
        assert door.status("", "GET", "/overview", **{name: "127.0.0.1"}) == 401
    assert not door.arrived()


# --- rights


def test_a_viewer_reads_and_an_operator_changes(door: Door) -> None:
    assert door.status("vic", "GET", "/jars") == door.status("anna", "GET", "/v1/jobs/overview") == 200
    for method, target in (
        ("POST", "/jars/upload"),
        ("PATCH", f"/jobs/{JOB}?mode=cancel"),
        ("GET", f"/jobs/{JOB}/yarn-cancel"),
        ("POST", f"/jobs/{JOB}/savepoints"),
        ("GET", "/jars/a.jar/plan"),
    ):
        door.first.requests.clear()
        assert door.status("vic", method, target) == 403
        assert not door.arrived()
        assert door.status("anna", method, target) == 200
        assert [(each[0], each[1]) for each in door.arrived()] == [(method, target)], "byte for byte"
    assert door.status("anna", "DELETE", "/cluster") == 403


@pytest.mark.parametrize(
    "target",
    [
        *("//jars", "/jars/", "/./jars", "/x/../jars", "/%6Aars", "/JARS", "/jars;a", "/v1/v1/jars", "/jars%2F"),
        *(f"/jobs/{JOB}%2Fyarn-cancel", f"/jobs/{JOB}//yarn-cancel", f"/jobs/{JOB}/%79arn-cancel", "/%2e%2e/jars"),
        *(f"//jobs/{JOB}/yarn-cancel", f"/jobs/{JOB}/yarn-cancel/", "/jobmanager/logs/..%2f..%2fetc%2fpasswd"),
        *("/jobs/{http.request.host}/yarn-cancel", "/{env.HOME}jars", "/jars%00", "/jars%0d%0aX:%20y"),
    ],
)
def test_paths_that_flink_would_read_in_another_way_are_refused(door: Door, target: str) -> None:
    for who in PASSWORDS:
        for method in ("GET", "POST", "HEAD", "OPTIONS"):
            assert door.status(who, method, target) in (400, 403), (who, method)
    assert not door.arrived()


def test_another_method_in_a_header_or_in_the_query_is_none(door: Door) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert door.status("vic", "GET", f"/jobs/{JOB}?_method=PATCH", **{name: "PATCH"}) == 200
    for name in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"):
        assert door.status("vic", "GET", "/jars", **{name: "/jars/upload"}) == 200
    assert {(each[0], each[1].partition("?")[0]) for each in door.arrived()} == {
        ("GET", f"/jobs/{JOB}"),
        ("GET", "/jars"),
    }


@pytest.mark.parametrize(
    "text",
    [
        b"GET /jars HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 44\r\n",
        b"GET /jars HTTP/1.1\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        b"GET /jars HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n",
        b"GET /jars HTTP/1.1\r\nTransfer-Encoding : chunked\r\n",
        b"GET /jars HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"GET /jars HTTP/1.1\r\nContent-Length: +44\r\n",
        b"GET /jars HTTP/1.1\r\nX: y\rTransfer-Encoding: chunked\r\n",
        b"GET /jars HTTP/1.1\r\nHost: other\r\n",
        b"GET http://other/jars/upload HTTP/1.1\r\n",
        b"GET http:jars HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
        b"CONNECT jm-0:8081 HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
    ],
)
def test_a_hidden_request_does_not_arrive(door: Door, text: bytes) -> None:
    hidden = f"POST /jars/upload HTTP/1.1\r\nHost: localhost\r\nX: {JOB}\r\n\r\n".encode()
    head = text + b"Host: localhost\r\nAuthorization: " + login("vic").encode() + b"\r\nConnection: close\r\n\r\n"
    answer = door.raw(head + b"0\r\n\r\n" + hidden)
    assert answer[:12] in (
        b"HTTP/1.1 400",
        b"HTTP/1.1 403",
        b"HTTP/1.1 200",
        b"HTTP/1.1 501",
        b"HTTP/1.1 405",
        b"HTTP/1.1 505",
        b"",
    )
    assert {(each[0], each[1]) for each in door.arrived()} <= {("GET", "/jars")}


def test_another_site_cannot_use_the_login_of_a_browser(door: Door) -> None:
    own = f"https://localhost:{door.port}"
    for headers, expected in (
        ({"Origin": own, "Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": own.replace("https", "http")}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ):
        assert door.status("anna", "POST", "/jars/upload", **headers) == expected, headers
        assert door.status("anna", "GET", f"/jobs/{JOB}/yarn-cancel", **headers) == expected, headers
    _, _, answered = door.ask("anna", "GET", "/jars", Origin="https://evil.example")
    assert answered["Access-Control-Allow-Origin"] is None and answered["X-Frame-Options"] == "DENY"


def test_flink_sees_no_login_and_the_audit_no_secret(door: Door) -> None:
    secret = "hunter2-in-the-arguments"
    assert (
        door.status("anna", "POST", f"/jars/a.jar/run?programArg={secret}", Cookie=f"c={secret}", X_Key=secret) == 200
    )
    assert door.status("vic", "POST", f"/jars/b.jar/run?programArg={secret}") == 403
    assert door.status("", "GET", f"/overview?x={secret}") == 401
    ((_, _, headers, _),) = door.arrived()
    assert not {"authorization", "cookie"} & {name.lower() for name in headers}
    until(lambda: len([it for it in door.audit() if "/jars/" in it["request"]["uri"]]) >= 2, 60)
    told = [(it["user_id"], it["request"]["method"], it["request"]["uri"], it["status"]) for it in door.audit()]
    assert ("anna", "POST", "/jars/a.jar/run?", 200) in told and ("vic", "POST", "/jars/b.jar/run?", 403) in told
    assert 401 not in {status for *_, status in told}
    asked = {"method": "GET", "uri": "/overview?"}
    until(lambda: [it for it in door.audit("strangers") if asked.items() <= it["request"].items()], 60)
    assert not [it for it in door.audit() if it["status"] == 200 and it["request"]["uri"] == "/overview"]
    assert all({"ts", "status"} <= {*it} and it["request"]["remote_ip"] for it in door.audit())
    everything = "".join((door.folder / name).read_text() for name in ("audit.jsonl", "strangers.jsonl", "log"))
    for text in (secret, *PASSWORDS.values(), login("anna").partition(" ")[2], "$2b$"):
        assert text not in everything


# --- the leader


def test_it_follows_the_leader_and_requests_wait_while_there_is_none(door: Door) -> None:
    assert json.loads(door.ask("anna", "GET", "/overview")[1])["by"] == door.first.address
    door.first.leads = False
    until(lambda: door.status("vic", "GET", "/overview") == 503, 60)
    status, text, headers = door.ask("vic", "GET", "/overview")
    assert (status, headers["Retry-After"]) == (503, "5") and b"no JobManager leads" in text
    door.second.requests.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(door.ask, "anna", "POST", "/jars/upload", b"x" * 1000)
        door.second.leads = True
        status, text, _ = waiting.result(60)
    assert status == 200 and json.loads(text)["by"] == door.second.address
    assert [each[3] for each in door.second.requests if each[0] == "POST"] == [1000]


def test_what_changes_something_is_never_sent_twice(door: Door) -> None:
    door.first.status = 503
    assert door.status("anna", "POST", f"/jobs/{JOB}/savepoints") == 503
    assert len(door.first.requests) == 1
    door.first.requests.clear()
    assert door.status("vic", "GET", "/overview") == 503
    assert len(door.first.requests) > 1, "what reads is"


# --- load


def test_large_uploads_pass_and_a_thousand_requests_at_once(door: Door) -> None:
    size = 500 << 20
    connection = door.connection()
    connection.putrequest("POST", "/jars/upload")
    connection.putheader("Authorization", login("anna"))
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        connection.send(block)
    assert connection.getresponse().status == 200
    connection.close()
    assert door.first.requests[-1][3] == size
    with ThreadPoolExecutor(100) as pool:
        asked = [pool.submit(door.status, who, "GET", "/overview") for who in ("vic", "anna", "") * 333]
        found = [each.result(300) for each in asked]
    assert found == [200, 200, 401] * 333


def test_slow_clients_keep_nobody_out(door: Door) -> None:
    slow = []
    try:
        for number in range(200):
            plain = socket.create_connection(("localhost", door.port), timeout=60)
            slow.append(plain)
            if number % 2:
                plain = door.context().wrap_socket(plain, server_hostname="localhost")
                slow[-1] = plain
                plain.sendall(b"GET /jars HTTP/1.1\r\nHost: loc")
        assert answers(door)
        # The door ends them, after a while
        assert slow[1].recv(4096)[:12] in (b"", b"HTTP/1.1 408")
    finally:
        for each in slow:
            each.close()


def test_other_users_are_loaded_without_closing_a_connection(door: Door) -> None:
    connection = door.connection()
    connection.putrequest("POST", "/jars/upload")
    connection.putheader("Authorization", login("anna"))
    connection.putheader("Content-Length", "2000")
    connection.endheaders()
    connection.send(b"x" * 1000)
    try:
        door.write([user for user in users() if user.name == "vic"])
        door.reload()
        assert door.status("anna", "GET", "/overview") == 401, "she is no user any more"
        assert door.status("vic", "GET", "/overview") == 200
        connection.send(b"x" * 1000)
        assert connection.getresponse().status == 200, "her upload ends"
    finally:
        connection.close()
        door.write(users())
        door.reload()


# --- a load balancer

BALANCER = "127.77.0.1"


@pytest.fixture
def behind(door: Door) -> Iterator[Door]:
    """The door, which a load balancer connects to from BALANCER."""
    try:
        door.write(users(), balancer_networks=["127.77.0.0/24", "127.77.9.0/24"])
        door.reload()
        yield door
    finally:
        door.write(users())
        door.reload()


def asked_from(door: Door, source: str, method: str, target: str, **headers: str) -> int:
    """The status of a request from an address of the loopback."""
    connection = http.client.HTTPSConnection(
        "localhost", door.port, context=door.context(), timeout=60, source_address=(source, 0)
    )
    try:
        connection.request(method, target, headers={name.replace("_", "-"): text for name, text in headers.items()})
        return connection.getresponse().status
    finally:
        connection.close()


def client_of(door: Door, target: str) -> tuple[str, str]:
    """Who asked for this target: the client's address in the audit, and that of the connection."""

    def lines() -> list[dict[str, Any]]:
        return [it["request"] for it in door.audit() if it["request"]["uri"] == target]

    until(lines, 60)
    (line,) = lines()
    return line["client_ip"], line["remote_ip"]


@pytest.mark.parametrize(
    ("source", "forwarded", "client"),
    [
        (BALANCER, "198.51.100.7", "198.51.100.7"),
        # The load balancer adds the address to what the client has sent
        (BALANCER, "203.0.113.66, 198.51.100.7", "198.51.100.7"),
        (BALANCER, "127.77.0.5, 203.0.113.66,198.51.100.7", "198.51.100.7"),
        (BALANCER, "2001:db8::7", "2001:db8::7"),
        (BALANCER, "", BALANCER),
        # Others are not believed
        ("127.0.0.1", "203.0.113.66", "127.0.0.1"),
        ("127.78.0.1", "203.0.113.66, 127.77.0.1", "127.78.0.1"),
    ],
)
def test_the_audit_has_the_address_that_the_load_balancer_names(
    behind: Door, source: str, forwarded: str, client: str
) -> None:
    target = f"/jars/{source}-{abs(hash(forwarded))}.jar/run"
    headers = {"X_Forwarded_For": forwarded} if forwarded else {}
    others = {"Forwarded": "for=203.0.113.99", "X_Real_IP": "203.0.113.99", "X_Client_IP": "203.0.113.99"}
    given = {**headers, **others, "Authorization": login("anna")}
    assert asked_from(behind, source, "POST", target, **given) == 200
    assert client_of(behind, target) == (client, source)


def test_without_a_load_balancer_nobody_is_believed(door: Door) -> None:
    target = "/jars/nobody.jar/run"
    given = {"X_Forwarded_For": "203.0.113.66", "Authorization": login("anna")}
    assert asked_from(door, BALANCER, "POST", target, **given) == 200
    assert client_of(door, target) == (BALANCER, BALANCER)
    assert door.status("", "GET", ALIVE) == 401, "and nothing answers without a login"


def test_the_health_check_needs_no_login_and_nothing_else_does(behind: Door) -> None:
    before = len(behind.audit("strangers"))
    status, text, _ = behind.ask("", "GET", ALIVE)
    assert (status, text) == (200, b"")
    behind.first.leads = False
    assert behind.status("", "GET", ALIVE) == 200, "a door is healthy while no JobManager leads"
    behind.first.leads = True
    for method, target in (
        ("POST", ALIVE),
        ("GET", f"{ALIVE}?x"),
        ("GET", f"{ALIVE}/"),
        ("GET", f"{ALIVE}/../jars"),
        ("GET", f"/{ALIVE}"),
        ("GET", "/jars"),
    ):
        assert behind.status("", method, target) == 401, (method, target)
    until(lambda: len(behind.audit("strangers")) >= before + 6, 60)
    assert not behind.arrived() and ALIVE not in [it["request"]["uri"] for it in behind.audit() if it["status"] == 200]


# --- TLS


def test_what_strangers_say_does_not_fill_the_audit(door: Door) -> None:
    long = "a" * 30_000
    before, known = len(door.audit("strangers")), len(door.audit())
    # Caddy itself refuses a long method
    for line, status in ((f"GET /{long}?{long[:9]}", 401), (f"GET /jars/{long}/run", 401), (f"{long} /", 405)):
        answer = door.raw(f"{line} HTTP/1.1\r\nHost: {long}\r\nConnection: close\r\n\r\n".encode())
        assert int(answer.split()[1]) == status
    until(lambda: len(door.audit("strangers")) == before + 3, 60)
    assert max(map(len, (door.folder / "strangers.jsonl").read_text().splitlines())) < 1500
    assert [it["request"]["uri"][-1] for it in door.audit("strangers")[-3:]] == ["?", "a", "/"]
    assert len(door.audit()) == known


@pytest.mark.parametrize(
    ("version", "good"),
    [("TLSv1", False), ("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
def test_only_current_versions_of_tls(door: Door, version: str, good: bool) -> None:
    context = door.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    try:
        with (
            socket.create_connection(("localhost", door.port), timeout=30) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            assert good and connection.version()
    except OSError:
        assert not good


# Those that an ECDSA certificate could be used with, and what needs none
WEAK = ["NULL", "RC4", "3DES", "ADH", "EXPORT", *(f"ECDHE-ECDSA-AES{hashed}" for hashed in ("128-SHA", "128-SHA256"))]
WEAK += ["ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-CAMELLIA128-SHA256"]


@pytest.mark.parametrize("ciphers", WEAK)
def test_no_weak_cipher(door: Door, ciphers: str) -> None:
    context = door.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    except ssl.SSLError:
        return  # this OpenSSL has none
    with (
        socket.create_connection(("localhost", door.port), timeout=30) as plain,
        pytest.raises(OSError),
        context.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_plain_text_is_refused(door: Door) -> None:
    with socket.create_connection(("localhost", door.port), timeout=30) as plain:
        plain.sendall(b"GET /overview HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP/1.0 400" in plain.recv(4096)

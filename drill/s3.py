"""Faults of the S3 server: it is stopped, or it refuses half of the requests."""

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from drill.scene import Scene
from lab import network, processes
from lab.lab import Lab

_SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
"""The body of S3's 503: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""

_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
"""Headers that are not forwarded: they concern one side of the proxy only."""


def away(scene: Scene) -> None:
    """The S3 server is killed, and started again after 30 s; connections are refused meanwhile."""
    lab = scene.cluster.lab
    scene.undo.callback(lab.up)
    scene.happens()
    processes.kill(lab.id, "s3")
    scene.lasts()
    lab.up()  # starts what does not run, and waits until it answers
    scene.is_over()


def half_refused(scene: Scene) -> None:
    """For 30 s every second request of the hosts to S3 is answered with 503 SlowDown."""
    lab = scene.cluster.lab
    with proxy(lab.gateway, lab.s3.endpoint) as refusing:
        scene.happens()
        with _redirected(lab, refusing.server_port):
            scene.lasts()
        scene.is_over()
        scene.notes.append(f"{refusing.refused} of {refusing.asked} requests refused")


class Proxy(ThreadingHTTPServer):
    """Forwards requests to the S3 server unchanged, and refuses every second one."""

    daemon_threads = True

    def __init__(self, address: str, endpoint: str) -> None:
        super().__init__((address, 0), _Handler)
        self.target = urlsplit(endpoint).netloc
        self._turn = itertools.count()
        self.asked = self.refused = 0
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, stored so that `end` can close it."""
        client, address = super().get_request()
        self._clients.add(client)
        return client, address

    def end(self) -> None:
        """Accept no more connections, and close the existing ones, whose requests would still be refused."""
        self.shutdown()
        for client in self._clients:
            with suppress(OSError):  # already closed
                client.shutdown(socket.SHUT_RDWR)

    def refuses(self) -> bool:
        """Whether to refuse this request."""
        with self._lock:
            self.asked += 1
            refused = bool(next(self._turn) % 2)
            self.refused += refused
            return refused


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        """Tolerates a client or server that disconnects in the middle: the client notices."""
        try:
            super().handle_one_request()
        except (OSError, HTTPException):
            self.close_connection = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.refuses():
            self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        connection = HTTPConnection(self.server.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _ONE_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            content = answer.read()
            headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in _ONE_HOP]
            self._answer(answer.status, headers, content)
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if self.command == "HEAD" or name.lower() != "content-length":
                self.send_header(name, value)
        if self.command != "HEAD" and status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve


@contextmanager
def proxy(address: str, endpoint: str) -> Iterator[Proxy]:
    """The proxy for the server at `endpoint`, on a free port of `address`, until the end of the block."""
    with Proxy(address, endpoint) as server:
        thread = threading.Thread(target=server.serve_forever, name="fault proxy", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.end()
            thread.join()


@contextmanager
def _redirected(lab: Lab, port: int) -> Iterator[None]:
    """Redirect the hosts' connections to S3 to a port of this machine; existing ones are reset."""
    bridge, s3 = lab.network.bridge, urlsplit(lab.s3.endpoint).port
    table = f"flinklab_{lab.id}_drill"  # `down` removes tables with such names
    text = f"""
table ip {table} {{
    chain prerouting {{
        type nat hook prerouting priority dstnat
        iifname "{bridge}" ip daddr {lab.gateway} tcp dport {s3} redirect to :{port}
    }}
    chain input {{
        type filter hook input priority filter - 10
        iifname "{bridge}" ip daddr {lab.gateway} tcp dport {s3} reject with tcp reset
    }}
}}
"""
    try:
        network.run("nft", "-f", "-", stdin=text)
        yield
    finally:
        network.run("nft", "delete", "table", "ip", table, check=False)

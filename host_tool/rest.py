"""Flink's REST API, and the other HTTP servers of its daemons. Only this module builds their URLs and sends requests.

It does not use `http.client`: its import takes longer than everything else in the tool together, and its timeout
applies to each packet only. HTTP/1.0 is enough for a GET whose response ends with the connection (RFC 1945).
"""

from __future__ import annotations

from . import connection, identity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence
    from typing import Any

ANSWER_SECONDS = 5.0
OK = 200
NOT_FOUND = 404
UNAVAILABLE = 503


class Answer:
    """A server's response: the status, such as 404, and the body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class Server:
    """An HTTP server of one of Flink's daemons."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def url(self, path: str) -> str:
        """URL of a path, such as /overview."""
        address = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self._scheme()}://{address}:{self.port}{path}"

    def _scheme(self) -> str:
        return "http"

    def _tls(self) -> ssl.SSLContext | None:
        return None

    def get(self, path: str) -> Answer:
        """Its response, within `ANSWER_SECONDS`. Raises OSError if there is none, or an incomplete one."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None, seconds: float = ANSWER_SECONDS) -> Answer:
        """Its response to a request with `body` as JSON. Raises OSError as `get`."""
        head = f"{method} {path} HTTP/1.0\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n"
        content = b""
        if body is not None:
            import json

            content = json.dumps(body).encode()
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        raw = connection.ask(self.host, self.port, f"{head}\r\n".encode() + content, seconds, self._tls())
        return _parse(raw, self.url(path))

    def text(self, path: str) -> str | None:
        """The body of its response; None without a response, or with another status than 200."""
        try:
            answer = self.get(path)
        except OSError:
            return None
        return answer.text if answer.status == OK else None

    def answers(self, path: str) -> bool:
        """Whether it answers with status 200."""
        return self.text(path) is not None

    def json(self, path: str) -> Any:
        """Its response, parsed; None without a response, with another status than 200, or if it is not JSON."""
        return _decoded(self.text(path))


class JobManager(Server):
    """The REST API of a JobManager, with TLS if the daemon of this host runs with it."""

    def _scheme(self) -> str:
        return "https" if identity.runs_with_tls() else "http"

    def _tls(self) -> ssl.SSLContext | None:
        return identity.context("rest") if identity.runs_with_tls() else None


class JobManagers:
    """All JobManagers of a cluster: each answers for the leader, if it has one."""

    def __init__(self, names: Sequence[str], port: int) -> None:
        self.servers = [JobManager(name, port) for name in names]

    def json(self, path: str) -> Any:
        """The response of the first one that answers; None if none does."""
        for server in self.servers:
            found = server.json(path)
            if found is not None:
                return found
        return None

    def request(self, method: str, path: str, body: Any = None, seconds: float = ANSWER_SECONDS) -> Answer | None:
        """The response of the first one that answers, and knows the leader; None if none does. One that received the
        request but lost the connection may have acted on it.
        """
        for server in self.servers:
            try:
                answer = server.request(method, path, body, seconds)
            except OSError:
                continue
            if answer.status != UNAVAILABLE:
                return answer
        return None

    def knows(self, path: str) -> bool | None:
        """True if the first one that answers has status 200, False with 404; None if none has either."""
        for server in self.servers:
            try:
                status = server.get(path).status
            except OSError:
                continue
            if status in (OK, NOT_FOUND):
                return status == OK
        return None


def short(name: str) -> str:
    """A host's name without its domain, which is also its TaskManager's id."""
    return name.partition(".")[0]


def taskmanager_ids(answer: Any) -> set[str]:
    """Ids in the response of /taskmanagers: the names of their hosts, as their units set them."""
    return {str(entry["id"]) for entry in answer["taskmanagers"]} if answer else set()


def _parse(raw: bytes, url: str) -> Answer:
    head, found, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(None, 2)
    if not found or len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise OSError(f"{url} does not answer as an HTTP server")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length" and len(body) < int(value):
            raise OSError(f"{url}: the connection was lost")
    return Answer(int(words[1]), body)


def _decoded(text: str | None) -> Any:
    if text is None:
        return None
    import json

    try:
        return json.loads(text)
    except ValueError:
        return None

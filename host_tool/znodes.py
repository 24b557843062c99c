"""ZooKeeper's nodes: the few requests of its client protocol that the tool needs, as zookeeper.jute in ZooKeeper's
sources has them. The standard library has no client, and a JVM takes a second to start.
"""

from __future__ import annotations

import struct
import time

from . import connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from typing import Any

SECONDS = 3.0
"""For each answer of a server."""
_SESSION_MILLISECONDS = 10_000
_DELETE, _EXISTS, _GET_CHILDREN, _CLOSE = 2, 3, 8, -11
_NO_NODE = -101
_ANY_VERSION = -1
_ERRORS = {-102: "no permission", -111: "it has children", -112: "the session has expired", -4: "it has no quorum"}
_HEADER = struct.Struct("!iqi")
"""Of an answer: the request's number, zxid, error."""
_STAT = struct.Struct("!qqqqiiiqiiq")
"""czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeralOwner, dataLength, numChildren, pzxid."""


class Refused(OSError):
    """The server refused a request."""


class Nodes:
    """A session with a server, for the time of a `with`. With `tls` it proves this host's identity. Methods raise
    OSError if the server does not answer in time, Refused if it answers no.
    """

    def __init__(self, server: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._number = 0
        self._end = time.monotonic() + SECONDS
        plain = connection.connect(server, port, SECONDS)
        try:
            self._socket: socket.socket = connection.secured(plain, server, tls)
            # Protocol 0, no transaction seen, a new session without a password
            self._send(struct.pack("!iqiqi16s?", 0, 0, _SESSION_MILLISECONDS, 0, 16, bytes(16), False))
            if struct.unpack_from("!ii", self._receive())[1] <= 0:
                raise Refused("it gives no session")
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: Any) -> None:
        try:
            self._ask(_CLOSE)
        except OSError:
            pass  # then the session expires
        finally:
            self._socket.close()

    def children(self, path: str) -> list[str]:
        """The names of a node's children; none if there is no such node."""
        answer = self._ask(_GET_CHILDREN, _text(path), b"\0")
        if answer is None:
            return []
        (count,), at, names = struct.unpack_from("!i", answer), 4, []
        for _ in range(count):
            (size,) = struct.unpack_from("!i", answer, at)
            names.append(answer[at + 4 : at + 4 + size].decode())
            at += 4 + size
        return names

    def owner(self, path: str) -> int:
        """The session that owns an ephemeral node; 0 for another node, or none."""
        answer = self._ask(_EXISTS, _text(path), b"\0")
        # Java's numbers have a sign
        return int(_STAT.unpack_from(answer)[7]) & (2**64 - 1) if answer is not None else 0

    def delete(self, path: str) -> None:
        """Delete a node, if it is there."""
        self._ask(_DELETE, _text(path), struct.pack("!i", _ANY_VERSION))

    def _ask(self, kind: int, *parts: bytes) -> bytes | None:
        """The answer after its header; None if there is no such node."""
        self._number += 1
        self._end = time.monotonic() + SECONDS
        self._send(struct.pack("!ii", self._number, kind), *parts)
        answer = self._receive()
        _, _, error = _HEADER.unpack_from(answer)
        if error == _NO_NODE:
            return None
        if error:
            raise Refused(_ERRORS.get(error, f"error {error}"))
        return answer[_HEADER.size :]

    def _send(self, *parts: bytes) -> None:
        message = b"".join(parts)
        self._socket.sendall(struct.pack("!i", len(message)) + message)

    def _receive(self) -> bytes:
        (size,) = struct.unpack("!i", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            left = self._end - time.monotonic()
            if left <= 0:
                raise OSError(f"no answer within {SECONDS:g} s")
            self._socket.settimeout(left)
            part = self._socket.recv(size - len(found))
            if not part:
                raise OSError("it closed the connection")
            found += part
        return bytes(found)


def _text(text: str) -> bytes:
    found = text.encode()
    return struct.pack("!i", len(found)) + found

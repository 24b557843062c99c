"""TCP requests with a time limit on the whole exchange, not only on each packet."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from typing import Any


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Open a connection. Raises OSError."""
    import socket

    # Bytes are used as they are; text would be encoded by modules that take milliseconds to import
    address: tuple[Any, int] = (host.encode("ascii"), port)
    return socket.create_connection(address, seconds)


def opens(host: str, port: int, seconds: float) -> bool:
    """Whether the port accepts connections."""
    try:
        connect(host, port, seconds).close()
    except OSError:
        return False
    return True


def ask(host: str, port: int, question: bytes, seconds: float, tls: ssl.SSLContext | None = None) -> bytes:
    """Send the question, with TLS if `tls` is given; return everything received until the peer closes the connection.

    Raises OSError if that takes longer than the given seconds, or if the peer is not the one that `tls` trusts.
    """
    end = time.monotonic() + seconds
    with connect(host, port, seconds) as plain, secured(plain, host, tls) as connection:
        connection.sendall(question)
        answer = bytearray()
        while True:
            left = end - time.monotonic()
            if left <= 0:
                raise OSError(f"no complete answer from {host}:{port} within {seconds:g} s")
            connection.settimeout(left)
            part = connection.recv(65536)
            if not part:
                return bytes(answer)
            answer += part


def secured(plain: socket.socket, host: str, tls: ssl.SSLContext | None) -> socket.socket:
    """The connection with TLS, if `tls` is given. Raises OSError if the peer is not the one that it trusts."""
    return tls.wrap_socket(plain, server_hostname=host) if tls else plain

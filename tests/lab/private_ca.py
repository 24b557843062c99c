"""An S3 server behind TLS with a certificate of a CA that nobody knows, as companies have it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def make_certificates(folder: Path, address: str) -> None:
    """A CA (`ca.pem`) and a server's certificate of it for an IP address (`server.pem`, `server.key`)."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    (folder / "names").write_text(f"subjectAltName=IP:{address}\n")
    new = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=private CA", "-days", "2")
    openssl("req", *new, "-keyout", "server.key", "-out", "request.pem", "-subj", "/CN=s3")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2"]
    openssl("x509", "-req", "-in", "request.pem", *signed, "-out", "server.pem")


@contextmanager
def serving(folder: Path, address: str, target: tuple[str, int]) -> Iterator[int]:
    """TLS on a free port of an address, in front of a server that speaks plain HTTP; the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source, sink = await asyncio.open_connection(*target)
        await asyncio.gather(_relay(reader, sink), _relay(source, writer))

    listening = asyncio.start_server(accept, address, 0, ssl=context)
    server = asyncio.run_coroutine_threadsafe(listening, loop).result(60)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()

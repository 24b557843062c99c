"""Messages to the engine, which shows them beside their resource."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import Any

import grpc.aio
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from stand_ins.plugin.rpc import MESSAGE_SIZE_OPTIONS

_BACKLOG = 1000
"""Status lines that are kept for an engine that is slower than a command's output; older ones are dropped."""


class Engine:
    """The engine's log, or stderr without an engine."""

    def __init__(self, address: str | None) -> None:
        self._stub: Any = None  # The generated stub is typed for blocking channels.
        if address:
            channel = grpc.aio.insecure_channel(address, options=MESSAGE_SIZE_OPTIONS)
            self._stub = engine_pb2_grpc.EngineStub(channel)

    async def send(
        self, severity: engine_pb2.LogSeverity.ValueType, text: str, urn: str = "", ephemeral: bool = False
    ) -> None:
        """Log a message. It is no error if the engine has ended: nothing reads it then."""
        if self._stub is None:
            print(text, file=sys.stderr, flush=True)
            return
        request = engine_pb2.LogRequest(
            severity=severity,
            message=text.encode("utf-8", "replace").decode(),
            urn=urn,
            ephemeral=ephemeral,
        )
        try:
            await self._stub.Log(request)
        except grpc.aio.AioRpcError:
            return


class Log:
    """The log of one resource. `status` shows the current activity; other messages stay."""

    def __init__(self, engine: Engine, urn: str) -> None:
        self._engine = engine
        self._urn = urn
        self._lines: deque[str] = deque(maxlen=_BACKLOG)
        self._sender: asyncio.Task[None] | None = None

    def status(self, text: str) -> None:
        """Show a line, in the order of the calls, without waiting for the engine."""
        self._lines.append(text)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_lines())

    async def warning(self, text: str) -> None:
        """Warn about the resource."""
        await self._engine.send(engine_pb2.WARNING, text, self._urn)

    async def error(self, text: str) -> None:
        """Report an error of the resource. This alone does not fail the resource."""
        await self._engine.send(engine_pb2.ERROR, text, self._urn)

    async def drain(self) -> None:
        """Wait until the engine has received every line."""
        if self._sender is not None:
            await self._sender

    async def _send_lines(self) -> None:
        while self._lines:
            await self._engine.send(engine_pb2.INFO, self._lines.popleft(), self._urn, ephemeral=True)

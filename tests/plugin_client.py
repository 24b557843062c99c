"""Calls a stand-in plugin over gRPC like the engine, and receives its messages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from stand_ins.plugin.log import Engine
from stand_ins.plugin.provider import BaseProvider
from stand_ins.plugin.rpc import MESSAGE_SIZE_OPTIONS
from stand_ins.plugin.serve import start
from stand_ins.plugin.values import from_struct, to_struct

REMOTE = "command:remote:Command"
LOCAL = "command:local:Command"
COPY = "command:remote:CopyToRemote"
State = dict[str, Any]
BOUND = 90
"""Seconds to wait for what takes much less than one: the machine may be busy."""


def urn(token: str, name: str = "it") -> str:
    return f"urn:pulumi:test::project::{token}::{name}"


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.01)


def failure(error: pytest.ExceptionInfo[grpc.RpcError]) -> str:
    """The error text of a failed call, which users read."""
    return str(error.value.details())


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "\nState:\tZ" in status.read_text()


class PluginClient:
    """The calls for a resource, from creation to deletion. A failed one raises `grpc.RpcError`."""

    def __init__(self, port: int, logs: list[engine_pb2.LogRequest]) -> None:
        self.logs = logs
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=MESSAGE_SIZE_OPTIONS)
        self.stub = provider_pb2_grpc.ResourceProviderStub(channel)

    def check(self, token: str, inputs: State) -> tuple[State, dict[str, str]]:
        """The checked inputs, and the refusals by property."""
        response = self.stub.Check(provider_pb2.CheckRequest(urn=urn(token), news=to_struct(inputs)))
        return from_struct(response.inputs), {f.property: f.reason for f in response.failures}

    def checked(self, token: str, inputs: State) -> State:
        checked, failures = self.check(token, inputs)
        assert failures == {}
        return checked

    def diff(self, token: str, old: State, new: State, ignore: tuple[str, ...] = ()) -> dict[str, str]:
        """The changed paths and their kinds, such as `UPDATE_REPLACE`."""
        request = provider_pb2.DiffRequest(
            urn=urn(token),
            olds=to_struct({**old, "stdout": "", "stderr": ""}),
            old_inputs=to_struct(old),
            news=to_struct(new),
            ignoreChanges=ignore,
        )
        response = self.stub.Diff(request)
        names = provider_pb2.PropertyDiff.Kind.Name
        found = {path: names(change.kind) for path, change in response.detailedDiff.items()}
        assert (response.changes == response.DIFF_SOME) == bool(found)
        assert set(response.replaces) == {path for path, kind in found.items() if "REPLACE" in kind}
        return found

    def create_request(self, token: str, inputs: State, **more: Any) -> provider_pb2.CreateRequest:
        properties = to_struct(self.checked(token, inputs))
        return provider_pb2.CreateRequest(urn=urn(token), properties=properties, **more)

    def create(self, token: str, inputs: State, **more: Any) -> State:
        """Check and create; returns the state."""
        return from_struct(self.stub.Create(self.create_request(token, inputs, **more)).properties)

    def update(self, token: str, state: State, inputs: State, **more: Any) -> State:
        request = provider_pb2.UpdateRequest(
            id="id",
            urn=urn(token),
            olds=to_struct(state),
            news=to_struct(self.checked(token, inputs)),
            **more,
        )
        return from_struct(self.stub.Update(request).properties)

    def delete(self, token: str, state: State) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id="id", urn=urn(token), properties=to_struct(state)))

    def cancel(self) -> None:
        self.stub.Cancel(empty_pb2.Empty())

    def texts(self, severity: int = engine_pb2.INFO) -> list[str]:
        """The messages so far with this severity."""
        return [log.message for log in self.logs if log.severity == severity]


class _Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.logs: list[engine_pb2.LogRequest] = []

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.logs.append(request)
        return empty_pb2.Empty()


@contextmanager
def engine() -> Iterator[tuple[int, list[engine_pb2.LogRequest]]]:
    """An engine that only receives: its port, and the messages."""
    servicer = _Engine()
    server = grpc.server(futures.ThreadPoolExecutor(4), options=MESSAGE_SIZE_OPTIONS)
    engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port, servicer.logs
    finally:
        server.stop(None).wait()


Client = TypeVar("Client", bound=PluginClient)


@contextmanager
def plugin(make: Callable[[Engine], BaseProvider], client: type[Client]) -> Iterator[Client]:
    """A plugin that serves from a thread of this process, and a client of it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with engine() as (engine_port, logs):

        async def begin() -> tuple[grpc.aio.Server, int]:
            return await start(make(Engine(f"127.0.0.1:{engine_port}")))

        server, port = asyncio.run_coroutine_threadsafe(begin(), loop).result(BOUND)
        try:
            yield client(port, logs)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(None), loop).result(BOUND)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(BOUND)
            loop.close()

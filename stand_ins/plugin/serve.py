"""Runs the provider as the engine expects of a plugin: it prints the port, then serves until it is ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable

import grpc.aio
from pulumi.runtime.proto import provider_pb2_grpc

from stand_ins.plugin.log import Engine
from stand_ins.plugin.provider import BaseProvider
from stand_ins.plugin.rpc import MESSAGE_SIZE_OPTIONS

_END_SECONDS = 10.0
"""Seconds to answer running calls when the plugin ends: longer than a command gets to end on a host."""


async def serve(make: Callable[[Engine], BaseProvider], arguments: list[str]) -> None:
    """Serve until SIGINT, SIGTERM or the engine's end. The last argument is the engine's address, if any."""
    # Before the port: an engine that ends as soon as it has that is noticed, too
    parent = os.getppid()
    addresses = [argument for argument in arguments if not argument.startswith("-")]
    engine = Engine(addresses[-1] if addresses else None)
    provider = make(engine)
    server, port = await start(provider)
    print(port, flush=True)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    orphaned = asyncio.create_task(_watch_parent(parent, ended))
    await ended.wait()
    orphaned.cancel()
    provider.cancel()
    await server.stop(_END_SECONDS)


async def start(provider: BaseProvider) -> tuple[grpc.aio.Server, int]:
    """Start a server on a free port of the loopback; also returns the port."""
    server = grpc.aio.server(options=MESSAGE_SIZE_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def _watch_parent(parent: int, ended: asyncio.Event) -> None:
    """End with the engine, also if it was killed: only a new parent process indicates this to a plugin."""
    while os.getppid() == parent:
        await asyncio.sleep(1)
    ended.set()


def main(make: Callable[[Engine], BaseProvider]) -> None:
    """The main function of a plugin, given its provider's class."""
    asyncio.run(serve(make, sys.argv[1:]))

"""The common part of resource providers: the plugin as a whole, and running calls."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) documents the methods.

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, ClassVar, NoReturn, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, plugin_pb2, provider_pb2, provider_pb2_grpc

from stand_ins.plugin.log import Engine

T = TypeVar("T")
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class OperationError(Exception):
    """An operation on a resource failed; the user reads this text."""


class BaseProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Each method answers the RPC of its name. A subclass adds those for resources."""

    name: ClassVar[str]
    """The provider's name: `command`."""
    version: ClassVar[str]
    """The version of the official plugin that this one imitates; the engine requests the SDK's version."""
    announcement: ClassVar[str]
    """The message in every run that uses it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.cancelled = False
        self._under_way: set[asyncio.Task[Any]] = set()
        self._announced = False

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: Context) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=self.version)

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: Context
    ) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": self.name, "version": self.version}))

    async def Attach(self, request: plugin_pb2.PluginAttach, context: Context) -> empty_pb2.Empty:
        self.engine = Engine(request.address)
        return empty_pb2.Empty()

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        if not self._announced:
            self._announced = True
            await self.engine.send(engine_pb2.INFO, self.announcement)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    async def Cancel(self, request: empty_pb2.Empty, context: Context) -> empty_pb2.Empty:
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End every running operation, and refuse new ones."""
        self.cancelled = True
        for task in self._under_way:
            task.cancel()

    async def perform(self, operation: Coroutine[Any, Any, T], context: Context, *passed: type[OperationError]) -> T:
        """Run an operation of a resource so that Cancel can end it.

        An `OperationError` fails the RPC with its text, except for those `passed` on to the caller.
        """
        task = asyncio.create_task(operation)
        self._under_way.add(task)
        if self.cancelled:
            task.cancel()
        try:
            return await task
        except passed:
            raise
        except OperationError as error:
            await abort(context, grpc.StatusCode.UNKNOWN, str(error))
        except asyncio.CancelledError:
            if not self.cancelled:
                raise  # The engine has ended: no one reads the answer.
            await abort(context, grpc.StatusCode.CANCELLED, "cancelled: the command was ended")
        finally:
            self._under_way.discard(task)


def stand_in(name: str, version: str) -> str:
    """The message of a stand-in for an official plugin."""
    return f"pulumi-resource-{name}: a stand-in of the lab, not the official plugin (behaves as v{version})"


async def abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    """Fail the RPC with this text."""
    await context.abort(code, text)
    raise AssertionError("abort returned")


def token_of(urn: str) -> str:
    """The type of the resource with this URN: `command:remote:Command`."""
    return urn.split("::")[2].split("$")[-1]


def name_of(urn: str) -> str:
    """The name that the program gave the resource with this URN."""
    return urn.split("::", 3)[3]

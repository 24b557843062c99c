"""The resource provider: what the engine calls over gRPC, for each resource and for the plugin as a whole."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) says what each method is for.

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, plugin_pb2, provider_pb2, provider_pb2_grpc

from lab.command_plugin import VERSION, diff, schema
from lab.command_plugin.log import Engine, Log
from lab.command_plugin.outcome import CommandError
from lab.command_plugin.resources import RESOURCES, Call, CommandResource, CopyResource
from lab.plugin.values import from_struct, reveal, to_struct

STAND_IN = f"pulumi-resource-command: a stand-in of the lab, not the official plugin (behaves as v{VERSION})"
"""Said once in every run that uses it."""

T = TypeVar("T")
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_KINDS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Each method answers the RPC of its name; a command that fails aborts the RPC with its text."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._under_way: set[asyncio.Task[Any]] = set()
        self._cancelled = False
        self._announced = False

    # The plugin as a whole

    async def GetPluginInfo(self, request: empty_pb2.Empty, context: _Context) -> plugin_pb2.PluginInfo:
        return plugin_pb2.PluginInfo(version=VERSION)

    async def GetSchema(
        self, request: provider_pb2.GetSchemaRequest, context: _Context
    ) -> provider_pb2.GetSchemaResponse:
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "command", "version": VERSION}))

    async def Attach(self, request: plugin_pb2.PluginAttach, context: _Context) -> empty_pb2.Empty:
        self._engine = Engine(request.address)
        return empty_pb2.Empty()

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: _Context) -> provider_pb2.CheckResponse:
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: provider_pb2.DiffRequest, context: _Context) -> provider_pb2.DiffResponse:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: _Context
    ) -> provider_pb2.ConfigureResponse:
        if not self._announced:
            self._announced = True
            await self._engine.send(engine_pb2.INFO, STAND_IN)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, acceptResources=True, supportsPreview=True)

    async def Cancel(self, request: empty_pb2.Empty, context: _Context) -> empty_pb2.Empty:
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """End every command under way, and refuse to start another."""
        self._cancelled = True
        for task in self._under_way:
            task.cancel()

    # Resources

    async def Check(self, request: provider_pb2.CheckRequest, context: _Context) -> provider_pb2.CheckResponse:
        resource = await self._resource(request.urn, context)
        inputs, failures = schema.check(resource.shape, from_struct(request.news))
        return provider_pb2.CheckResponse(
            inputs=to_struct(inputs),
            failures=[provider_pb2.CheckFailure(property=f.path, reason=f.reason) for f in failures],
        )

    async def Diff(self, request: provider_pb2.DiffRequest, context: _Context) -> provider_pb2.DiffResponse:
        resource = await self._resource(request.urn, context)
        state = from_struct(request.olds)
        old = from_struct(request.old_inputs) if request.HasField("old_inputs") else state
        old = {name: value for name, value in old.items() if name in resource.shape.fields}
        new = diff.with_ignored(from_struct(request.news), state, request.ignoreChanges)
        changes = diff.changes(old, new)
        response = provider_pb2.DiffResponse(hasDetailedDiff=True)
        response.changes = response.DIFF_SOME if changes else response.DIFF_NONE
        for path, change in changes.items():
            replaces = diff.replaces(path)
            response.detailedDiff[path].kind = _KINDS[change][replaces]
            response.diffs.append(path)
            if replaces:
                response.replaces.append(path)
        return response

    async def Create(self, request: provider_pb2.CreateRequest, context: _Context) -> provider_pb2.CreateResponse:
        resource = await self._resource(request.urn, context)
        inputs = from_struct(request.properties)
        name = _name(request.urn) if resource.id_has_name else ""
        response = provider_pb2.CreateResponse(id=name + secrets.token_hex(4))
        if request.preview:
            outputs = resource.preview()
        else:
            call = self._call(request.urn, request.timeout)
            outputs = await self._perform(resource.create(reveal(inputs), call), context)
        response.properties.CopyFrom(to_struct({**inputs, **outputs}))
        return response

    async def Update(self, request: provider_pb2.UpdateRequest, context: _Context) -> provider_pb2.UpdateResponse:
        resource = await self._resource(request.urn, context)
        state = from_struct(request.olds)
        inputs = diff.with_ignored(from_struct(request.news), state, request.ignoreChanges)
        if request.preview:
            outputs = resource.preview()
        else:
            call = self._call(request.urn, request.timeout)
            outputs = await self._perform(resource.update(reveal(state), reveal(inputs), call), context)
        return provider_pb2.UpdateResponse(properties=to_struct({**inputs, **outputs}))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: _Context) -> empty_pb2.Empty:
        resource = await self._resource(request.urn, context)
        call = self._call(request.urn, request.timeout)
        await self._perform(resource.delete(reveal(from_struct(request.properties)), call), context)
        return empty_pb2.Empty()

    async def Read(self, request: provider_pb2.ReadRequest, context: _Context) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def _resource(self, urn: str, context: _Context) -> CommandResource | CopyResource:
        token = urn.split("::")[2].split("$")[-1]
        if token not in RESOURCES:
            await _abort(context, grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no {token}")
        return RESOURCES[token]

    def _call(self, urn: str, timeout: float) -> Call:
        return Call(Log(self._engine, urn), timeout or None)

    async def _perform(self, operation: Coroutine[Any, Any, T], context: _Context) -> T:
        """Do the work of a resource so that Cancel can end it."""
        task = asyncio.create_task(operation)
        self._under_way.add(task)
        if self._cancelled:
            task.cancel()
        try:
            return await task
        except CommandError as error:
            await _abort(context, grpc.StatusCode.UNKNOWN, str(error))
        except asyncio.CancelledError:
            if not self._cancelled:
                raise  # The engine has gone away: there is nobody to answer.
            await _abort(context, grpc.StatusCode.CANCELLED, "cancelled: the command was ended")
        finally:
            self._under_way.discard(task)


async def _abort(context: _Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]

"""The resource provider: the engine's gRPC calls for each resource."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) documents the methods.

from __future__ import annotations

import secrets

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2

from stand_ins.command_plugin import VERSION
from stand_ins.command_plugin.resources import RESOURCES, Call, CommandResource, CopyResource
from stand_ins.plugin import diff, schema
from stand_ins.plugin.log import Log
from stand_ins.plugin.provider import BaseProvider, Context, abort, name_of, stand_in, token_of
from stand_ins.plugin.values import from_struct, reveal, to_struct

STAND_IN = stand_in("command", VERSION)
"""The message in every run that uses it."""


class Provider(BaseProvider):
    """Each method answers the RPC of its name; if a command fails, the RPC fails with its text."""

    name = "command"
    version = VERSION
    announcement = STAND_IN

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        resource = await self._resource(request.urn, context)
        inputs, failures = schema.check(resource.shape, from_struct(request.news))
        return provider_pb2.CheckResponse(
            inputs=to_struct(inputs),
            failures=[provider_pb2.CheckFailure(property=f.path, reason=f.reason) for f in failures],
        )

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        resource = await self._resource(request.urn, context)
        state = from_struct(request.olds)
        old = from_struct(request.old_inputs) if request.HasField("old_inputs") else state
        old = {name: value for name, value in old.items() if name in resource.shape.fields}
        new = diff.with_ignored(from_struct(request.news), state, request.ignoreChanges)
        return diff.response(diff.changes(old, new), _replaces)

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        resource = await self._resource(request.urn, context)
        inputs = from_struct(request.properties)
        name = name_of(request.urn) if resource.id_has_name else ""
        response = provider_pb2.CreateResponse(id=name + secrets.token_hex(4))
        if request.preview:
            outputs = resource.preview()
        else:
            call = self._call(request.urn, request.timeout)
            outputs = await self.perform(resource.create(reveal(inputs), call), context)
        response.properties.CopyFrom(to_struct({**inputs, **outputs}))
        return response

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        resource = await self._resource(request.urn, context)
        state = from_struct(request.olds)
        inputs = diff.with_ignored(from_struct(request.news), state, request.ignoreChanges)
        if request.preview:
            outputs = resource.preview()
        else:
            call = self._call(request.urn, request.timeout)
            outputs = await self.perform(resource.update(reveal(state), reveal(inputs), call), context)
        return provider_pb2.UpdateResponse(properties=to_struct({**inputs, **outputs}))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        resource = await self._resource(request.urn, context)
        call = self._call(request.urn, request.timeout)
        await self.perform(resource.delete(reveal(from_struct(request.properties)), call), context)
        return empty_pb2.Empty()

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def _resource(self, urn: str, context: Context) -> CommandResource | CopyResource:
        token = token_of(urn)
        if token not in RESOURCES:
            await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no {token}")
        return RESOURCES[token]

    def _call(self, urn: str, timeout: float) -> Call:
        return Call(Log(self.engine, urn), timeout or None)


def _replaces(path: str) -> bool:
    """Whether a change at this path replaces the resource: only `triggers`, as a whole or in part."""
    return diff.top(path) == "triggers"

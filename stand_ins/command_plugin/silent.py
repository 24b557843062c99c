"""A command plugin that runs nothing, so that the engine can create and change a stack of many hosts without them."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) documents the methods.

from __future__ import annotations

import secrets

from pulumi.runtime.proto import provider_pb2

from stand_ins.command_plugin.provider import Provider as StandIn
from stand_ins.plugin.provider import Context, name_of
from stand_ins.plugin.serve import main
from stand_ins.plugin.values import from_struct, to_struct


class Provider(StandIn):
    """Reports for every command that it has run and printed what a step of that name prints."""

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        if request.preview:
            return await super().Create(request, context)
        properties = {**from_struct(request.properties), **_printed(request.urn)}
        return provider_pb2.CreateResponse(id=secrets.token_hex(4), properties=to_struct(properties))

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        if request.preview:
            return await super().Update(request, context)
        return provider_pb2.UpdateResponse(properties=to_struct({**from_struct(request.news), **_printed(request.urn)}))


PRINTED = {"probe": '{"cpus": 2, "memoryMiB": 2560}', "cluster": "{}"}
"""By the end of a step's name; others print nothing."""


def _printed(urn: str) -> dict[str, str]:
    if "command:remote:CopyToRemote::" in urn:
        return {}
    return {"stdout": PRINTED.get(name_of(urn).rpartition("-")[2], ""), "stderr": ""}


if __name__ == "__main__":
    main(Provider)

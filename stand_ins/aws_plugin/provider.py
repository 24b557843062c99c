"""The resource providers: the engine's gRPC calls for each resource and function."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) documents the methods.

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from stand_ins.aws_plugin import aws as aws_module
from stand_ins.aws_plugin import state
from stand_ins.aws_plugin.introspection import invoke_shape
from stand_ins.aws_plugin.resource import Aws, HalfMade, Refused, Resource
from stand_ins.plugin import diff, schema
from stand_ins.plugin.log import Engine
from stand_ins.plugin.provider import BaseProvider, Context, OperationError, abort, name_of, token_of
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, from_struct, reveal, to_struct

T = TypeVar("T")
Invoke = Callable[[Object, Aws], Object]


class Provider(BaseProvider):
    """A provider of types that know their AWS calls; the calls run in threads, because boto3 blocks."""

    resources: Mapping[str, Resource]
    invokes: Mapping[str, Invoke]

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.aws: Any = None
        self.default_tags: Mapping[str, str] = {}
        self._threads = ThreadPoolExecutor(aws_module.THREADS)

    def cancel(self) -> None:
        """End every wait. A running call to AWS completes: what it creates must get into the state."""
        self.cancelled = True
        if self.aws is not None:
            self.aws.cancel()

    # Resources

    async def Check(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        resource = await self._resource(request.urn, context)
        news = from_struct(request.news)
        if resource.autoname and resource.autoname not in news:
            news[resource.autoname] = _autoname(request, resource.autoname)
        inputs, failures = schema.check(state.shape_of(resource), {**resource.defaults, **news})
        if not failures:
            failures = [*self.check_region(inputs), *resource.check(reveal(inputs))]
        return _check_response(inputs, failures)

    async def Diff(self, request: provider_pb2.DiffRequest, context: Context) -> provider_pb2.DiffResponse:
        resource = await self._resource(request.urn, context)
        before = from_struct(request.olds)
        old = from_struct(request.old_inputs) if request.HasField("old_inputs") else before
        new = diff.with_ignored(from_struct(request.news), before, request.ignoreChanges)
        fields = state.shape_of(resource).fields
        old = {name: value for name, value in old.items() if name in fields}
        new = state.unordered(resource, old, new)
        replacing = resource.replaces | resource.replaced_by(reveal(old), reveal(new))

        def replaces(path: str) -> bool:
            whole = re.sub(r"\[.*?\]", "", path)
            return diff.top(path) in replacing or whole in replacing

        response = diff.response(diff.changes(old, new), replaces)
        response.deleteBeforeReplace = resource.delete_before_replace and bool(response.replaces)
        return response

    async def Create(self, request: provider_pb2.CreateRequest, context: Context) -> provider_pb2.CreateResponse:
        resource = await self._resource(request.urn, context)
        inputs = from_struct(request.properties)
        if request.preview:
            known = self._tagged_outputs(resource, inputs, state.previewed(resource, inputs))
            return provider_pb2.CreateResponse(properties=to_struct(known))
        name = name_of(request.urn)

        def create() -> tuple[str, Object]:
            return resource.create(name, self._tagged(reveal(inputs)), self.aws)

        try:
            id, outputs = await self._call(f"creating {resource.kind} ({name})", create, context)
        except HalfMade as error:
            outputs = self._tagged_outputs(resource, inputs, state.created(resource, inputs, error.outputs))
            text = f"creating {resource.kind} ({name}): {error}"
            await _init_failed(context, text, error.id, outputs, inputs)
        outputs = self._tagged_outputs(resource, inputs, state.created(resource, inputs, outputs))
        return provider_pb2.CreateResponse(id=id, properties=to_struct(outputs))

    async def Update(self, request: provider_pb2.UpdateRequest, context: Context) -> provider_pb2.UpdateResponse:
        resource = await self._resource(request.urn, context)
        before = from_struct(request.olds)
        inputs = diff.with_ignored(from_struct(request.news), before, request.ignoreChanges)
        if request.preview:
            outputs = state.preview_of_update(resource, before, from_struct(request.old_inputs), inputs)
        else:
            old = {**reveal(before), "tags": reveal(before).get("tagsAll", reveal(before).get("tags"))}
            new = self._tagged(reveal(inputs))
            doing = f"updating {resource.kind} ({request.id})"
            found = await self._call(doing, lambda: resource.update(request.id, old, new, self.aws), context)
            outputs = state.created(resource, inputs, found)
        return provider_pb2.UpdateResponse(properties=to_struct(self._tagged_outputs(resource, inputs, outputs)))

    async def Delete(self, request: provider_pb2.DeleteRequest, context: Context) -> empty_pb2.Empty:
        resource = await self._resource(request.urn, context)
        before = reveal(from_struct(request.properties))

        def delete() -> None:
            _unless_gone(lambda: resource.delete(request.id, before, self.aws))

        await self._call(f"deleting {resource.kind} ({request.id})", delete, context)
        return empty_pb2.Empty()

    async def Read(self, request: provider_pb2.ReadRequest, context: Context) -> provider_pb2.ReadResponse:
        resource = await self._resource(request.urn, context)
        before, old_inputs = from_struct(request.properties), from_struct(request.inputs)

        def read() -> Object | None:
            return _unless_gone(lambda: resource.read(request.id, reveal(before), self.aws))

        found = await self._call(f"reading {resource.kind} ({request.id})", read, context)
        if found is None:
            return provider_pb2.ReadResponse()
        found, all_tags = self._without_default_tags(found, reveal(old_inputs))
        if not old_inputs:
            old_inputs = state.imported(frozenset(state.shape_of(resource).fields), found)
        inputs, outputs = state.refreshed(resource, old_inputs, before, found)
        if all_tags is not None:
            outputs["tagsAll"] = all_tags
        return provider_pb2.ReadResponse(id=request.id, properties=to_struct(outputs), inputs=to_struct(inputs))

    async def _resource(self, urn: str, context: Context) -> Resource:
        token = token_of(urn)
        if token not in self.resources:
            await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no {token}")
        return self.resources[token]

    # Functions

    async def Invoke(self, request: provider_pb2.InvokeRequest, context: Context) -> provider_pb2.InvokeResponse:
        token = request.tok
        if token not in self.invokes:
            await abort(context, grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no {token}")
        args, failures = schema.check(invoke_shape(token), from_struct(request.args))
        failures.extend(self.check_region(args))
        if failures:
            found = [provider_pb2.CheckFailure(property=f.path, reason=f.reason) for f in failures]
            return provider_pb2.InvokeResponse(failures=found)
        function = self.invokes[token]
        result = await self._call(f"invoking {token}", lambda: function(reveal(args), self.aws), context)
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct(result))
        return response

    def check_region(self, inputs: Object) -> list[Failure]:
        """Refuse another region than the provider's: the stand-in has clients for one region only."""
        region = reveal(inputs.get("region"))
        if region is None or self.aws is None or region == self.aws.region:
            return []
        return [Failure("region", f"the stand-in supports no other region than its own, {self.aws.region}")]

    # Calls

    async def _call(self, doing: str, work: Callable[[], T], context: Context) -> T:
        """Run a resource's method in a thread; its errors name the operation."""

        async def in_thread() -> T:
            try:
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
            except HalfMade:
                raise
            except Refused as error:
                raise OperationError(f"{doing}: {error}") from None
            except Exception as error:
                raise OperationError(f"{doing}: {aws_module.describe(error) or repr(error)}") from error

        return await self.perform(in_thread(), context, HalfMade)

    # Tags

    def _tagged(self, inputs: Object) -> Object:
        return {**inputs, "tags": {**self.default_tags, **(inputs.get("tags") or {})}} if self.default_tags else inputs

    def _tagged_outputs(self, resource: Resource, inputs: Object, outputs: Object) -> Object:
        """With `tagsAll`, for types with tags."""
        if "tags" not in state.shape_of(resource).fields:
            return outputs
        tags = inputs.get("tags") or {}
        if not isinstance(tags, dict):
            return {**outputs, "tagsAll": tags}  # Secret or unknown as a whole.
        return {**outputs, "tagsAll": {**self.default_tags, **tags}}

    def _without_default_tags(self, found: Object, old_inputs: Object) -> tuple[Object, Object | None]:
        """The found properties with the resource's own tags, and with all tags."""
        if "tags" not in found:
            return found, None
        tags = found["tags"] or {}
        declared = old_inputs.get("tags") or {}
        own = {k: v for k, v in tags.items() if k in declared or self.default_tags.get(k) != v}
        return {**found, "tags": own}, tags


def _unless_gone(work: Callable[[], T]) -> T | None:
    try:
        return work()
    except Refused:
        raise
    except Exception as error:
        if aws_module.is_gone(error):
            return None
        raise


def _autoname(request: provider_pb2.CheckRequest, field: str) -> str:
    """The resource's existing name, or its URN's name with seven hexadecimal digits."""
    name = name_of(request.urn)
    old = reveal(from_struct(request.olds)).get(field)
    if isinstance(old, str) and re.fullmatch(re.escape(name) + "-[0-9a-f]{7}", old):
        return old
    seed = request.randomSeed or secrets.token_bytes(32)
    return f"{name}-{hashlib.sha256(seed + request.urn.encode()).hexdigest()[:7]}"


def _check_response(inputs: Object, failures: list[Failure]) -> provider_pb2.CheckResponse:
    found = [provider_pb2.CheckFailure(property=f.path, reason=f.reason) for f in failures]
    return provider_pb2.CheckResponse(inputs=to_struct(inputs), failures=found)


async def _init_failed(context: Context, text: str, id: str, outputs: Object, inputs: Object) -> NoReturn:
    """Fail, but report the properties that exist, in the status's details, as the protocol requires."""
    detail = any_pb2.Any()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=id, properties=to_struct(outputs), inputs=to_struct(inputs), reasons=[text]
        )
    )
    code = grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=text, details=[detail])
    await context.abort(code, text, (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort returned")

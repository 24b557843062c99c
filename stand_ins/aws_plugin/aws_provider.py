"""The stand-in for `pulumi-resource-aws`: its types and functions, and the provider's configuration."""

# ruff: noqa: D102 - Pulumi's protocol (provider.proto) documents the methods.

from __future__ import annotations

import asyncio

import grpc
from pulumi.runtime.proto import provider_pb2

from stand_ins.aws_plugin import (
    administration,
    config,
    dlm,
    ec2_instances,
    ec2_network,
    ec2_placement,
    ec2_routes,
    ec2_security,
    ec2_volumes,
    events,
    iam,
    invokes,
    lb,
    route53,
    s3,
)
from stand_ins.aws_plugin.aws import Session, describe
from stand_ins.aws_plugin.provider import Provider
from stand_ins.plugin.provider import Context, abort, stand_in
from stand_ins.plugin.values import from_struct

VERSION = "7.51.1"
"""The version of the installed SDK: the engine requests it."""
MODULES = (
    administration,
    ec2_network,
    ec2_routes,
    ec2_security,
    ec2_instances,
    ec2_volumes,
    ec2_placement,
    dlm,
    events,
    iam,
    lb,
    route53,
    s3,
)


class AwsProvider(Provider):
    """AWS."""

    name = "aws"
    version = VERSION
    announcement = stand_in("aws", VERSION)
    resources = {token: resource for module in MODULES for token, resource in module.RESOURCES.items()}
    invokes = invokes.INVOKES

    async def CheckConfig(self, request: provider_pb2.CheckRequest, context: Context) -> provider_pb2.CheckResponse:
        found = config.failures(config.decode(from_struct(request.news)))
        failures = [provider_pb2.CheckFailure(property=f.path, reason=f.reason) for f in found]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    async def Configure(
        self, request: provider_pb2.ConfigureRequest, context: Context
    ) -> provider_pb2.ConfigureResponse:
        plain = config.decode(from_struct(request.args))
        if not config.region(plain):
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, config.NO_REGION)
        session = Session(config.access(plain))
        problem = await asyncio.to_thread(_problem, session, plain)
        if problem:
            await abort(context, grpc.StatusCode.INVALID_ARGUMENT, problem)
        self.aws = session
        self.default_tags = config.default_tags(plain)
        return await super().Configure(request, context)


def _problem(session: Session, plain: dict[str, object]) -> str:
    """Why nothing can work with this configuration; empty if it can."""
    try:
        if not plain.get("skipRegionValidation") and not session.knows_region():
            return f"Invalid AWS Region: {session.region}. {config.NO_REGION}"
        if not session.has_credentials():
            return config.NO_CREDENTIALS
        if not plain.get("skipCredentialsValidation"):
            session.account  # noqa: B018 - Asks AWS.
    except Exception as error:
        words = describe(error)
        if words is None:
            raise
        return f"unable to validate AWS credentials. Details: {words}"
    return ""

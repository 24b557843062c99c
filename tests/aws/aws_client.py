"""Calls the AWS and tls stand-ins like the engine, with a separate moto server behind them."""

from __future__ import annotations

import json
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer
from pulumi.runtime.proto import engine_pb2, provider_pb2

from stand_ins.aws_cloud import corrections, dlm, placement
from stand_ins.aws_plugin.aws_provider import AwsProvider
from stand_ins.plugin.values import from_struct, to_struct
from tests.plugin_client import PluginClient, State, plugin, urn

REGION = "eu-central-1"
SERVICES = ("acm", "dlm", "ec2", "elbv2", "events", "iam", "kms", "route53", "s3", "ssm", "sts")


class Moto:
    """A moto server on a free port of the loopback."""

    def __init__(self, server: ThreadedMotoServer) -> None:
        self.url = "http://{}:{}".format(*server.get_host_and_port())

    def client(self, service: str, region: str = REGION) -> Any:
        """A client of the tests, besides the plugin's."""
        keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, region_name=region, endpoint_url=self.url, **keys)

    def config(self) -> dict[str, str]:
        """The provider's configuration as the engine sends it."""
        return {
            "region": REGION,
            "accessKey": "test",
            "secretKey": "test",
            "s3UsePathStyle": "true",
            "endpoints": json.dumps([dict.fromkeys(SERVICES, self.url)]),
        }


@contextmanager
def moto() -> Iterator[Moto]:
    """A moto server with only AWS's defaults, and with the services that it has not."""
    placement.apply(corrections.replace)
    corrections.suspended_versions()
    dlm.apply()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        it = Moto(server)
        # Its backends belong to the process: an earlier server may have left something.
        urllib.request.urlopen(urllib.request.Request(f"{it.url}/moto-api/reset", method="POST")).close()
        it.client("ec2")  # Its model is loaded once, before a test is timed.
        yield it
    finally:
        server.stop()


class AwsClient(PluginClient):
    """The calls for a resource, with ids. A failed one raises `grpc.RpcError`."""

    def __init__(self, port: int, logs: list[engine_pb2.LogRequest]) -> None:
        super().__init__(port, logs)
        self.made: list[tuple[str, str, State]] = []

    def configure(self, config: State) -> None:
        self.stub.Configure(provider_pb2.ConfigureRequest(args=to_struct(config)))

    def check_config(self, config: State) -> dict[str, str]:
        """The refusals by property."""
        response = self.stub.CheckConfig(
            provider_pb2.CheckRequest(urn=urn("pulumi:providers:aws"), news=to_struct(config))
        )
        return {f.property: f.reason for f in response.failures}

    def make(self, token: str, inputs: State, **more: Any) -> tuple[str, State]:
        """Check and create; returns id and state."""
        response = self.stub.Create(self.create_request(token, inputs, **more))
        state = from_struct(response.properties)
        if response.id:
            self.made.append((token, response.id, state))
        return response.id, state

    def change(self, token: str, id: str, state: State, inputs: State, **more: Any) -> State:
        """Check and update; returns the state."""
        request = provider_pb2.UpdateRequest(
            id=id, urn=urn(token), olds=to_struct(state), news=to_struct(self.checked(token, inputs)), **more
        )
        return from_struct(self.stub.Update(request).properties)

    def differences(self, token: str, state: State, old: State, new: State) -> dict[str, str]:
        """The changed paths and their kinds, between checked inputs."""
        request = provider_pb2.DiffRequest(
            id="id", urn=urn(token), olds=to_struct(state), old_inputs=to_struct(old), news=to_struct(new)
        )
        response = self.stub.Diff(request)
        return {path: provider_pb2.PropertyDiff.Kind.Name(d.kind) for path, d in response.detailedDiff.items()}

    def read(self, token: str, id: str, state: State, inputs: State) -> tuple[str, State, State]:
        """Refresh: id (empty if it does not exist), actual inputs and state."""
        request = provider_pb2.ReadRequest(id=id, urn=urn(token), properties=to_struct(state), inputs=to_struct(inputs))
        response = self.stub.Read(request)
        return response.id, from_struct(response.inputs), from_struct(response.properties)

    def remove(self, token: str, id: str, state: State) -> None:
        self.stub.Delete(provider_pb2.DeleteRequest(id=id, urn=urn(token), properties=to_struct(state)))
        self.made = [made for made in self.made if made[1] != id]

    def remove_all(self) -> None:
        """Delete what was created, in reverse order."""
        for token, id, state in reversed(self.made):
            self.remove(token, id, state)

    def invoke(self, token: str, args: State) -> State:
        response = self.stub.Invoke(provider_pb2.InvokeRequest(tok=token, args=to_struct(args)))
        assert not response.failures, [f.reason for f in response.failures]
        return from_struct(getattr(response, "return"))


def _load_sdk() -> None:
    """Call it before the plugin imports single modules of the SDK's packages. The packages load lazily, and one that
    starts to load during such an import stays without its classes, for all programs in this process.
    """
    # Here, not at the top: the rehearsal does not need it, because it uses separate processes
    import pulumi_aws as aws

    of_each = (
        aws.cloudwatch.EventRule,
        aws.ebs.Volume,
        aws.ec2.Instance,
        aws.iam.Role,
        aws.lb.LoadBalancer,
        aws.route53.Zone,
        aws.s3.Bucket,
        aws.ssm.Parameter,
    )
    assert all((*of_each, aws.vpc.SecurityGroupIngressRule))


@contextmanager
def aws_plugin(cloud: Moto) -> Iterator[AwsClient]:
    """The AWS stand-in, configured for this moto server."""
    _load_sdk()
    with plugin(AwsProvider, AwsClient) as it:
        it.configure(cloud.config())
        yield it

"""A resource of the AWS and tls stand-ins, as the engine handles it, and documents for tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

import grpc
import pytest
from pulumi.runtime.proto import provider_pb2, status_pb2

from stand_ins.plugin.values import from_struct, to_struct
from tests.aws.aws_client import REGION, Moto, aws_plugin
from tests.plugin_client import PluginClient, failure, urn

Properties: TypeAlias = dict[str, Any]

ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
BUCKET = "aws:s3/bucket:Bucket"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
ZONE = "aws:route53/zone:Zone"
RECORD = "aws:route53/record:Record"

ACCOUNT = "123456789012"
"""Moto's."""
TAGS = {"Name": "it", "owner": "me"}
OTHER_TAGS = {"Name": "it", "role": "worker"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
INLINE: Properties = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/p/*"}],
}


SETTINGS: dict[str, tuple[Properties, Properties]] = {
    ENCRYPTION: (
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
        {
            "rules": [
                {
                    "applyServerSideEncryptionByDefault": {
                        "sseAlgorithm": "aws:kms",
                        "kmsMasterKeyId": f"arn:aws:kms:{REGION}:123456789012:key/1",
                    },
                    "bucketKeyEnabled": True,
                }
            ]
        },
    ),
    BLOCK: ({"blockPublicAcls": True, "blockPublicPolicy": True}, {"blockPublicAcls": True, "ignorePublicAcls": True}),
    OWNERSHIP: (
        {"rule": {"objectOwnership": "BucketOwnerEnforced"}},
        {"rule": {"objectOwnership": "BucketOwnerPreferred"}},
    ),
    LIFECYCLE: (
        {
            "rules": [
                {
                    "id": "uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                },
                {
                    "id": "savepoints",
                    "status": "Enabled",
                    "filter": {"prefix": "demo/savepoints/"},
                    "expiration": {"days": 30},
                    "noncurrentVersionExpiration": {"noncurrentDays": 1},
                },
            ]
        },
        {
            "rules": [
                {
                    "id": "all",
                    "status": "Disabled",
                    "filter": {"and": {"prefix": "p/", "tags": {"a": "b", "c": "d"}}},
                    "expiration": {"days": 3},
                    "transitions": [{"days": 1, "storageClass": "STANDARD_IA"}],
                }
            ]
        },
    ),
}
"""Settings of a bucket: two that differ, without the bucket."""


def tls_only(bucket: str) -> Properties:
    """The policy of a bucket that refuses all requests without TLS."""
    denied = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [denied]}


def statement(document: Properties, **changed: Any) -> str:
    """A document with some elements of its statement changed; `None` removes one."""
    elements = {**document["Statement"][0], **changed}
    kept = {name: value for name, value in elements.items() if value is not None}
    return json.dumps({**document, "Statement": [kept]})


class Thing:
    """One resource, as in the engine: its inputs and its state."""

    def __init__(self, client: PluginClient, token: str) -> None:
        self._stub = client.stub
        self._urn = urn(token)
        self.id = ""
        self.inputs: Properties = {}
        self.state: Properties = {}

    def refusals(self, inputs: Properties) -> dict[str, str]:
        return self._check(inputs)[1]

    def checked(self, inputs: Properties) -> Properties:
        checked, failures = self._check(inputs)
        assert failures == {}
        return checked

    def _check(self, inputs: Properties) -> tuple[Properties, dict[str, str]]:
        request = provider_pb2.CheckRequest(urn=self._urn, olds=to_struct(self.inputs), news=to_struct(inputs))
        response = self._stub.Check(request)
        return from_struct(response.inputs), {f.property: f.reason for f in response.failures}

    def preview(self, inputs: Properties) -> Properties:
        properties = to_struct(self.checked(inputs))
        request = provider_pb2.CreateRequest(urn=self._urn, properties=properties, preview=True)
        return from_struct(self._stub.Create(request).properties)

    def create(self, inputs: Properties) -> Properties:
        self.inputs = self.checked(inputs)
        request = provider_pb2.CreateRequest(urn=self._urn, properties=to_struct(self.inputs))
        response = self._stub.Create(request)
        self.id, self.state = response.id, from_struct(response.properties)
        return self.state

    def create_half(self, inputs: Properties) -> str:
        """Create it where a step after the creation must fail; returns the error text."""
        with pytest.raises(grpc.RpcError) as error:
            self.create(inputs)
        for key, value in cast(grpc.Call, error.value).trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                failed = provider_pb2.ErrorResourceInitFailed()
                status = status_pb2.Status.FromString(cast(bytes, value))
                assert status.details[0].Unpack(failed)
                self.id, self.state = failed.id, from_struct(failed.properties)
        assert self.id
        return failure(error)

    def diff(self, inputs: Properties) -> dict[str, str]:
        """The changes: `{"tags.owner": "DELETE"}`."""
        request = provider_pb2.DiffRequest(
            id=self.id,
            urn=self._urn,
            olds=to_struct(self.state),
            old_inputs=to_struct(self.inputs),
            news=to_struct(self.checked(inputs)),
        )
        response = self._stub.Diff(request)
        names = provider_pb2.PropertyDiff.Kind.Name
        return {path: names(change.kind) for path, change in response.detailedDiff.items()}

    def update(self, inputs: Properties) -> Properties:
        checked = self.checked(inputs)
        request = provider_pb2.UpdateRequest(
            id=self.id,
            urn=self._urn,
            olds=to_struct(self.state),
            old_inputs=to_struct(self.inputs),
            news=to_struct(checked),
        )
        self.state = from_struct(self._stub.Update(request).properties)
        self.inputs = checked
        return self.state

    def refresh(self) -> Properties | None:
        """The drifted inputs, with their actual values; `None` if it does not exist."""
        request = provider_pb2.ReadRequest(
            id=self.id, urn=self._urn, properties=to_struct(self.state), inputs=to_struct(self.inputs)
        )
        response = self._stub.Read(request)
        if not response.id:
            return None
        inputs, before = from_struct(response.inputs), self.inputs
        self.inputs, self.state = inputs, from_struct(response.properties)
        names = sorted(inputs.keys() | before.keys())
        return {name: inputs.get(name) for name in names if inputs.get(name) != before.get(name)}

    def read(self, id: str) -> Properties:
        """The inputs of an existing object that was not created here, as for `pulumi import`."""
        response = self._stub.Read(provider_pb2.ReadRequest(id=id, urn=self._urn))
        return from_struct(response.inputs)

    def delete(self) -> None:
        request = provider_pb2.DeleteRequest(id=self.id, urn=self._urn, properties=to_struct(self.state))
        self._stub.Delete(request)


Make: TypeAlias = Callable[[str], Thing]


@contextmanager
def things(cloud: Moto) -> Iterator[Make]:
    """Creates resources of the AWS stand-in: `make(ROLE)`."""
    with aws_plugin(cloud) as client:
        yield lambda token: Thing(client, token)


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def refused(action: Callable[[], object]) -> str:
    """The error text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as error:
        action()
    return failure(error)

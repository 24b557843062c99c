"""The stand-ins' IAM, S3, Route 53 and private keys: over the plugin's gRPC interface, against a moto server."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pulumi
import pulumi_aws
import pulumi_tls
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from moto.server import ThreadedMotoServer
from pulumi import automation
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from lab import engine
from lab.plugin.log import Engine
from lab.plugin.provider import stand_in
from lab.plugin.rpc import MESSAGE_SIZE_OPTIONS
from lab.plugin.serve import start
from lab.plugin.values import UNKNOWN, Secret, from_struct, to_struct
from tests.aws.plugin import iam, route53, s3, tls
from tests.aws.plugin.aws import Access, Session
from tests.aws.plugin.install import install_plugins
from tests.aws.plugin.provider import Provider

# The SDK speaks up for each of its own classes that has a successor.
pytestmark = pytest.mark.filterwarnings("ignore:.* has been deprecated in favor of .*:DeprecationWarning")

BOUND = 60
REGION = "eu-west-1"
Properties = dict[str, Any]

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
KEY = "tls:index/privateKey:PrivateKey"

TAGS = {"Name": "it", "owner": "me"}
OTHER_TAGS = {"Name": "it", "role": "worker"}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
INLINE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/p/*"}],
}


class Types(Provider):
    """The types under test, of both plugins."""

    name = "test"
    version = "1.0.0"
    announcement = stand_in("test", "1.0.0")
    resources = {**iam.RESOURCES, **s3.RESOURCES, **route53.RESOURCES, **tls.RESOURCES}
    invokes = {}


class Thing:
    """One resource, as the engine has it: its inputs and its state."""

    def __init__(self, stub: provider_pb2_grpc.ResourceProviderStub, token: str) -> None:
        self._stub = stub
        self._urn = f"urn:pulumi:test::project::{token}::it"
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
        """Create it where that is to fail after it is there; gives what the user reads."""
        with pytest.raises(grpc.RpcError) as error:
            self.create(inputs)
        for key, value in error.value.trailing_metadata():
            if key == "grpc-status-details-bin":
                failed = provider_pb2.ErrorResourceInitFailed()
                status = status_pb2.Status.FromString(value)
                assert status.details[0].Unpack(failed)
                self.id, self.state = failed.id, from_struct(failed.properties)
        assert self.id
        return str(error.value.details())

    def diff(self, inputs: Properties) -> dict[str, str]:
        """What changes, and how: `{"tags.owner": "DELETE"}`."""
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
        """The inputs that drifted, with their values now; `None` if it is gone."""
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
        """The inputs of what is there and was not created here, as `pulumi import` asks for them."""
        response = self._stub.Read(provider_pb2.ReadRequest(id=id, urn=self._urn))
        return from_struct(response.inputs)

    def delete(self) -> None:
        request = provider_pb2.DeleteRequest(id=self.id, urn=self._urn, properties=to_struct(self.state))
        self._stub.Delete(request)


Make = Callable[[str], Thing]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A cloud of its own."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


SERVICES = ("ec2", "iam", "route53", "s3", "sts")


def session(endpoint: str, region: str = REGION) -> Session:
    return Session(
        Access(
            region=region,
            access_key="testing",
            secret_key="testing",
            endpoints=dict.fromkeys(SERVICES, endpoint),
            path_style=True,
        )
    )


@pytest.fixture(scope="module")
def aws(endpoint: str) -> Session:
    """The cloud, for whoever changes it behind Pulumi's back."""
    return session(endpoint)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(BOUND)


@pytest.fixture(scope="module")
def make(aws: Session, loop: asyncio.AbstractEventLoop) -> Iterator[Make]:
    """Makes things of the plugin."""

    async def begin() -> tuple[grpc.aio.Server, int]:
        provider = Types(Engine(None))
        provider.aws = aws
        return await start(provider)

    server, port = asyncio.run_coroutine_threadsafe(begin(), loop).result(BOUND)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=MESSAGE_SIZE_OPTIONS) as channel:
            stub = provider_pb2_grpc.ResourceProviderStub(channel)
            yield lambda token: Thing(stub, token)
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result(BOUND)


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def refused(action: Callable[[], object]) -> str:
    """What the user reads of a call that has to fail."""
    with pytest.raises(grpc.RpcError) as error:
        action()
    return str(error.value.details())


def statement(document: Properties, **changed: Any) -> str:
    """A document with some elements of its statement changed; `None` takes one away."""
    elements = {**document["Statement"][0], **changed}
    kept = {name: value for name, value in elements.items() if value is not None}
    return json.dumps({**document, "Statement": [kept]})


# IAM


def test_a_role_lives(make: Make, aws: Session) -> None:
    role = make(ROLE)
    name = unique("role")
    inputs = {"name": name, "assumeRolePolicy": json.dumps(TRUST), "description": "what for", "tags": TAGS}
    preview = role.preview(inputs)
    assert (preview["arn"], preview["name"], preview["tagsAll"]) == (UNKNOWN, name, TAGS)

    state = role.create(inputs)
    assert role.id == name
    assert state["arn"] == f"arn:aws:iam::{aws.account}:role/{name}"
    assert state["uniqueId"].startswith("AROA")
    assert state["createDate"].endswith("Z")
    assert (state["path"], state["maxSessionDuration"], state["forceDetachPolicies"]) == ("/", 3600, False)
    assert role.refresh() == {}

    trust = statement(TRUST, Principal={"Service": ["ec2.amazonaws.com", "ssm.amazonaws.com"]})
    wanted = {
        **inputs,
        "assumeRolePolicy": trust,
        "description": "else",
        "maxSessionDuration": 7200,
        "tags": OTHER_TAGS,
    }
    assert set(role.diff(wanted).values()) == {"UPDATE", "ADD", "DELETE"}
    assert role.update(wanted)["tagsAll"] == OTHER_TAGS
    found = aws.client("iam").get_role(RoleName=name)["Role"]
    assert found["AssumeRolePolicyDocument"] == json.loads(trust)
    assert (found["Description"], found["MaxSessionDuration"]) == ("else", 7200)
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == OTHER_TAGS
    assert role.refresh() == {}

    role.delete()
    assert role.refresh() is None
    role.delete()  # That it is gone already is no error.


def test_what_was_changed_of_a_role_is_seen(make: Make, aws: Session) -> None:
    role, client = make(ROLE), aws.client("iam")
    name = unique("role")
    role.create({"name": name, "assumeRolePolicy": json.dumps(TRUST), "tags": TAGS})
    other = statement(TRUST, Principal={"AWS": "arn:aws:iam::123456789012:root"})
    client.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    client.tag_role(RoleName=name, Tags=[{"Key": "owner", "Value": "you"}])
    drift = role.refresh()
    assert drift is not None
    assert drift["tags"] == {**TAGS, "owner": "you"}
    assert json.loads(drift["assumeRolePolicy"]) == json.loads(other)
    client.delete_role(RoleName=name)
    assert role.refresh() is None


def test_a_policy_in_another_form_is_no_change(make: Make, aws: Session) -> None:
    role = make(ROLE)
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    action = ["sts:AssumeRole"]
    other_form = json.dumps(json.loads(statement(TRUST, Action=action, Sid="")), indent=4, sort_keys=True)
    assert role.diff({**inputs, "assumeRolePolicy": other_form}) == {}
    aws.client("iam").update_assume_role_policy(RoleName=role.id, PolicyDocument=other_form)
    assert role.refresh() == {}
    denied = statement(TRUST, Effect="Deny")
    assert role.diff({**inputs, "assumeRolePolicy": denied}) == {"assumeRolePolicy": "UPDATE"}
    role.delete()


def test_what_replaces_in_iam(make: Make) -> None:
    role = make(ROLE)
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    assert role.diff({**inputs, "name": "other"}) == {"name": "UPDATE_REPLACE"}
    assert role.diff({**inputs, "path": "/flink/"}) == {"path": "UPDATE_REPLACE"}
    inline = make(ROLE_POLICY)
    of_role = {"role": role.id, "name": "p", "policy": json.dumps(INLINE)}
    inline.create(of_role)
    assert inline.diff({**of_role, "role": "other"}) == {"role": "UPDATE_REPLACE"}
    profile = make(PROFILE)
    profile.create({"name": role.id, "role": role.id})
    assert profile.diff({"name": "other", "role": role.id}) == {"name": "UPDATE_REPLACE"}
    assert profile.diff({"name": role.id, "role": "other"}) == {"role": "UPDATE"}
    for thing in (profile, inline, role):
        thing.delete()


def test_names_that_nobody_gave_are_made_once(make: Make) -> None:
    role = make(ROLE)
    inputs = {"assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    assert role.id.startswith("it-")
    assert role.diff(inputs) == {}
    role.delete()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "invalid Json"),
        ("[]", "Syntax errors"),
        (json.dumps({**TRUST, "Version": "2024-01-01"}), "Version"),
        (json.dumps({**TRUST, "Statements": []}), "Syntax errors"),
        (json.dumps({**TRUST, "Statement": []}), "not empty"),
        (statement(TRUST, Effect="allow"), "Effect"),
        (statement(TRUST, Action=None), "must contain actions"),
        (statement(TRUST, Action="ec2:RunInstances"), "only specify STS AssumeRole"),
        (statement(TRUST, Resource="*"), "prohibited field Resource"),
        (statement(TRUST, Principal=None), "Missing required field Principal"),
        (statement(TRUST, Principal={}), "Invalid principal"),
        (statement(TRUST, Principal="ec2.amazonaws.com"), "Invalid principal"),
        (statement(TRUST, Principal={"Service": "ec2"}), 'Invalid principal in policy: "Service":"ec2"'),
        (statement(TRUST, Principal={"Services": "ec2.amazonaws.com"}), "Invalid principal"),
        (statement(TRUST, Principal={"AWS": "arn:aws:iam::1234:root"}), "Invalid principal"),
        (statement(TRUST, Principal={"AWS": "arn:aws:iam::123456789012:role/*"}), "Invalid principal"),
        (statement(TRUST, Condition={"StringEqual": {"aws:SourceAccount": "1"}}), "Invalid Condition type"),
        (statement(TRUST, Conditions={}), "A statement has no Conditions"),
        (statement(TRUST, Condition={"StringEquals": {"aws:a": "x" * 2000}}), "ACLSizePerRole: 2048"),
    ],
)
def test_trust_policies_that_iam_refuses(make: Make, document: str, reason: str) -> None:
    assert reason in make(ROLE).refusals({"assumeRolePolicy": document})["assumeRolePolicy"]


def test_white_space_does_not_count_and_what_is_unknown_is_not_judged(make: Make) -> None:
    assert make(ROLE).refusals({"assumeRolePolicy": json.dumps(TRUST, indent=600)}) == {}
    assert make(ROLE).refusals({"assumeRolePolicy": UNKNOWN}) == {}
    assert make(ROLE_POLICY).refusals({"role": UNKNOWN, "policy": UNKNOWN}) == {}
    assert make(BUCKET_POLICY).refusals({"bucket": UNKNOWN, "policy": UNKNOWN}) == {}


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"name": "a role"}, "name"),
        ({"name": "r" * 65}, "name"),
        ({"path": "flink"}, "path"),
        ({"maxSessionDuration": 60}, "maxSessionDuration"),
        ({"tags": {"aws:a": "b"}}, "tags.aws:a"),
        ({"tags": {f"k{i}": "v" for i in range(51)}}, "tags"),
        ({"tags": {"k": "v" * 257}}, "tags.k"),
        ({"inlinePolicies": [{"name": "p", "policy": "{}"}]}, "inlinePolicies"),
    ],
)
def test_inputs_of_a_role_that_are_refused(make: Make, inputs: Properties, path: str) -> None:
    assert list(make(ROLE).refusals({"assumeRolePolicy": json.dumps(TRUST), **inputs})) == [path]


def test_a_roles_policy_lives(make: Make, aws: Session) -> None:
    role, inline, client = make(ROLE), make(ROLE_POLICY), aws.client("iam")
    role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)})
    inputs = {"role": role.id, "name": "storage", "policy": json.dumps(INLINE)}
    inline.create(inputs)
    assert inline.id == f"{role.id}:storage"
    assert inline.refresh() == {}
    turned = statement(INLINE, Action=["s3:PutObject", "s3:GetObject"], Resource=["arn:aws:s3:::b/p/*"])
    assert inline.diff({**inputs, "policy": turned}) == {}

    more = statement(INLINE, Resource="arn:aws:s3:::b/*")
    assert inline.diff({**inputs, "policy": more}) == {"policy": "UPDATE"}
    inline.update({**inputs, "policy": more})
    assert client.get_role_policy(RoleName=role.id, PolicyName="storage")["PolicyDocument"] == json.loads(more)

    client.put_role_policy(RoleName=role.id, PolicyName="storage", PolicyDocument=json.dumps(INLINE))
    drift = inline.refresh()
    assert drift is not None
    assert json.loads(drift["policy"]) == INLINE
    assert make(ROLE_POLICY).read(inline.id)["role"] == role.id
    client.delete_role_policy(RoleName=role.id, PolicyName="storage")
    assert inline.refresh() is None
    inline.delete()
    role.delete()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (statement(INLINE, Principal="*"), "should not specify a principal"),
        (statement(INLINE, Resource=None), "must contain resources"),
        (statement(INLINE, Resource="b/*"), "must be in ARN format"),
        (statement(INLINE, Action="GetObject"), "prefaced by a vendor"),
        (statement(INLINE, Sid="a b"), "alpha-numeric"),
        (json.dumps({**INLINE, "Statement": [{**INLINE["Statement"][0], "Sid": "a"}] * 2}), "must be unique"),
    ],
)
def test_policies_that_iam_refuses(make: Make, document: str, reason: str) -> None:
    assert reason in make(ROLE_POLICY).refusals({"role": "r", "policy": document})["policy"]


def test_a_roles_policies_have_room_for_10240_characters_together(make: Make) -> None:
    role = make(ROLE)
    role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST), "forceDetachPolicies": True})
    half = statement(INLINE, Resource=[f"arn:aws:s3:::{'b' * 60}/{index}" for index in range(70)])
    make(ROLE_POLICY).create({"role": role.id, "name": "one", "policy": half})
    second = {"role": role.id, "name": "two", "policy": half}
    text = refused(lambda: make(ROLE_POLICY).create(second))
    assert f"Maximum policy size of 10240 bytes exceeded for role {role.id}" in text
    role.delete()


def test_a_role_with_a_strangers_policy_is_deleted_only_by_force(make: Make, aws: Session) -> None:
    role, client = make(ROLE), aws.client("iam")
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    client.put_role_policy(RoleName=role.id, PolicyName="theirs", PolicyDocument=json.dumps(INLINE))
    managed = client.create_policy(PolicyName=unique("managed"), PolicyDocument=json.dumps(INLINE))["Policy"]["Arn"]
    client.attach_role_policy(RoleName=role.id, PolicyArn=managed)
    text = refused(role.delete)
    assert "deleting IAM Role" in text and "DeleteConflict" in text
    role.update({**inputs, "forceDetachPolicies": True})
    role.delete()
    assert role.refresh() is None


def test_managed_policies_of_a_role(make: Make, aws: Session) -> None:
    role, client = make(ROLE), aws.client("iam")
    one, two = (
        client.create_policy(PolicyName=unique("managed"), PolicyDocument=json.dumps(INLINE))["Policy"]["Arn"]
        for _ in range(2)
    )
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST), "managedPolicyArns": [one]}
    role.create(inputs)
    assert role.refresh() == {}
    role.update({**inputs, "managedPolicyArns": [two]})
    attached = client.list_attached_role_policies(RoleName=role.id)["AttachedPolicies"]
    assert [item["PolicyArn"] for item in attached] == [two]
    role.delete()


def test_an_instance_profile_lives(make: Make, aws: Session) -> None:
    roles = [make(ROLE), make(ROLE)]
    for role in roles:
        role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)})
    profile, client = make(PROFILE), aws.client("iam")
    inputs = {"name": unique("profile"), "role": roles[0].id, "tags": TAGS}
    assert profile.preview(inputs)["arn"] == UNKNOWN
    state = profile.create(inputs)
    assert state["arn"] == f"arn:aws:iam::{aws.account}:instance-profile/{profile.id}"
    assert state["uniqueId"]
    assert profile.refresh() == {}

    profile.update({**inputs, "role": roles[1].id, "tags": OTHER_TAGS})
    found = client.get_instance_profile(InstanceProfileName=profile.id)["InstanceProfile"]
    assert [role["RoleName"] for role in found["Roles"]] == [roles[1].id]
    assert profile.refresh() == {}

    client.remove_role_from_instance_profile(InstanceProfileName=profile.id, RoleName=roles[1].id)
    assert profile.refresh() == {"role": ""}
    profile.update({**inputs, "role": roles[1].id})
    profile.delete()
    assert profile.refresh() is None
    for role in roles:
        role.delete()


def test_a_profile_without_its_role_is_not_forgotten(make: Make, aws: Session) -> None:
    profile = make(PROFILE)
    name = unique("profile")
    text = profile.create_half({"name": name, "role": "nobody"})
    assert "creating IAM Instance Profile (it)" in text and "NoSuchEntity" in text
    assert profile.id == name
    profile.delete()
    names = [item["InstanceProfileName"] for item in aws.client("iam").list_instance_profiles()["InstanceProfiles"]]
    assert name not in names


# S3


@pytest.fixture
def bucket(make: Make) -> Iterator[Thing]:
    """An empty bucket that may be emptied."""
    thing = make(BUCKET)
    thing.create({"bucket": unique("bucket"), "forceDestroy": True})
    yield thing
    thing.delete()


def test_a_bucket_lives(make: Make, aws: Session) -> None:
    bucket, client = make(BUCKET), aws.client("s3")
    name = unique("bucket")
    inputs = {"bucket": name, "tags": TAGS}
    state = bucket.create(inputs)
    assert bucket.id == name
    assert state["arn"] == f"arn:aws:s3:::{name}"
    assert state["bucketDomainName"] == f"{name}.s3.amazonaws.com"
    assert state["bucketRegionalDomainName"] == f"{name}.s3.{REGION}.amazonaws.com"
    assert (state["hostedZoneId"], state["region"], state["forceDestroy"]) == ("Z1BKCTXD74EZPE", REGION, False)
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == REGION
    assert bucket.refresh() == {}

    bucket.update({**inputs, "tags": OTHER_TAGS})
    assert {t["Key"]: t["Value"] for t in client.get_bucket_tagging(Bucket=name)["TagSet"]} == OTHER_TAGS
    client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Name", "Value": "theirs"}]})
    assert bucket.refresh() == {"tags": {"Name": "theirs"}}
    bucket.update({"bucket": name})
    assert bucket.refresh() == {}
    assert bucket.diff({"bucket": "other"}) == {"bucket": "UPDATE_REPLACE"}

    bucket.delete()
    assert bucket.refresh() is None
    bucket.delete()


def test_the_first_region_is_not_named(endpoint: str) -> None:
    first = session(endpoint, "us-east-1")
    name = unique("bucket")
    id, outputs = s3.Bucket().create("it", {"bucket": name}, first)
    assert first.client("s3").get_bucket_location(Bucket=id)["LocationConstraint"] is None
    assert outputs["bucketRegionalDomainName"] == f"{name}.s3.us-east-1.amazonaws.com"
    s3.Bucket().delete(id, {}, first)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "b" * 64,
        "Bucket",
        "my_bucket",
        "-bucket",
        "bucket-",
        ".bucket",
        "my..bucket",
        "192.168.5.4",
        "xn--bucket",
        "sthree-bucket",
        "amzn-s3-demo-bucket",
        "bucket-s3alias",
        "bucket--ol-s3",
        "bucket.mrap",
        "bucket--x-s3",
        "bucket--table-s3",
        "bucket-123456789012-eu-west-1-an",
    ],
)
def test_bucket_names_that_s3_refuses(make: Make, name: str) -> None:
    assert name in make(BUCKET).refusals({"bucket": name})["bucket"]


@pytest.mark.parametrize("name", ["abc", "b" * 63, "my.bucket-1", "1bucket", "192.168.5.400", "plan-an"])
def test_bucket_names_that_s3_takes(make: Make, name: str) -> None:
    assert make(BUCKET).refusals({"bucket": name}) == {}


def test_what_a_bucket_has_types_of_its_own_for_is_refused(make: Make) -> None:
    assert list(make(BUCKET).refusals({"bucket": "abc", "versioning": {"enabled": True}})) == ["versioning"]


def test_a_bucket_that_is_there_is_not_taken_over(make: Make, bucket: Thing) -> None:
    text = refused(lambda: make(BUCKET).create({"bucket": bucket.id}))
    assert "creating S3 Bucket" in text and "BucketAlreadyOwnedByYou" in text


def test_a_bucket_with_something_in_it_is_deleted_only_by_force(make: Make, aws: Session) -> None:
    bucket, client = make(BUCKET), aws.client("s3")
    name = unique("bucket")
    bucket.create({"bucket": name})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for index in range(3):
        client.put_object(Bucket=name, Key="again", Body=str(index))
        client.put_object(Bucket=name, Key=f"dir/{index}", Body="x")
    client.delete_object(Bucket=name, Key="again")  # Leaves a marker above three versions.
    client.create_multipart_upload(Bucket=name, Key="never ended")
    assert "BucketNotEmpty" in refused(bucket.delete)
    bucket.update({"bucket": name, "forceDestroy": True})
    bucket.delete()
    assert bucket.refresh() is None
    bucket.create({"bucket": name})
    assert "Uploads" not in client.list_multipart_uploads(Bucket=name)
    bucket.delete()


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


@pytest.mark.parametrize("token", SETTINGS)
def test_a_setting_of_a_bucket_lives(make: Make, bucket: Thing, token: str) -> None:
    before, after = ({"bucket": bucket.id, **setting} for setting in SETTINGS[token])
    setting, theirs = make(token), make(token)
    assert setting.create(before)["region"] == REGION
    assert setting.id == bucket.id
    assert setting.refresh() == {}
    assert setting.diff(before) == {}
    assert setting.diff({**before, "bucket": "other"}) == {"bucket": "UPDATE_REPLACE"}
    setting.update(after)
    assert setting.refresh() == {}
    # What somebody else sets meanwhile is seen.
    theirs.create(before)
    drift = setting.refresh()
    assert drift
    assert "bucket" not in drift
    setting.update(after)
    setting.delete()
    assert setting.refresh() is None
    setting.delete()
    # Gone with its bucket.
    setting.create(after)
    bucket.delete()
    assert setting.refresh() is None
    setting.delete()


@pytest.mark.parametrize("token", SETTINGS)
def test_a_setting_of_a_bucket_is_told_to_who_imports_it(make: Make, bucket: Thing, token: str) -> None:
    for setting in SETTINGS[token]:
        thing = make(token)
        thing.create({"bucket": bucket.id, **setting})
        imported = make(token).read(bucket.id)
        for name in ("rules", "rule", "blockPublicAcls"):
            if name in setting:
                assert contains(imported[name], setting[name])


def contains(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted is found, at any depth."""
    if isinstance(wanted, dict):
        return all(name in found and contains(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(contains, found, wanted))
    return bool(found == wanted)


def test_a_block_that_need_not_go_stays(make: Make, bucket: Thing, aws: Session) -> None:
    block = make(BLOCK)
    block.create({"bucket": bucket.id, "blockPublicAcls": True, "skipDestroy": True})
    block.delete()
    found = aws.client("s3").get_public_access_block(Bucket=bucket.id)["PublicAccessBlockConfiguration"]
    assert found["BlockPublicAcls"] is True


def _encryption(**default: str) -> Properties:
    return {"bucket": "b", "rules": [{"applyServerSideEncryptionByDefault": default}]}


@pytest.mark.parametrize(
    "inputs",
    [_encryption(sseAlgorithm="AES-256"), _encryption(sseAlgorithm="AES256", kmsMasterKeyId="alias/a")],
)
def test_encryption_that_s3_refuses(make: Make, inputs: Properties) -> None:
    assert make(ENCRYPTION).refusals(inputs)


def test_a_setting_of_no_bucket_is_refused(make: Make) -> None:
    for token, (setting, _) in SETTINGS.items():
        assert "NoSuchBucket" in refused(lambda t=token, s=setting: make(t).create({"bucket": "no-such-one", **s}))  # type: ignore[misc]


def _rule(**changed: Any) -> Properties:
    rule = {"id": "r", "status": "Enabled", "filter": {"prefix": "p/"}, "expiration": {"days": 1}, **changed}
    return {name: value for name, value in rule.items() if value is not None}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [_rule(status="enabled")],
        [_rule(), _rule()],
        [_rule(id="r" * 256)],
        [_rule(expiration=None)],
        [_rule(expiration={"days": 0})],
        [_rule(expiration={})],
        [_rule(expiration={"days": 1, "expiredObjectDeleteMarker": True})],
        [_rule(prefix="p/")],
        [_rule(filter={"prefix": "p/", "tag": {"key": "a", "value": "b"}})],
        [_rule(abortIncompleteMultipartUpload={"daysAfterInitiation": 0})],
        [_rule(filter={"tag": {"key": "a", "value": "b"}}, abortIncompleteMultipartUpload={"daysAfterInitiation": 1})],
        [_rule(noncurrentVersionExpiration={"noncurrentDays": 0})],
        [_rule(transitions=[{"days": 1, "storageClass": "COLD"}])],
    ],
)
def test_lifecycles_that_s3_refuses(make: Make, bucket: Thing, rules: list[Properties]) -> None:
    inputs = {"bucket": bucket.id, "rules": rules}
    thing = make(LIFECYCLE)
    if not thing.refusals(inputs):
        assert "creating S3 Bucket Lifecycle Configuration" in refused(lambda: thing.create(inputs))


def tls_only(bucket: str) -> Properties:
    denied = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return {"Version": "2012-10-17", "Statement": [denied]}


def test_a_buckets_policy_lives(make: Make, bucket: Thing, aws: Session) -> None:
    thing, client = make(BUCKET_POLICY), aws.client("s3")
    document = tls_only(bucket.id)
    inputs = {"bucket": bucket.id, "policy": json.dumps(document)}
    thing.create(inputs)
    assert thing.id == bucket.id
    assert thing.refresh() == {}
    # As S3 itself might put it.
    form = statement(document, Principal={"AWS": "*"}, Condition={"Bool": {"aws:SecureTransport": False}})
    assert thing.diff({**inputs, "policy": form}) == {}
    client.put_bucket_policy(Bucket=bucket.id, Policy=form)
    assert thing.refresh() == {}

    wider = statement(document, Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})
    client.put_bucket_policy(Bucket=bucket.id, Policy=wider)
    drift = thing.refresh()
    assert drift is not None
    assert json.loads(drift["policy"]) == json.loads(wider)
    thing.update(inputs)
    assert json.loads(client.get_bucket_policy(Bucket=bucket.id)["Policy"]) == document
    thing.delete()
    assert thing.refresh() is None
    thing.delete()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:group/g"}}, "Invalid principal in policy"),
        ({"Action": "ec2:*"}, "Policy has invalid action"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": None}, "must contain resources"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::mine"}, "Action does not apply"),
        ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::mine/*"}, "Action does not apply"),
        ({"Condition": {"Bool": {"SecureTransport": "false"}}}, "condition keys"),
        ({"Resource": [f"arn:aws:s3:::mine/{'p' * 500}/{index}" for index in range(45)]}, "20480 bytes"),
    ],
)
def test_policies_that_s3_refuses(make: Make, changed: Properties, reason: str) -> None:
    inputs = {"bucket": "mine", "policy": statement(tls_only("mine"), **changed)}
    assert reason in make(BUCKET_POLICY).refusals(inputs)["policy"]


def test_a_public_policy_is_refused_where_those_are_blocked(make: Make, bucket: Thing) -> None:
    changed: Properties = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket.id}/*"}
    # That a request comes over TLS says nothing of whose it is.
    public = {"bucket": bucket.id, "policy": statement(tls_only(bucket.id), **changed)}
    ours = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
    private = {"bucket": bucket.id, "policy": statement(tls_only(bucket.id), **changed, Condition=ours)}
    make(BLOCK).create({"bucket": bucket.id, "blockPublicPolicy": True})
    assert "AccessDenied" in refused(lambda: make(BUCKET_POLICY).create(public))
    make(BUCKET_POLICY).create(private)
    make(BUCKET_POLICY).create({"bucket": bucket.id, "policy": json.dumps(tls_only(bucket.id))})


# Route 53


@pytest.fixture
def vpc(aws: Session) -> Iterator[str]:
    client = aws.client("ec2")
    id = client.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    yield id
    client.delete_vpc(VpcId=id)


@pytest.fixture
def zone(make: Make, vpc: str) -> Iterator[Thing]:
    """A private zone."""
    thing = make(ZONE)
    thing.create({"name": f"{unique('z')}.flink.internal", "vpcs": [{"vpcId": vpc}], "forceDestroy": True})
    yield thing
    thing.delete()


def test_a_zone_lives(make: Make, aws: Session, vpc: str) -> None:
    zone, client = make(ZONE), aws.client("route53")
    name = f"{unique('z')}.flink.internal"
    inputs = {"name": name, "vpcs": [{"vpcId": vpc}], "tags": TAGS}
    preview = zone.preview(inputs)
    assert (preview["zoneId"], preview["name"]) == (UNKNOWN, name)
    state = zone.create(inputs)
    assert state["zoneId"] == zone.id and "/" not in zone.id
    assert state["arn"] == f"arn:aws:route53:::hostedzone/{zone.id}"
    assert state["comment"] == "Managed by Pulumi"
    assert state["primaryNameServer"] in state["nameServers"]
    found = client.get_hosted_zone(Id=zone.id)
    assert found["HostedZone"]["Config"] == {"Comment": "Managed by Pulumi", "PrivateZone": True}
    assert found["VPCs"] == [{"VPCRegion": REGION, "VPCId": vpc}]
    assert zone.refresh() == {}
    assert zone.diff({**inputs, "name": f"{name}."}) == {}
    assert zone.diff({**inputs, "name": "other.internal"}) == {"name": "UPDATE_REPLACE"}

    zone.update({**inputs, "comment": "ours", "tags": OTHER_TAGS})
    assert client.get_hosted_zone(Id=zone.id)["HostedZone"]["Config"]["Comment"] == "ours"
    assert zone.refresh() == {}
    client.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone.id, RemoveTagKeys=["role"])
    client.update_hosted_zone_comment(Id=zone.id, Comment="theirs")
    assert zone.refresh() == {"comment": "theirs", "tags": {"Name": "it"}}
    zone.delete()
    assert zone.refresh() is None
    zone.delete()


def test_a_zone_changes_its_vpcs(make: Make, aws: Session, zone: Thing, vpc: str) -> None:
    ec2, client = aws.client("ec2"), aws.client("route53")
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    both = {**zone.inputs, "vpcs": [{"vpcId": other}, {"vpcId": vpc}]}
    zone.update(both)
    assert {item["VPCId"] for item in client.get_hosted_zone(Id=zone.id)["VPCs"]} == {vpc, other}
    assert zone.diff({**both, "vpcs": both["vpcs"][::-1]}) == {}
    zone.update({**both, "vpcs": [{"vpcId": other}]})
    assert [item["VPCId"] for item in client.get_hosted_zone(Id=zone.id)["VPCs"]] == [other]
    client.associate_vpc_with_hosted_zone(HostedZoneId=zone.id, VPC={"VPCId": vpc, "VPCRegion": REGION})
    drift = zone.refresh()
    assert drift is not None and len(drift["vpcs"]) == 2
    ec2.delete_vpc(VpcId=other)


def test_a_zone_needs_a_vpc_that_is_there_and_has_no_zone_of_its_name(make: Make, zone: Thing, vpc: str) -> None:
    nowhere = {"name": "a.internal", "vpcs": [{"vpcId": "vpc-00000000"}]}
    assert "InvalidVPCId" in refused(lambda: make(ZONE).create(nowhere))
    again = {"name": zone.inputs["name"], "vpcs": [{"vpcId": vpc}]}
    assert "ConflictingDomainExists" in refused(lambda: make(ZONE).create(again))


def test_a_zone_with_records_is_deleted_only_by_force(make: Make, vpc: str) -> None:
    zone = make(ZONE)
    inputs = {"name": f"{unique('z')}.internal", "vpcs": [{"vpcId": vpc}]}
    zone.create(inputs)
    for index in range(3):
        record = {"zoneId": zone.id, "name": f"tm-{index}", "type": "A", "ttl": 60, "records": ["10.0.0.1"]}
        make(RECORD).create(record)
    assert "HostedZoneNotEmpty" in refused(zone.delete)
    zone.update({**inputs, "forceDestroy": True})
    zone.delete()
    assert zone.refresh() is None


@pytest.mark.parametrize("name", ["a..b", f"{'a' * 64}.internal", "a b.internal"])
def test_names_that_route_53_refuses(make: Make, name: str) -> None:
    assert "InvalidDomainName" in make(ZONE).refusals({"name": name})["name"]


def a_record(zone: Thing, **changed: Any) -> Properties:
    name = f"jm-0.{zone.inputs['name']}"
    return {"zoneId": zone.id, "name": name, "type": "A", "ttl": 60, "records": ["10.0.1.2"], **changed}


def found_records(aws: Session, zone: Thing) -> dict[str, Any]:
    answer = aws.client("route53").list_resource_record_sets(HostedZoneId=zone.id)
    return {record["Name"]: record for record in answer["ResourceRecordSets"] if record["Type"] == "A"}


def test_a_record_lives(make: Make, aws: Session, zone: Thing) -> None:
    record, client = make(RECORD), aws.client("route53")
    inputs = a_record(zone)
    name = inputs["name"]
    assert record.preview(inputs)["fqdn"] == UNKNOWN
    assert record.create(inputs)["fqdn"] == name
    assert record.id == f"{zone.id}_{name}_A"
    assert record.refresh() == {}
    assert record.diff({**inputs, "name": "jm-1"}) == {"name": "UPDATE_REPLACE"}
    assert record.diff({**inputs, "name": f"{name.upper()}."}) == {}

    wanted = {**inputs, "ttl": 30, "records": ["10.0.1.4", "10.0.1.3"]}
    assert record.diff(wanted).keys() == {"ttl", "records[0]", "records[1]"}
    record.update(wanted)
    found = found_records(aws, zone)[f"{name}."]
    assert (found["TTL"], {item["Value"] for item in found["ResourceRecords"]}) == (30, {"10.0.1.3", "10.0.1.4"})
    assert record.refresh() == {}
    assert record.diff({**wanted, "records": wanted["records"][::-1]}) == {}

    theirs = {"Name": name, "Type": "A", "TTL": 300, "ResourceRecords": [{"Value": "10.0.9.9"}]}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": theirs}]}
    client.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=changes)
    assert record.refresh() == {"ttl": 300, "records": ["10.0.9.9"]}
    record.delete()
    assert found_records(aws, zone) == {}
    assert record.refresh() is None
    record.delete()


def test_names_are_of_the_zone(make: Make, aws: Session, zone: Thing) -> None:
    domain = zone.inputs["name"]
    for name, wanted in (("tm_0", f"tm_0.{domain}"), ("*.deep", f"*.deep.{domain}"), (domain, domain)):
        record = make(RECORD)
        assert record.create(a_record(zone, name=name))["fqdn"] == wanted
        assert record.refresh() == {}
        assert make(RECORD).read(record.id)["records"] == ["10.0.1.2"]
        record.delete()
    assert found_records(aws, zone) == {}


def test_a_record_that_is_there_is_taken_over_only_if_that_is_said(make: Make, zone: Thing) -> None:
    make(RECORD).create(a_record(zone))
    again = a_record(zone, records=["10.0.1.9"])
    text = refused(lambda: make(RECORD).create(again))
    assert "creating Route53 Record" in text and "already exists" in text
    make(RECORD).create({**again, "allowOverwrite": True})


def test_a_record_is_gone_with_its_zone(make: Make, zone: Thing) -> None:
    record = make(RECORD)
    record.create(a_record(zone))
    zone.delete()
    assert record.refresh() is None
    record.delete()


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"type": "a"}, "type"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": None}, "ttl"),
        ({"records": ["10.0.0"]}, "records"),
        ({"records": ["jm-0.internal"]}, "records"),
        ({"records": []}, "records"),
        ({"type": "AAAA"}, "records"),
        ({"weightedRoutingPolicies": [{"weight": 1}]}, "weightedRoutingPolicies"),
    ],
)
def test_records_that_are_refused(make: Make, changed: Properties, path: str) -> None:
    inputs = {"zoneId": "Z1", "name": "a", "type": "A", "ttl": 60, "records": ["10.0.1.2"], **changed}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    assert list(make(RECORD).refusals(inputs)) == [path]


def test_a_record_is_of_its_zone_that_is_there(make: Make, zone: Thing) -> None:
    record = {"zoneId": "Z0000000", "name": "a", "type": "A", "ttl": 60, "records": ["10.0.1.2"]}
    assert "NoSuchHostedZone" in refused(lambda: make(RECORD).create(record))


# Private keys


def revealed(state: Properties) -> Properties:
    return {name: value.value if isinstance(value, Secret) else value for name, value in state.items()}


@pytest.mark.parametrize(
    ("inputs", "kind", "begin"),
    [
        ({"algorithm": "ED25519"}, ed25519.Ed25519PrivateKey, "PRIVATE KEY"),
        ({"algorithm": "RSA"}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "RSA", "rsaBits": 3072}, rsa.RSAPrivateKey, "RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P256"}, ec.EllipticCurvePrivateKey, "EC PRIVATE KEY"),
    ],
)
def test_a_key_in_all_its_forms(make: Make, tmp_path: Path, inputs: Properties, kind: type, begin: str) -> None:
    thing = make(KEY)
    state = thing.create(inputs)
    assert {name for name, value in state.items() if isinstance(value, Secret)} == {
        "privateKeyPem",
        "privateKeyOpenssh",
        "privateKeyPemPkcs8",
    }
    plain = revealed(state)
    assert plain["privateKeyPem"].startswith(f"-----BEGIN {begin}-----\n")
    assert plain["privateKeyPemPkcs8"].startswith("-----BEGIN PRIVATE KEY-----\n")
    assert plain["privateKeyOpenssh"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    forms = [
        load_pem_private_key(plain["privateKeyPem"].encode(), None),
        load_pem_private_key(plain["privateKeyPemPkcs8"].encode(), None),
        load_ssh_private_key(plain["privateKeyOpenssh"].encode(), None),
    ]
    assert all(isinstance(form, kind) for form in forms)
    assert isinstance(forms[0], ed25519.Ed25519PrivateKey) or forms[0].key_size == inputs.get(  # type: ignore[union-attr]
        "rsaBits", 2048 if inputs["algorithm"] == "RSA" else 256
    )
    assert (plain["ecdsaCurve"], plain["rsaBits"]) == (inputs.get("ecdsaCurve", "P224"), inputs.get("rsaBits", 2048))
    der = base64.b64decode("".join(plain["publicKeyPem"].split("\n")[1:-2]))
    assert thing.id == hashlib.sha1(der).hexdigest()
    _agree_with_openssh(plain, tmp_path)


def _agree_with_openssh(plain: Properties, folder: Path) -> None:
    """What OpenSSH itself makes of the private key is what the plugin says."""
    private = folder / "key"
    private.touch(0o600)
    private.write_text(plain["privateKeyOpenssh"])
    public = _ssh_keygen("-y", "-f", str(private))
    assert plain["publicKeyOpenssh"].split() == public.split()[:2]
    assert plain["publicKeyOpenssh"].endswith("\n")
    (folder / "key.pub").write_text(public)
    assert plain["publicKeyFingerprintSha256"] == _ssh_keygen("-l", "-f", str(private)).split()[1]
    md5 = _ssh_keygen("-l", "-E", "md5", "-f", str(private)).split()[1]
    assert plain["publicKeyFingerprintMd5"] == md5.removeprefix("MD5:")


def _ssh_keygen(*arguments: str) -> str:
    return subprocess.run(["ssh-keygen", *arguments], check=True, capture_output=True, text=True).stdout


def test_openssh_knows_no_p224(make: Make) -> None:
    plain = revealed(make(KEY).create({"algorithm": "ECDSA"}))
    assert plain["privateKeyPem"].startswith("-----BEGIN EC PRIVATE KEY-----\n")
    empty = ("privateKeyOpenssh", "publicKeyOpenssh", "publicKeyFingerprintMd5", "publicKeyFingerprintSha256")
    assert [plain[name] for name in empty] == [""] * 4


def test_a_key_is_made_once(make: Make) -> None:
    thing = make(KEY)
    inputs = {"algorithm": "ED25519"}
    preview = thing.preview(inputs)
    assert preview["publicKeyOpenssh"] == UNKNOWN
    assert preview["privateKeyOpenssh"] == Secret(UNKNOWN)
    before = thing.create(inputs)
    assert thing.refresh() == {}
    assert thing.state == before
    assert thing.diff(inputs) == {}
    assert thing.diff({"algorithm": "RSA"}) == {"algorithm": "UPDATE_REPLACE"}
    assert thing.diff({**inputs, "rsaBits": 4096}) == {"rsaBits": "ADD_REPLACE"}
    thing.delete()
    assert revealed(make(KEY).create(inputs))["privateKeyPem"] != revealed(before)["privateKeyPem"]


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"algorithm": "ed25519"}, "algorithm"),
        ({"algorithm": "ECDSA", "ecdsaCurve": "P-256"}, "ecdsaCurve"),
        ({"algorithm": "RSA", "rsaBits": 512}, "rsaBits"),
    ],
)
def test_keys_that_cannot_be_made(make: Make, inputs: Properties, path: str) -> None:
    assert list(make(KEY).refusals(inputs)) == [path]


# All of them under the real engine


class Stack:
    """A stack whose program is that of `declare`, in a local backend."""

    def __init__(self, folder: Path, endpoint: str, vpc: str, bucket: str) -> None:
        self._state = folder / ".pulumi" / "stacks" / "more" / "test.json"
        self._vpc, self._bucket = vpc, bucket
        self.indent: int | None = None
        backend = automation.ProjectBackend(f"file://{folder}")
        options = automation.LocalWorkspaceOptions(
            work_dir=str(folder),
            pulumi_home=str(folder / "home"),
            project_settings=automation.ProjectSettings("more", runtime="python", backend=backend),
            env_vars={"PULUMI_CONFIG_PASSPHRASE": "test", "PULUMI_SKIP_UPDATE_CHECK": "true"},
        )
        self._stack = automation.create_stack("test", program=self._program, opts=options, project_name="more")
        config = {
            "region": REGION,
            "accessKey": "testing",
            "secretKey": "testing",
            "endpoints": json.dumps([dict.fromkeys(SERVICES, endpoint)]),
            "s3UsePathStyle": "true",
        }
        self._stack.set_all_config({f"aws:{key}": automation.ConfigValue(value) for key, value in config.items()})

    def preview(self) -> dict[str, int]:
        return {str(kind): count for kind, count in self._stack.preview().change_summary.items()}

    def up(self, refresh: bool = False) -> automation.UpResult:
        return self._stack.up(refresh=refresh)

    def destroy(self) -> None:
        self._stack.destroy()

    def text(self) -> str:
        """The state as it is on the disk."""
        return self._state.read_text()

    def _program(self) -> None:
        declare(self._vpc, self._bucket, self.indent)


def declare(vpc: str, name: str, indent: int | None) -> None:
    """One of each type; policies are written with this indent."""
    bucket = pulumi_aws.s3.Bucket("bucket", bucket=name, force_destroy=True, tags=TAGS)
    pulumi_aws.s3.BucketPublicAccessBlock("bucket", bucket=bucket.bucket, block_public_policy=True)
    pulumi_aws.s3.BucketPolicy("bucket", bucket=bucket.bucket, policy=json.dumps(tls_only(name), indent=indent))
    pulumi_aws.s3.BucketOwnershipControls("bucket", bucket=bucket.bucket, **_snake(SETTINGS[OWNERSHIP][0]))
    pulumi_aws.s3.BucketLifecycleConfiguration("bucket", bucket=bucket.bucket, **_snake(SETTINGS[LIFECYCLE][0]))
    pulumi_aws.s3.BucketServerSideEncryptionConfiguration(
        "bucket", bucket=bucket.bucket, **_snake(SETTINGS[ENCRYPTION][0])
    )
    role = pulumi_aws.iam.Role("role", name=name, assume_role_policy=json.dumps(TRUST, indent=indent), tags=TAGS)
    rights = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket.arn}
    document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [rights]}, indent=indent)
    pulumi_aws.iam.RolePolicy("storage", role=role.name, policy=document)
    profile = pulumi_aws.iam.InstanceProfile("profile", role=role.name)
    zone = pulumi_aws.route53.Zone("zone", name=f"{name}.internal", vpcs=[{"vpc_id": vpc}])
    record = pulumi_aws.route53.Record(
        "jm-0", zone_id=zone.zone_id, name="jm-0", type="A", ttl=60, records=["10.0.0.1"]
    )
    key = pulumi_tls.PrivateKey("key", algorithm="ED25519")
    outputs = {"profile": profile.arn, "fqdn": record.fqdn, "public": key.public_key_openssh}
    for output, value in {**outputs, "private": key.private_key_openssh}.items():
        pulumi.export(output, value)


def _snake(value: Any) -> Any:
    """Inputs under the names that they have in Python."""
    if isinstance(value, dict):
        return {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): _snake(v) for name, v in value.items()}
    return [_snake(item) for item in value] if isinstance(value, list) else value


def inventory(aws: Session) -> set[str]:
    """What there is of the types under test."""
    listed = aws.client("iam")
    return {
        *(role["Arn"] for role in listed.list_roles()["Roles"]),
        *(profile["Arn"] for profile in listed.list_instance_profiles()["InstanceProfiles"]),
        *(bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]),
        *(zone["Id"] for zone in aws.client("route53").list_hosted_zones()["HostedZones"]),
    }


@pytest.fixture
def stack(
    tmp_path: Path, endpoint: str, vpc: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stack]:
    plugins = tmp_path_factory.mktemp("bin")
    install_plugins(plugins)
    monkeypatch.setenv("PATH", os.pathsep.join([str(plugins), str(engine.ensure().parent), os.environ["PATH"]]))
    yield Stack(tmp_path, endpoint, vpc, unique("flink"))


def test_all_of_them_under_the_real_engine(stack: Stack, aws: Session) -> None:
    before = inventory(aws)
    count = 13
    assert stack.preview() == {"create": count}
    assert inventory(aws) == before

    made = stack.up()
    assert made.summary.resource_changes == {"create": count}
    new = inventory(aws) - before
    assert len(new) == 4
    outputs = {name: output.value for name, output in made.outputs.items()}
    assert outputs["profile"] in new
    assert outputs["fqdn"].startswith("jm-0.flink-")
    assert outputs["public"].startswith("ssh-ed25519 ")
    assert made.outputs["private"].secret
    assert "PRIVATE KEY" in outputs["private"] and "PRIVATE KEY" not in stack.text()

    assert stack.preview() == {"same": count}
    stack.indent = 2
    assert stack.up(refresh=True).summary.resource_changes == {"same": count}

    # Behind Pulumi's back: tags, a record, the bucket's policy, and something in the bucket. moto heeds a policy without
    # its conditions, and our calls come without TLS: with the policy it would refuse them.
    client, dns = aws.client("s3"), aws.client("route53")
    (bucket,) = (name for name in new if name.startswith("flink-"))
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []})
    client.delete_bucket_policy(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="ha/metadata", Body=b"x")
    (zone,) = (id for id in new if id.startswith("/hostedzone/"))
    listed = dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in listed if record["Type"] == "A"]
    dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    healed = stack.up(refresh=True)
    assert healed.summary.resource_changes == {"same": count - 3, "create": 2, "update": 1}
    assert {t["Key"]: t["Value"] for t in client.get_bucket_tagging(Bucket=bucket)["TagSet"]} == TAGS
    assert stack.preview() == {"same": count}

    stack.destroy()
    assert inventory(aws) == before

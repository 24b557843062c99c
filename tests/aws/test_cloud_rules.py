"""The data center's rules without hosts: permissions in S3, and the firewall's text."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Network
from typing import Any

import botocore.parsers
import botocore.session
import pytest

from lab.network import Network
from stand_ins.aws_cloud import access, firewall, moto_server
from stand_ins.aws_cloud.access import asked_for
from stand_ins.aws_cloud.api import Instance, Rule, Snapshot
from stand_ins.aws_cloud.evaluation import Asked, permitted
from tests.aws.stack import SERVICES

BUCKET = "arn:aws:s3:::b"
POLICY = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [BUCKET],
            "Condition": {"StringLike": {"s3:prefix": ["p", "p/*"]}},
        },
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:Put*"], "Resource": [f"{BUCKET}/p/*"]},
        {"Effect": "Deny", "Action": "s3:*", "Resource": f"{BUCKET}/p/secret"},
    ]
}
DELETE = b"<Delete><Object><Key>p/1</Key></Object><Object><Key>q/2</Key></Object></Delete>"


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/b", "list-type=2&prefix=p%2Fx", [Asked("s3:ListBucket", BUCKET, {"s3:prefix": "p/x"})]),
        ("HEAD", "/b", "", [Asked("s3:ListBucket", BUCKET, {"s3:prefix": ""})]),
        ("GET", "/b", "location", [Asked("s3:GetBucketLocation", BUCKET)]),
        ("GET", "/b/p/1", "", [Asked("s3:GetObject", f"{BUCKET}/p/1")]),
        ("HEAD", "/b/p/1", "", [Asked("s3:GetObject", f"{BUCKET}/p/1")]),
        ("PUT", "/b/p/1", "", [Asked("s3:PutObject", f"{BUCKET}/p/1")]),
        ("PUT", "/b/p/1", "X-Amz-Algorithm=A&X-Amz-Signature=0", [Asked("s3:PutObject", f"{BUCKET}/p/1")]),
        ("POST", "/b/p/1", "uploads", [Asked("s3:PutObject", f"{BUCKET}/p/1")]),
        ("PUT", "/b/p/1", "partNumber=1&uploadId=u", [Asked("s3:PutObject", f"{BUCKET}/p/1")]),
        ("POST", "/b/p/1", "uploadId=u", [Asked("s3:PutObject", f"{BUCKET}/p/1")]),
        ("DELETE", "/b/p/1", "uploadId=u", [Asked("s3:AbortMultipartUpload", f"{BUCKET}/p/1")]),
        ("GET", "/b/p/1", "uploadId=u", [Asked("s3:ListMultipartUploadParts", f"{BUCKET}/p/1")]),
        ("DELETE", "/b/p/1", "", [Asked("s3:DeleteObject", f"{BUCKET}/p/1")]),
        ("POST", "/b", "delete", [Asked("s3:DeleteObject", f"{BUCKET}/{key}") for key in ("p/1", "q/2")]),
    ],
)
def test_what_a_request_asks_for(method: str, path: str, query: str, expected: list[Asked]) -> None:
    assert asked_for(method, path, query, {}, DELETE) == expected


def test_a_copy_asks_for_both_ends() -> None:
    asked = asked_for("PUT", "/b/p/1", "", {"x-amz-copy-source": "/b/q%2F2"})
    assert asked[1:] == [Asked("s3:GetObject", f"{BUCKET}/q/2")]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [("GET", "/", ""), ("PUT", "/b", ""), ("PUT", "/b", "policy"), ("PUT", "/b/p/1", "acl"), ("GET", "/b", "policy")],
)
def test_what_no_host_has_any_reason_to_ask_is_unknown(method: str, path: str, query: str) -> None:
    with pytest.raises(access.Unknown):
        asked_for(method, path, query, {})


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (Asked("s3:GetObject", f"{BUCKET}/p/1"), True),
        (Asked("s3:PutObject", f"{BUCKET}/p/1/2"), True),
        (Asked("s3:DeleteObject", f"{BUCKET}/p/1"), False),
        (Asked("s3:GetObject", f"{BUCKET}/q/1"), False),
        (Asked("s3:GetObject", f"{BUCKET}/p/secret"), False),
        (Asked("s3:ListBucket", BUCKET, {"s3:prefix": "p/x"}), True),
        (Asked("s3:ListBucket", BUCKET, {"s3:prefix": "q"}), False),
        (Asked("s3:ListBucket", BUCKET), False),
    ],
)
def test_what_a_policy_allows(asked: Asked, allowed: bool) -> None:
    assert permitted([POLICY], asked) is allowed


def test_a_condition_that_is_not_understood_allows_nothing() -> None:
    statement = {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:x": "true"}}}
    assert not permitted([{"Statement": statement}], Asked("s3:GetObject", BUCKET))
    assert not permitted([], Asked("s3:GetObject", BUCKET))


# The firewall

NETWORK = Network("abcdef", IPv4Network("10.1.2.0/24"))
PORTS = firewall.Ports(7401, 7402)


def instance(number: int, **changes: Any) -> Instance:
    values: dict[str, Any] = {
        "id": f"i-{number}",
        "name": f"host-{number}",
        "state": "running",
        "type": "t3.small",
        "zone": "eu-central-1a",
        "private": f"10.9.0.{number}",
        "public": f"198.51.100.{number}",
        "vpc": "vpc-1",
        "subnet": "subnet-1",
        "groups": ("sg-1",),
        "profile": "",
        "root_device": "/dev/xvda",
        "image": "ami-1",
        "spot": False,
    }
    return Instance(**{**values, **changes})


def rules(snapshot: Snapshot) -> dict[str, list[str]]:
    """Lines of each chain and set."""
    found: dict[str, list[str]] = {}
    for line in firewall.table(NETWORK, PORTS, snapshot).splitlines():
        words = line.split()
        if words[:1] in (["chain"], ["set"], ["map"]):
            found[words[1]] = current = [line]
        elif words:
            current = found.setdefault("", []) if not found else current
            current.append(line.strip())
    return found


SNAPSHOT = Snapshot(
    instances={
        "i-1": instance(1),
        "i-2": instance(2, groups=("sg-2",), public=""),
        "i-3": instance(3, state="terminated"),
        "i-4": instance(4, groups=("sg-2",), subnet="subnet-2", public=""),
    },
    groups={
        "sg-1": (
            Rule(protocol="tcp", ports=(22, 22), cidrs=("192.0.2.7/32",), groups=()),
            Rule(protocol="tcp", ports=(6000, 6010), cidrs=(), groups=("sg-2",)),
        ),
        "sg-2": (Rule(protocol="", ports=None, cidrs=(), groups=("sg-1", "sg-9")),),
    },
    outside=frozenset({"subnet-2"}),
)


def test_each_host_lets_in_what_its_groups_say() -> None:
    found = rules(SNAPSHOT)
    assert "ip saddr 192.0.2.7/32 tcp dport 22 accept" in found["i_1"]
    assert "ip saddr { 10.9.0.2, 10.9.0.4 } tcp dport 6000-6010 accept" in found["i_1"]
    assert "ip saddr { 10.9.0.1 } accept" in found["i_2"]
    assert "i_3" not in found


def test_only_what_has_a_public_address_or_a_nat_gateway_reaches_the_outside() -> None:
    found = rules(SNAPSHOT)
    assert found["outside"][0].endswith("elements = { 10.9.0.1, 10.9.0.4 }; }")
    assert found["public"][0].endswith("elements = { 198.51.100.1 : 10.9.0.1 }; }")


@pytest.mark.root
@pytest.mark.parametrize("snapshot", [Snapshot(), SNAPSHOT])
def test_nft_understands_the_table(snapshot: Snapshot) -> None:
    text = firewall.table(NETWORK, PORTS, snapshot)
    done = subprocess.run(["nft", "--check", "-f", "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", [*SERVICES, "freetier", "kms", "resourcegroupstaggingapi"])
def test_every_service_refuses_in_its_own_words(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A client that cannot read a refusal takes it for another error."""
    model = botocore.session.get_session().get_service_model(service)
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "HTTP_AUTHORIZATION": f"AWS4 Credential=k/20261129/eu-central-1/{model.signing_name}/aws4_request, x",
    }
    body = b"".join(moto_server._refuse(environ, lambda *_: None, "AccessDenied", "not <allowed>"))
    answer = {"status_code": 403, "headers": {}, "body": body}
    shape: Any = model.operation_model(model.operation_names[0]).output_shape
    found = botocore.parsers.create_parser(model.resolved_protocol).parse(answer, shape)
    assert found["Error"]["Code"] == "AccessDenied" and "not <allowed>" in found["Error"]["Message"]

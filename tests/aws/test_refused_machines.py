"""What AWS refuses, loses and adds by itself in the life of a stack: real engine, moto, no machines."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from tests.aws import stack as aws_stack
from tests.aws.inventory import client, everything, machines
from tests.aws.stack import REGION, without_hosts


def limit(endpoint: str, **limits: Any) -> None:
    """What AWS refuses from now on (stand_ins/aws_cloud/limits.py)."""
    request = urllib.request.Request(f"{endpoint}/lab/limits", json.dumps(limits).encode(), method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


def attach_foreign_policy(endpoint: str) -> str:
    """As Quick Setup of Systems Manager does with the roles of all instances. Returns the policy's ARN."""
    iam = client("iam", endpoint, REGION)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}]}
    policy = iam.create_policy(PolicyName="QuickSetup", PolicyDocument=json.dumps(document))["Policy"]
    [role] = [it["RoleName"] for it in iam.list_roles()["Roles"] if it["RoleName"].startswith("flink-dev")]
    iam.attach_role_policy(RoleName=role, PolicyArn=policy["Arn"])
    return str(policy["Arn"])


def test_a_lack_of_machines_is_reported_and_what_others_do_prevents_no_destroy(endpoint: str, tmp_path: Path) -> None:
    before = everything(endpoint, REGION)
    it = without_hosts(tmp_path, endpoint, {"aws:maxRetries": 2})
    limit(endpoint, machines=[{"code": "InsufficientInstanceCapacity", "type": "m6i.large", "zone": f"{REGION}a"}])
    with pytest.raises(LabError, match=rf"InsufficientInstanceCapacity: .* m6i.large capacity .* \({REGION}a\)"):
        it.up()
    assert [name for name in machines(endpoint, REGION) if "-tm-" in name] == []
    limit(endpoint, machines=[{"code": "VcpuLimitExceeded", "market": "on-demand"}])
    with pytest.raises(LabError, match=r"VcpuLimitExceeded: .* limit"):
        it.up()
    limit(endpoint)
    it.up()

    client("ec2", endpoint, REGION).terminate_instances(InstanceIds=[machines(endpoint, REGION)["dev-zk-1"]])
    foreign = attach_foreign_policy(endpoint)
    it.destroy()
    client("iam", endpoint, REGION).delete_policy(PolicyArn=foreign)
    assert everything(endpoint, REGION) == before


@pytest.mark.parametrize("name", ["dev", "prod", "ephemeral"])
def test_a_lack_of_machines_is_reported_within_minutes(name: str) -> None:
    """The plugin's delays double from at most 2 s; 25 attempts, its default, take most of an hour."""
    attempts = aws_stack.base(name)["aws:maxRetries"]
    longest = sum(min(2**number, 300) for number in range(1, attempts))
    assert 60 < longest < 300

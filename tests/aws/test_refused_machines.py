"""What AWS refuses, loses and adds by itself in the life of a stack: real engine, moto, no machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.stack import Stack
from tests.aws import stack as aws_stack
from tests.aws.inventory import client, everything, machines
from tests.aws.stack import REGION, set_limits, without_hosts

INSTANCE = "aws:ec2/instance:Instance"


def stack(
    folder: Path, endpoint: str, types: list[str], lacks: list[str] | None = None, renewed: list[str] | None = None
) -> Stack:
    """The stack with TaskManagers of these types, where AWS lacks some; `renewed` have the newest image."""
    own = {"flink:taskManagerTypes": types, "flink:noCapacity": lacks or [], "flink:newestImage": renewed or []}
    return without_hosts(folder, endpoint, {"aws:maxRetries": 2, **own})


def _described(endpoint: str) -> dict[str, Any]:
    found = client("ec2", endpoint, REGION).describe_instances(
        InstanceIds=[id for name, id in machines(endpoint, REGION).items() if "-tm-" in name]
    )
    return {
        next(tag["Value"] for tag in it["Tags"] if tag["Key"] == "Name"): it
        for reservation in found["Reservations"]
        for it in reservation["Instances"]
    }


def types(endpoint: str) -> dict[str, str]:
    """TaskManager → instance type."""
    return {name: it["InstanceType"] for name, it in _described(endpoint).items()}


def image(endpoint: str, name: str) -> str:
    """The image of a machine."""
    return str(_described(endpoint)[name]["ImageId"])


def another_image(endpoint: str) -> str:
    """Debian publishes an image, and removes the one of the existing machines."""
    ec2 = client("ec2", endpoint, REGION)
    old = image(endpoint, "dev-tm-0")
    new = ec2.copy_image(Name="debian-12-amd64-20261128-1", SourceImageId=old, SourceRegion=REGION)
    ec2.deregister_image(ImageId=old)
    return str(new["ImageId"])


def attach_foreign_policy(endpoint: str) -> str:
    """As Quick Setup of Systems Manager does with the roles of all instances. Returns the policy's ARN."""
    iam = client("iam", endpoint, REGION)
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}]}
    policy = iam.create_policy(PolicyName="QuickSetup", PolicyDocument=json.dumps(document))["Policy"]
    for role in iam.list_roles()["Roles"]:
        if role["RoleName"].startswith("flink-dev"):
            iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=policy["Arn"])
    return str(policy["Arn"])


@pytest.mark.exhaustive  # four minutes; test_cloud_rules.py has what AWS refuses
def test_a_lack_of_machines_is_reported_and_what_others_do_prevents_no_destroy(endpoint: str, tmp_path: Path) -> None:
    before = everything(endpoint, REGION)
    it = without_hosts(tmp_path, endpoint, {"aws:maxRetries": 2})
    set_limits(endpoint, machines=[{"code": "InsufficientInstanceCapacity", "type": "m6i.large", "zone": f"{REGION}a"}])
    with pytest.raises(LabError, match=rf"InsufficientInstanceCapacity: .* m6i.large capacity .* \({REGION}a\)"):
        it.up()
    assert [name for name in machines(endpoint, REGION) if "-tm-" in name] == []
    set_limits(endpoint, machines=[{"code": "VcpuLimitExceeded", "market": "on-demand"}])
    with pytest.raises(LabError, match=r"VcpuLimitExceeded: .* limit"):
        it.up()

    # Another type takes the place of the one that AWS lacks, and stays when AWS has both again
    set_limits(endpoint, machines=[{"code": "InsufficientInstanceCapacity", "type": "m6i.large", "zone": f"{REGION}a"}])
    stack(tmp_path, endpoint, ["m6i.large", "m7i.large"], [f"m6i.large {REGION}a"]).up()
    assert types(endpoint) == {"dev-tm-0": "m7i.large", "dev-tm-1": "m7i.large"}
    it = stack(tmp_path, endpoint, ["m6i.large", "m7i.large"])
    assert it.up(refresh=True).changes() == {}

    # A lost machine: not while it is shutting down, when the plugin still finds it; then as the first type
    set_limits(endpoint, endingSeconds=3600)
    lost = machines(endpoint, REGION)["dev-tm-1"]
    ec2 = client("ec2", endpoint, REGION)
    ec2.terminate_instances(InstanceIds=[lost])
    with pytest.raises(LabError, match=rf"Shutting down: tm-1 \({lost}\)\. .*--refresh"):
        it.up(refresh=True)
    set_limits(endpoint)
    assert it.up(refresh=True).changes()[(INSTANCE, "tm-1")] == "create"
    assert types(endpoint) == {"dev-tm-0": "m7i.large", "dev-tm-1": "m6i.large"}

    # Another type, when the image of the machines no longer exists
    newest = another_image(endpoint)
    set_limits(endpoint, newestImage=newest)
    assert it.preview(refresh=True).changes() == {}
    stack(tmp_path, endpoint, ["m6i.xlarge", "m7i.large"]).up()
    assert types(endpoint) == {"dev-tm-0": "m7i.large", "dev-tm-1": "m6i.xlarge"}
    assert image(endpoint, "dev-tm-1") == newest != image(endpoint, "dev-tm-0")

    # Another image only: `--replace` would delete the machine, and then ask for the image that no longer exists
    there = machines(endpoint, REGION)
    it = stack(tmp_path, endpoint, ["m6i.xlarge", "m7i.large"], renewed=["tm-0", "tm-1"])
    assert it.up().changes()[(INSTANCE, "tm-0")] == "replace"
    assert image(endpoint, "dev-tm-0") == newest
    now = machines(endpoint, REGION)
    assert {name for name, id in there.items() if now[name] != id} == {"dev-tm-0"}
    assert it.up().changes() == {}

    ec2.terminate_instances(InstanceIds=[machines(endpoint, REGION)["dev-zk-1"]])
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

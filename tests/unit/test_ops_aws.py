"""What `python -m ops orphans` finds on AWS, and what it refuses. moto in this process; no engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from automation.pending import Operation
from components.aws import names
from ops.aws import PROVIDER, Aws
from ops.errors import OpsError

REGION = "eu-central-1"
STATE: dict[str, Any] = {"resources": [{"type": PROVIDER, "urn": "u", "inputs": {"region": REGION}}]}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


def tags(name: str, stack: str = "dev") -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in {"Name": name, "project": "flink", "stack": stack}.items()]


def specification(kind: str, name: str, stack: str = "dev") -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(name, stack)}]


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def volume(name: str, stack: str = "dev") -> str:
    made = client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=specification("volume", name, stack)
    )
    return str(made["VolumeId"])


def instance(name: str) -> str:
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
    ec2 = client("ec2")
    found = ec2.run_instances(
        ImageId=ec2.describe_images()["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[root],
        TagSpecifications=specification("instance", name) + specification("volume", name),
    )
    return str(found["Instances"][0]["InstanceId"])


def listed(state: dict[str, Any] = STATE) -> list[str]:
    return [f"{it.type} {it.id}" for it in Aws("dev", state).orphans().found]


def test_what_has_the_stacks_tags_and_is_unknown_to_the_state_is_listed_with_its_command() -> None:
    known, unknown = volume("dev-zk-0-data"), volume("dev-zk-1-data")
    volume("other-zk-0-data", stack="other")
    state = {"resources": [*STATE["resources"], {"type": "aws:ebs/volume:Volume", "urn": "v", "id": known}]}
    found = Aws("dev", state).orphans()
    assert [(it.id, it.name) for it in found.found] == [(unknown, "dev-zk-1-data")]
    assert f"aws --region {REGION} ec2 delete-volume --volume-id {unknown}" in found.text()
    assert found.text().splitlines()[-1].startswith(f"1 resources in {REGION} have the tags of stack dev")


def test_a_machine_is_listed_without_the_volume_that_is_deleted_with_it_and_not_once_it_is_terminated() -> None:
    id = instance("dev-tm-0")
    assert listed() == [f"aws:ec2/instance:Instance {id}"]
    client("ec2").terminate_instances(InstanceIds=[id])
    assert listed() == []


def test_what_is_no_part_of_ec2_is_found_as_well() -> None:
    zone = (
        client("route53")
        .create_hosted_zone(Name="dev.flink.internal", CallerReference="1", HostedZoneConfig={"PrivateZone": True})[
            "HostedZone"
        ]["Id"]
        .removeprefix("/hostedzone/")
    )
    client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=tags("dev-names"))
    role, iam = names.role("dev", REGION), client("iam")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=tags(role))
    iam.create_instance_profile(InstanceProfileName=role, Tags=tags(role))
    for name, stack in (("flink-dev", "dev"), ("flink-other", "other")):
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(name, stack)})
    assert listed() == [
        f"aws:route53/zone:Zone {zone}",
        f"aws:iam/instanceProfile:InstanceProfile {role}",
        f"aws:iam/role:Role {role}",
        "aws:s3/bucket:Bucket flink-dev",
    ]


def test_nothing_is_said_to_be_nothing() -> None:
    found = Aws("dev", STATE).orphans()
    assert found.text() == f"AWS has no resources of stack dev in {REGION} that its state does not know"


def test_a_pending_creation_is_found_by_type_and_name() -> None:
    made = [volume("dev-zk-0-data"), volume("dev-zk-0-data"), volume("dev-zk-1-data")]

    def operation(name: str) -> Operation:
        inputs = {"tags": {"Name": f"dev-{name}", "stack": "dev", "project": "flink"}}
        return Operation("creating", {"urn": f"u::{name}", "type": "aws:ebs/volume:Volume", "inputs": inputs})

    found = Aws("dev", STATE).find([operation("zk-0-data"), operation("zk-1-data"), operation("zk-2-data")])
    assert sorted(found["u::zk-0-data"]) == sorted(made[:2])
    assert (found["u::zk-1-data"], found["u::zk-2-data"]) == (made[2:], [])


def test_credentials_of_another_account_are_refused() -> None:
    arn = {"type": "aws:ec2/vpc:Vpc", "urn": "v", "id": "v", "outputs": {"arn": f"arn:aws:ec2:{REGION}:999999999999:v"}}
    with pytest.raises(OpsError, match=r"are of AWS account 123456789012, but stack dev is in 999999999999"):
        Aws("dev", {"resources": [*STATE["resources"], arn]}).orphans()


def test_a_state_without_a_region_needs_one() -> None:
    with pytest.raises(OpsError, match="expected the option --region"):
        Aws("dev", {})
    assert Aws("dev", {}, region=REGION).orphans().found == []


def test_what_is_not_on_aws_only_the_user_can_look_for() -> None:
    operation = Operation("creating", {"urn": "u::disk", "type": "gcp:compute/disk:Disk"})
    with pytest.raises(OpsError, match=r"disk \(creating\) only you can find out"):
        Aws("dev", STATE).find([operation])

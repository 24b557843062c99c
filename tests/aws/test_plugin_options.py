"""The AWS stand-in's placement groups, snapshot policies and versions of buckets, against a moto server with them."""

from __future__ import annotations

import json

import pytest

from tests.aws.aws_client import Moto
from tests.aws.thing import OTHER_TAGS, ROLE, TAGS, TRUST, Make, refused, statement, unique

GROUP = "aws:ec2/placementGroup:PlacementGroup"
POLICY = "aws:dlm/lifecyclePolicy:LifecyclePolicy"
BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
VOLUME = "aws:ebs/volume:Volume"


def test_a_placement_group_lives_and_another_strategy_replaces_it(make: Make, cloud: Moto) -> None:
    group, name = make(GROUP), unique("group")
    state = group.create({"name": name, "strategy": "partition", "partitionCount": 7, "tags": TAGS})
    assert (group.id, state["partitionCount"]) == (name, 7)
    assert group.refresh() == {}
    assert group.diff({"name": name, "strategy": "spread", "tags": TAGS})["strategy"] == "UPDATE_REPLACE"
    group.update({"name": name, "strategy": "partition", "partitionCount": 7, "tags": OTHER_TAGS})
    (found,) = cloud.client("ec2").describe_placement_groups(GroupNames=[name])["PlacementGroups"]
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == OTHER_TAGS
    group.delete()
    assert group.refresh() is None


def test_what_ec2_refuses_of_placement_groups_is_refused(make: Make, cloud: Moto) -> None:
    assert "partitionCount" in make(GROUP).refusals({"name": "x", "strategy": "spread", "partitionCount": 2})
    assert "strategy" in make(GROUP).refusals({"name": "x", "strategy": "near"})
    ec2, name = cloud.client("ec2"), unique("group")
    group = make(GROUP)
    group.create({"name": name, "strategy": "spread"})
    image = ec2.describe_images()["Images"][0]["ImageId"]
    place = {"AvailabilityZone": "eu-central-1a", "GroupName": name}
    launch = {"ImageId": image, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}
    ids = [ec2.run_instances(**launch, Placement=place)["Instances"][0]["InstanceId"] for _ in range(7)]
    with pytest.raises(ec2.exceptions.ClientError, match="InsufficientInstanceCapacity"):
        ec2.run_instances(**launch, Placement=place)
    assert "InvalidPlacementGroup.InUse" in refused(group.delete)
    ec2.terminate_instances(InstanceIds=ids)
    group.delete()
    make(GROUP).create({"name": name, "strategy": "cluster"})
    with pytest.raises(ec2.exceptions.ClientError, match="cluster placement groups are not supported by"):
        ec2.run_instances(**launch, Placement=place)


def test_a_snapshot_policy_needs_a_role_that_the_service_can_assume_and_lives(make: Make, cloud: Moto) -> None:
    role = make(ROLE)
    trust = statement(TRUST, Principal={"Service": "dlm.amazonaws.com"})
    arn = role.create({"name": unique("snapshots"), "assumeRolePolicy": trust})["arn"]
    rule = {"interval": 24, "intervalUnit": "HOURS", "times": "03:00"}
    keep = {"interval": 7, "intervalUnit": "DAYS"}
    schedule = {"name": "daily", "copyTags": True, "createRule": rule, "retainRule": keep}
    details = {"resourceTypes": ["VOLUME"], "targetTags": {"snapshots": "x"}, "schedules": [schedule]}
    inputs = {"description": "Volumes of ZooKeeper in dev", "executionRoleArn": arn, "policyDetails": details}
    policy = make(POLICY)
    policy.create({**inputs, "tags": TAGS})
    assert policy.refresh() == {}
    found = cloud.client("dlm").get_lifecycle_policy(PolicyId=policy.id)["Policy"]
    assert found["PolicyDetails"]["TargetTags"] == [{"Key": "snapshots", "Value": "x"}]
    assert found["PolicyDetails"]["Schedules"][0]["CreateRule"]["Times"] == ["03:00"]
    longer = {**details, "schedules": [{**schedule, "retainRule": {**keep, "interval": 9}}]}
    assert set(policy.diff({**inputs, "policyDetails": longer, "tags": TAGS}).values()) == {"UPDATE"}
    policy.update({**inputs, "policyDetails": longer, "tags": OTHER_TAGS})
    found = cloud.client("dlm").get_lifecycle_policy(PolicyId=policy.id)["Policy"]
    assert found["PolicyDetails"]["Schedules"][0]["RetainRule"]["Interval"] == 9
    assert found["Tags"] == OTHER_TAGS
    policy.delete()
    assert policy.refresh() is None
    assert "description" in make(POLICY).refusals({**inputs, "description": "ZooKeeper's"})


def test_the_end_of_versioning_suspends_it(make: Make, cloud: Moto) -> None:
    bucket, name, s3 = make(BUCKET), unique("bucket"), cloud.client("s3")
    bucket.create({"bucket": name, "forceDestroy": True})
    versions = make(VERSIONING)
    versions.create({"bucket": name, "versioningConfiguration": {"status": "Enabled"}})
    assert versions.refresh() == {}
    s3.put_object(Bucket=name, Key="a", Body=b"1")
    s3.put_object(Bucket=name, Key="a", Body=b"2")
    assert len(s3.list_object_versions(Bucket=name)["Versions"]) == 2
    s3.delete_object(Bucket=name, Key="a")
    versions.delete()
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Suspended"
    bucket.delete()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"iops": 2000}, "not in the range"), ({"iops": 6000, "size": 10}, "Iops to volume size ratio"),
     ({"throughput": 800}, "Throughput (MiBps) to iops ratio"), ({"throughput": 2500, "iops": 10000}, "not in the")],
    ids=json.dumps,
)  # fmt: skip
def test_a_gp3_volume_beyond_its_limits_is_refused(wrong: dict[str, int], said: str, make: Make) -> None:
    inputs = {"availabilityZone": "eu-central-1a", "size": 100, "type": "gp3", **wrong}
    assert said in refused(lambda: make(VOLUME).create(inputs))

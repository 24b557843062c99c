"""The AWS stand-in's zones and records, against a moto server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stand_ins.plugin.values import UNKNOWN
from tests.aws.aws_client import REGION, Moto
from tests.aws.thing import OTHER_TAGS, RECORD, TAGS, ZONE, Make, Properties, Thing, refused, unique


@pytest.fixture
def vpc(cloud: Moto) -> Iterator[str]:
    client = cloud.client("ec2")
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


def test_a_zone_lives(make: Make, cloud: Moto, vpc: str) -> None:
    zone, client = make(ZONE), cloud.client("route53")
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


def test_a_zone_changes_its_vpcs(make: Make, cloud: Moto, zone: Thing, vpc: str) -> None:
    ec2, client = cloud.client("ec2"), cloud.client("route53")
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


def test_a_zone_needs_an_existing_vpc_without_a_zone_of_its_name(make: Make, zone: Thing, vpc: str) -> None:
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


def found_records(cloud: Moto, zone: Thing) -> dict[str, Any]:
    answer = cloud.client("route53").list_resource_record_sets(HostedZoneId=zone.id)
    return {record["Name"]: record for record in answer["ResourceRecordSets"] if record["Type"] == "A"}


def test_a_record_lives(make: Make, cloud: Moto, zone: Thing) -> None:
    record, client = make(RECORD), cloud.client("route53")
    inputs = a_record(zone)
    name = inputs["name"]
    assert record.preview(inputs)["fqdn"] == UNKNOWN
    assert record.create(inputs)["fqdn"] == name
    assert record.id == f"{zone.id}_{name}_A"
    assert record.refresh() == {}
    assert record.diff({**inputs, "name": "jm-1"}) == {"name": "UPDATE_REPLACE"}
    assert record.diff({**inputs, "name": f"{name.upper()}."}) == {}

    expected = {**inputs, "ttl": 30, "records": ["10.0.1.4", "10.0.1.3"]}
    assert record.diff(expected).keys() == {"ttl", "records[0]", "records[1]"}
    record.update(expected)
    found = found_records(cloud, zone)[f"{name}."]
    assert (found["TTL"], {item["Value"] for item in found["ResourceRecords"]}) == (30, {"10.0.1.3", "10.0.1.4"})
    assert record.refresh() == {}
    assert record.diff({**expected, "records": expected["records"][::-1]}) == {}

    theirs = {"Name": name, "Type": "A", "TTL": 300, "ResourceRecords": [{"Value": "10.0.9.9"}]}
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": theirs}]}
    client.change_resource_record_sets(HostedZoneId=zone.id, ChangeBatch=changes)
    assert record.refresh() == {"ttl": 300, "records": ["10.0.9.9"]}
    record.delete()
    assert found_records(cloud, zone) == {}
    assert record.refresh() is None
    record.delete()


def test_names_are_of_the_zone(make: Make, cloud: Moto, zone: Thing) -> None:
    domain = zone.inputs["name"]
    for name, expected in (("tm_0", f"tm_0.{domain}"), ("*.deep", f"*.deep.{domain}"), (domain, domain)):
        record = make(RECORD)
        assert record.create(a_record(zone, name=name))["fqdn"] == expected
        assert record.refresh() == {}
        assert make(RECORD).read(record.id)["records"] == ["10.0.1.2"]
        record.delete()
    assert found_records(cloud, zone) == {}


def test_an_existing_record_is_adopted_only_on_request(make: Make, zone: Thing) -> None:
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


def test_a_record_needs_its_existing_zone(make: Make, zone: Thing) -> None:
    record = {"zoneId": "Z0000000", "name": "a", "type": "A", "ttl": 60, "records": ["10.0.1.2"]}
    assert "NoSuchHostedZone" in refused(lambda: make(RECORD).create(record))

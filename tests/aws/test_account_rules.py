"""The stand-in for AWS refuses what accounts with rules of their own refuse: without them moto takes everything."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from stand_ins.aws_cloud.moto_server import IMAGES
from tests.aws.inventory import client
from tests.aws.scale import moto

REGION = "us-east-1"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with moto() as it:
        yield it


def rule(endpoint: str, name: str, value: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    direct.open(f"{endpoint}/lab/{name}?{value}", timeout=60).close()


def launch(endpoint: str, kind: str = "t3.medium", **tags: dict[str, str]) -> str:
    """The code of AWS's refusal; empty if the machine was launched."""
    given: list[Any] = [
        {"ResourceType": name, "Tags": [{"Key": key, "Value": value} for key, value in each.items()]}
        for name, each in tags.items()
    ]
    more = {"TagSpecifications": given} if given else {}
    image = str(IMAGES["amd64"]["ami_id"])
    try:
        client("ec2", endpoint, REGION).run_instances(ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1, **more)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_an_account_on_the_free_plan_launches_small_types_only(endpoint: str) -> None:
    freetier = client("freetier", endpoint, REGION)
    assert freetier.get_account_plan_state()["accountPlanType"] == "PAID"
    assert launch(endpoint) == ""
    rule(endpoint, "plan", "FREE")
    try:
        assert freetier.get_account_plan_state()["accountPlanType"] == "FREE"
        assert launch(endpoint) == "InvalidParameterCombination"
        assert launch(endpoint, "t3.small") == ""
    finally:
        rule(endpoint, "plan", "PAID")


def test_an_organization_requires_tags_of_machines_and_of_their_volumes(endpoint: str) -> None:
    rule(endpoint, "required-tags", "owner,CostCenter")
    tags = {"owner": "x", "CostCenter": "y"}
    try:
        assert launch(endpoint) == "UnauthorizedOperation"
        assert launch(endpoint, instance=tags) == "UnauthorizedOperation"
        assert launch(endpoint, instance=tags, volume={"owner": "x"}) == "UnauthorizedOperation"
        assert launch(endpoint, instance=tags, volume=tags) == ""
    finally:
        rule(endpoint, "required-tags", "")

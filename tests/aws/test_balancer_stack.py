"""A stack whose front door is behind a load balancer: real engine, moto, no hosts. Created, changed, destroyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.stack import Stack
from tests.aws.inventory import client, everything
from tests.aws.stack import REGION, without_hosts
from tests.unit.test_front_door import made

BASE = {"flink:zones": 2, "flink:workers": 1, "flink:frontDoor": True, "flink:frontDoorLogin": "none"}
KEY = "flink:frontDoorLoadBalancer"


def certificate(endpoint: str) -> str:
    """The ARN of one that is in ACM."""
    pem, key = made(["flink.example.com"])
    acm = client("acm", endpoint, REGION)
    return str(acm.import_certificate(Certificate=pem.encode(), PrivateKey=key.encode())["CertificateArn"])


def stack(folder: Path, endpoint: str, arn: str, **more: Any) -> Stack:
    own = {key: value for key, value in more.items() if key != "internal"}
    given = {"certificateArn": arn, "internal": more.get("internal", False)}
    return without_hosts(folder, endpoint, {**BASE, KEY: given, **{f"flink:{key}": it for key, it in own.items()}})


def balancers(endpoint: str) -> list[dict[str, Any]]:
    return list(client("elbv2", endpoint, REGION).describe_load_balancers()["LoadBalancers"])


def targets(endpoint: str) -> set[tuple[str, int]]:
    """Machines and ports of the only group."""
    elb = client("elbv2", endpoint, REGION)
    [group] = elb.describe_target_groups()["TargetGroups"]
    found = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return {(it["Target"]["Id"], it["Target"]["Port"]) for it in found}


def ids(it: Stack, role: str) -> set[str]:
    resources = it.exported(secrets=False)["resources"]
    return {
        each["id"]
        for each in resources
        if each["type"] == "aws:ec2/instance:Instance" and each["outputs"]["tags"].get("role") == role
    }


@pytest.mark.exhaustive  # test_plugin_lb.py has each resource, tests/unit/test_aws_balancer.py the program
def test_its_life(endpoint: str, tmp_path: Path) -> None:
    first, second = certificate(endpoint), certificate(endpoint)
    before = everything(endpoint, REGION)
    it = stack(tmp_path, endpoint, first)
    it.up()
    [balancer] = balancers(endpoint)
    assert balancer["Scheme"] == "internet-facing" and balancer["LoadBalancerName"] == "flink-dev-public"
    assert it.outputs()["webUi"] == [f"https://{balancer['DNSName']}"]
    assert targets(endpoint) == {(id, 443) for id in ids(it, "jobmanager")}
    assert it.up().changes() == {}, "nothing changes"
    it.refresh()
    assert it.up().changes() == {}, "and nothing has drifted"

    elb = client("elbv2", endpoint, REGION)
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Attributes=[{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "false"}],
    )
    it.refresh()
    assert {(type, kind) for (type, _), kind in it.up().changes().items()} == {
        ("aws:lb/loadBalancer:LoadBalancer", "update")
    }

    # Another certificate and port: in place, behind the same name
    it = stack(tmp_path, endpoint, second, frontDoorPort=8443, frontDoorNames=["flink.example.com"])
    it.up()
    [same] = balancers(endpoint)
    assert same["LoadBalancerArn"] == balancer["LoadBalancerArn"]
    assert it.outputs()["webUi"] == ["https://flink.example.com"]
    [listener] = elb.describe_listeners(LoadBalancerArn=same["LoadBalancerArn"])["Listeners"]
    assert [each["CertificateArn"] for each in listener["Certificates"]] == [second]
    assert targets(endpoint) == {(id, 8443) for id in ids(it, "jobmanager")}

    it.destroy()
    assert everything(endpoint, REGION) == before


def test_a_certificate_that_does_not_exist_fails_and_leaves_what_a_destroy_removes(
    endpoint: str, tmp_path: Path
) -> None:
    before = everything(endpoint, REGION)
    absent = certificate(endpoint)[:-4] + "ffff"
    it = stack(tmp_path, endpoint, absent)
    with pytest.raises(LabError, match="creating ELBv2 Listener"):
        it.up()
    it.destroy()
    assert everything(endpoint, REGION) == before

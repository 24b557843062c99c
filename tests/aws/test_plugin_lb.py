"""The AWS stand-in's resources of Elastic Load Balancing, against a moto server."""

from __future__ import annotations

import pytest

from stand_ins.plugin.values import UNKNOWN
from tests.aws.aws_client import REGION, Moto
from tests.aws.thing import ACCOUNT, Make, Properties, Thing, refused, unique
from tests.unit.test_front_door import made

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
GROUP = "aws:lb/targetGroup:TargetGroup"
LISTENER = "aws:lb/listener:Listener"
ATTACHMENT = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
VPC, SUBNET = "aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet"
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
HEALTH = {"protocol": "HTTPS", "path": "/x", "matcher": "200", "interval": 10, "timeout": 5, "healthyThreshold": 2}


def certificate(cloud: Moto) -> str:
    """The ARN of one that is in ACM."""
    pem, key = made(["flink.example.com"])
    arn: str = cloud.client("acm").import_certificate(Certificate=pem.encode(), PrivateKey=key.encode())[
        "CertificateArn"
    ]
    return arn


def network(make: Make, zones: str = "ab", size: int = 24) -> tuple[str, list[str]]:
    vpc = make(VPC)
    vpc.create({"cidrBlock": "10.70.0.0/16"})
    subnets = []
    for index, zone in enumerate(zones):
        subnet = make(SUBNET)
        cidr = f"10.70.{index}.0/{size}"
        subnet.create({"vpcId": vpc.id, "cidrBlock": cidr, "availabilityZone": f"{REGION}{zone}"})
        subnets.append(subnet.id)
    return vpc.id, subnets


def balancer(make: Make, **more: object) -> tuple[Thing, Properties, str]:
    vpc, subnets = network(make)
    it, inputs = make(BALANCER), {"name": unique("b"), "internal": True, "subnets": subnets, **more}
    it.create(inputs)
    return it, inputs, vpc


def group(make: Make, vpc: str, **more: object) -> Thing:
    it = make(GROUP)
    it.create({"name": unique("g"), "port": 443, "protocol": "HTTPS", "vpcId": vpc, "healthCheck": HEALTH, **more})
    return it


def test_a_load_balancer_lives(make: Make, cloud: Moto) -> None:
    it, inputs, _ = balancer(make, idleTimeout=300, dropInvalidHeaderFields=True, tags={"project": "flink"})
    assert it.id == it.state["arn"] and it.state["dnsName"] and it.state["enableHttp2"] is True
    assert it.refresh() == {} and it.diff(inputs) == {}
    client = cloud.client("elbv2")
    attributes = client.describe_load_balancer_attributes(LoadBalancerArn=it.id)["Attributes"]
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "300"} in attributes
    assert it.diff({**inputs, "internal": False}) == {"internal": "UPDATE_REPLACE"}
    assert it.diff({**inputs, "name": "other"}) == {"name": "UPDATE_REPLACE"}
    assert it.diff({**inputs, "subnets": inputs["subnets"][::-1]}) == {}
    assert it.preview(inputs)["dnsName"] == UNKNOWN
    it.update({**inputs, "idleTimeout": 100, "tags": {"owner": "me"}})
    assert it.refresh() == {}
    client.modify_load_balancer_attributes(
        LoadBalancerArn=it.id, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "60"}]
    )
    assert it.refresh() == {"idleTimeout": 60}
    it.delete()
    assert it.refresh() is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "x" * 33}, "32 characters"),
        ({"name": "internal-x"}, "no internal-"),
        ({"idleTimeout": 5000}, "(1 - 4000)"),
        ({"xffHeaderProcessingMode": "trust"}, "append"),
        ({"accessLogs": {"bucket": "b"}}, "does not do"),
    ],
)
def test_what_aws_refuses_of_a_load_balancer(make: Make, changes: Properties, said: str) -> None:
    inputs = {"name": "x", "internal": True, "subnets": ["subnet-1", "subnet-2"], **changes}
    [reason] = make(BALANCER).refusals(inputs).values()
    assert said in reason


def test_subnets_that_are_too_few_or_too_small_are_refused(make: Make, cloud: Moto) -> None:
    def create(zones: str, size: int = 24, internal: bool = True) -> str:
        _, subnets = network(make, zones, size)
        return refused(lambda: make(BALANCER).create({"name": unique("b"), "internal": internal, "subnets": subnets}))

    assert "two different Availability Zones" in create("a")
    assert "same zone" in create("abb")
    assert "Not enough IP space" in create("ab", 28)
    assert "no internet gateway" in create("ab", internal=False)


def test_a_group_a_listener_and_a_target_live(make: Make, cloud: Moto) -> None:
    front, _, vpc = balancer(make)
    doors, other = group(make, vpc), group(make, vpc, tags={"project": "flink"})
    assert doors.refresh() == {} and other.refresh() == {}
    assert doors.diff({**doors.inputs, "port": 444}) == {"port": "UPDATE_REPLACE"}
    assert "smaller" in doors.refusals({**doors.inputs, "healthCheck": {"interval": 5, "timeout": 5}})["healthCheck"]
    doors.update({**doors.inputs, "healthCheck": {**HEALTH, "path": "/y"}})
    assert doors.refresh() == {}
    listener = make(LISTENER)
    inputs = {
        "loadBalancerArn": front.id,
        "port": 443,
        "protocol": "HTTPS",
        "sslPolicy": POLICY,
        "certificateArn": certificate(cloud),
        "defaultActions": [{"type": "forward", "targetGroupArn": doors.id}],
    }
    assert "sslPolicy" in listener.refusals({**inputs, "sslPolicy": "ELBSecurityPolicy-1999"})
    absent = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/12345678-1234-1234-1234-123456789012"
    assert "ertificate" in refused(lambda: make(LISTENER).create({**inputs, "certificateArn": absent}))
    listener.create(inputs)
    assert listener.refresh() == {}
    # Another load balancer cannot have the same group
    second, _, _ = balancer(make)
    said = refused(lambda: make(LISTENER).create({**inputs, "loadBalancerArn": second.id}))
    assert "TargetGroupAssociationLimit" in said
    listener.update({**inputs, "defaultActions": [{"type": "forward", "targetGroupArn": other.id}]})
    assert listener.refresh() == {}
    assert "in use" in refused(other.delete)
    image = cloud.client("ec2").describe_images()["Images"][0]["ImageId"]
    [machine] = cloud.client("ec2").run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    target = make(ATTACHMENT)
    target.create({"targetGroupArn": other.id, "targetId": machine["InstanceId"], "port": 443})
    assert target.refresh() == {}
    assert target.diff({**target.inputs, "targetId": "i-0123456789abcdef0"}) == {"targetId": "UPDATE_REPLACE"}
    for thing in (target, listener, other, doors, second, front):
        thing.delete()
        assert thing.refresh() is None
    cloud.client("ec2").terminate_instances(InstanceIds=[machine["InstanceId"]])

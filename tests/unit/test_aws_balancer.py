"""The front door's load balancer on AWS, under Pulumi's mocks: what is created, who reaches what, what is refused."""

from typing import Any

import pytest

import settings
from components.aws import balancing, names
from tests.unit.program import Recorded
from tests.unit.test_aws_program import Aws, configuration, of_type, run, stdin

ARN = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
DOOR: dict[str, Any] = {"frontDoor": True, "frontDoorLogin": "none"}
PUBLIC: dict[str, Any] = {**DOOR, "zones": 2, "frontDoorLoadBalancer": {"certificateArn": ARN, "internal": False}}
INTERNAL: dict[str, Any] = {**DOOR, "frontDoorLoadBalancer": {"certificateArn": ARN}}
VPC: dict[str, Any] = {
    "vpcId": "vpc-0123456789abcdef0",
    "subnetIds": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
    "zones": 2,
}


def rules(found: dict[str, Recorded], port: int) -> set[tuple[str, str]]:
    """Source and target of the rules for a port."""
    return {
        (it.inputs.get("cidrIpv4") or it.inputs["referencedSecurityGroupId"], it.inputs["securityGroupId"])
        for it in of_type(found, ":SecurityGroupIngressRule").values()
        if it.inputs["fromPort"] <= port <= it.inputs["toPort"]
    }


def group(target: str) -> str:
    return f"securitygroup-{target}"


@pytest.mark.parametrize("preview", [True, False])
def test_a_public_one_is_in_the_public_subnets_and_the_doors_are_open_to_it_alone(preview: bool) -> None:
    found = run("dev", preview=preview, **PUBLIC)
    (balancer,) = of_type(found, ":LoadBalancer").values()
    assert balancer.inputs["internal"] is False and len(balancer.inputs["subnets"]) == 2
    assert balancer.inputs["name"] == "flink-dev-public"
    (listener,) = of_type(found, ":Listener").values()
    assert (listener.inputs["port"], listener.inputs["protocol"]) == (443, "HTTPS")
    assert listener.inputs["certificateArn"] == ARN and listener.inputs["sslPolicy"] == balancing.POLICY
    (doors,) = of_type(found, ":TargetGroup").values()
    assert (doors.inputs["port"], doors.inputs["protocol"], doors.inputs["targetType"]) == (443, "HTTPS", "instance")
    health = doors.inputs["healthCheck"]
    assert (health["path"], health["matcher"], health["protocol"]) == ("/front-door", "200", "HTTPS")
    assert set(of_type(found, ":TargetGroupAttachment")) == {"jm-0-front-door", "jm-1-front-door"}
    for it in (balancer, listener, doors):
        assert {"project": "flink", "stack": "dev", "role": "load-balancer"}.items() <= it.inputs["tags"].items()
    if not preview:
        assert rules(found, 443) == {
            (group("load-balancer"), group("jobmanager")),
            ("198.51.100.0/24", group("load-balancer")),
        }
        assert ("198.51.100.0/24", group("jobmanager")) not in rules(found, 8081)
        outgoing = of_type(found, ":SecurityGroupEgressRule")
        (out,) = (it for it in outgoing.values() if it.inputs["securityGroupId"] == group("load-balancer"))
        assert out.inputs["referencedSecurityGroupId"] == group("jobmanager") and "cidrIpv4" not in out.inputs
        machines = {it.inputs["targetId"] for it in of_type(found, ":TargetGroupAttachment").values()}
        assert machines == {"i-jm-0", "i-jm-1"}


def test_a_request_outlives_the_wait_for_a_leader_and_the_doors_keep_connections_for_longer() -> None:
    found = run("dev", **PUBLIC)
    (balancer,) = of_type(found, ":LoadBalancer").values()
    assert balancer.inputs["idleTimeout"] == 300 and balancer.inputs["xffHeaderProcessingMode"] == "append"
    assert balancer.inputs["dropInvalidHeaderFields"] and balancer.inputs["preserveHostHeader"]
    said = stdin(found, "jm-0-front-door")
    assert "idle 360s" in said and "lb_try_duration 30s" in said
    # The public subnets of a /16, and nothing else
    assert "trusted_proxies static 10.0.0.0/19 10.0.32.0/19\n" in said and "trusted_proxies_strict" in said


def test_people_log_in_by_openid_connect_at_its_port_whatever_that_of_the_doors_is() -> None:
    oidc = {"issuer": "https://login.example.com", "clientId": "flink", "operator": ["ops"]}
    known = {
        "frontDoorLogin": "oidc",
        "frontDoorOidc": oidc,
        "frontDoorOidcSecret": "client-secret",
        "frontDoorPort": 8443,
    }
    named = {**PUBLIC, **known, "frontDoorNames": ["flink.example.com"]}
    said = stdin(run("dev", secrets=["frontDoorOidcSecret"], **named), "jm-0-front-door")
    assert "https://:8443 {" in said and "redir @elsewhere https://flink.example.com/oauth2/sign_in 302" in said
    assert "trusted_proxies_strict" in said and 'redirect_url = "/oauth2/callback"' in said
    with pytest.raises(settings.ConfigError, match="frontDoorNames: is missing"):
        settings.load(configuration("dev", **{**PUBLIC, **known}), stack="dev")


def test_an_internal_one_is_in_the_private_subnets_and_open_to_the_bastion() -> None:
    found = run("prod", **INTERNAL)
    (balancer,) = of_type(found, ":LoadBalancer").values()
    private = {f"subnet-private-eu-central-1{zone}" for zone in "abc"}
    assert balancer.inputs["internal"] is True and len(balancer.inputs["subnets"]) == 3
    assert rules(found, 443) == {
        (group("load-balancer"), group("jobmanager")),
        (group("bastion"), group("load-balancer")),
    }
    assert {it for it in of_type(found, ":Subnet") if "private" in it} == {it.removeprefix("subnet-") for it in private}
    assert "trusted_proxies static 10.0.128.0/19 10.0.160.0/19 10.0.192.0/19\n" in stdin(found, "jm-0-front-door")


def test_a_public_one_before_private_hosts_gets_public_subnets_and_lets_operators_in() -> None:
    more: dict[str, Any] = {"natGateways": "one", "frontDoorLoadBalancer": {"certificateArn": ARN, "internal": False}}
    found = run("prod", **DOOR, **more)
    assert {it for it in of_type(found, ":Subnet") if "public" in it} == {f"public-eu-central-1{z}" for z in "abc"}
    assert rules(found, 443) == {
        (group("load-balancer"), group("jobmanager")),
        ("198.51.100.0/24", group("load-balancer")),
    }
    without = run("prod", natGateways="one")
    assert {it for it in of_type(without, ":Subnet") if "public" in it} == {"public-eu-central-1a"}


def test_in_an_existing_vpc_it_is_in_its_subnets() -> None:
    found = run("dev", **INTERNAL, **VPC)
    (balancer,) = of_type(found, ":LoadBalancer").values()
    assert sorted(balancer.inputs["subnets"]) == VPC["subnetIds"]
    assert "trusted_proxies static 10.1.0.0/24 10.1.1.0/24\n" in stdin(found, "jm-0-front-door")


@pytest.mark.parametrize("aws", [Aws(subnet_size=28), Aws(free_addresses=7)])
def test_subnets_without_room_for_it_are_refused(aws: Aws) -> None:
    with pytest.raises(
        Exception, match=r"subnetIds: subnet-0123456789abcdef0 is a /2. with \d+ free addresses: expected"
    ):
        run("dev", aws, **INTERNAL, **VPC)
    run("dev", aws, **VPC)


def test_without_it_nothing_changes() -> None:
    found = run("dev", **DOOR)
    assert not {it.type for it in found.values() if it.type.startswith("aws:lb/")}
    assert not [it for it in found.values() if "load-balancer" in str(it.inputs)]
    said = stdin(found, "jm-0-front-door")
    assert "trusted_proxies" not in said and "/front-door\n" not in said and "idle 2m\n" in said


def test_another_port_of_the_doors_is_another_group_and_another_scheme_is_everything_anew() -> None:
    found = run("dev", **PUBLIC, frontDoorPort=8443)
    (doors,) = of_type(found, ":TargetGroup").values()
    assert (doors.inputs["port"], doors.inputs["name"]) == (8443, "flink-dev-public-8443")
    (listener,) = of_type(found, ":Listener").values()
    assert listener.inputs["port"] == 443
    assert (group("load-balancer"), group("jobmanager")) in rules(found, 8443)
    for make in (names.balancer, lambda stack, internal: names.doors(stack, internal, 8443)):
        long = {make("a" * 40 + end, internal) for end in "bc" for internal in (True, False)}
        assert len(long) == 4 and max(map(len, long)) <= 32


LB = "frontDoorLoadBalancer"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("dev", {**PUBLIC, "frontDoor": False, "frontDoorLogin": None}, f"{LB}: has no effect without a front door"),
    ("dev", {**PUBLIC, "zones": 1}, f"zones: is 1, and a load balancer ({LB}) needs subnets in 2: expected 2 or 3"),
    *(
        ("dev", {**PUBLIC, LB: {"certificateArn": arn, "internal": False}}, f"{LB} certificateArn: {said}")
        for arn, said in (
            ("flink.example.com", "'flink.example.com' is not the ARN of a certificate of ACM: expected arn:aws:acm:"),
            (ARN + "\n", "'arn:aws:acm:eu-central-1"),
            (ARN.replace(":acm:", ":iam:"), "'arn:aws:iam:eu-central-1"),
            (ARN[:-1], "'arn:aws:acm:eu-central-1"),
            (ARN.replace("central", "west"), f"{ARN.replace('central', 'west')} is in another region: expected a cert"),
            (ARN.replace("aws:", "aws-cn:", 1), f"{ARN.replace('aws:', 'aws-cn:', 1)} is in another partition: expect"),
            (7, "7 has the wrong type: expected str"),
        )
    ),
    ("dev", {**PUBLIC, LB: {"internal": False}}, f"{LB} certificateArn: is missing: expected the ARN of a certificate"),
    ("dev", {**PUBLIC, LB: {"certificateArn": ARN, "internal": "no"}}, f"{LB} internal: 'no' has the wrong type: exp"),
    ("dev", {**PUBLIC, LB: {"certificateArn": ARN, "port": 1}}, f"{LB} port: is unknown: expected one of certificateA"),
    ("dev", {**INTERNAL, "zones": 2}, f"{LB} internal: is true, but nothing reaches private addresses in a new VPC"),
    (
        "dev",
        {**PUBLIC, "vpcCidr": "10.0.0.0/25"},
        f"vpcCidr: 10.0.0.0/25 has subnets of /28, and a load balancer ({LB}",
    ),
    ("prod", {**PUBLIC, "access": "ssm", "operatorCidrs": []}, f"{LB} internal: is false, but nothing accepts connect"),
    (
        "dev",
        {**PUBLIC, **VPC, "privateSubnets": True},
        f"{LB} internal: is false, but the subnets in subnetIds are private: expected true, or public subnets",
    ),
    *(
        ("dev", {**PUBLIC, key: value}, f"{key}: has no effect with {LB}, whose certificate is what people see")
        for key, value in (
            ("frontDoorCertificate", "x"),
            ("frontDoorAcme", {"directory": "https://acme.example.com/d", "names": {"jm-0": "a.example.com"}}),
        )
    ),
]


@pytest.mark.parametrize(("stack", "changes", "said"), REFUSED, ids=[f"{n}" for n in range(len(REFUSED))])
def test_what_cannot_be_is_refused_before_any_question_to_aws(stack: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration(stack, **changes), stack=stack)
    assert f"  - {said}" in str(error.value)


def test_it_is_for_aws_only() -> None:
    given = {"flink:provider": "existing", "flink:frontDoorLoadBalancer": f'{{"certificateArn": "{ARN}"}}'}
    with pytest.raises(settings.ConfigError, match="frontDoorLoadBalancer: has no effect with provider existing"):
        settings.load(given, stack="dev")

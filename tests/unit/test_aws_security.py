"""Who can connect to whom on AWS: the rules that would be created, compared with the table of ports, for all pairs."""

import ipaddress
import re
from typing import Any

import pytest

from components import ports
from components.aws import security
from components.aws.declaration import AwsSettings
from components.aws.security import BASTION, Security, SecurityArgs, rules
from components.host import Role
from tests.unit import aws_mocks
from tests.unit.aws_mocks import Registered, of_type

BOTH = pytest.mark.parametrize("preview", [True, False])
DIRECT, THROUGH = aws_mocks.settings(), aws_mocks.prod()
EITHER = pytest.mark.parametrize("of", [DIRECT, THROUGH], ids=["direct", "bastion"])

# Addresses that the stack does not use, in its operators' networks and elsewhere
OPERATORS = ("198.51.100.9", "2001:db8:7::9")
STRANGERS = ("203.0.113.9", "198.51.101.9", "10.20.0.9", "2001:db8:8::9", "::1")
OTHER_PORTS = (0, 21, 23, 80, 443, 2180, 2182, 3389, 6120, 6126, 8080, 8082, 9000, 9248, 65535)


def run(of: AwsSettings, *, preview: bool = False) -> dict[str, Registered]:
    found = aws_mocks.register(
        lambda: Security("security", SecurityArgs(settings=of, labels=aws_mocks.labels(of), vpc_id="vpc-12345678")),
        preview=preview,
    )
    aws_mocks.check_common(found, of)
    return found


def ingress(found: dict[str, Registered]) -> dict[str, Registered]:
    return of_type(found, "vpc/securityGroupIngressRule:SecurityGroupIngressRule")


def is_open(found: dict[str, Registered], source: str, target: str, port: int) -> bool:
    """Whether AWS would allow a TCP connection: `source` is a machine of a group, or an address."""
    return any(
        rule["securityGroupId"] == f"{target}-id"
        and rule["ipProtocol"] in ("tcp", "-1")
        and rule["fromPort"] <= port <= rule["toPort"]
        and _matches(rule, source)
        for rule in (one.inputs for one in ingress(found).values())
    )


def _matches(rule: dict[str, Any], source: str) -> bool:
    if source in (*Role, BASTION):
        return bool(rule.get("referencedSecurityGroupId") == f"{source}-id")
    address = ipaddress.ip_address(source)
    networks = [rule[key] for key in ("cidrIpv4", "cidrIpv6") if rule.get(key)]
    return any(address in ipaddress.ip_network(network) for network in networks)


TABLE = ports.table(monitoring=True)
"""The stacks of these tests have hosts of all roles."""


def is_allowed(of: AwsSettings, source: str, target: str, port: int) -> bool:
    """The table of ports, stated independently."""
    if target == BASTION:
        return port == 22 and source in OPERATORS
    roles: dict[str, str] = {role: role for role in Role}
    client = roles.get(source)
    if (of.bastion and source == BASTION) or (not of.bastion and source in OPERATORS):
        client = ports.OPERATORS
    return any(entry.number == port and target in entry.listens and client in entry.clients for entry in TABLE)


@EITHER
def test_each_pair_and_port_is_open_as_the_table_says(of: AwsSettings) -> None:
    found = run(of)
    machines = [*Role, BASTION] if of.bastion else [*Role]
    numbers = {port.number for port in TABLE} | set(OTHER_PORTS)
    opened = 0
    for source in (*machines, *OPERATORS, *STRANGERS):
        for target in machines:
            for port in sorted(numbers):
                expected = is_allowed(of, source, target, port)
                assert is_open(found, source, target, port) is expected, f"{source} → {target}:{port}"
                opened += expected
    assert opened > 20


@EITHER
def test_strangers_reach_nothing(of: AwsSettings) -> None:
    found = run(of)
    machines = [*Role, BASTION]
    assert not [
        (stranger, machine, port)
        for stranger in STRANGERS
        for machine in machines
        for port in range(1, 10000)
        if is_open(found, stranger, machine, port)
    ]


@pytest.mark.parametrize(
    ("port", "target", "clients"),
    [
        (2181, "zookeeper", {"jobmanager", "taskmanager", "zookeeper", "client"}),
        (2888, "zookeeper", {"zookeeper"}),
        (3888, "zookeeper", {"zookeeper"}),
        (6121, "taskmanager", {"taskmanager"}),
        (6122, "taskmanager", {"jobmanager", "taskmanager"}),
        (6123, "jobmanager", {"jobmanager", "taskmanager"}),
        (6124, "jobmanager", {"jobmanager", "taskmanager"}),
        (8081, "jobmanager", {"jobmanager", "client", "198.51.100.9", "2001:db8:7::9"}),
        (22, "client", {"198.51.100.9", "2001:db8:7::9"}),
        (7000, "zookeeper", {"monitoring"}),
        (9100, "taskmanager", {"monitoring"}),
        (9249, "jobmanager", {"monitoring"}),
        (22, "monitoring", {"198.51.100.9", "2001:db8:7::9"}),
        (22, "zookeeper", {"198.51.100.9", "2001:db8:7::9"}),
    ],
)
def test_what_must_be_closed_is_closed_whatever_the_table_says(port: int, target: str, clients: set[str]) -> None:
    found = run(DIRECT)
    for source in (*Role, *OPERATORS, *STRANGERS):
        assert is_open(found, source, target, port) is (source in clients), f"{source} → {target}:{port}"


@BOTH
@EITHER
def test_the_internet_is_in_no_ingress_rule(of: AwsSettings, preview: bool) -> None:
    for name, rule in ingress(run(of, preview=preview)).items():
        networks = [rule.inputs[key] for key in ("cidrIpv4", "cidrIpv6") if rule.inputs.get(key)]
        assert set(networks) <= set(of.operator_cidrs), name
        assert not rule.inputs.get("prefixListId"), name
        # exactly one kind of source, or AWS refuses it
        assert len(networks) + ("referencedSecurityGroupId" in rule.inputs) == 1, name


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_IpRange.html
DESCRIPTION = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def test_aws_takes_what_any_port_is_for() -> None:
    for port in (*ports.table(443, rebalance=True, monitoring=True), *ports.table()):
        assert DESCRIPTION.fullmatch(port.purpose), port.name


@BOTH
@EITHER
def test_no_rule_is_without_a_description_that_aws_takes(of: AwsSettings, preview: bool) -> None:
    found = run(of, preview=preview)
    egress = of_type(found, "vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    groups = of_type(found, "ec2/securityGroup:SecurityGroup")
    assert egress and groups
    for name, one in {**ingress(found), **egress, **groups}.items():
        assert DESCRIPTION.fullmatch(one.inputs["description"]), name
    for one in groups.values():
        # inline rules of a group and separate rules would remove each other
        assert not one.inputs.get("ingress") and not one.inputs.get("egress")
        assert not one.inputs["name"].startswith("sg-")


@BOTH
def test_every_group_may_send_everywhere(preview: bool) -> None:
    found = run(THROUGH, preview=preview)
    egress = of_type(found, "vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    assert set(egress) == {f"{target}-out-ipv{version}" for target in (*Role, BASTION) for version in (4, 6)}
    for one in egress.values():
        assert one.inputs["ipProtocol"] == "-1" and "fromPort" not in one.inputs
        assert (one.inputs.get("cidrIpv4"), one.inputs.get("cidrIpv6")) in (("0.0.0.0/0", None), (None, "::/0"))


def test_operators_reach_hosts_through_the_bastion_only() -> None:
    found = run(THROUGH)
    for name, rule in ingress(found).items():
        from_outside = rule.inputs.get("cidrIpv4") or rule.inputs.get("cidrIpv6")
        assert bool(from_outside) is name.startswith("bastion-ssh-"), name
    assert not [name for name in run(DIRECT) if BASTION in name]


@BOTH
def test_each_role_has_a_group_of_its_own(preview: bool) -> None:
    made: list[Security] = []
    args = SecurityArgs(settings=THROUGH, labels=aws_mocks.labels(THROUGH), vpc_id="vpc-12345678")
    found = aws_mocks.register(lambda: made.append(Security("security", args)), preview=preview)
    groups = of_type(found, "ec2/securityGroup:SecurityGroup")
    assert set(groups) == {*Role, BASTION}
    assert {one.inputs["name"] for one in groups.values()} == {f"flink-prod-{name}" for name in groups}
    for name, one in groups.items():
        assert one.inputs["tags"]["role"] == name
    assert set(made[0].groups) == set(Role) and made[0].bastion is not None


def test_no_two_rules_say_the_same() -> None:
    """AWS refuses a rule that already exists."""
    for bastion in (True, False):
        made = rules(list(Role), ("198.51.100.0/24", "198.51.100.0/24", "2001:DB8::/32", "2001:db8:0::/32"), bastion)
        said = [(rule.target, rule.number, rule.source) for rule in made]
        assert len(said) == len(set(said))
        assert len({rule.name for rule in made}) == len(made)


def test_an_operator_more_changes_no_other_rule() -> None:
    more = aws_mocks.settings(operator_cidrs=("192.0.2.1/32", *DIRECT.operator_cidrs))
    before, after = ingress(run(DIRECT)), ingress(run(more))
    assert before.keys() < after.keys()
    assert all(before[name].inputs == after[name].inputs for name in before)
    assert all("192.0.2.1-32" in name for name in after.keys() - before.keys())


def test_names_have_nothing_that_a_urn_is_cut_at() -> None:
    assert not [rule.name for rule in rules(list(Role), DIRECT.operator_cidrs, False) if re.search(r"[:/]", rule.name)]
    assert "jobmanager-rest-2001-db8-7---48" in {rule.name for rule in rules(list(Role), DIRECT.operator_cidrs, False)}


def test_metrics_in_plain_text_are_open_to_who_is_named() -> None:
    def readers(*roles: Role, metrics: list[str] | None) -> set[str]:
        found = security.rules(roles, ["198.51.100.0/24"], False, metrics=metrics)
        return {rule.source for rule in found if rule.number == 9249 and rule.target == "taskmanager"}

    alone = (Role.JOBMANAGER, Role.TASKMANAGER)
    assert readers(*alone, metrics=None) == {"198.51.100.0/24"}
    assert readers(*alone, metrics=[]) == set()
    assert readers(*alone, metrics=["203.0.113.0/24"]) == {"203.0.113.0/24"}
    assert readers(*alone, Role.MONITORING, metrics=None) == {"monitoring"}
    assert readers(*alone, Role.MONITORING, metrics=["203.0.113.0/24"]) == {"monitoring", "203.0.113.0/24"}

"""The network on AWS: how addresses are divided, and what is created in each case."""

import ipaddress
from typing import Any

import pulumi
import pytest

from components.aws import names, subnets
from components.aws.declaration import AwsSettings
from components.aws.network import Network, NetworkArgs, Subnet
from tests.unit import aws_mocks
from tests.unit.aws_mocks import ZONES, Registered, id_of, of_type

BOTH = pytest.mark.parametrize("preview", [True, False])


def run(
    of: AwsSettings, *, preview: bool = False, given: tuple[Subnet, ...] = ()
) -> tuple[dict[str, Registered], Network]:
    """The registered resources of a network, and the network."""
    made: list[Network] = []

    def program() -> None:
        args = NetworkArgs(settings=of, labels=aws_mocks.labels(of), zones=ZONES[: of.zones], subnets=given)
        made.append(Network("network", args))

    found = aws_mocks.register(program, preview=preview)
    aws_mocks.check_common(found, of)
    return found, made[0]


def blocks(found: dict[str, Registered]) -> dict[str, str]:
    return {name: one.inputs["cidrBlock"] for name, one in of_type(found, "ec2/subnet:Subnet").items()}


def routes(found: dict[str, Registered]) -> dict[str, str]:
    """Each route table's target for addresses outside of the VPC."""
    made = of_type(found, "ec2/route:Route").values()
    assert all(one.inputs["destinationCidrBlock"] == "0.0.0.0/0" for one in made)
    return {one.inputs["routeTableId"]: one.inputs.get("gatewayId") or one.inputs["natGatewayId"] for one in made}


@pytest.mark.parametrize("cidr", ["10.0.0.0/16", "10.20.0.0/20", "172.31.4.0/25", "100.64.0.0/18"])
def test_a_vpc_is_cut_into_eighths_that_do_not_overlap(cidr: str) -> None:
    plan = subnets.plan(cidr)
    made = [*plan.public, *plan.private]
    assert len(made) == 6
    assert all(net.subnet_of(ipaddress.IPv4Network(cidr)) and net.prefixlen <= 28 for net in made)
    assert not any(a.overlaps(b) for i, a in enumerate(made) for b in made[:i])


def test_the_cut_is_what_running_stacks_have() -> None:
    plan = subnets.plan("10.20.0.0/16")
    assert [str(net) for net in plan.public] == ["10.20.0.0/19", "10.20.32.0/19", "10.20.64.0/19"]
    assert [str(net) for net in plan.private] == ["10.20.128.0/19", "10.20.160.0/19", "10.20.192.0/19"]


@pytest.mark.parametrize(
    ("cidr", "message"),
    [
        ("10.0.0.0/26", "10.0.0.0/26 is too small: .* expected /16 to /25"),
        ("10.0.0.0/15", "10.0.0.0/15 is too large for a VPC: expected /16 to /25"),
        ("10.0.1.0/16", "10.0.1.0/16 has host bits set: expected 10.0.0.0/16"),
        ("10.0.0.0", "10.0.0.0/32 is too small|10.0.0.0 is too small"),
        ("fd00::/56", "'fd00::/56' is not an IPv4 network"),
        ("ten", "'ten' is not an IPv4 network"),
        ("127.0.0.0/16", "is not allowed for a VPC"),
        ("169.254.0.0/16", "is not allowed for a VPC"),
        ("224.0.0.0/16", "is not allowed for a VPC"),
        ("0.0.0.0/16", "is not allowed for a VPC"),
    ],
)
def test_a_network_that_can_be_no_vpc_is_refused(cidr: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        subnets.plan(cidr)


@pytest.mark.parametrize("stack", ["Dev", "feature_x", "a.b", "-a", "a-", "", "a" * 64, "dev\n"])
def test_a_stack_that_can_be_in_no_host_name_is_refused(stack: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of host names"):
        names.domain(stack)


@BOTH
def test_public_hosts_have_a_public_subnet_in_each_zone_and_no_nat(preview: bool) -> None:
    found, network = run(aws_mocks.settings(zones=2), preview=preview)
    assert blocks(found) == {
        "public-eu-central-1a": "10.20.0.0/19",
        "public-eu-central-1b": "10.20.32.0/19",
    }
    assert set(of_type(found, "ec2/route:Route")) == {"public"}
    if not preview:
        assert routes(found) == {"public-id": "internet-id"}
    assert not of_type(found, "ec2/natGateway:NatGateway") and not of_type(found, "ec2/eip:Eip")
    assert [(subnet.zone, subnet.public) for subnet in network.subnets] == [(zone, True) for zone in ZONES[:2]]


@BOTH
def test_prod_has_three_zones_with_a_nat_gateway_each(preview: bool) -> None:
    found, network = run(aws_mocks.prod(), preview=preview)
    assert blocks(found) == {
        **{f"public-{zone}": f"10.20.{32 * index}.0/19" for index, zone in enumerate(ZONES)},
        **{f"private-{zone}": f"10.20.{128 + 32 * index}.0/19" for index, zone in enumerate(ZONES)},
    }
    if not preview:
        assert routes(found) == {
            "public-id": "internet-id",
            **{f"private-{zone}-id": f"nat-{zone}-id" for zone in ZONES},
        }
    gateways = of_type(found, "ec2/natGateway:NatGateway")
    assert set(gateways) == {f"nat-{zone}" for zone in ZONES}
    for name, gateway in gateways.items():
        assert gateway.inputs["allocationId"] == id_of(name, preview=preview)
        assert gateway.inputs["subnetId"] == id_of(name.replace("nat", "public"), preview=preview)
    assert set(of_type(found, "ec2/eip:Eip")) == {f"nat-{zone}" for zone in ZONES}
    assert [(subnet.zone, subnet.public) for subnet in network.subnets] == [(zone, False) for zone in ZONES]
    assert network.bastion_subnet is not None


def test_each_subnet_is_in_its_zone_and_joined_to_its_own_table() -> None:
    found, _ = run(aws_mocks.prod())
    joined = of_type(found, "ec2/routeTableAssociation:RouteTableAssociation")
    for name, subnet in of_type(found, "ec2/subnet:Subnet").items():
        kind, _, zone = name.partition("-")
        assert subnet.inputs["availabilityZone"] == zone
        assert subnet.inputs["vpcId"] == "vpc-id"
        # the machine, not its subnet, determines whether it is public
        assert "mapPublicIpOnLaunch" not in subnet.inputs
        assert joined[name].inputs["subnetId"] == f"{name}-id"
        assert joined[name].inputs["routeTableId"] == ("public-id" if kind == "public" else f"{name}-id")


@pytest.mark.parametrize(
    ("changes", "public", "gateways"),
    [
        ({"nat_gateways": "none", "bastion": False}, (), ()),
        ({"nat_gateways": "none", "bastion": True}, ZONES[:1], ()),
        ({"nat_gateways": "one", "bastion": False}, ZONES[:1], ZONES[:1]),
        ({"nat_gateways": "one", "bastion": True}, ZONES[:1], ZONES[:1]),
        ({"nat_gateways": "zone", "bastion": False}, ZONES, ZONES),
    ],
)
def test_private_hosts_have_public_subnets_only_where_needed(
    changes: dict[str, Any], public: tuple[str, ...], gateways: tuple[str, ...]
) -> None:
    found, network = run(aws_mocks.prod(**changes))
    assert {name for name in blocks(found) if name.startswith("public")} == {f"public-{zone}" for zone in public}
    assert set(of_type(found, "ec2/natGateway:NatGateway")) == {f"nat-{zone}" for zone in gateways}
    assert bool(of_type(found, "ec2/internetGateway:InternetGateway")) is bool(public)
    assert (network.bastion_subnet is not None) is bool(public)
    if changes["nat_gateways"] == "one":
        assert {routes(found)[f"private-{zone}-id"] for zone in ZONES} == {f"nat-{ZONES[0]}-id"}
    if changes["nat_gateways"] == "none":
        assert not any(table.startswith("private") for table in routes(found))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"zones": 1}, {"zones": 3}),
        ({"nat_gateways": "none"}, {"nat_gateways": "one"}),
        ({"nat_gateways": "one"}, {"nat_gateways": "zone"}),
        ({"nat_gateways": "none", "bastion": False}, {"nat_gateways": "none", "bastion": True}),
    ],
)
def test_growth_changes_no_existing_subnet(before: dict[str, Any], after: dict[str, Any]) -> None:
    small, large = run(aws_mocks.prod(**before))[0], run(aws_mocks.prod(**after))[0]
    assert small.keys() <= large.keys()
    differ = {key for key in small if small[key].inputs != large[key].inputs}
    # the S3 endpoint gets the new route tables, and routes may have a nearer gateway: both are updated in place
    assert all("VpcEndpoint" in key or ":Route/private" in key for key in differ), differ


@BOTH
@pytest.mark.parametrize("of", [aws_mocks.settings(zones=3), aws_mocks.prod(), aws_mocks.prod(nat_gateways="none")])
def test_every_route_table_has_the_way_to_s3(of: AwsSettings, preview: bool) -> None:
    found, _ = run(of, preview=preview)
    (endpoint,) = of_type(found, "ec2/vpcEndpoint:VpcEndpoint").values()
    assert endpoint.inputs["vpcEndpointType"] == "Gateway"
    assert endpoint.inputs["serviceName"] == "com.amazonaws.eu-central-1.s3"
    tables = sorted(id_of(name, preview=preview) for name in of_type(found, "ec2/routeTable:RouteTable"))
    assert tables and sorted(endpoint.inputs["routeTableIds"]) == tables


@BOTH
def test_the_vpc_answers_for_the_private_zones_names(preview: bool) -> None:
    found, network = run(aws_mocks.settings(), preview=preview)
    vpc = found["aws:ec2/vpc:Vpc/vpc"].inputs
    assert (vpc["cidrBlock"], vpc["enableDnsSupport"], vpc["enableDnsHostnames"]) == ("10.20.0.0/16", True, True)
    zone = found["aws:route53/zone:Zone/names"].inputs
    assert zone["name"] == network.domain == "dev.flink.internal"
    assert zone["vpcs"] == [{"vpcId": id_of("vpc", preview=preview)}]
    assert zone["forceDestroy"] is True


def test_a_host_comes_after_its_way_out_and_goes_before_it() -> None:
    of = aws_mocks.settings(zones=1)
    seen: list[Any] = []

    def program() -> pulumi.Output[Any]:
        args = NetworkArgs(settings=of, labels=aws_mocks.labels(of), zones=ZONES[:1])
        subnet = Network("network", args).subnets[0]
        return pulumi.Output.from_input(subnet.id).apply(seen.append)

    found = aws_mocks.register(program, preview=False)
    assert seen == ["public-eu-central-1a-id"]
    joined = found["aws:ec2/routeTableAssociation:RouteTableAssociation/public-eu-central-1a"]
    assert "aws:ec2/route:Route/public" in joined.after
    assert "aws:ec2/internetGateway:InternetGateway/internet" in found["aws:ec2/route:Route/public"].after


@BOTH
def test_nothing_of_an_existing_vpc_changes_but_for_a_hosted_zone(preview: bool) -> None:
    given = tuple(Subnet(zone=zone, id=f"subnet-{zone[-1] * 8}", public=False) for zone in ZONES)
    of = aws_mocks.prod(
        vpc_id="vpc-12345678", subnet_ids=tuple(subnet.id for subnet in given), nat_gateways="none", bastion=False
    )
    found, network = run(of, preview=preview, given=given)
    assert set(found) == {"flink:aws:Network/network", "aws:route53/zone:Zone/names"}
    assert found["aws:route53/zone:Zone/names"].inputs["vpcs"] == [{"vpcId": "vpc-12345678"}]
    assert network.subnets == list(given) and network.vpc_id == "vpc-12345678"
    assert network.bastion_subnet is None


@pytest.mark.parametrize("of", [aws_mocks.settings(zones=3), aws_mocks.prod()])
def test_the_vpcs_default_group_and_tables_are_left_alone(of: AwsSettings) -> None:
    assert not [key for key in run(of)[0] if "Default" in key or "Main" in key or "NetworkAcl" in key]

"""The network: a new or an existing VPC, subnets by zone, routes to the internet, and a private DNS zone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import cast

import pulumi
from pulumi_aws import ec2, route53

from .. import naming
from ..naming import Labels
from . import names, subnets
from .declaration import AwsSettings

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet for hosts, one for each zone."""

    zone: str
    id: pulumi.Input[str]
    public: bool
    cidr: str = ""
    """Its addresses; empty if nobody has to know them."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """Arguments of `Network`."""

    settings: AwsSettings
    labels: Labels
    zones: Sequence[str]
    """Names of the availability zones, as many as in the settings."""
    subnets: Sequence[Subnet] = ()
    """Subnets of an existing VPC."""


class Network(pulumi.ComponentResource):
    """The subnets of the hosts, and their private domain. In an existing VPC only the domain is created."""

    vpc_id: pulumi.Input[str]
    subnets: list[Subnet]
    """One for each zone, for the cluster's hosts. The id of a subnet resolves once its route to the internet exists."""
    balancer_subnets: list[Subnet]
    """For a load balancer, one for each zone; empty without one."""
    bastion_subnet: pulumi.Input[str] | None
    """A public subnet, if there is one."""
    zone_id: pulumi.Output[str]
    """The private Route 53 zone."""
    domain: str

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Network"), name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if args.settings.vpc_id:
            self.vpc_id = args.settings.vpc_id
            self.subnets = public = list(args.subnets)
        else:
            own = _Vpc(args, child)
            self.vpc_id, self.subnets, public = own.id, own.private or own.public, own.public
        balancer = args.settings.balancer
        self.balancer_subnets = (self.subnets if balancer.internal else public) if balancer else []
        self.bastion_subnet = next((subnet.id for subnet in public if subnet.public), None)
        self.domain = names.domain(args.labels.stack)
        self.zone_id = self._names(args.labels, child).zone_id
        self.register_outputs({"vpcId": self.vpc_id, "domain": self.domain, "zoneId": self.zone_id})

    def _names(self, labels: Labels, child: pulumi.ResourceOptions) -> route53.Zone:
        return route53.Zone(
            "names",
            name=self.domain,
            comment=f"Hosts of the Flink cluster {labels.stack}",
            vpcs=[route53.ZoneVpcArgs(vpc_id=self.vpc_id)],
            # Records that somebody added by hand must not make `destroy` fail
            force_destroy=True,
            tags=labels.tags(f"{labels.stack}-names"),
            opts=child,
        )


class _Vpc:
    """A new VPC. Its default security group is not changed, because no machine uses it."""

    def __init__(self, args: NetworkArgs, child: pulumi.ResourceOptions) -> None:
        self._args, self._settings, self._child = args, args.settings, child
        plan = subnets.plan(args.settings.vpc_cidr)
        self.id = ec2.Vpc(
            "vpc",
            cidr_block=args.settings.vpc_cidr,
            # A private DNS zone works only with both of these attributes
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._tags("vpc"),
            opts=child,
        ).id
        self._tables: list[ec2.RouteTable] = []
        self.public = self._public(dict(zip(self._zones_with_public(), plan.public, strict=False)))
        private = zip(args.zones, plan.private, strict=False) if args.settings.private_subnets else ()
        self.private = self._private(dict(private))
        self._s3_endpoint()

    def _tags(self, name: str) -> dict[str, str]:
        return self._args.labels.tags(f"{self._args.labels.stack}-{name}")

    def _zones_with_public(self) -> Sequence[str]:
        """The zones with a public subnet: for public hosts, a load balancer, a NAT gateway or the bastion."""
        outside = self._settings.balancer and not self._settings.balancer.internal
        if not self._settings.private_subnets or self._settings.nat_gateways == "zone" or outside:
            return self._args.zones
        return self._args.zones[: 1 if self._settings.bastion or self._settings.nat_gateways == "one" else 0]

    def _public(self, blocks: Mapping[str, IPv4Network]) -> list[Subnet]:
        if not blocks:
            return []
        internet = ec2.InternetGateway("internet", vpc_id=self.id, tags=self._tags("internet"), opts=self._child)
        table = self._table("public")
        out = ec2.Route(
            "public",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            gateway_id=internet.id,
            opts=self._child,
        )
        return [self._subnet(zone, block, table, [out], public=True) for zone, block in blocks.items()]

    def _private(self, blocks: Mapping[str, IPv4Network]) -> list[Subnet]:
        """Each zone has its own route table, so that adding NAT gateways changes routes but no subnets."""
        gateways = self._nat_gateways()
        found = []
        for zone, block in blocks.items():
            table = self._table(f"private-{zone}")
            gateway = gateways.get(zone, next(iter(gateways.values()), None))
            out = [] if gateway is None else [self._nat_route(zone, table, gateway)]
            found.append(self._subnet(zone, block, table, out, public=False))
        return found

    def _nat_gateways(self) -> dict[str, ec2.NatGateway]:
        """NAT gateways by zone, each with a static public address."""
        count = {"none": 0, "one": 1, "zone": len(self._args.zones)}[self._settings.nat_gateways]
        found = {}
        for subnet in self.public[:count]:
            name = f"nat-{subnet.zone}"
            address = ec2.Eip(name, domain="vpc", tags=self._tags(name), opts=self._child)
            found[subnet.zone] = ec2.NatGateway(
                name, allocation_id=address.id, subnet_id=subnet.id, tags=self._tags(name), opts=self._child
            )
        return found

    def _nat_route(self, zone: str, table: ec2.RouteTable, gateway: ec2.NatGateway) -> ec2.Route:
        return ec2.Route(
            f"private-{zone}",
            route_table_id=table.id,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=gateway.id,
            opts=self._child,
        )

    def _table(self, name: str) -> ec2.RouteTable:
        table = ec2.RouteTable(name, vpc_id=self.id, tags=self._tags(name), opts=self._child)
        self._tables.append(table)
        return table

    def _subnet(
        self, zone: str, block: IPv4Network, table: ec2.RouteTable, out: Sequence[ec2.Route], *, public: bool
    ) -> Subnet:
        name = f"{'public' if public else 'private'}-{zone}"
        # The machine, not the subnet, decides whether it gets a public address
        subnet = ec2.Subnet(
            name,
            vpc_id=self.id,
            availability_zone=zone,
            cidr_block=str(block),
            tags=self._tags(name),
            opts=self._child,
        )
        # A machine may need the internet at its first boot, and AWS does not detach the internet gateway while machines
        # have public addresses. So what uses this id is created after the route, and deleted before it
        joined = ec2.RouteTableAssociation(
            name,
            subnet_id=subnet.id,
            route_table_id=table.id,
            opts=pulumi.ResourceOptions(parent=self._child.parent, depends_on=out),
        )
        return Subnet(zone=zone, id=cast(pulumi.Output[str], joined.subnet_id), public=public, cidr=str(block))

    def _s3_endpoint(self) -> None:
        """Access to S3 without NAT and without traffic charges. The instance profile decides what is allowed there."""
        ec2.VpcEndpoint(
            "s3",
            vpc_id=self.id,
            vpc_endpoint_type="Gateway",
            service_name=f"com.amazonaws.{self._settings.region}.s3",
            route_table_ids=[table.id for table in self._tables],
            tags=self._tags("s3"),
            opts=self._child,
        )

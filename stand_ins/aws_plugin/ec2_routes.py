"""EC2: route tables, their routes and subnets, elastic addresses and NAT gateways."""

from __future__ import annotations

import zlib
from typing import Any

from stand_ins.aws_plugin.ec2 import (
    Ec2Resource,
    arn,
    given,
    made,
    network_failure,
    one,
    specification,
    tags_of,
    when_unused,
)
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object

_TARGETS = {"gatewayId": "GatewayId", "natGatewayId": "NatGatewayId"}


class RouteTable(Ec2Resource):
    """A route table; its routes are separate resources."""

    token = "aws:ec2/routeTable:RouteTable"
    kind = "EC2 Route Table"
    supported = frozenset({"vpcId"})
    replaces = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId", "propagatingVgws", "routes"})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        table = aws.client("ec2").create_route_table(
            VpcId=inputs["vpcId"], TagSpecifications=specification("route-table", inputs)
        )["RouteTable"]
        return table["RouteTableId"], self.found(table["RouteTableId"], inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The table. Its routes are not included: those of a program are separate resources."""
        [table] = aws.client("ec2").describe_route_tables(RouteTableIds=[id])["RouteTables"]
        return {
            "arn": arn(aws, f"route-table/{id}"),
            "ownerId": table.get("OwnerId", ""),
            "propagatingVgws": [],
            "region": aws.region,
            "routes": [],
            "tags": tags_of(table),
            "vpcId": table["VpcId"],
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Disassociate it from its subnets and delete it."""
        client = aws.client("ec2")
        [table] = client.describe_route_tables(RouteTableIds=[id])["RouteTables"]
        for association in table.get("Associations") or []:
            client.disassociate_route_table(AssociationId=association["RouteTableAssociationId"])
        when_unused(aws, id, lambda: client.delete_route_table(RouteTableId=id))


class Route(Ec2Resource):
    """A route to an internet or NAT gateway. Its id is the official plugin's: table and hash of the destination."""

    token = "aws:ec2/route:Route"
    kind = "EC2 Route"
    supported = frozenset({"destinationCidrBlock", "routeTableId", *_TARGETS})
    replaces = frozenset({"destinationCidrBlock", "routeTableId"})
    computed = frozenset({"instanceId", "instanceOwnerId", "networkInterfaceId", "origin", "state"})

    def check(self, inputs: Object) -> list[Failure]:
        """One destination and one target."""
        found = super().check(inputs)
        if "destinationCidrBlock" not in inputs:
            found.append(Failure("destinationCidrBlock", "one of the destinations must be specified"))
        if sum(name in inputs for name in _TARGETS) != 1:
            found.append(Failure("gatewayId", "one target must be specified, of `gatewayId,natGatewayId`"))
        return found + network_failure(inputs, "destinationCidrBlock", 32, 0)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Add it to its table."""
        self._refuse_unknown_target(inputs, aws)
        aws.client("ec2").create_route(**self._route(inputs))
        id = f"r-{inputs['routeTableId']}{zlib.crc32(inputs['destinationCidrBlock'].encode())}"
        return id, self.found(id, inputs, aws)

    def _route(self, inputs: Object) -> Object:
        targets = {parameter: inputs[name] for name, parameter in _TARGETS.items() if inputs.get(name)}
        destination = inputs["destinationCidrBlock"]
        return {"RouteTableId": inputs["routeTableId"], "DestinationCidrBlock": destination, **targets}

    def _refuse_unknown_target(self, inputs: Object, aws: Aws) -> None:
        """AWS reports an error for a gateway that does not exist; moto accepts it."""
        client = aws.client("ec2")
        if inputs.get("gatewayId"):
            client.describe_internet_gateways(InternetGatewayIds=[inputs["gatewayId"]])
        if inputs.get("natGatewayId") and _nat_gateway(inputs["natGatewayId"], aws) is None:
            raise Refused(
                f"operation error EC2: CreateRoute, api error InvalidNatGatewayID.NotFound: "
                f"The natGateway ID '{inputs['natGatewayId']}' does not exist"
            )

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The route in its table."""
        tables = aws.client("ec2").describe_route_tables(RouteTableIds=[state["routeTableId"]])["RouteTables"]
        for route in tables[0]["Routes"]:
            if route.get("DestinationCidrBlock") == state["destinationCidrBlock"]:
                return {
                    "destinationCidrBlock": route["DestinationCidrBlock"],
                    "gatewayId": route.get("GatewayId"),
                    "instanceId": "",
                    "instanceOwnerId": "",
                    "natGatewayId": route.get("NatGatewayId"),
                    "networkInterfaceId": "",
                    "origin": route.get("Origin", "CreateRoute"),
                    "region": aws.region,
                    "routeTableId": state["routeTableId"],
                    "state": route.get("State", "active"),
                }
        return None

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Change its target."""
        self._refuse_unknown_target(new, aws)
        aws.client("ec2").replace_route(**self._route(new))
        return self.found(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it from its table."""
        aws.client("ec2").delete_route(
            RouteTableId=state["routeTableId"], DestinationCidrBlock=state["destinationCidrBlock"]
        )


class RouteTableAssociation(Ec2Resource):
    """A subnet's route table. A subnet has one, so another table is another association."""

    token = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    kind = "EC2 Route Table Association"
    supported = frozenset({"routeTableId", "subnetId"})
    replaces = frozenset({"routeTableId", "subnetId"})
    delete_before_replace = True

    def check(self, inputs: Object) -> list[Failure]:
        """The subnet must exist."""
        missing = Failure("subnetId", "one of `gatewayId,subnetId` must be specified")
        return super().check(inputs) + ([] if "subnetId" in inputs else [missing])

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Associate them; AWS refuses a second table for a subnet."""
        client = aws.client("ec2")
        of_subnet = [{"Name": "association.subnet-id", "Values": [inputs["subnetId"]]}]
        for table in client.describe_route_tables(Filters=of_subnet)["RouteTables"]:
            if table["RouteTableId"] != inputs["routeTableId"]:
                raise Refused(
                    "operation error EC2: AssociateRouteTable, api error Resource.AlreadyAssociated: "
                    f"the specified association for route table {inputs['routeTableId']} conflicts with an "
                    f"existing association of {inputs['subnetId']} with {table['RouteTableId']}"
                )
        id = client.associate_route_table(RouteTableId=inputs["routeTableId"], SubnetId=inputs["subnetId"])[
            "AssociationId"
        ]
        return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The association, whichever table has it now."""
        by_id = [{"Name": "association.route-table-association-id", "Values": [id]}]
        for table in aws.client("ec2").describe_route_tables(Filters=by_id)["RouteTables"]:
            for association in table["Associations"]:
                if association["RouteTableAssociationId"] == id:
                    return {
                        "region": aws.region,
                        "routeTableId": table["RouteTableId"],
                        "subnetId": association.get("SubnetId"),
                    }
        return None

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Return the subnet to the main table."""
        aws.client("ec2").disassociate_route_table(AssociationId=id)


class Eip(Ec2Resource):
    """A public address."""

    token = "aws:ec2/eip:Eip"
    kind = "EC2 EIP"
    supported = frozenset({"domain"})
    replaces = frozenset({"domain"})
    computed = frozenset(
        {
            *("allocationId", "arn", "associationId", "domain", "instance", "networkInterface", "privateDns"),
            *("privateIp", "ptrRecord", "publicDns", "publicIp"),
        }
    )

    def check(self, inputs: Object) -> list[Failure]:
        """Only for a VPC: AWS has no others any more."""
        return super().check(inputs) + failures_of_choice(inputs, {"domain": ("vpc",)})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Allocate it."""
        id = aws.client("ec2").allocate_address(Domain="vpc", TagSpecifications=specification("elastic-ip", inputs))[
            "AllocationId"
        ]
        return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The address and what it is attached to."""
        [address] = aws.client("ec2").describe_addresses(AllocationIds=[id])["Addresses"]
        public = address["PublicIp"]
        zone = "compute-1" if aws.region == "us-east-1" else f"{aws.region}.compute"
        return {
            "allocationId": id,
            "arn": arn(aws, f"elastic-ip/{id}"),
            "associationId": address.get("AssociationId", ""),
            "domain": address.get("Domain", "vpc"),
            "instance": address.get("InstanceId", ""),
            "networkInterface": address.get("NetworkInterfaceId", ""),
            "privateIp": address.get("PrivateIpAddress", ""),
            "publicDns": f"ec2-{public.replace('.', '-')}.{zone}.amazonaws.com",
            "publicIp": public,
            "region": aws.region,
            "tags": tags_of(address),
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Release it."""
        aws.client("ec2").release_address(AllocationId=id)


class NatGateway(Ec2Resource):
    """The connection to the Internet for machines without a public address."""

    token = "aws:ec2/natGateway:NatGateway"
    kind = "EC2 NAT Gateway"
    supported = frozenset({"allocationId", "connectivityType", "subnetId"})
    replaces = frozenset({"allocationId", "connectivityType", "subnetId"})
    defaults = {"connectivityType": "public"}
    computed = frozenset({"associationId", "networkInterfaceId", "privateIp", "publicIp"})

    def check(self, inputs: Object) -> list[Failure]:
        """A public one has an elastic address."""
        found = super().check(inputs)
        if inputs.get("connectivityType") == "public" and "allocationId" not in inputs:
            found.append(Failure("allocationId", "`allocationId` is needed where `connectivityType` is `public`"))
        return found + failures_of_choice(inputs, {"connectivityType": ("public", "private")})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it and wait until it is available."""
        client = aws.client("ec2")
        if inputs.get("allocationId"):
            client.describe_addresses(AllocationIds=[inputs["allocationId"]])
        gateway = client.create_nat_gateway(
            SubnetId=inputs["subnetId"],
            ConnectivityType=inputs["connectivityType"],
            TagSpecifications=specification("natgateway", inputs),
            **given(AllocationId=inputs.get("allocationId")),
        )["NatGateway"]
        id = gateway["NatGatewayId"]
        with made(id):
            aws.until(f"{id} to be available", lambda: self._is_available(id, aws) or None)
            return id, self.found(id, inputs, aws)

    def _is_available(self, id: str, aws: Aws) -> bool:
        gateway = _nat_gateway(id, aws)
        if gateway is not None and gateway["State"] == "failed":
            raise Refused(f"{id} failed: {gateway.get('FailureCode')}: {gateway.get('FailureMessage')}")
        return gateway is not None and gateway["State"] == "available"

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The gateway and its addresses."""
        gateway = _nat_gateway(id, aws)
        if gateway is None:
            return None
        address = one(gateway.get("NatGatewayAddresses") or []) or {}
        return {
            "allocationId": address.get("AllocationId"),
            "associationId": address.get("AssociationId", ""),
            "connectivityType": gateway.get("ConnectivityType", "public"),
            "networkInterfaceId": address.get("NetworkInterfaceId", ""),
            "privateIp": address.get("PrivateIp", ""),
            "publicIp": address.get("PublicIp", ""),
            "region": aws.region,
            "subnetId": gateway["SubnetId"],
            "tags": tags_of(gateway),
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it and wait until it is deleted: until then it uses its address and subnet."""
        client = aws.client("ec2")
        if _nat_gateway(id, aws) is None:
            return
        client.delete_nat_gateway(NatGatewayId=id)
        aws.until(f"{id} to be deleted", lambda: True if _nat_gateway(id, aws) is None else None)
        # moto keeps its interface, which AWS deletes.
        left = [{"Name": "network-interface-id", "Values": [state.get("networkInterfaceId") or "none"]}]
        for interface in client.describe_network_interfaces(Filters=left)["NetworkInterfaces"]:
            client.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])


def _nat_gateway(id: str, aws: Aws) -> Any | None:
    by_id = [{"Name": "nat-gateway-id", "Values": [id]}]
    found = aws.client("ec2").describe_nat_gateways(Filters=by_id)["NatGateways"]
    return one([gateway for gateway in found if gateway["State"] != "deleted"])


RESOURCES: dict[str, Resource] = {
    resource.token: resource for resource in (RouteTable(), Route(), RouteTableAssociation(), Eip(), NatGateway())
}

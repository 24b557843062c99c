"""EC2: VPCs, subnets, internet gateways and gateway endpoints."""

from __future__ import annotations

from stand_ins.aws_plugin.aws import is_gone
from stand_ins.aws_plugin.ec2 import (
    Ec2Resource,
    arn,
    given,
    made,
    network_failure,
    one,
    specification,
    tags_of,
    until_unused,
    when_unused,
)
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object


class Vpc(Ec2Resource):
    """A network of its own."""

    token = "aws:ec2/vpc:Vpc"
    kind = "EC2 VPC"
    supported = frozenset({"cidrBlock", "enableDnsHostnames", "enableDnsSupport", "instanceTenancy"})
    replaces = frozenset({"cidrBlock", "instanceTenancy"})
    defaults = {"enableDnsSupport": True, "instanceTenancy": "default"}
    computed = frozenset(
        {
            *("arn", "defaultNetworkAclId", "defaultRouteTableId", "defaultSecurityGroupId", "dhcpOptionsId"),
            *("enableDnsHostnames", "mainRouteTableId", "ownerId"),
        }
    )

    def check(self, inputs: Object) -> list[Failure]:
        """The size of the network, which is /16 to /28."""
        found = super().check(inputs)
        if "cidrBlock" not in inputs:
            found.append(Failure("cidrBlock", "one of `cidrBlock,ipv4IpamPoolId` must be specified"))
        found.extend(network_failure(inputs, "cidrBlock", 28, 16))
        return found + failures_of_choice(inputs, {"instanceTenancy": ("default", "dedicated")})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it, then set what only an update can set."""
        client = aws.client("ec2")
        vpc = client.create_vpc(
            CidrBlock=inputs["cidrBlock"],
            InstanceTenancy=inputs["instanceTenancy"],
            TagSpecifications=specification("vpc", inputs),
        )["Vpc"]
        id = vpc["VpcId"]
        with made(id):
            aws.until(f"{id} to be available", lambda: self._available(id, aws))
            self.modify(id, {"enableDnsSupport": True, "enableDnsHostnames": False}, inputs, aws)
            return id, self.found(id, inputs, aws)

    def _available(self, id: str, aws: Aws) -> bool | None:
        [vpc] = aws.client("ec2").describe_vpcs(VpcIds=[id])["Vpcs"]
        return True if vpc["State"] == "available" else None

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The network with its defaults."""
        client = aws.client("ec2")
        [vpc] = client.describe_vpcs(VpcIds=[id])["Vpcs"]
        of_vpc = [{"Name": "vpc-id", "Values": [id]}]
        main = client.describe_route_tables(Filters=[*of_vpc, {"Name": "association.main", "Values": ["true"]}])
        group = client.describe_security_groups(Filters=[*of_vpc, {"Name": "group-name", "Values": ["default"]}])
        acl = client.describe_network_acls(Filters=[*of_vpc, {"Name": "default", "Values": ["true"]}])
        table_id = (one(main["RouteTables"]) or {}).get("RouteTableId", "")
        return {
            "arn": arn(aws, f"vpc/{id}"),
            "cidrBlock": vpc["CidrBlock"],
            "defaultNetworkAclId": (one(acl["NetworkAcls"]) or {}).get("NetworkAclId", ""),
            "defaultRouteTableId": table_id,
            "defaultSecurityGroupId": (one(group["SecurityGroups"]) or {}).get("GroupId", ""),
            "dhcpOptionsId": vpc.get("DhcpOptionsId", ""),
            "enableDnsHostnames": self._attribute(id, "enableDnsHostnames", aws),
            "enableDnsSupport": self._attribute(id, "enableDnsSupport", aws),
            "instanceTenancy": vpc["InstanceTenancy"],
            "mainRouteTableId": table_id,
            "ownerId": vpc.get("OwnerId", ""),
            "region": aws.region,
            "tags": tags_of(vpc),
        }

    def _attribute(self, id: str, name: str, aws: Aws) -> bool:
        answer = aws.client("ec2").describe_vpc_attribute(VpcId=id, Attribute=name)
        return bool(answer[name[0].upper() + name[1:]]["Value"])

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """Names by DNS: one attribute for each call, as AWS requires; hostnames need the support."""
        client = aws.client("ec2")
        for name, default in (("enableDnsSupport", True), ("enableDnsHostnames", False)):
            value = bool(new.get(name, default))
            if value != bool(old.get(name, default)):
                client.modify_vpc_attribute(VpcId=id, **{name[0].upper() + name[1:]: {"Value": value}})

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it as soon as it is empty."""
        when_unused(aws, id, lambda: aws.client("ec2").delete_vpc(VpcId=id))


class Subnet(Ec2Resource):
    """A part of a network, in one zone."""

    token = "aws:ec2/subnet:Subnet"
    kind = "EC2 Subnet"
    supported = frozenset({"availabilityZone", "cidrBlock", "mapPublicIpOnLaunch", "vpcId"})
    replaces = frozenset({"availabilityZone", "cidrBlock", "vpcId"})
    defaults = {"mapPublicIpOnLaunch": False}
    computed = frozenset({"arn", "availabilityZone", "availabilityZoneId", "ownerId"})

    def check(self, inputs: Object) -> list[Failure]:
        """The size of the network, which is /16 to /28."""
        found = super().check(inputs)
        if "cidrBlock" not in inputs:
            found.append(Failure("cidrBlock", "InvalidParameterValue: one of cidrBlock and ipv6CidrBlock is needed"))
        return found + network_failure(inputs, "cidrBlock", 28, 16)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it, then set what only an update can set."""
        subnet = aws.client("ec2").create_subnet(
            VpcId=inputs["vpcId"],
            CidrBlock=inputs["cidrBlock"],
            TagSpecifications=specification("subnet", inputs),
            **given(AvailabilityZone=inputs.get("availabilityZone")),
        )["Subnet"]
        id = subnet["SubnetId"]
        with made(id):
            self.modify(id, {"mapPublicIpOnLaunch": False}, inputs, aws)
            return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The subnet."""
        [subnet] = aws.client("ec2").describe_subnets(SubnetIds=[id])["Subnets"]
        return {
            "arn": subnet.get("SubnetArn") or arn(aws, f"subnet/{id}"),
            "availabilityZone": subnet["AvailabilityZone"],
            "availabilityZoneId": subnet.get("AvailabilityZoneId", ""),
            "cidrBlock": subnet["CidrBlock"],
            "mapPublicIpOnLaunch": subnet["MapPublicIpOnLaunch"],
            "ownerId": subnet.get("OwnerId", ""),
            "region": aws.region,
            "tags": tags_of(subnet),
            "vpcId": subnet["VpcId"],
        }

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """Whether machines in it get public addresses."""
        value = bool(new.get("mapPublicIpOnLaunch"))
        if value != bool(old.get("mapPublicIpOnLaunch")):
            aws.client("ec2").modify_subnet_attribute(SubnetId=id, MapPublicIpOnLaunch={"Value": value})

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it as soon as no machine has an interface in it, which moto does not check."""
        until_unused(aws, id, lambda: self._is_empty(id, aws))
        aws.client("ec2").delete_subnet(SubnetId=id)

    def _is_empty(self, id: str, aws: Aws) -> bool:
        in_it = [{"Name": "subnet-id", "Values": [id]}]
        return not aws.client("ec2").describe_network_interfaces(Filters=in_it)["NetworkInterfaces"]


class InternetGateway(Ec2Resource):
    """A network's internet gateway."""

    token = "aws:ec2/internetGateway:InternetGateway"
    kind = "EC2 Internet Gateway"
    supported = frozenset({"vpcId"})
    computed = frozenset({"arn", "ownerId"})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create and attach it."""
        if inputs.get("vpcId"):
            self._refuse_second(inputs["vpcId"], aws)
        specifications = specification("internet-gateway", inputs)
        gateway = aws.client("ec2").create_internet_gateway(TagSpecifications=specifications)["InternetGateway"]
        id = gateway["InternetGatewayId"]
        with made(id):
            self.modify(id, {}, inputs, aws)
            return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The gateway and its network."""
        [gateway] = aws.client("ec2").describe_internet_gateways(InternetGatewayIds=[id])["InternetGateways"]
        attached = one(gateway.get("Attachments") or [])
        return {
            "arn": arn(aws, f"internet-gateway/{id}"),
            "ownerId": gateway.get("OwnerId", ""),
            "region": aws.region,
            "tags": tags_of(gateway),
            "vpcId": attached["VpcId"] if attached else None,
        }

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """Attach it to another network."""
        before, after = old.get("vpcId"), new.get("vpcId")
        if before and before != after:
            self._detach(id, before, aws)
        if after and before != after:
            aws.client("ec2").attach_internet_gateway(InternetGatewayId=id, VpcId=after)

    def _refuse_second(self, vpc: str, aws: Aws) -> None:
        """A network has at most one; moto accepts more."""
        of_vpc = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
        for other in aws.client("ec2").describe_internet_gateways(Filters=of_vpc)["InternetGateways"]:
            raise Refused(
                "operation error EC2: AttachInternetGateway, api error Resource.AlreadyAssociated: resource "
                f"{other['InternetGatewayId']} is already attached to network {vpc}"
            )

    def _detach(self, id: str, vpc: str, aws: Aws) -> None:
        client = aws.client("ec2")
        when_unused(aws, id, lambda: client.detach_internet_gateway(InternetGatewayId=id, VpcId=vpc))

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Detach and delete it."""
        if state.get("vpcId"):
            self._detach(id, state["vpcId"], aws)
        when_unused(aws, id, lambda: aws.client("ec2").delete_internet_gateway(InternetGatewayId=id))


class VpcEndpoint(Ec2Resource):
    """A gateway endpoint: a free connection to a service of AWS, not through the Internet."""

    token = "aws:ec2/vpcEndpoint:VpcEndpoint"
    kind = "EC2 VPC Endpoint"
    supported = frozenset({"policy", "routeTableIds", "serviceName", "vpcEndpointType", "vpcId"})
    replaces = frozenset({"serviceName", "vpcEndpointType", "vpcId"})
    defaults = {"vpcEndpointType": "Gateway"}
    computed = frozenset({"arn", "cidrBlocks", "ownerId", "policy", "prefixListId", "state"})
    sets = frozenset({"routeTableIds"})

    def check(self, inputs: Object) -> list[Failure]:
        """Only gateways: other endpoints cost by the hour."""
        return super().check(inputs) + failures_of_choice(inputs, {"vpcEndpointType": ("Gateway",)})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it with its routes."""
        client = aws.client("ec2")
        service = inputs.get("serviceName")
        # AWS answers an unknown name with an error, which moto has only here.
        client.describe_vpc_endpoint_services(ServiceNames=[service])
        client.describe_vpcs(VpcIds=[inputs["vpcId"]])
        endpoint = client.create_vpc_endpoint(
            VpcEndpointType=inputs["vpcEndpointType"],
            VpcId=inputs["vpcId"],
            ServiceName=service,
            RouteTableIds=inputs.get("routeTableIds") or [],
            TagSpecifications=specification("vpc-endpoint", inputs),
            **given(PolicyDocument=inputs.get("policy")),
        )["VpcEndpoint"]
        id = endpoint["VpcEndpointId"]
        return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The endpoint with its routes."""
        client = aws.client("ec2")
        endpoint = one(client.describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"])
        if endpoint is None or endpoint["State"].lower() in ("deleted", "deleting"):
            return None
        named = [{"Name": "prefix-list-name", "Values": [endpoint["ServiceName"]]}]
        prefixes = one(client.describe_managed_prefix_lists(Filters=named)["PrefixLists"]) or {}
        return {
            "arn": arn(aws, f"vpc-endpoint/{id}"),
            "cidrBlocks": [],
            "ownerId": endpoint.get("OwnerId", ""),
            "policy": endpoint.get("PolicyDocument", ""),
            "prefixListId": prefixes.get("PrefixListId", ""),
            "region": aws.region,
            "routeTableIds": sorted(endpoint.get("RouteTableIds") or []),
            "serviceName": endpoint["ServiceName"],
            "state": endpoint["State"].lower(),
            "tags": tags_of(endpoint),
            "vpcEndpointType": endpoint["VpcEndpointType"],
            "vpcId": endpoint["VpcId"],
        }

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """Its route tables, and its policy."""
        before, after = set(old.get("routeTableIds") or []), set(new.get("routeTableIds") or [])
        changes = {"AddRouteTableIds": sorted(after - before), "RemoveRouteTableIds": sorted(before - after)}
        changes = {name: ids for name, ids in changes.items() if ids}
        if new.get("policy") and new["policy"] != old.get("policy"):
            changes["PolicyDocument"] = new["policy"]
        if changes:
            aws.client("ec2").modify_vpc_endpoint(VpcEndpointId=id, **changes)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it and wait until it is gone."""
        client = aws.client("ec2")
        problems = client.delete_vpc_endpoints(VpcEndpointIds=[id]).get("Unsuccessful") or []
        for problem in problems:
            if "NotFound" not in problem["Error"]["Code"]:
                raise Refused(f"api error {problem['Error']['Code']}: {problem['Error']['Message']}")
        aws.until(f"{id} to be deleted", lambda: self._is_gone(id, aws) or None)

    def _is_gone(self, id: str, aws: Aws) -> bool:
        from botocore.exceptions import ClientError

        try:
            found = aws.client("ec2").describe_vpc_endpoints(VpcEndpointIds=[id])["VpcEndpoints"]
        except ClientError as error:
            if is_gone(error):
                return True
            raise
        return all(endpoint["State"].lower() == "deleted" for endpoint in found)


RESOURCES: dict[str, Resource] = {
    resource.token: resource for resource in (Vpc(), Subnet(), InternetGateway(), VpcEndpoint())
}

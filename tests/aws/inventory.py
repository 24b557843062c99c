"""The inventory of an account, by the APIs of all services in use: no resource of a stack can be missed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

ENDED = ("terminated", "shutting-down", "deleted", "deleting", "cancelled", "closed", "failed")
"""States of deleted objects that AWS still returns for a while."""

EC2 = {
    "describe_addresses": ("Addresses", "AllocationId"),
    "describe_dhcp_options": ("DhcpOptions", "DhcpOptionsId"),
    "describe_egress_only_internet_gateways": ("EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId"),
    "describe_internet_gateways": ("InternetGateways", "InternetGatewayId"),
    "describe_key_pairs": ("KeyPairs", "KeyPairId"),
    "describe_launch_templates": ("LaunchTemplates", "LaunchTemplateId"),
    "describe_nat_gateways": ("NatGateways", "NatGatewayId"),
    "describe_network_acls": ("NetworkAcls", "NetworkAclId"),
    "describe_network_interfaces": ("NetworkInterfaces", "NetworkInterfaceId"),
    "describe_route_tables": ("RouteTables", "RouteTableId"),
    "describe_security_group_rules": ("SecurityGroupRules", "SecurityGroupRuleId"),
    "describe_security_groups": ("SecurityGroups", "GroupId"),
    "describe_spot_instance_requests": ("SpotInstanceRequests", "SpotInstanceRequestId"),
    "describe_subnets": ("Subnets", "SubnetId"),
    "describe_volumes": ("Volumes", "VolumeId"),
    "describe_vpc_endpoints": ("VpcEndpoints", "VpcEndpointId"),
    "describe_vpcs": ("Vpcs", "VpcId"),
}
EVENTS = {
    "list_api_destinations": ("ApiDestinations", "ApiDestinationArn"),
    "list_connections": ("Connections", "ConnectionArn"),
    "list_rules": ("Rules", "Arn"),
}
IAM = {
    "list_groups": ("Groups", "Arn"),
    "list_instance_profiles": ("InstanceProfiles", "Arn"),
    "list_roles": ("Roles", "Arn"),
    "list_users": ("Users", "Arn"),
}


@cache
def client(service: str, endpoint: str, region: str) -> Any:
    """A boto3 client of a test, whose calls are not recorded as the deploying identity's."""
    config = Config(s3={"addressing_style": "path"}, proxies={}, retries={"mode": "standard", "max_attempts": 3})
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="observer",
        aws_secret_access_key="observer",
        config=config,
    )


def machines(endpoint: str, region: str) -> dict[str, str]:
    """Id of each existing instance, by its tag Name."""
    found = {}
    for instance in _instances(client("ec2", endpoint, region)):
        tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
        found[tags.get("Name", instance["InstanceId"])] = instance["InstanceId"]
    return found


def everything(endpoint: str, region: str) -> set[str]:
    """All existing objects, as `kind id`."""

    def of(service: str) -> Any:
        return client(service, endpoint, region)

    found = {f"instance {instance['InstanceId']}" for instance in _instances(of("ec2"))}
    for service, calls in (("ec2", EC2), ("iam", IAM)):
        for call, (key, id_key) in calls.items():
            items = list(_items(getattr(of(service), call), key))
            found |= {f"{key} {item[id_key]}" for item in items if _lives(item)}
    for call, (key, id_key) in EVENTS.items():
        found |= {f"{key} {item[id_key]}" for item in getattr(of("events"), call)()[key]}
    found |= {f"Policies {item['Arn']}" for item in of("iam").list_policies(Scope="Local")["Policies"]}
    found |= {f"PlacementGroups {it['GroupId']}" for it in of("ec2").describe_placement_groups()["PlacementGroups"]}
    found |= {f"LifecyclePolicies {item['PolicyId']}" for item in of("dlm").get_lifecycle_policies()["Policies"]}
    found |= {f"HostedZones {item['Id']}" for item in of("route53").list_hosted_zones()["HostedZones"]}
    for call, key, id_key in (
        ("describe_load_balancers", "LoadBalancers", "LoadBalancerArn"),
        ("describe_target_groups", "TargetGroups", "TargetGroupArn"),
    ):
        found |= {f"{key} {item[id_key]}" for item in getattr(of("elbv2"), call)()[key]}
    found |= {f"Buckets {item['Name']}" for item in of("s3").list_buckets()["Buckets"]}
    return found


def _items(call: Callable[..., Any], key: str) -> Iterator[dict[str, Any]]:
    token: dict[str, str] = {}
    while True:
        answer = call(**token)
        yield from answer[key]
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _lives(item: dict[str, Any]) -> bool:
    state = item.get("State", "")
    return str(state).lower() not in ENDED


def _instances(ec2: Any) -> Iterator[dict[str, Any]]:
    for reservation in _items(ec2.describe_instances, "Reservations"):
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] not in ENDED:
                yield instance

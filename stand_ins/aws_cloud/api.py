"""The state of a region in moto, read through AWS's API: everything that the data center makes real."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from stand_ins.aws_cloud.known import WATCHER

ACCESS_KEY, SECRET_KEY = "LABCLOUD", "lab-cloud"
"""moto accepts any keys."""
_ROOTS = ("/dev/sda1", "/dev/xvda")
"""The device of an instance's root volume in moto, whatever its image says."""
LIVING = ("pending", "running")


class Aws:
    """Clients for a moto server, one for each service; never through a proxy from the environment."""

    def __init__(self, endpoint: str, region: str) -> None:
        self.endpoint = endpoint
        self.region = region
        self.client = cache(self._client)

    def _client(self, service: str) -> Any:
        config = Config(
            proxies={},
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 3},
            s3={"addressing_style": "path"},
            user_agent_extra=WATCHER,
        )
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=config,
        )

    def pages(self, service: str, operation: str, key: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All items that an operation lists under `key`."""
        for page in self.client(service).get_paginator(operation).paginate(**arguments):
            yield from page[key]


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance, as EC2 describes it."""

    id: str
    name: str
    """Its tag Name; empty without one."""
    state: str
    type: str
    zone: str
    private: str
    public: str
    """Empty if it has no public address."""
    vpc: str
    subnet: str
    groups: tuple[str, ...]
    profile: str
    """Name of its instance profile; empty without one."""
    root_device: str
    image: str
    spot: bool

    @property
    def lives(self) -> bool:
        """Whether it is a machine that is on, or is starting."""
        return self.state in LIVING


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume other than an instance's root volume, or a disk of its instance store.

    `instance` is empty while it is not attached.
    """

    id: str
    gib: int
    instance: str
    device: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An inbound rule: a protocol of nftables or "" for all, ports (TCP, UDP), and sources."""

    protocol: str
    ports: tuple[int, int] | None
    cidrs: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What exists."""

    instances: Mapping[str, Instance] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    groups: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    """Inbound rules by security group."""
    zones: Mapping[str, Mapping[tuple[str, str], tuple[str, ...]]] = field(default_factory=dict)
    """Private zone (without a trailing dot) → name and type → values."""
    outside: frozenset[str] = frozenset()
    """Subnets whose instances reach the Internet without a public address: those with a route to a NAT gateway."""


def read(aws: Aws) -> Snapshot:
    """The current state."""
    instances = {instance.id: instance for instance in _instances(aws)}
    return Snapshot(
        instances=instances,
        volumes={volume.id: volume for volume in _volumes(aws, instances)},
        groups=dict(_groups(aws)),
        zones=dict(_zones(aws)),
        outside=frozenset(_outside(aws)),
    )


def _instances(aws: Aws) -> Iterator[Instance]:
    for reservation in aws.pages("ec2", "describe_instances", "Reservations"):
        for found in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
            profile = found.get("IamInstanceProfile", {}).get("Arn", "")
            yield Instance(
                id=found["InstanceId"],
                name=tags.get("Name", ""),
                state=found["State"]["Name"],
                type=found["InstanceType"],
                zone=found["Placement"]["AvailabilityZone"],
                private=found.get("PrivateIpAddress", ""),
                public=found.get("PublicIpAddress", ""),
                vpc=found.get("VpcId", ""),
                subnet=found.get("SubnetId", ""),
                groups=tuple(sorted({group["GroupId"] for group in _network(found).get("Groups", [])})),
                profile=profile.rpartition("/")[2],
                root_device=found.get("RootDeviceName", ""),
                image=found.get("ImageId", ""),
                spot=found.get("InstanceLifecycle") == "spot",
            )


def _network(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """An instance's first network interface: moto stores groups there, and not always in the instance itself."""
    interfaces = found.get("NetworkInterfaces") or [{}]
    first: Mapping[str, Any] = min(interfaces, key=lambda each: each.get("Attachment", {}).get("DeviceIndex", 0))
    return first


def _volumes(aws: Aws, instances: Mapping[str, Instance]) -> Iterator[Volume]:
    for found in aws.pages("ec2", "describe_volumes", "Volumes"):
        attached: dict[str, str] = next(iter(found.get("Attachments", [])), {})
        instance, device = attached.get("InstanceId", ""), attached.get("Device", "")
        is_root = instance in instances and device in (instances[instance].root_device, *_ROOTS)
        if found["State"] in ("available", "in-use") and not is_root:
            yield Volume(id=found["VolumeId"], gib=found["Size"], instance=instance, device=device)


def _groups(aws: Aws) -> Iterator[tuple[str, tuple[Rule, ...]]]:
    for group in aws.pages("ec2", "describe_security_groups", "SecurityGroups"):
        yield group["GroupId"], tuple(_rule(found) for found in group["IpPermissions"])


def _rule(found: Mapping[str, Any]) -> Rule:
    """A rule as EC2 returns it; IPv6 is omitted, because no host uses it."""
    protocol = {"-1": "", "1": "icmp", "6": "tcp", "17": "udp"}.get(found["IpProtocol"], found["IpProtocol"])
    ports = (found.get("FromPort", -1), found.get("ToPort", -1))
    return Rule(
        protocol=protocol,
        ports=ports if protocol in ("tcp", "udp") and ports != (-1, -1) else None,
        cidrs=tuple(sorted(each["CidrIp"] for each in found.get("IpRanges", []))),
        groups=tuple(sorted(each["GroupId"] for each in found.get("UserIdGroupPairs", []))),
    )


def _zones(aws: Aws) -> Iterator[tuple[str, dict[tuple[str, str], tuple[str, ...]]]]:
    for zone in aws.pages("route53", "list_hosted_zones", "HostedZones"):
        if zone["Config"]["PrivateZone"]:
            records = {
                (_octal(record["Name"]), record["Type"]): tuple(
                    each["Value"] for each in record.get("ResourceRecords", [])
                )
                for record in aws.pages(
                    "route53", "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"]
                )
            }
            yield zone["Name"].rstrip(".").lower(), records


def _octal(name: str) -> str:
    """A name as in a query: Route 53 writes an asterisk as \\052."""
    return name.rstrip(".").lower().replace("\\052", "*")


def _outside(aws: Aws) -> Iterator[str]:
    tables = list(aws.pages("ec2", "describe_route_tables", "RouteTables"))
    of_subnet = {
        association["SubnetId"]: table
        for table in tables
        for association in table["Associations"]
        if "SubnetId" in association
    }
    main = {
        table["VpcId"]: table
        for table in tables
        if any(association.get("Main") for association in table["Associations"])
    }
    for subnet in aws.pages("ec2", "describe_subnets", "Subnets"):
        table = of_subnet.get(subnet["SubnetId"]) or main.get(subnet["VpcId"])
        routes = table["Routes"] if table else []
        if any(route.get("DestinationCidrBlock") == "0.0.0.0/0" and route.get("NatGatewayId") for route in routes):
            yield subnet["SubnetId"]


def user_data(aws: Aws, instance: str) -> str:
    """The user data of an instance; empty if it has none."""
    found = aws.client("ec2").describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return base64.b64decode(found.get("UserData", {}).get("Value", "")).decode()


def size(aws: Aws, instance_type: str) -> tuple[int, int]:
    """CPUs and MiB of memory of an instance type."""
    found = aws.client("ec2").describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"][0]
    return found["VCpuInfo"]["DefaultVCpus"], found["MemoryInfo"]["SizeInMiB"]


def instance_store(aws: Aws, instance_type: str) -> list[int]:
    """Sizes in GiB of the NVMe disks that machines of this type have."""
    found = aws.client("ec2").describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"][0]
    store = found.get("InstanceStorageInfo") or {}
    if store.get("NvmeSupport", "unsupported") == "unsupported":
        return []
    return [disk["SizeInGB"] for disk in store["Disks"] for _ in range(disk["Count"])]


def role_of(aws: Aws, profile: str) -> tuple[str, str]:
    """Name and ARN of the role in an instance profile; empty if it has none."""
    found = aws.client("iam").get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
    role = next(iter(found["Roles"]), None)
    return (role["RoleName"], role["Arn"]) if role else ("", "")

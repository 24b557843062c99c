"""The configuration of a stack on AWS, and the checks that need no request to AWS. The others are in `facts.py`."""

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from .. import files, private_key
from ..forms import Form
from ..host import Notices, Role
from ..problems import Problems, shown
from ..roles import ROLES
from ..storage import s3
from ..storage.table import kind_of
from . import balancing, capacity, ci, disks, effects, names, placement, readings, subnets, tags
from .balancing import BalancerSettings
from .capacity import ON_DEMAND, SPOT, Lack
from .ci import HealingSettings
from .disks import ORDINARY, Performance
from .groups import GROUPS, GroupKeys

OWN_ADDRESS = "auto"
"""In `operatorCidrs`: the public address of the machine that runs Pulumi."""

NAT = ("none", "one", "zone")


def _group_keys() -> list[str]:
    """The keys of all groups, without `workers`, which applies to inventories too."""
    keys = [key for row in GROUPS.values() for key in row.all]
    return [key for key in keys if key != GROUPS[Role.TASKMANAGER].count]


MOST_GROUPS = 4
"""Further security groups of a machine: AWS allows 5 for a network interface unless the quota is raised, and one is the
stack's own: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html."""
HEALING_TOKEN = "healingToken"
ACCESS = ("ssh", "ssm")

MOST_OPERATORS = 15
"""Each network is one rule for each of three ports of a JobManager. The group has ten more rules, and the limit is 60:
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html."""
KEYS = (
    *("owner", "ephemeral", "expires", "zones", "vpcCidr", "vpcId", "subnetIds", "privateSubnets", "natGateways"),
    *("bastion", "bastionType", *_group_keys()),
    *("bucketName", "kmsKey", "savepointDays", "versionDays"),
    *("adminKeyFile", "tags", "permissionsBoundary", "instanceProfile"),
    *("healingUrl", "healingRef", HEALING_TOKEN),
    *("access", "tunnelPort", "ssmAgentVersion", "ssmAgentChecksum", "noCapacity", "newestImage"),
    balancing.KEY,
)
"""Keys of the configuration that apply to AWS only."""

# All of these match the whole text, and only ASCII digits
_REGION = Form("a region", r"[a-z]{2}(-[a-z]+)+-[0-9]", "one such as eu-central-1")
_INSTANCE_TYPE = Form("an instance type", capacity.TYPE, "one such as m6i.large")
_VPC = Form("a VPC id", r"vpc-[0-9a-f]{8,17}", "one such as vpc-0123456789abcdef0")
_SUBNET = Form("a subnet id", r"subnet-[0-9a-f]{8,17}", "one such as subnet-0123456789abcdef0")
_SECURITY_GROUP = Form("a security group's id", r"sg-[0-9a-f]{8,17}", "one such as sg-0123456789abcdef0")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_POLICY = Form(
    "the ARN of a managed policy",
    r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/([!-.0-~]+/)*[A-Za-z0-9_+=,.@-]{1,128}",
    "one such as arn:aws:iam::123456789012:policy/NAME",
)
_PROFILE = Form("an instance profile's name", r"[A-Za-z0-9_+=,.@-]{1,128}", "its name, not its ARN")
# A single key, never a pattern, because hosts get access to it:
# https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html
_KMS_KEY = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/"
    r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_AGENT = Form("a version", r"latest|[0-9]{1,5}(\.[0-9]{1,5}){3}", "latest, or one such as 3.3.1345.0")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Letters of any language, as in AWS, but not only spaces
_TAG = re.compile(r"(?! *$)[\w .:/=+@-]{1,256}")
# https://www.rfc-editor.org/rfc/rfc3339#section-5.6, because datetime.fromisoformat accepts other formats too
_TIME = re.compile(r"[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html, without dots: the TLS certificates of
# S3 do not cover names with dots
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_RESERVED = re.compile(r"(xn--|sthree-|amzn-s3-demo-).*|.*(-s3alias|--ol-s3|--x-s3|--table-s3)")

ADMIN_KEY_BITS = {"ssh-ed25519": 256, "ssh-rsa": 2048}
"""Types of the administrator's key, with their smallest sizes: those that sshd and Pulumi's command plugin accept."""


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """The machines of a role."""

    count: int
    instance_type: str
    disk_gib: int
    """Size of the root volume."""
    zones: int
    """The machines are spread over this many of the network's zones, counted from the first."""
    other_types: tuple[str, ...] = ()
    """As good as `instance_type`: machines of these types stay, and AWS may have them when it lacks the first."""
    spot: bool = False
    spot_fallback: bool = False
    """On-demand instances are as good."""
    policies: tuple[str, ...] = ()
    """ARNs of managed policies: what they may do besides using the storage."""
    security_groups: tuple[str, ...] = ()
    """Ids of further security groups."""
    disk_performance: Performance = ORDINARY
    """Of the root volume."""
    instance_store: bool = False
    """The daemon uses the disks of the machine itself."""
    placement: str = ""
    """Strategy of the placement group; empty: none."""
    notices: Notices = Notices.NONE
    """The notices that drain a spot instance."""
    data_gib: int = 0
    """Size of the volume for data that outlives the machine; 0: there is none."""
    data_performance: Performance = ORDINARY
    """Of that volume."""
    snapshots: bool = False
    """Whether `snapshot_days` applies to that volume."""

    @property
    def types(self) -> tuple[str, ...]:
        """Instance types in the order of preference."""
        return (self.instance_type, *self.other_types)

    @property
    def markets(self) -> tuple[str, ...]:
        """Likewise."""
        return (SPOT,) * self.spot + (ON_DEMAND,) * (self.spot_fallback or not self.spot)


@dataclass(frozen=True, kw_only=True)
class SessionSettings:
    """Session Manager as the way to the bastion."""

    port: int
    """Local port of the tunnel."""
    agent_version: str
    agent_checksum: str
    """SHA-256; empty: not checked."""


@dataclass(frozen=True, kw_only=True)
class AdminKey:
    """The key pair with which Pulumi and operators log in."""

    path: str
    """Path of the private key, as configured."""
    private: str
    public: str


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """What to create on AWS."""

    region: str
    owner: str
    ephemeral: bool
    """The stack is disposable: `destroy` empties the bucket, and no resource is protected."""
    expires: str
    """When an ephemeral stack may be destroyed (RFC 3339), or `never`. Empty if the stack is not ephemeral."""
    vpc_cidr: str
    vpc_id: str
    """Empty: the stack creates a VPC."""
    subnet_ids: tuple[str, ...]
    """Existing subnets, one for each zone. Only with `vpc_id`."""
    zones: int
    private_subnets: bool
    nat_gateways: str
    """`none`, `one` or `zone` (one in each)."""
    bastion: bool
    bastion_type: str
    operator_cidrs: tuple[str, ...]
    """May contain OWN_ADDRESS until the address is known."""
    bucket: str
    """Empty until the account is known, if its name derives from the account."""
    create_bucket: bool
    """False: the bucket exists."""
    bucket_region: str
    """Region of the bucket."""
    prefix: str
    """Prefix in the bucket, without leading and trailing slashes."""
    kms_key: str
    """ARN. Empty: a key that S3 manages."""
    reads: tuple[str, ...] = ()
    """URIs of other stacks' snapshots, from which jobs start."""
    savepoint_days: int
    """0: savepoints are kept forever."""
    version_days: int = 0
    """Days after which old versions of objects are deleted; 0: there are none."""
    snapshot_days: int = 0
    """Days after which snapshots of ZooKeeper's data volumes are deleted; 0: there are none."""
    groups: Mapping[Role, GroupSettings]
    max_unavailable: int = 1
    java_url: str = ""
    """As configured; empty: Adoptium's."""
    java_checksum: str = ""
    """Likewise."""
    admin_key: AdminKey | None = None
    """None: Pulumi generates one."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the user, for everything that is created."""
    permissions_boundary: str = ""
    """ARN of a policy that limits the roles which are created. Empty: none."""
    instance_profile: str = ""
    """Name of an existing instance profile. Empty: roles and profiles are created."""
    front_door: int = 0
    """Port of the front door; 0 if there is none."""
    metrics: tuple[str, ...] | None = None
    """Networks that may read metrics in plain text. None: operators, unless there is a monitoring host."""
    balancer: BalancerSettings | None = None
    """The load balancer in front of the front doors, if any."""
    session: SessionSettings | None = None
    """None: operators connect to the bastion's port 22, or to the hosts."""
    no_capacity: tuple[Lack, ...] = ()
    """What AWS does not have at the moment."""
    newest_image: frozenset[str] = frozenset()
    """Hosts whose machines are replaced unless they have the newest image."""
    healing: HealingSettings | None = None
    """None: a person runs `up --refresh` after the loss of a machine."""


def load(
    values: Mapping[str, Any],
    *,
    given: Collection[str],
    stack: str,
    region: str,
    operator_cidrs: tuple[str, ...],
    cluster_id: str,
    root: Path,
    problems: Problems,
    default_tags: str = "",
    reads: Iterable[tuple[str, str]] = (),
) -> AwsSettings:
    """Settings from the configuration (keys: `Pulumi.yaml`). Invalid values are added to `problems`.

    `given` are the keys with another value than their default; `default_tags` is the text of `aws:defaultTags`; `reads`
    are pairs of a key and the URI of a snapshot that hosts have to read.
    """
    problems.catch("aws:region", lambda: names.partition(_REGION(region)), None)
    effects.check(values, given, problems)
    _check_operators(operator_cidrs, problems)
    if not _TAG.fullmatch(values["owner"]):
        problems.add("owner", f"{values['owner']!r} is not a valid tag: expected a team or a person")
    zones = _number("zones", values, 1, 3, problems)
    _check_network(values, zones, problems)
    groups = _groups(values, zones, region, problems)
    hosts = [f"{ROLES[role].prefix}-{group.count - 1}" for role, group in groups.items() if group.count]
    bastion = ["bastion"] if values["bastion"] else []
    problems.catch("the stack's name", lambda: names.check_hosts(stack, [*hosts, *bastion]), None)
    if not values["vpcId"]:
        _check_addresses(values["vpcCidr"], groups, operator_cidrs, problems)
    bucket, prefix = _bucket(values, cluster_id, problems)
    bucket_region = values["storageRegion"] or region
    if not values["storageUri"] and bucket_region != region:
        problems.add("storageRegion", f"{bucket_region!r} is not where the bucket is created: expected {region}")
    _check_kms_key(values["kmsKey"], bucket_region, problems)
    _check_own_profile(values, problems)
    return AwsSettings(
        region=region,
        owner=values["owner"],
        ephemeral=values["ephemeral"],
        expires=_expires(values, problems),
        vpc_cidr=values["vpcCidr"],
        vpc_id=values["vpcId"],
        subnet_ids=tuple(values["subnetIds"]),
        zones=zones,
        private_subnets=values["privateSubnets"],
        nat_gateways=values["natGateways"],
        bastion=values["bastion"],
        bastion_type=_type("bastionType", values, problems),
        operator_cidrs=operator_cidrs,
        bucket=bucket,
        create_bucket=not values["storageUri"],
        bucket_region=bucket_region,
        prefix=prefix,
        kms_key=values["kmsKey"],
        reads=readings.load(reads, problems),
        savepoint_days=_number("savepointDays", values, 0, 36500, problems),
        version_days=_number("versionDays", values, 0, 3650, problems),
        snapshot_days=_number("zookeeperSnapshotDays", values, 0, 1000, problems),
        groups=groups,
        max_unavailable=values["maxUnavailable"],
        java_url=values["javaUrl"],
        java_checksum=values["javaChecksum"],
        admin_key=_admin_key(values["adminKeyFile"], root, problems),
        tags=tags.load(values["tags"], default_tags, problems),
        permissions_boundary=_policy("permissionsBoundary", values["permissionsBoundary"], region, problems),
        instance_profile=_profile(values["instanceProfile"], problems),
        session=_session(values, problems),
        no_capacity=_no_capacity(values, problems),
        newest_image=_newest_image(values, groups, problems),
        healing=_healing(values, problems),
        balancer=balancing.load(values, region, problems),
    )


def _number(key: str, values: Mapping[str, Any], least: int, most: int, problems: Problems) -> int:
    number: int = values[key]
    if not least <= number <= most:
        problems.add(key, f"{number} is out of range: expected {least} to {most}")
        return least
    return number


def _type(key: str, values: Mapping[str, Any], problems: Problems) -> str:
    name: str = values[key]
    problems.catch(key, lambda: _INSTANCE_TYPE(name), "")
    return name


def _policy(key: str, arn: Any, region: str, problems: Problems) -> str:
    """The ARN of a managed policy; empty if there is none."""
    if not arn:
        return ""
    problems.catch(key, lambda: _POLICY(arn), "")
    if _POLICY.fits(arn) and _REGION.fits(region) and arn.split(":")[1] != (expected := _partition(region)):
        problems.add(key, f"{arn} is in another partition: expected arn:{expected}:iam::…")
    return str(arn)


def _profile(name: str, problems: Problems) -> str:
    if name:
        problems.catch("instanceProfile", lambda: _PROFILE(name), "")
    return name


def _expires(values: Mapping[str, Any], problems: Problems) -> str:
    text: str = values["expires"]
    if not values["ephemeral"]:
        if text:
            problems.add("expires", f"{text} is set, but ephemeral is false: expected ephemeral: true, or no expires")
        return ""
    if not text:
        return "never"
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        problems.add("expires", f"{text!r} is not a time with a zone: expected one such as 2030-01-31T18:00:00Z")
    except OverflowError:
        problems.add("expires", f"{text} is not in the years 1 to 9999 in UTC: expected an earlier time, or no expires")
    return text


def _check_network(values: Mapping[str, Any], zones: int, problems: Problems) -> None:
    given = values["subnetIds"]
    if values["vpcId"]:
        problems.catch("vpcId", lambda: _VPC(values["vpcId"]), "")
        if len(given) != zones:
            problems.add("subnetIds", f"has {len(given)} subnets: expected {zones}, one for each of the zones")
        for key in ("bastion",):
            if values[key]:
                problems.add(
                    key,
                    "cannot be created in an existing VPC: expected false, and your own access to it, such as a VPN",
                )
        if values["natGateways"] != "none":
            problems.add("natGateways", "cannot be created in an existing VPC: expected none")
    elif given:
        problems.add("subnetIds", "is set, but vpcId is not: expected both or neither")
    for name in given:
        problems.catch("subnetIds", partial(_SUBNET, name), "")
    if len(set(map(str, given))) < len(given):
        problems.add("subnetIds", "contains a subnet twice: expected distinct subnets")
    if values["natGateways"] not in NAT:
        problems.add("natGateways", f"{values['natGateways']!r} is unknown: expected {', '.join(NAT)}")
    if not values["privateSubnets"]:
        if values["bastion"]:
            problems.add("bastion", "has no effect while hosts have public addresses: expected privateSubnets: true")
        if values["natGateways"] != "none":
            problems.add(
                "natGateways", "has no effect while hosts have public addresses: expected privateSubnets: true"
            )
    elif not values["bastion"] and OWN_ADDRESS in values["operatorCidrs"]:
        problems.add(
            "operatorCidrs",
            f"{OWN_ADDRESS} is a public address, but hosts have private addresses: expected the private networks of "
            "your operators",
        )
    if values["privateSubnets"] and not values["vpcId"] and not values["bastion"]:
        problems.add(
            "bastion",
            "is false, but the private subnets of a new VPC are reachable only through a bastion: expected true",
        )
    if values["privateSubnets"] and not values["vpcId"] and values["natGateways"] == "none":
        missing = [key for key in ("flinkUrl", "zookeeperUrl", "javaUrl") if not values[key]]
        if missing:
            problems.add(
                "natGateways",
                "is none, so hosts in private subnets cannot download archives from the internet: expected one or "
                f"zone, or URLs inside the network for {', '.join(missing)}",
            )


def _check_operators(networks: Sequence[str], problems: Problems) -> None:
    if len(networks) > MOST_OPERATORS:
        problems.add(
            "operatorCidrs",
            f"has {len(networks)} networks: expected {MOST_OPERATORS} or fewer (AWS allows 60 rules per group)",
        )
    if networks and all(text != OWN_ADDRESS and ipaddress.ip_network(text).version == 6 for text in networks):
        problems.add(
            "operatorCidrs", "has only IPv6 networks, but hosts have IPv4 addresses only: expected an IPv4 network too"
        )


def _check_kms_key(arn: str, region: str, problems: Problems) -> None:
    """Check a key for the bucket, which is in `region`."""
    found = _KMS_KEY.fullmatch(arn)
    if not arn:
        return
    if not found:
        problems.add(
            "kmsKey",
            f"{arn!r} is not the ARN of one KMS key: expected arn:aws:kms:REGION:ACCOUNT:key/ID with the key's own id, "
            "no alias and no *",
        )
    elif found["region"] != region:
        problems.add("kmsKey", f"{arn} is in another region: expected a key in the bucket's region, {region}")
    elif _REGION.fits(region) and found["partition"] != (expected := _partition(region)):
        problems.add("kmsKey", f"{arn} is in another partition: expected arn:{expected}:kms:…")


def _partition(region: str) -> str:
    """The name of the partition; empty for a region that is refused elsewhere."""
    try:
        return names.partition(region).name
    except ValueError:
        return ""


def _groups(values: Mapping[str, Any], zones: int, region: str, problems: Problems) -> Mapping[Role, GroupSettings]:
    return {role: _group(keys, values, zones, region, problems) for role, keys in GROUPS.items()}


def _group(keys: GroupKeys, values: Mapping[str, Any], zones: int, region: str, problems: Problems) -> GroupSettings:
    disk_gib = _number(keys.disk, values, 8, 16384, problems)
    count = _number(keys.count, values, keys.least, keys.most, problems)
    spread = _spread(keys.zones, values, zones, problems)
    strategy = values[keys.placement] if keys.placement else ""
    data_gib = _number(keys.data, values, 1, 16384, problems) if keys.data else 0
    first, *others = _types(keys, values, problems)
    placement.check(keys.placement, strategy, count, spread, keys.zones or "zones", problems)
    return GroupSettings(
        count=count,
        instance_type=first,
        other_types=tuple(others),
        disk_gib=disk_gib,
        zones=spread,
        spot=bool(keys.spot and values[keys.spot]),
        spot_fallback=bool(keys.spot_fallback and values[keys.spot_fallback]),
        disk_performance=disks.load(keys.iops, keys.throughput, disk_gib, values, problems),
        instance_store=bool(keys.instance_store and values[keys.instance_store]),
        placement=strategy,
        policies=tuple(
            _policy(keys.policies, arn, region, problems) for arn in _several(keys.policies, values, problems)
        ),
        security_groups=_security_groups(keys.security_groups, values, problems),
        notices=_notices(keys, values),
        data_gib=data_gib,
        data_performance=disks.load(keys.data_iops, keys.data_throughput, data_gib, values, problems),
        snapshots=bool(keys.snapshots),
    )


def _types(keys: GroupKeys, values: Mapping[str, Any], problems: Problems) -> list[str]:
    """The instance types in the order of preference."""
    found = _several(keys.types, values, problems)
    if not found:
        return [_type(keys.instance_type, values, problems)]
    if len(found) == 1:
        problems.add(keys.types, f"has one type: expected several, or {keys.instance_type}")
    for name in found:
        problems.catch(keys.types, partial(_INSTANCE_TYPE, name), "")
    return list(map(str, found))


def _newest_image(
    values: Mapping[str, Any], groups: Mapping[Role, GroupSettings], problems: Problems
) -> frozenset[str]:
    """The hosts; `all` are all of them."""
    hosts = [f"{ROLES[role].prefix}-{index}" for role, group in groups.items() for index in range(group.count)]
    entries = set(map(str, _several("newestImage", values, problems)))
    for entry in sorted(entries - {"all", *hosts}):
        problems.add(
            "newestImage", f"{shown(entry)} is no host of the stack: expected all, or names such as {hosts[0]}"
        )
    return frozenset(hosts if "all" in entries else entries & set(hosts))


def _no_capacity(values: Mapping[str, Any], problems: Problems) -> tuple[Lack, ...]:
    entries = (problems.catch("noCapacity", partial(capacity.lack, str(text)), None) for text in values["noCapacity"])
    return tuple(filter(None, entries))


def _several(key: str, values: Mapping[str, Any], problems: Problems) -> list[Any]:
    """The entries of a list, none of which may occur twice. `key` is empty if the role has no such key."""
    found = list(values[key]) if key else []
    if len(set(map(str, found))) < len(found):
        problems.add(key, "contains an entry twice: expected distinct ones")
    if not all(found):
        problems.add(key, "contains an empty entry: expected none")
    return found


def _security_groups(key: str, values: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    found = _several(key, values, problems)
    for name in found:
        problems.catch(key, partial(_SECURITY_GROUP, name), "")
    if len(found) > MOST_GROUPS:
        problems.add(
            key, f"has {len(found)} groups: expected {MOST_GROUPS} or fewer (AWS allows 5 with the stack's own)"
        )
    return tuple(map(str, found))


def _notices(keys: GroupKeys, values: Mapping[str, Any]) -> Notices:
    if not (keys.spot and values[keys.spot]):
        return Notices.NONE
    return Notices.REBALANCE if keys.rebalance and values[keys.rebalance] else Notices.INTERRUPTION


def _spread(key: str, values: Mapping[str, Any], zones: int, problems: Problems) -> int:
    """How many zones the machines of a role are spread over. `key` is empty if the role has no such key."""
    spread = (_number(key, values, 0, 3, problems) if key else 0) or zones
    if spread > zones:
        problems.add(key, f"{spread} exceeds the number of zones: expected 1 to {zones}, or 0 for all")
    return min(spread, zones)


def _check_addresses(
    cidr: str, groups: Mapping[Role, GroupSettings], operator_cidrs: tuple[str, ...], problems: Problems
) -> None:
    """The first zone has most hosts, which must fit into its subnet. No operator may have an address in the VPC."""
    try:
        room = subnets.plan(cidr).public[0].num_addresses - subnets.RESERVED
    except ValueError as error:
        problems.add("vpcCidr", str(error))
        return
    hosts = sum(-(-group.count // group.zones) for group in groups.values())
    if hosts > room:
        problems.add("vpcCidr", f"{cidr} is too small: has room for {room} hosts in a zone, expected {hosts} or more")
    for text in set(operator_cidrs) - {OWN_ADDRESS}:
        if ipaddress.ip_network(text).overlaps(ipaddress.ip_network(cidr)):
            problems.add(
                "operatorCidrs",
                f"{text} overlaps vpcCidr {cidr}: hosts would count as operators, and replies to operators would not "
                "leave the VPC: expected networks that do not overlap",
            )


def _bucket(values: Mapping[str, Any], cluster_id: str, problems: Problems) -> tuple[str, str]:
    """Name of the bucket, empty if it derives from the account, and the prefix in it."""
    name: str = values["bucketName"]
    if values["storageUri"]:
        if name:
            problems.add("bucketName", "is set, and storageUri too: expected one of them")
        if kind_of(values["storageUri"]) is not s3.KIND:
            problems.add(
                "storageUri",
                f"{shown(values['storageUri'])} is not on S3, where provider aws gives hosts their rights: expected "
                f"{s3.KIND.uri.expected}",
            )
            return "", ""
        bucket, _, prefix = values["storageUri"].partition("://")[2].partition("/")
        prefix = prefix.rstrip("/")
        if not prefix.strip("/") or "*" in prefix:
            problems.add(
                "storageUri",
                f"{values['storageUri']!r} has no prefix, or has * in it: expected s3://bucket/prefix, because hosts "
                "get access to everything below the prefix",
            )
        elif {"", ".", ".."} & set(prefix.split("/")):
            problems.add(
                "storageUri",
                f"{values['storageUri']!r} has an empty, . or .. segment: expected s3://bucket/prefix without them, "
                "because Flink removes them from paths, and hosts would have access to another prefix",
            )
        return bucket, prefix
    if name and (not _BUCKET.fullmatch(name) or _RESERVED.fullmatch(name)):
        problems.add(
            "bucketName",
            f"{name!r} is not a bucket name: expected 3 to 63 of a-z, 0-9 and -, without the prefixes that S3 reserves",
        )
    return name, cluster_id


def _check_own_profile(values: Mapping[str, Any], problems: Problems) -> None:
    """A stack with an existing instance profile creates no role."""
    for key, is_set in (("healingUrl", bool(values["healingUrl"])), ("access", values["access"] == "ssm")):
        if values["instanceProfile"] and is_set:
            problems.add(
                key, "needs a role that the stack creates, and instanceProfile allows none: remove one of them"
            )


def _session(values: Mapping[str, Any], problems: Problems) -> SessionSettings | None:
    access, version, checksum = values["access"], values["ssmAgentVersion"], values["ssmAgentChecksum"]
    if access not in ACCESS:
        problems.add("access", f"{shown(access)} is unknown: expected {' or '.join(ACCESS)}")
    if access != "ssm":
        return None
    if not values["bastion"]:
        problems.add("access", "is ssm, which reaches the hosts through a bastion: expected bastion: true")
    problems.catch("ssmAgentVersion", lambda: _AGENT(version), "")
    if checksum and not _SHA256.fullmatch(checksum):
        problems.add("ssmAgentChecksum", f"{shown(checksum)} is no checksum: expected 64 hexadecimal digits (SHA-256)")
    elif checksum and version == "latest":
        problems.add("ssmAgentVersion", "is latest, which has another checksum with each release: expected a version")
    return SessionSettings(
        port=_number("tunnelPort", values, 1024, 65535, problems), agent_version=version, agent_checksum=checksum
    )


def _healing(values: Mapping[str, Any], problems: Problems) -> HealingSettings | None:
    url, ref, token = values["healingUrl"], values["healingRef"], values[HEALING_TOKEN]
    if not url:
        return None
    if not (ci.GITHUB.fullmatch(url) or ci.GITLAB.fullmatch(url)):
        problems.add("healingUrl", f"{shown(url)} is no API that starts a CI run: expected {ci.EXPECTED}")
    problems.catch("healingRef", lambda: ci.REF(ref), "")
    if not ci.TOKEN.fullmatch(token):
        # Not the text itself, which is a secret
        found = "is not a token" if token else "is missing"
        problems.add(
            HEALING_TOKEN,
            f"{found}: expected `pulumi config set --secret {HEALING_TOKEN}`, printable ASCII without blanks",
        )
    return HealingSettings(url=url, ref=ref, token=token)


def _admin_key(name: str, root: Path, problems: Problems) -> AdminKey | None:
    """The key pair. Machines keep the public key that they are created with, so it must be that of the private key."""
    if not name:
        return None
    key = "adminKeyFile"
    path = problems.catch(key, lambda: files.located(name, root), None)
    if path is None or not (text := private_key.read(path, key, problems)):
        return None
    try:
        line, bits = private_key.public_key(text)
    except ValueError as error:
        problems.add(key, f"{path} {error}: expected Ed25519 or RSA")
        return None
    kind = line.partition(" ")[0]
    public = path.with_name(f"{path.name}.pub")
    found = problems.catch(key, lambda: files.text(public), None)
    if kind not in ADMIN_KEY_BITS:
        problems.add(key, f"{path} is of type {kind}: expected Ed25519 or RSA")
    elif bits < ADMIN_KEY_BITS[kind]:
        problems.add(key, f"{path} has {bits} bits: expected Ed25519, or RSA with {ADMIN_KEY_BITS['ssh-rsa']} or more")
    elif found is not None and (found.split()[:2] != line.split() or len(found.strip().splitlines()) > 1):
        problems.add(key, f"{public} is not the public key of {path}: expected the output of `ssh-keygen -y -f {path}`")
    return AdminKey(path=name, private=text, public=line)

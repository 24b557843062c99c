"""Read-only queries to AWS before anything is created: account, zones, images, instance types, running instances.

All queries use functions of Pulumi's AWS plugin, and so its credentials and endpoints. A configuration that AWS cannot
fulfil is refused here, in the preview, with the key.
"""

import ipaddress
import re
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import pulumi
import pulumi_aws as aws

from ..host import Role
from ..naming import Labels
from ..problems import Problems
from ..roles import ROLES
from ..storage import StorageSettings
from . import foreign, placement, plan
from .declaration import OWN_ADDRESS, AwsSettings, GroupSettings
from .groups import GROUPS, GroupKeys
from .network import Subnet

T = TypeVar("T")

IMAGE_PARAMETER = "/aws/service/debian/release/12/latest/{architecture}"
"""Where Debian publishes its images: https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm."""

ROOT_DEVICE = "/dev/xvda"
"""Device name of the root volume in Debian's images."""

WHO_AM_I = "https://checkip.amazonaws.com"

LARGER = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge")

_NO_BUCKET = re.compile(r"(?i)couldn't find resource|not ?found|NoSuchBucket|empty result")
"""Errors of Pulumi's AWS plugin for a bucket that does not exist."""

RUNNING = ("pending", "running", "stopping", "stopped")
"""States of an existing instance."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """An instance type."""

    name: str
    cpus: int
    memory_mib: int
    """Memory that the system can use: firmware and kernel reserve a part. A sixteenth is more than on any type that we
    measured (t3.medium: 3,840 of 4,096 MiB here, and 3,890 in /proc/meminfo)."""
    architecture: str
    """Debian's name for it: amd64 or arm64."""
    nitro: bool
    """The machine finds a volume by its id; machines of earlier generations cannot."""
    placement: tuple[str, ...] = ()
    """Strategies of placement groups that accept it."""
    instance_disks: int = 0
    """NVMe disks of the machine itself (its instance store), which are blank after each stop and start."""
    free_tier_eligible: bool = False
    """Accounts on AWS's free plan may launch it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What `up` will do to the existing machines of a role."""

    replaced: bool
    """Their instance type, market (spot, on-demand) or placement group differs from the desired state: they are
    replaced one by one.
    """
    architecture: bool = False
    """The new machines have another architecture, and therefore need another image."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What AWS reports before the stack is declared."""

    account: str
    zones: tuple[str, ...]
    """Names of the zones, sorted, as many as the settings require."""
    images: Mapping[str, str]
    """Ids of the newest Debian images by architecture."""
    sizes: Mapping[str, Size]
    """By instance type."""
    changes: Mapping[Role, Change]
    subnets: tuple[Subnet, ...]
    """Subnets of an existing VPC."""
    operator_cidrs: tuple[str, ...]
    """Operator networks, in which OWN_ADDRESS is replaced by the public address of this machine."""


class AwsError(Exception):
    """AWS, or Pulumi's plugin for it, does not answer."""


def look_up(
    settings: AwsSettings,
    storage: StorageSettings,
    labels: Labels,
    needed_mib: Mapping[Role, int],
    problems: Problems,
) -> Facts:
    """Query AWS, and add what does not fit the configuration to `problems`.

    `needed_mib` is the minimum memory of a machine by role. Raises AwsError if AWS does not answer: no credentials,
    unknown region, or unreachable.
    """
    try:
        account = aws.get_caller_identity().account_id
    except Exception as error:  # the SDK raises nothing more special
        raise AwsError(_words(error)) from error
    types = {
        settings.groups[role].instance_type: keys.instance_type
        for role, keys in GROUPS.items()
        if settings.groups[role].count
    }
    if settings.bastion:
        types.setdefault(settings.bastion_type, "bastionType")
    sizes = {name: size for name, key in types.items() if (size := _size(name, key, problems))}
    _check_sizes(settings, sizes, needed_mib, problems)
    _check_java(settings, sizes, problems)
    _check_plan(settings, account, sizes, needed_mib, problems)
    zones, subnets = _places(settings, {name: key for name, key in types.items() if name in sizes}, problems)
    images = {arch: _image(arch, problems) for arch in sorted({size.architecture for size in sizes.values()})}
    changes = {role: _change(role, settings, labels, sizes) for role in Role}
    _check_ensemble(settings, labels, zones, problems)
    foreign.check(settings, labels, problems)
    # AWS does not know the buckets of another S3 server
    if not settings.create_bucket and not storage.endpoint:
        _check_bucket(settings, problems)
    return Facts(
        account=account,
        zones=zones,
        images=images,
        sizes=sizes,
        changes=changes,
        subnets=subnets,
        operator_cidrs=_operators(settings, problems),
    )


def _operators(settings: AwsSettings, problems: Problems) -> tuple[str, ...]:
    """The operators' networks; `auto` becomes the address from which AWS sees this machine connect."""
    if OWN_ADDRESS not in settings.operator_cidrs:
        return settings.operator_cidrs
    try:
        with urllib.request.urlopen(WHO_AM_I, timeout=10) as answer:
            own = ipaddress.ip_network(answer.read(100).decode().strip())
    except (OSError, ValueError) as error:
        problems.add(
            "operatorCidrs",
            f"{OWN_ADDRESS}: {WHO_AM_I} does not report the address of this machine ({error}): expected the networks "
            "of your operators",
        )
        return ()
    pulumi.log.info(f"operatorCidrs: {OWN_ADDRESS} is {own}")
    others = [text for text in settings.operator_cidrs if text != OWN_ADDRESS]
    return tuple(sorted({str(own), *others}))


def _words(error: Exception) -> str:
    """The message of an error on one line."""
    return " ".join(str(error).split())


def _asked(key: str, what: str, ask: Callable[[], T], problems: Problems) -> T | None:
    """The answer of AWS. If AWS refuses, None, and the error is recorded for `key`."""
    try:
        return ask()
    except Exception as error:  # the SDK raises nothing more special
        problems.add(key, f"{what}: {_words(error)}")
        return None


def _size(name: str, key: str, problems: Problems) -> Size | None:
    found = _asked(key, f"{name!r} is not an instance type of this region", lambda: _described(name), problems)
    return _as_size(found) if found else None


def _described(name: str) -> aws.ec2.GetInstanceTypeResult:
    return aws.ec2.get_instance_type(instance_type=name)


def _as_size(found: aws.ec2.GetInstanceTypeResult) -> Size:
    arm = "arm64" in found.supported_architectures
    nitro = found.hypervisor == "nitro" or found.bare_metal
    return Size(
        name=found.instance_type,
        cpus=found.default_vcpus,
        memory_mib=found.memory_size * 15 // 16,
        architecture="arm64" if arm else "amd64",
        nitro=nitro,
        placement=tuple(found.supported_placement_strategies or ()),
        # Disks of earlier generations have no NVMe names, and hard disks are slower than a volume
        instance_disks=sum(disk.count for disk in found.instance_disks or () if nitro and disk.type == "ssd"),
        free_tier_eligible=found.free_tier_eligible,
    )


def _check_sizes(
    settings: AwsSettings, sizes: Mapping[str, Size], needed_mib: Mapping[Role, int], problems: Problems
) -> None:
    for role, keys in GROUPS.items():
        key = keys.instance_type
        size, needed = sizes.get(settings.groups[role].instance_type), needed_mib[role]
        if size is None or not settings.groups[role].count:
            continue
        if ROLES[role].data_directory and not size.nitro:
            problems.add(
                key, f"{size.name} is not a Nitro type, which the data volume requires: expected one such as t3.small"
            )
        if (strategy := settings.groups[role].placement) and strategy not in size.placement:
            problems.add(
                keys.placement,
                f"{size.name} cannot be in a placement group with {strategy}: expected "
                f"{', '.join(size.placement) or 'none'}, or another {key}",
            )
        if keys.instance_store:
            _check_instance_store(settings.groups[role].instance_store, size, keys, problems)
        if size.memory_mib < needed:
            would_do = _larger(size, needed)
            problems.add(
                key,
                f"{size.name} has {size.memory_mib} MiB, but the system and a {role} need {needed}: "
                + (f"expected {would_do} or larger" if would_do else "expected a larger type"),
            )


def _check_java(settings: AwsSettings, sizes: Mapping[str, Size], problems: Problems) -> None:
    """Machines of several architectures need several JDKs. The bastion has none."""
    groups = [group for group in settings.groups.values() if group.count and group.instance_type in sizes]
    types = {sizes[group.instance_type].architecture: group.instance_type for group in groups}
    if len(types) < 2:
        return
    found = ", ".join(f"{architecture}: {name}" for architecture, name in sorted(types.items()))
    machines = f"but the machines have two architectures ({found})"
    if settings.java_url and "{arch}" not in settings.java_url:
        problems.add(
            "javaUrl",
            f"{settings.java_url} is one archive, {machines}: expected {{arch}} in it, which stands for x64 or aarch64",
        )
    if settings.java_checksum:
        problems.add(
            "javaChecksum",
            f"is the digest of one archive, {machines}: expected none, and a file with the digest next to each archive "
            "(.sha256.txt)",
        )


def _check_instance_store(used: bool, size: Size, keys: GroupKeys, problems: Problems) -> None:
    if used and not size.instance_disks:
        problems.add(
            keys.instance_store,
            f"{size.name} has no NVMe instance store: expected a {keys.instance_type} with one, such as m6id.large, "
            "i4i.large or r6gd.large, or false",
        )
    elif size.instance_disks and not used:
        # Not by itself: existing clusters would restart
        pulumi.log.info(
            f"{size.name} has an NVMe instance store ({size.instance_disks} disks), which is not used: "
            f"{keys.instance_store}: true has RocksDB use it"
        )


def _check_plan(
    settings: AwsSettings,
    account: str,
    sizes: Mapping[str, Size],
    needed_mib: Mapping[Role, int],
    problems: Problems,
) -> None:
    """An account on the free plan launches a few types only: AWS refuses others when network and bucket exist."""
    used = {keys.instance_type: (settings.groups[role].instance_type, role) for role, keys in GROUPS.items()}
    expected: dict[str, tuple[str, Role | None]] = {
        key: found for key, found in used.items() if settings.groups[found[1]].count
    }
    if settings.bastion:
        expected["bastionType"] = (settings.bastion_type, None)
    others = {
        key: found for key, found in expected.items() if found[0] in sizes and not sizes[found[0]].free_tier_eligible
    }
    if not others or not plan.is_free(account, settings.region):
        return
    eligible = _eligible(problems)
    for key, (name, role) in others.items():
        needed = needed_mib[role] if role else 0
        nitro = role is not None and bool(ROLES[role].data_directory)
        would_do = [size.name for size in eligible if size.memory_mib >= needed and (size.nitro or not nitro)]
        problems.add(
            key,
            f"{name} cannot be launched, because account {account} is on AWS's free plan: expected "
            + (
                f"{', '.join(would_do)}, or the paid plan"
                if would_do
                else "the paid plan, since no free type is enough"
            ),
        )


def _eligible(problems: Problems) -> list[Size]:
    """The types that accounts on the free plan may launch, the smallest first."""
    only = aws.ec2.GetInstanceTypesFilterArgs(name="free-tier-eligible", values=["true"])
    ask = partial(aws.ec2.get_instance_types, filters=[only])
    found = _asked("aws:region", "does not report the types of the free plan", ask, problems)
    sizes = [_as_size(_described(name)) for name in (found.instance_types if found else ())]
    return sorted(sizes, key=lambda size: (size.memory_mib, size.name))


def _larger(size: Size, needed: int) -> str | None:
    """The smallest type of the same family with `needed` MiB."""
    family, _, own = size.name.partition(".")
    for name in LARGER[LARGER.index(own) + 1 :] if own in LARGER else ():
        try:
            found = _as_size(_described(f"{family}.{name}"))
        except Exception:  # not every family has every size
            continue
        if found.memory_mib >= needed:
            return found.name
    return None


def _places(
    settings: AwsSettings, types: Mapping[str, str], problems: Problems
) -> tuple[tuple[str, ...], tuple[Subnet, ...]]:
    """The zones, and the existing subnets in them, if any. `types`: instance types in use → their keys."""
    if settings.vpc_id:
        subnets = tuple(filter(None, (_subnet(name, settings, problems) for name in settings.subnet_ids)))
        zones = [subnet.zone for subnet in subnets]
        _check_names(settings.vpc_id, problems)
        if len(set(zones)) < len(zones):
            problems.add("subnetIds", f"are in {', '.join(zones)}: expected each subnet in a zone of its own")
        for name, offered in _zones_by_type(list(types), problems).items():
            if lacking := sorted(set(zones) - offered):
                problems.add(
                    types[name],
                    f"{name} is not available in {', '.join(lacking)}: expected another type, or other zones",
                )
        return tuple(zones), subnets
    if not types:
        return (), ()  # no type is known, which is already reported
    found = sorted(set.intersection(*_zones_by_type(sorted(types), problems).values()))
    if len(found) < settings.zones:
        have = ", ".join(found) or "none"
        problems.add(
            "zones",
            f"{settings.zones} exceeds the zones of {settings.region} that offer {', '.join(sorted(types))}: {have}",
        )
    return tuple(found[: settings.zones]), ()


def _zones_by_type(types: Sequence[str], problems: Problems) -> dict[str, set[str]]:
    """Instance type → zones of the region that offer it. The result differs between accounts."""
    ordinary = set(_asked("aws:region", "does not report its zones", _zones, problems) or ())
    found = {}
    for name in types:
        offered = _asked("aws:region", f"does not report which zones offer {name}", partial(_offered, name), problems)
        found[name] = ordinary & set(offered or ())
    return found


def _zones() -> tuple[str, ...]:
    """Zones in any state: an outage of one must not change the numbers of the others."""
    # Local and Wavelength Zones have neither all instance types nor all services
    ordinary = aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])
    return tuple(aws.get_availability_zones(filters=[ordinary]).names)


def _offered(name: str) -> tuple[str, ...]:
    """Zones that offer an instance type."""
    expected = aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=[name])
    return tuple(aws.ec2.get_instance_type_offerings(location_type="availability-zone", filters=[expected]).locations)


def _subnet(name: str, settings: AwsSettings, problems: Problems) -> Subnet | None:
    found = _asked("subnetIds", f"{name} does not exist", lambda: aws.ec2.get_subnet(id=name), problems)
    if found is None:
        return None
    if found.vpc_id != settings.vpc_id:
        problems.add("subnetIds", f"{name} is in {found.vpc_id}: expected subnets of vpcId {settings.vpc_id}")
    return Subnet(zone=found.availability_zone, id=name, public=not settings.private_subnets)


def _check_names(vpc_id: str, problems: Problems) -> None:
    """A private DNS zone works only with both of these attributes."""
    found = _asked("vpcId", f"{vpc_id} does not exist", lambda: aws.ec2.get_vpc(id=vpc_id), problems)
    if found and not (found.enable_dns_support and found.enable_dns_hostnames):
        problems.add("vpcId", f"{vpc_id} has no DNS host names: expected enableDnsSupport and enableDnsHostnames")


def _image(architecture: str, problems: Problems) -> str:
    name = IMAGE_PARAMETER.format(architecture=architecture)
    found = _asked(
        "aws:region",
        f"has no image of Debian 12 ({name})",
        lambda: aws.ssm.get_parameter(name=name).insecure_value,
        problems,
    )
    return found or ""


def _there(labels: Labels, role: Role, **more: Sequence[str]) -> list[str]:
    """Ids of the stack's instances of a role. `more`: additional filters of DescribeInstances, with `_` for `-`."""
    expected: dict[str, Iterable[str]] = {
        "tag:project": [labels.project],
        "tag:stack": [labels.stack],
        "tag:role": [role.value],
        **{name.replace("_", "-"): values for name, values in more.items()},
    }
    filters = [aws.ec2.GetInstancesFilterArgs(name=name, values=list(values)) for name, values in expected.items()]
    return list(aws.ec2.get_instances(instance_state_names=list(RUNNING), filters=filters).ids)


def _change(role: Role, settings: AwsSettings, labels: Labels, sizes: Mapping[str, Size]) -> Change:
    group = settings.groups[role]
    if not group.count:
        return Change(replaced=False)
    there = len(_there(labels, role))
    if not there or group.instance_type not in sizes:
        return Change(replaced=False)
    spot = len(_there(labels, role, instance_lifecycle=["spot"]))
    same_market = spot == (there if group.spot else 0)
    if (
        same_market
        and _is_placed(there, role, group, labels)
        and len(_there(labels, role, instance_type=[group.instance_type])) == there
    ):
        return Change(replaced=False)
    architecture = sizes[group.instance_type].architecture
    fitting = _there(labels, role, architecture=[{"amd64": "x86_64"}.get(architecture, architecture)])
    return Change(replaced=True, architecture=len(fitting) < there)


def _is_placed(there: int, role: Role, group: GroupSettings, labels: Labels) -> bool:
    """Whether all existing machines of a role, `there` of them, are in the desired placement group, or in none."""
    prefix = ROLES[role].prefix
    for strategy in placement.STRATEGIES:
        name = placement.name(labels.stack, prefix, strategy)
        inside = len(_there(labels, role, placement_group_name=[name])) if GROUPS[role].placement else 0
        if inside != (there if strategy == group.placement else 0):
            return False
    return True


def _check_ensemble(settings: AwsSettings, labels: Labels, zones: Sequence[str], problems: Problems) -> None:
    """The volumes of ZooKeeper cannot change zones, so an existing ensemble cannot move to other zones."""
    there = _volumes(labels)
    if not there or not zones:
        return
    count = settings.groups[Role.ZOOKEEPER].count
    expected = {zone: len(range(index, count, len(zones))) for index, zone in enumerate(zones)}
    found = {zone: len(_volumes(labels, zone)) for zone in zones}
    elsewhere = len(there) - sum(found.values())
    if elsewhere or any(found[zone] > expected[zone] for zone in zones):
        places = ", ".join(f"{found[zone]} in {zone}" for zone in zones) + f", {elsewhere} elsewhere"
        problems.add(
            "zones",
            f"{settings.zones} would move ZooKeeper servers to other zones, but their volumes cannot move ({places}): "
            "expected the zones of the existing stack, and no fewer servers",
        )


def _check_bucket(settings: AwsSettings, problems: Problems) -> None:
    """An existing bucket must be in the configured region, because requests are signed for that region."""
    name = settings.bucket
    try:
        found = aws.s3.get_bucket(bucket=name).bucket_region
    except Exception as error:  # the SDK raises nothing more special
        if _NO_BUCKET.search(str(error)):
            problems.add("storageUri", f"the bucket {name} does not exist: expected an existing one ({_words(error)})")
        else:
            # Only the hosts need access to it
            pulumi.log.warn(f"storageRegion: the region of the bucket {name} is not known ({_words(error)})")
        return
    if found and found != settings.bucket_region:
        problems.add(
            "storageRegion", f"{settings.bucket_region!r} is not the region of the bucket {name}: expected {found}"
        )


def _volumes(labels: Labels, zone: str = "") -> list[str]:
    """Ids of the volumes with ZooKeeper's data: all of them, or those in a zone."""
    expected = {
        "tag:project": labels.project,
        "tag:stack": labels.stack,
        "tag:role": Role.ZOOKEEPER.value,
        "tag:Name": f"{labels.stack}-zk-*-data",
        **({"availability-zone": zone} if zone else {}),
    }
    found = _volume_ids(expected)
    # The plugin reads the tags of all volumes of a machine as one set, and a replaced machine keeps what was read. So a
    # root volume may have the name of a data volume
    roots = _volume_ids({**expected, "attachment.device": ROOT_DEVICE}) if found else []
    return [name for name in found if name not in roots]


def _volume_ids(expected: Mapping[str, str]) -> list[str]:
    filters = [aws.ebs.GetEbsVolumesFilterArgs(name=name, values=[value]) for name, value in expected.items()]
    return list(aws.ebs.get_ebs_volumes(filters=filters).ids)


def say(error: AwsError) -> str:
    """The error with what to do about it."""
    return (
        f"AWS does not answer: {error}\n"
        "Expected: valid credentials (AWS_PROFILE, `aws sso login`, AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or an OIDC role in CI) and a region (aws:region). Nothing was changed."
    )

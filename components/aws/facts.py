"""What AWS has to say before anything is created: the account, zones, images, machine sizes, what runs already.

All of it by functions of Pulumi's AWS provider, so with its credentials and endpoints, and all of it reading. A
configuration that AWS cannot fulfil is refused here, at preview, naming the key.
"""

import ipaddress
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
from .declaration import OWN_ADDRESS, AwsSettings
from .groups import GROUPS
from .network import Subnet

T = TypeVar("T")

IMAGE_PARAMETER = "/aws/service/debian/release/12/latest/{architecture}"
"""Where Debian publishes its images: https://wiki.debian.org/Cloud/AmazonEC2Image/Bookworm."""

WHO_AM_I = "https://checkip.amazonaws.com"

LARGER = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge")

RUNNING = ("pending", "running", "stopping", "stopped")
"""States of an instance that exists."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """A type of machine."""

    name: str
    cpus: int
    memory_mib: int
    """What the system has of it: firmware and kernel keep a part. A sixteenth is more than on any type that we saw
    (t3.medium: 3,840 of 4,096 MiB, where /proc/meminfo says 3,890)."""
    architecture: str
    """As Debian writes it: amd64 or arm64."""
    nitro: bool
    """Its volumes are found by their ids; on older machines they are not."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What `up` will do to the machines of a role that are there."""

    replaced: bool
    """They are of another type, or another market, than they are to be, so one after the other is made anew."""
    architecture: bool = False
    """The new ones have another architecture, so the image must be another one, too."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of AWS when the stack is declared."""

    account: str
    zones: tuple[str, ...]
    """Names of as many zones as the settings want, in the order of their names."""
    images: Mapping[str, str]
    """Ids of Debian's newest images by architecture."""
    sizes: Mapping[str, Size]
    """By instance type."""
    changes: Mapping[Role, Change]
    subnets: tuple[Subnet, ...]
    """Those of an existing VPC."""
    operator_cidrs: tuple[str, ...]
    """With the address that this machine has in the internet, if that was asked for."""


class AwsError(Exception):
    """AWS, or Pulumi's provider for it, could not be asked at all."""


def look_up(settings: AwsSettings, labels: Labels, needed_mib: Mapping[Role, int], problems: Problems) -> Facts:
    """Ask AWS; what is wrong is added to `problems`.

    `needed_mib` is the memory that a machine of each role needs at least. Raises AwsError if AWS does not answer at
    all: no credentials, no such region, no way there.
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
    zones, subnets = _places(settings, {name: key for name, key in types.items() if name in sizes}, problems)
    images = {arch: _image(arch, problems) for arch in sorted({size.architecture for size in sizes.values()})}
    changes = {role: _change(role, settings, labels, sizes) for role in Role}
    _check_ensemble(settings, labels, zones, problems)
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
    """The operators' networks; `auto` is the address that AWS sees us come from."""
    if OWN_ADDRESS not in settings.operator_cidrs:
        return settings.operator_cidrs
    try:
        with urllib.request.urlopen(WHO_AM_I, timeout=10) as answer:
            own = ipaddress.ip_network(answer.read(100).decode().strip())
    except (OSError, ValueError) as error:
        problems.add(
            "operatorCidrs",
            f"{OWN_ADDRESS}: {WHO_AM_I} does not tell this machine's address ({error}): expected the networks of your "
            "operators",
        )
        return ()
    pulumi.log.info(f"operatorCidrs: {OWN_ADDRESS} is {own}")
    others = [text for text in settings.operator_cidrs if text != OWN_ADDRESS]
    return tuple(sorted({str(own), *others}))


def _words(error: Exception) -> str:
    """What an error says, without the gRPC around it."""
    return " ".join(str(error).split())


def _asked(key: str, what: str, ask: Callable[[], T], problems: Problems) -> T | None:
    """What AWS answers; if it refuses, a problem of `key`."""
    try:
        return ask()
    except Exception as error:  # the SDK raises nothing more special
        problems.add(key, f"{what}: {_words(error)}")
        return None


def _size(name: str, key: str, problems: Problems) -> Size | None:
    found = _asked(key, f"{name!r} is not a type that this region has", lambda: _described(name), problems)
    return _as_size(found) if found else None


def _described(name: str) -> aws.ec2.GetInstanceTypeResult:
    return aws.ec2.get_instance_type(instance_type=name)


def _as_size(found: aws.ec2.GetInstanceTypeResult) -> Size:
    arm = "arm64" in found.supported_architectures
    return Size(
        name=found.instance_type,
        cpus=found.default_vcpus,
        memory_mib=found.memory_size * 15 // 16,
        architecture="arm64" if arm else "amd64",
        nitro=found.hypervisor == "nitro" or found.bare_metal,
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
                key, f"{size.name} is not of the Nitro kind, where a data volume is found: expected one as t3.small"
            )
        if size.memory_mib < needed:
            would_do = _larger(size, needed)
            problems.add(
                key,
                f"{size.name} has {size.memory_mib} MiB for its system and a {role}, which needs {needed}: "
                + (f"{would_do} would do" if would_do else "expected a larger one"),
            )


def _larger(size: Size, needed: int) -> str | None:
    """The smallest type of the same family that has `needed` MiB."""
    family, _, own = size.name.partition(".")
    for name in LARGER[LARGER.index(own) + 1 :] if own in LARGER else ():
        try:
            found = _as_size(_described(f"{family}.{name}"))
        except Exception:  # a family need not have every size
            continue
        if found.memory_mib >= needed:
            return found.name
    return None


def _places(
    settings: AwsSettings, types: Mapping[str, str], problems: Problems
) -> tuple[tuple[str, ...], tuple[Subnet, ...]]:
    """The zones, and the existing subnets in them, if any. `types`: the instance types in use, with their keys."""
    if settings.vpc_id:
        subnets = tuple(filter(None, (_subnet(name, settings, problems) for name in settings.subnet_ids)))
        zones = [subnet.zone for subnet in subnets]
        _check_names(settings.vpc_id, problems)
        if len(set(zones)) < len(zones):
            problems.add("subnetIds", f"are in {', '.join(zones)}: expected each in a zone of its own")
        for name, offered in _zones_by_type(list(types), problems).items():
            if lacking := sorted(set(zones) - offered):
                problems.add(
                    types[name],
                    f"{name} is not to be had in {', '.join(lacking)}: expected another type, or other zones",
                )
        return tuple(zones), subnets
    if not types:
        return (), ()  # none of them is known, which is said already
    found = sorted(set.intersection(*_zones_by_type(sorted(types), problems).values()))
    if len(found) < settings.zones:
        have = ", ".join(found) or "none"
        problems.add(
            "zones", f"{settings.zones} is more than {settings.region} has with {', '.join(sorted(types))}: {have}"
        )
    return tuple(found[: settings.zones]), ()


def _zones_by_type(types: Sequence[str], problems: Problems) -> dict[str, set[str]]:
    """The region's zones that have each of the types. Which those are differs from account to account."""
    ordinary = set(_asked("aws:region", "does not tell its zones", _zones, problems) or ())
    found = {}
    for name in types:
        offered = _asked("aws:region", f"does not tell where it has {name}", partial(_offered, name), problems)
        found[name] = ordinary & set(offered or ())
    return found


def _zones() -> tuple[str, ...]:
    """Zones in any state: one that has a bad day must not move the others' numbers."""
    # Local and wavelength zones have neither all instance types nor all services
    ordinary = aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])
    return tuple(aws.get_availability_zones(filters=[ordinary]).names)


def _offered(name: str) -> tuple[str, ...]:
    """Zones that have a type."""
    expected = aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=[name])
    return tuple(aws.ec2.get_instance_type_offerings(location_type="availability-zone", filters=[expected]).locations)


def _subnet(name: str, settings: AwsSettings, problems: Problems) -> Subnet | None:
    found = _asked("subnetIds", f"{name} is not there", lambda: aws.ec2.get_subnet(id=name), problems)
    if found is None:
        return None
    if found.vpc_id != settings.vpc_id:
        problems.add("subnetIds", f"{name} is in {found.vpc_id}: expected subnets of vpcId {settings.vpc_id}")
    return Subnet(zone=found.availability_zone, id=name, public=not settings.private_subnets)


def _check_names(vpc_id: str, problems: Problems) -> None:
    """Without both of these the names of a private zone are not answered."""
    found = _asked("vpcId", f"{vpc_id} is not there", lambda: aws.ec2.get_vpc(id=vpc_id), problems)
    if found and not (found.enable_dns_support and found.enable_dns_hostnames):
        problems.add("vpcId", f"{vpc_id} has no DNS host names: expected enableDnsSupport and enableDnsHostnames set")


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
    """Ids of the stack's instances of a role; `more` are further filters of DescribeInstances, `_` for `-`."""
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
    if same_market and len(_there(labels, role, instance_type=[group.instance_type])) == there:
        return Change(replaced=False)
    architecture = sizes[group.instance_type].architecture
    fitting = _there(labels, role, architecture=[{"amd64": "x86_64"}.get(architecture, architecture)])
    return Change(replaced=True, architecture=len(fitting) < there)


def _check_ensemble(settings: AwsSettings, labels: Labels, zones: Sequence[str], problems: Problems) -> None:
    """ZooKeeper's volumes stay in their zones, so an existing ensemble cannot be spread over others."""
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
            f"{settings.zones} would move ZooKeeper servers, whose volumes cannot move ({places}): expected the "
            "zones, and no fewer servers, that the stack was made with",
        )


def _volumes(labels: Labels, zone: str = "") -> list[str]:
    """Ids of the volumes with ZooKeeper's data, all or those of a zone."""
    expected = {
        "tag:project": labels.project,
        "tag:stack": labels.stack,
        "tag:role": Role.ZOOKEEPER.value,
        "tag:Name": f"{labels.stack}-zk-*-data",
        **({"availability-zone": zone} if zone else {}),
    }
    filters = [aws.ebs.GetEbsVolumesFilterArgs(name=name, values=[value]) for name, value in expected.items()]
    return list(aws.ebs.get_ebs_volumes(filters=filters).ids)


def say(error: AwsError) -> str:
    """What to do about it."""
    return (
        f"AWS cannot be asked: {error}\n"
        "Expected: credentials that are valid now (AWS_PROFILE, `aws sso login`, AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or an OIDC role in CI) and a region (aws:region). Nothing was touched."
    )

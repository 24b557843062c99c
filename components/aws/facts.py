"""Read-only queries to AWS before anything is created: account, zones, images, instance types, running instances.

All queries use functions of Pulumi's AWS plugin, and so its credentials and endpoints. A configuration that AWS cannot
fulfil is refused here, in the preview, with the key.
"""

import ipaddress
import re
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import pulumi
import pulumi_aws as aws

from ..host import Role
from ..naming import Labels
from ..problems import Problems
from ..roles import ROLES
from ..storage import S3, Storage
from . import balancing, capacity, foreign, placement, plan
from .capacity import ON_DEMAND, SPOT, Offer
from .declaration import OWN_ADDRESS, AwsSettings, GroupSettings
from .groups import GROUPS, GroupKeys
from .network import Subnet
from .security import BASTION

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

ENDING = ("shutting-down",)
"""States of an instance that is lost, though the plugin still finds it."""

MOST_VALUES = 200
"""Values of a filter: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html."""


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
class Launch:
    """A host's machine. `offer` is what it is, or what a new one will be; an existing machine stays in its zone."""

    offer: Offer
    replaced: bool = False
    """It exists, and its instance type, market (spot, on-demand), placement group or image differs from the desired
    state: it is replaced, one after the other.
    """


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
    launches: Mapping[Role, Sequence[Launch]]
    """The machines of each role, by the number of the host."""
    subnets: tuple[Subnet, ...]
    """Subnets of an existing VPC."""
    operator_cidrs: tuple[str, ...]
    """Operator networks, in which OWN_ADDRESS is replaced by the public address of this machine."""
    fresh_bastion: bool = False
    """The bastion exists, and is replaced because it has another instance type."""
    new: Mapping[Offer, Sequence[str]] = field(default_factory=dict)
    """The machines that `up` launches → their hosts."""
    ending: Sequence[str] = ()
    """The machines that are shutting down."""

    def replaced(self, role: Role) -> bool:
        """Whether existing machines of a role are replaced."""
        return any(launch.replaced for launch in self.launches[role])


class AwsError(Exception):
    """AWS, or Pulumi's plugin for it, does not answer."""


def look_up(
    settings: AwsSettings,
    storage: Storage,
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
    preferred = {
        settings.groups[role].instance_type: _type_key(keys, settings.groups[role])
        for role, keys in GROUPS.items()
        if settings.groups[role].count
    }
    if settings.bastion:
        preferred.setdefault(settings.bastion_type, "bastionType")
    others = {
        name: keys.types
        for role, keys in GROUPS.items()
        for name in settings.groups[role].other_types
        if settings.groups[role].count
    }
    types = {**others, **preferred}
    sizes = {name: size for name, key in types.items() if (size := _size(name, key, problems))}
    _check_sizes(settings, sizes, needed_mib, problems)
    _check_java(settings, sizes, problems)
    _check_plan(settings, account, sizes, needed_mib, problems)
    offered = _zones_by_type(sorted(sizes), problems)
    # Not by the other types: one more of them must not move an existing network to other zones
    zones, subnets = _places(settings, {name: offered[name] for name in preferred if name in sizes}, types, problems)
    images = {arch: _image(arch, problems) for arch in sorted({size.architecture for size in sizes.values()})}
    new: dict[Offer, list[str]] = defaultdict(list)
    launches = {role: _launches(role, settings, labels, offered, zones, images, new, problems) for role in Role}
    _check_ensemble(settings, labels, zones, problems)
    foreign.check(settings, labels, problems)
    # AWS does not know the buckets of another S3 server
    s3 = storage.of(S3)
    if not settings.create_bucket and s3 and not s3.endpoint:
        _check_bucket(settings, problems)
    return Facts(
        account=account,
        zones=zones,
        images=images,
        sizes=sizes,
        launches=launches,
        subnets=subnets,
        operator_cidrs=_operators(settings, problems),
        fresh_bastion=settings.bastion and _is_other_bastion(settings, labels),
        new=new,
        ending=_ending(settings, labels),
    )


def _type_key(keys: GroupKeys, group: GroupSettings) -> str:
    return keys.types if group.other_types else keys.instance_type


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
        group = settings.groups[role]
        for size in (sizes[name] for name in group.types if group.count and name in sizes):
            _check_size(role, keys, group, size, needed_mib[role], problems)


def _check_size(role: Role, keys: GroupKeys, group: GroupSettings, size: Size, needed: int, problems: Problems) -> None:
    key = _type_key(keys, group)
    if ROLES[role].data_directory and not size.nitro:
        problems.add(
            key, f"{size.name} is not a Nitro type, which the data volume requires: expected one such as t3.small"
        )
    if (strategy := group.placement) and strategy not in size.placement:
        problems.add(
            keys.placement,
            f"{size.name} cannot be in a placement group with {strategy}: expected "
            f"{', '.join(size.placement) or 'none'}, or another {key}",
        )
    if keys.instance_store:
        _check_instance_store(group.instance_store, size, keys, key, problems)
    if size.memory_mib < needed:
        would_do = _larger(size, needed)
        problems.add(
            key,
            f"{size.name} has {size.memory_mib} MiB, but the system and a {role} need {needed}: "
            + (f"expected {would_do} or larger" if would_do else "expected a larger type"),
        )


def _check_java(settings: AwsSettings, sizes: Mapping[str, Size], problems: Problems) -> None:
    """Machines of several architectures need several JDKs. The bastion has none."""
    names = (name for group in settings.groups.values() if group.count for name in reversed(group.types))
    types = {sizes[name].architecture: name for name in names if name in sizes}
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


def _check_instance_store(used: bool, size: Size, keys: GroupKeys, key: str, problems: Problems) -> None:
    if used and not size.instance_disks:
        problems.add(
            keys.instance_store,
            f"{size.name} has no NVMe instance store: expected a {key} with one, such as m6id.large, "
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
    groups = [(role, keys, settings.groups[role]) for role, keys in GROUPS.items() if settings.groups[role].count]
    expected: list[tuple[str, str, Role | None]] = [
        (_type_key(keys, group), name, role) for role, keys, group in groups for name in group.types
    ]
    if settings.bastion:
        expected.append(("bastionType", settings.bastion_type, None))
    others = [each for each in expected if each[1] in sizes and not sizes[each[1]].free_tier_eligible]
    if not others or not plan.is_free(account, settings.region):
        return
    eligible = _eligible(problems)
    for key, name, role in others:
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
    settings: AwsSettings, offered: Mapping[str, set[str]], keys: Mapping[str, str], problems: Problems
) -> tuple[tuple[str, ...], tuple[Subnet, ...]]:
    """The zones, and the existing subnets in them, if any. `offered`: instance types in use → the zones that offer
    them; `keys`: types → their keys.
    """
    if settings.vpc_id:
        subnets = tuple(filter(None, (_subnet(name, settings, problems) for name in settings.subnet_ids)))
        zones = [subnet.zone for subnet in subnets]
        _check_names(settings.vpc_id, problems)
        if len(set(zones)) < len(zones):
            problems.add("subnetIds", f"are in {', '.join(zones)}: expected each subnet in a zone of its own")
        for name, places in offered.items():
            if lacking := sorted(set(zones) - places):
                problems.add(
                    keys[name],
                    f"{name} is not available in {', '.join(lacking)}: expected another type, or other zones",
                )
        return tuple(zones), subnets
    if not offered:
        return (), ()  # no type is known, which is already reported
    found = sorted(set.intersection(*offered.values()))
    if len(found) < settings.zones:
        have = ", ".join(found) or "none"
        problems.add(
            "zones",
            f"{settings.zones} exceeds the zones of {settings.region} that offer {', '.join(sorted(offered))}: {have}",
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
    if settings.balancer:
        _check_room(name, found, problems)
    return Subnet(
        zone=found.availability_zone, id=name, public=not settings.private_subnets, cidr=found.cidr_block or ""
    )


def _check_room(name: str, found: aws.ec2.GetSubnetResult, problems: Problems) -> None:
    size, free = ipaddress.ip_network(found.cidr_block).prefixlen, found.available_ip_address_count
    if size > balancing.LONGEST_PREFIX or free < balancing.ADDRESSES:
        problems.add(
            "subnetIds",
            f"{name} is a /{size} with {free} free addresses: expected a /{balancing.LONGEST_PREFIX} or larger with "
            f"{balancing.ADDRESSES} or more, which a load balancer ({balancing.KEY}) needs",
        )


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


def _there(
    labels: Labels, role: str, filters: Mapping[str, Iterable[str]] | None = None, states: Sequence[str] = RUNNING
) -> list[str]:
    """Ids of the stack's instances of a role, or of all if it is empty. `filters`: more of DescribeInstances."""
    expected: dict[str, Iterable[str]] = {
        "tag:project": [labels.project],
        "tag:stack": [labels.stack],
        **({"tag:role": [role]} if role else {}),
        **(filters or {}),
    }
    asked = [aws.ec2.GetInstancesFilterArgs(name=name, values=list(values)) for name, values in expected.items()]
    return list(aws.ec2.get_instances(instance_state_names=list(states), filters=asked).ids)


def _launches(
    role: Role,
    settings: AwsSettings,
    labels: Labels,
    offered: Mapping[str, set[str]],
    zones: Sequence[str],
    images: Mapping[str, str],
    new: dict[Offer, list[str]],
    problems: Problems,
) -> tuple[Launch, ...]:
    """The machines of a role. Those that exist stay if they are of any type and market that is allowed; the others are
    the first that AWS does not lack, and are added to `new`.
    """
    group, prefix, found = settings.groups[role], ROLES[role].prefix, []
    spread = zones[: group.zones]
    if not group.count or not spread or not set(group.types) <= set(offered):
        return ()  # reported already
    renewed = {index for index in range(group.count) if f"{prefix}-{index}" in settings.newest_image}
    there = _existing(role, group, labels, renewed, images)
    for index in range(group.count):
        home = spread[index % len(spread)]
        if kind := there.get(index):
            found.append(Launch(offer=Offer(market=kind[0], type=kind[1], zone=home)))
            continue
        # A data volume cannot follow its machine to another zone
        reach, first = ([home], 0) if ROLES[role].data_directory else (spread, index)
        known = capacity.offers(group.markets, group.types, reach, first)
        possible = [offer for offer in known if offer.zone in offered[offer.type]]
        left = [offer for offer in possible if not any(lack.covers(offer) for lack in settings.no_capacity)]
        if possible and not left:
            problems.add(
                "noCapacity",
                f"leaves no machine for {prefix}-{index}, which may be {', or '.join(map(str, possible))}: expected "
                f"another type ({_type_key(GROUPS[role], group)}), or fewer entries",
            )
        if left:
            new[left[0]].append(f"{prefix}-{index}")
            found.append(Launch(offer=left[0], replaced=index in there))
    return tuple(found)


def _existing(
    role: Role, group: GroupSettings, labels: Labels, renewed: Collection[int], images: Mapping[str, str]
) -> dict[int, tuple[str, str] | None]:
    """Number of a host → market and type of its machine; None for a machine that has to be replaced. The `renewed` have
    to have one of `images`.
    """
    ids = _there(labels, role)
    if not ids:
        return {}
    spot = set(_there(labels, role, {"instance-lifecycle": ["spot"]}))
    types = {id: name for name in group.types for id in _there(labels, role, {"instance-type": [name]})}
    placed = _placed(ids, role, group, labels)
    kinds: dict[str, tuple[str, str] | None] = {}
    for id in ids:
        market = SPOT if id in spot else ON_DEMAND
        fits = id in types and market in group.markets and id in placed
        kinds[id] = (market, types[id]) if fits else None
    newest = set(_there(labels, role, {"image-id": sorted(images.values())})) if renewed else set(ids)
    if newest.issuperset(ids) and len(ids) == group.count and len(set(kinds.values())) == 1:
        return dict.fromkeys(range(group.count), kinds[ids[0]])
    return {
        number: kinds[id] if id in newest or number not in renewed else None
        for id, number in _numbers(role, group.count, labels).items()
        if id in kinds
    }


def _numbers(role: Role, count: int, labels: Labels, states: Sequence[str] = RUNNING) -> dict[str, int]:
    """Id of an instance → the number of its host. The plugin reports ids without names, so each query finds one bit of
    all numbers.
    """
    found: Counter[str] = Counter()
    for bit in range(count.bit_length()):
        # Plus 1, because a machine of none of these names has no bit
        names = [f"{labels.stack}-{ROLES[role].prefix}-{index}" for index in range(count) if (index + 1) >> bit & 1]
        for start in range(0, len(names), MOST_VALUES):
            some = {"tag:Name": names[start:][:MOST_VALUES]}
            found.update(dict.fromkeys(_there(labels, role, some, states), 1 << bit))
    return {id: number - 1 for id, number in found.items()}


def _placed(ids: Sequence[str], role: Role, group: GroupSettings, labels: Labels) -> set[str]:
    """Those of the machines that are in the desired placement group, or in none."""
    placed = set(ids)
    for strategy in placement.STRATEGIES if GROUPS[role].placement else ():
        name = placement.name(labels.stack, ROLES[role].prefix, strategy)
        inside = set(_there(labels, role, {"placement-group-name": [name]}))
        placed = placed & inside if strategy == group.placement else placed - inside
    return placed


def _ending(settings: AwsSettings, labels: Labels) -> list[str]:
    """The machines that are shutting down: host and id, or the id only."""
    ids = _there(labels, "", states=ENDING)
    if not ids:
        return []
    hosts = {
        id: f"{ROLES[role].prefix}-{number}"
        for role in Role
        for id, number in _numbers(role, settings.groups[role].count, labels, ENDING).items()
    }
    return sorted(f"{hosts[id]} ({id})" if id in hosts else id for id in ids)


def _is_other_bastion(settings: AwsSettings, labels: Labels) -> bool:
    there = _there(labels, BASTION)
    return bool(there) and not _there(labels, BASTION, {"instance-type": [settings.bastion_type]})


def _check_ensemble(settings: AwsSettings, labels: Labels, zones: Sequence[str], problems: Problems) -> None:
    """Volumes with data cannot change zones, so the hosts that have them cannot move to other zones."""
    for role, row in ROLES.items():
        count = settings.groups[role].count
        # An ensemble may not lose servers; other data goes with its host
        if row.data_directory and (count or row.daemon):
            _check_volumes(role, count, settings, labels, zones, problems)


def _check_volumes(
    role: Role, count: int, settings: AwsSettings, labels: Labels, zones: Sequence[str], problems: Problems
) -> None:
    there = _volumes(labels, role)
    if not there or not zones:
        return
    expected = {zone: len(range(index, count, len(zones))) for index, zone in enumerate(zones)}
    found = {zone: len(_volumes(labels, role, zone)) for zone in zones}
    elsewhere = len(there) - sum(found.values())
    if elsewhere or any(found[zone] > expected[zone] for zone in zones):
        places = ", ".join(f"{found[zone]} in {zone}" for zone in zones) + f", {elsewhere} elsewhere"
        problems.add(
            "zones",
            f"{settings.zones} would move {ROLES[role].title} hosts to other zones, but their volumes cannot move "
            f"({places}): expected the zones of the existing stack, and no fewer hosts",
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


def _volumes(labels: Labels, role: Role, zone: str = "") -> list[str]:
    """Ids of the volumes with the data of a role's hosts: all of them, or those in a zone."""
    expected = {
        "tag:project": labels.project,
        "tag:stack": labels.stack,
        "tag:role": role.value,
        "tag:Name": f"{labels.stack}-{ROLES[role].prefix}-*-data",
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


def wait_for(machines: Sequence[str]) -> str:
    """What to do about machines that are shutting down."""
    return (
        f"Shutting down: {', '.join(machines)}. Pulumi's plugin takes such a machine for an existing one, so that `up` "
        "would neither replace it nor reach it; nothing was changed. Expected: `terminated`, usually after a minute "
        "(`aws ec2 wait instance-terminated --instance-ids ID`). Then run `pulumi up --refresh`"
    )


def say(error: AwsError) -> str:
    """The error with what to do about it."""
    return (
        f"AWS does not answer: {error}\n"
        "Expected: valid credentials (AWS_PROFILE, `aws sso login`, AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY, or an OIDC role in CI) and a region (aws:region). Nothing was changed."
    )

"""Names of resources in AWS. Pure functions."""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass

from ..roles import ROLES

LONGEST_HOST = 64
"""Characters of a host name with its domain, which cloud-init makes the machine's name: HOST_NAME_MAX of Linux."""
LONGEST_ROLE = 64
"""Characters: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True)
class Partition:
    """A partition of AWS."""

    name: str
    """As in `arn:aws:…`."""
    suffix: str
    """Suffix of service principals, such as `ec2.amazonaws.com`, which the role of the machines has to trust."""


_BY_PREFIX = {
    "cn-": Partition("aws-cn", "amazonaws.com.cn"),
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
}

# Isolated and sovereign partitions of AWS, in which this program has never been tried
_UNKNOWN = re.compile(r"(us-iso|eu-iso|eusc-).*")


def partition(region: str) -> Partition:
    """The partition of `region`, as in botocore's endpoints.json. Raises ValueError for one that is not supported."""
    if _UNKNOWN.fullmatch(region):
        raise ValueError(f"{region} is in an unsupported partition of AWS: expected a public region")
    return next(
        (found for prefix, found in _BY_PREFIX.items() if region.startswith(prefix)),
        Partition("aws", "amazonaws.com"),
    )


def bucket_arn(region: str, bucket: str) -> str:
    """ARN of a bucket, which contains neither region nor account."""
    return f"arn:{partition(region).name}:s3:::{bucket}"


def role(stack: str, region: str, part: str = "") -> str:
    """Name of a role and its instance profile. `part` is for others than that of all machines that use the storage: the
    prefix of hosts that have one of their own, `healing`, `entrance`, or `snapshots`.

    It contains the region, because IAM is global: the same stack in two regions has two roles. It is the same in every
    `up`, so that a preview shows it and a policy can name it. With a random suffix the role of a lost stack would
    remain unnoticed; this name causes a conflict instead. A longer name is cut, with a digest at its end.
    """
    whole = f"flink-{stack}-{region}{f'-{part}' if part else ''}"
    return _cut(whole, LONGEST_ROLE)


def roles(stack: str, region: str) -> list[str]:
    """Names of all roles that a stack may have."""
    hosts = [row.prefix for row in ROLES.values() if row.uses_storage]
    return [role(stack, region, part) for part in ("", *hosts, "snapshots", "healing", "entrance")]


def snapshots(stack: str, region: str) -> str:
    """Name of the role that makes snapshots, and the value of the tag of what it makes them of."""
    return role(stack, region, "snapshots")


def domain(stack: str) -> str:
    """Domain of the hosts of `stack`. Raises ValueError if the stack's name cannot be part of a host name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", stack):
        raise ValueError(
            f"{stack!r} cannot be part of host names: expected lower-case letters, digits and -, 63 at most"
        )
    return f"{stack}.flink.internal"


def check_hosts(stack: str, hosts: Collection[str]) -> None:
    """Raises ValueError if the name of one of `hosts` would be too long with the domain of `stack`. Of all names that
    are made, these are the first that are too long: names of roles and buckets are cut, all others may be longer.
    """
    longest = max(hosts, key=len)
    whole = f"{longest}.{domain(stack)}"
    if len(whole) > LONGEST_HOST:
        raise ValueError(
            f"{stack!r} has {len(stack)} characters, so that the host name {whole} has {len(whole)}: expected a name "
            f"of {LONGEST_HOST - len(whole) + len(stack)} or fewer, because host names have {LONGEST_HOST} at most"
        )


LONGEST_EVENT_NAME = 64
"""Of rules, connections and API destinations, as in botocore's service model of EventBridge."""


LONGEST_BALANCER = 32
"""Of load balancers and target groups: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/."""


def balancer(stack: str, internal: bool) -> str:
    """Name of the front door's load balancer. The other scheme is another load balancer, which is created first."""
    return _cut(f"flink-{stack}-{'internal' if internal else 'public'}", LONGEST_BALANCER)


def doors(stack: str, internal: bool, port: int) -> str:
    """Name of the load balancer's target group. A group belongs to one load balancer, and keeps its port."""
    return _cut(f"flink-{stack}-{'internal' if internal else 'public'}-{port}", LONGEST_BALANCER)


def healing(stack: str, number: int | None = None) -> str:
    """Name of what reports a lost machine: of its connection and destination, or of a rule."""
    end = "-healing" if number is None else f"-healing-{number}"
    return _cut(f"flink-{stack}", LONGEST_EVENT_NAME - len(end)) + end


def _cut(whole: str, most: int) -> str:
    """A name with at most `most` characters; a digest at its end if it was longer."""
    if len(whole) <= most:
        return whole
    return f"{whole[: most - 9]}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"

"""What things are called in AWS. Pure functions."""

import hashlib
import re
from dataclasses import dataclass

LONGEST_ROLE = 64
"""Characters: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


@dataclass(frozen=True)
class Partition:
    """One of AWS's clouds."""

    name: str
    """As in `arn:aws:…`."""
    suffix: str
    """What the names of its services end in, such as `ec2.amazonaws.com`, which a role for machines has to trust."""


_BY_PREFIX = {
    "cn-": Partition("aws-cn", "amazonaws.com.cn"),
    "us-gov-": Partition("aws-us-gov", "amazonaws.com"),
}

# AWS's isolated and sovereign clouds: what their services are called, nobody could try
_UNKNOWN = re.compile(r"^(us-iso|eu-iso|eusc-)")


def partition(region: str) -> Partition:
    """The partition of `region`, as in botocore's endpoints.json. Raises ValueError for one that is not supported."""
    if _UNKNOWN.match(region):
        raise ValueError(f"{region} is in a cloud of AWS's that this program does not know: expected a public region")
    return next(
        (found for prefix, found in _BY_PREFIX.items() if region.startswith(prefix)),
        Partition("aws", "amazonaws.com"),
    )


def bucket_arn(region: str, bucket: str) -> str:
    """ARN of a bucket; it has neither region nor account."""
    return f"arn:{partition(region).name}:s3:::{bucket}"


def role(stack: str, region: str) -> str:
    """Name of the role and its instance profile.

    IAM knows no regions, so the region is in it: the same stack in two regions has two. It is the same at every `up`,
    so that a preview shows it and a policy can name it; a chance suffix would leave a lost stack's role behind
    unnoticed, where this one is in the next one's way. Too long a name is cut, and told apart by a digest.
    """
    whole = f"flink-{stack}-{region}"
    if len(whole) <= LONGEST_ROLE:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: LONGEST_ROLE - 9]}-{digest}"


def domain(stack: str) -> str:
    """Domain of the hosts of `stack`. Raises ValueError if the stack's name cannot be part of a host name."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", stack):
        raise ValueError(
            f"{stack!r} cannot be part of host names: expected lower-case letters, digits and -, at most 63 in all"
        )
    return f"{stack}.flink.internal"

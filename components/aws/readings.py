"""Snapshots on buckets of other stacks, from which jobs start: hosts may read them, and nothing else of those buckets.
Pure functions.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ..problems import Problems
from . import names

_S3 = re.compile(r"s3[a-z]?://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)")


def load(found: Iterable[tuple[str, str]], problems: Problems) -> tuple[str, ...]:
    """The URIs of snapshots of `found`: pairs of a key of the configuration and the URI. A pattern in one would be one
    in the policy, too, and Flink removes `..` from paths. Other storages than S3 need no rights in AWS.
    """
    uris = []
    for key, uri in found:
        match = _S3.fullmatch(uri)
        if uri.startswith("s3") and not match:
            problems.add(key, f"{uri!r} has no bucket or no path in it: expected s3://bucket/path")
        elif "*" in uri or {".", ".."} & set(uri.split("/")):
            problems.add(key, f"{uri!r} has *, or a segment . or ..: expected a path without them")
        elif match:
            uris.append(uri)
    return tuple(uris)


def statements(region: str, storage_region: str, own: tuple[str, str], uris: Sequence[str]) -> list[dict[str, Any]]:
    """The statements of a policy; `own` is the bucket and the prefix that hosts may use anyway.

    Flink looks up whether the path is a folder, lists it, and reads its objects. If another key than S3's encrypts
    them, S3 decrypts them for the hosts: its request names the object, or the bucket if that has a bucket key
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html).
    """
    keys: dict[str, list[str]] = {}
    for uri in uris:
        match = _S3.fullmatch(uri)
        assert match is not None
        bucket, key = match[1], _whole(match[2].rstrip("/"))
        if bucket != own[0] or not f"{key}/".startswith(f"{own[1]}/"):
            keys.setdefault(bucket, []).append(key)
    found: list[dict[str, Any]] = []
    partition = names.partition(region)
    for number, (bucket, below) in enumerate(sorted(keys.items())):
        arn = names.bucket_arn(region, bucket)
        patterns = sorted({pattern for key in below for pattern in (key, f"{key}/*")})
        objects = [f"{arn}/{pattern}" for pattern in patterns]
        listed = {"StringLike": {"s3:prefix": patterns}}
        by_s3 = {
            "StringEquals": {"kms:ViaService": f"s3.{storage_region}.{partition.suffix}"},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": [arn, *objects]},
        }
        found += [
            allow(f"StartBucket{number}", ["s3:GetBucketLocation"], [arn]),
            allow(f"StartList{number}", ["s3:ListBucket"], [arn], listed),
            allow(f"StartObjects{number}", ["s3:GetObject"], objects),
            allow(f"StartKey{number}", ["kms:Decrypt"], [f"arn:{partition.name}:kms:{storage_region}:*:key/*"], by_s3),
        ]
    return found


def _whole(key: str) -> str:
    """A checkpoint shares files with those before it, in folders beside it."""
    folder, _, last = key.rpartition("/")
    return folder if folder and re.fullmatch(r"chk-[0-9]+", last) else key


def allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A statement of a policy."""
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}

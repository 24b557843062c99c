"""What hosts may do in AWS: use the cluster's prefix of the bucket, and nothing else. The machines have a role, not
access keys.
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from .. import naming
from ..naming import Labels
from . import names
from .declaration import AwsSettings


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """Arguments of `Identity`."""

    settings: AwsSettings
    labels: Labels


def trust(region: str) -> dict[str, Any]:
    """The trust policy: EC2 instances may assume the role."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"ec2.{names.partition(region).suffix}"},
                "Action": "sts:AssumeRole",
            }
        ],
    }


def policy(settings: AwsSettings) -> dict[str, Any]:
    """The access policy: what Flink's S3 plugins need, on the stack's prefix of the bucket only.

    flink-s3-fs-native and flink-s3-fs-hadoop call ListObjectsV2, HeadObject, GetObject, PutObject, CopyObject,
    DeleteObject and multipart uploads. HeadObject requires GetObject. Without ListBucket, for which S3 compares the key
    with `s3:prefix`, a missing object is reported as forbidden instead of not found. Listing uploads cannot be limited
    to the prefix, and nothing needs it: the bucket's lifecycle aborts interrupted uploads.
    """
    bucket = names.bucket_arn(settings.region, settings.bucket)
    own = [settings.prefix, f"{settings.prefix}/*"]
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    uploads = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    statements = [
        # S3A, on which flink-s3-fs-hadoop is based, asks for the region of the bucket
        _allow("Bucket", ["s3:GetBucketLocation"], [bucket]),
        _allow("List", ["s3:ListBucket"], [bucket], {"StringLike": {"s3:prefix": own}}),
        _allow("Objects", [*objects, *uploads], [f"{bucket}/{key}" for key in own]),
    ]
    if settings.kms_key:
        # Only S3 uses the key, never a host. Multipart uploads need Decrypt too, because S3 assembles the parts
        s3 = f"s3.{settings.bucket_region}.{names.partition(settings.region).suffix}"
        by_s3 = {"StringEquals": {"kms:ViaService": s3}}
        statements.append(_allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [settings.kms_key], by_s3))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}


class Identity(pulumi.ComponentResource):
    """The instance profile of JobManagers and TaskManagers. Other machines have none."""

    profile: pulumi.Output[str]
    """Name of the instance profile."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Identity"), name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, labels = args.settings, args.labels
        full = names.role(labels.stack, settings.region)
        role = iam.Role(
            "flink",
            name=full,
            description=f"Flink cluster {labels.stack}: its part of the bucket {settings.bucket}",
            assume_role_policy=json.dumps(trust(settings.region)),
            tags=labels.tags(full),
            opts=child,
        )
        rights = iam.RolePolicy(
            "storage", name="storage", role=role.name, policy=json.dumps(policy(settings)), opts=child
        )
        # So that a machine with the profile can use the storage for its whole lifetime
        after = pulumi.ResourceOptions(parent=self, depends_on=[rights])
        profile = iam.InstanceProfile("flink", name=full, role=role.name, tags=labels.tags(full), opts=after)
        self.profile = profile.name
        self.register_outputs({"profile": self.profile})

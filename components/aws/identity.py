"""What hosts may do in AWS: use their own part of the bucket, and nothing else. No keys: the machines have a role."""

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
    """What the hosts' identity is made from."""

    settings: AwsSettings
    labels: Labels


def trust(region: str) -> dict[str, Any]:
    """Who may take the role: EC2 machines."""
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
    """What Flink's S3 plugins do, on the stack's prefix of its bucket only.

    The calls are those of flink-s3-fs-native and flink-s3-fs-hadoop: ListObjectsV2, HeadObject, GetObject, PutObject,
    CopyObject, DeleteObject, and multipart uploads. HeadObject needs GetObject; that a missing object is not found
    rather than forbidden needs ListBucket, for which S3 takes the key as `s3:prefix`. Listing uploads could not be
    limited to the prefix, and nothing does it: the bucket's lifecycle ends those that broke off.
    """
    bucket = names.bucket_arn(settings.region, settings.bucket)
    own = [settings.prefix, f"{settings.prefix}/*"]
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    uploads = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    statements = [
        # S3A, which flink-s3-fs-hadoop is made of, asks in which region the bucket is
        _allow("Bucket", ["s3:GetBucketLocation"], [bucket]),
        _allow("List", ["s3:ListBucket"], [bucket], {"StringLike": {"s3:prefix": own}}),
        _allow("Objects", [*objects, *uploads], [f"{bucket}/{key}" for key in own]),
    ]
    if settings.kms_key:
        # It is S3 that asks for the key, never a host; Decrypt also for uploads, whose parts are put together again
        by_s3 = {"StringEquals": {"kms:ViaService": f"s3.{settings.region}.{names.partition(settings.region).suffix}"}}
        statements.append(_allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [settings.kms_key], by_s3))
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, actions: list[str], resources: list[str], condition: dict[str, Any] | None = None
) -> dict[str, Any]:
    statement = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
    return statement if condition is None else {**statement, "Condition": condition}


class Identity(pulumi.ComponentResource):
    """The instance profile of JobManagers and TaskManagers; ZooKeeper and the bastion have none."""

    profile: pulumi.Output[str]
    """Its name."""

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
        # A machine that has the profile can use the storage from its first moment to its last
        after = pulumi.ResourceOptions(parent=self, depends_on=[rights])
        profile = iam.InstanceProfile("flink", name=full, role=role.name, tags=labels.tags(full), opts=after)
        self.profile = profile.name
        self.register_outputs({"profile": self.profile})

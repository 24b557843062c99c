"""What hosts may do in AWS: use the cluster's prefix of the bucket, and what the user's own policies allow. The
machines have a role, not access keys.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from .. import naming
from ..host import Role
from ..naming import Labels
from ..roles import ROLES
from . import names, readings
from .declaration import AwsSettings
from .readings import allow


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """Arguments of `Identity`."""

    settings: AwsSettings
    labels: Labels


def trust(region: str) -> dict[str, Any]:
    """The trust policy: EC2 instances may assume the role."""
    return trust_in(f"ec2.{names.partition(region).suffix}")


def trust_in(service: str) -> dict[str, Any]:
    """A trust policy: the service, such as `events.amazonaws.com`, may assume the role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def policy(settings: AwsSettings) -> dict[str, Any]:
    """The access policy: what Flink's S3 plugins need, on the stack's prefix of the bucket only.

    flink-s3-fs-native and flink-s3-fs-hadoop call ListObjectsV2, HeadObject, GetObject, PutObject, CopyObject,
    DeleteObject and multipart uploads. HeadObject requires GetObject. Without ListBucket, for which S3 compares the key
    with `s3:prefix`, a missing object is reported as forbidden instead of not found. Listing uploads cannot be limited
    to the prefix, and nothing needs it: the bucket's lifecycle aborts interrupted uploads.
    """
    bucket = names.bucket_arn(settings.region, settings.bucket)
    below = [settings.prefix, f"{settings.prefix}/*"]
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    uploads = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    statements = [
        # S3A, on which flink-s3-fs-hadoop is based, asks for the region of the bucket
        allow("Bucket", ["s3:GetBucketLocation"], [bucket]),
        allow("List", ["s3:ListBucket"], [bucket], {"StringLike": {"s3:prefix": below}}),
        allow("Objects", [*objects, *uploads], [f"{bucket}/{key}" for key in below]),
    ]
    if settings.kms_key:
        # Only S3 uses the key, never a host. Multipart uploads need Decrypt too, because S3 assembles the parts
        s3 = f"s3.{settings.bucket_region}.{names.partition(settings.region).suffix}"
        by_s3 = {"StringEquals": {"kms:ViaService": s3}}
        statements.append(allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [settings.kms_key], by_s3))
    own = (settings.bucket, settings.prefix)
    statements += readings.statements(settings.region, settings.bucket_region, own, settings.reads)
    return {"Version": "2012-10-17", "Statement": statements}


def role_options(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """For roles with `force_detach_policies`. Others attach policies to them, such as Quick Setup of Systems Manager to
    those of all machines. Roles of stacks that were created without it need no update.
    """
    return pulumi.ResourceOptions(parent=parent, ignore_changes=["forceDetachPolicies"])


class Identity(pulumi.ComponentResource):
    """The instance profiles of the hosts that use the storage. Other machines have none.

    They share one role. JobManagers or TaskManagers with policies of the user have a role of their own, so that no
    other host has these rights. An existing profile of the user replaces all of them.
    """

    profiles: Mapping[Role, pulumi.Input[str]]
    """Names of the instance profiles."""

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Identity"), name, None, opts)
        self._args = args
        settings = args.settings
        hosts = [role for role in Role if ROLES[role].uses_storage]
        if settings.instance_profile:
            self.profiles = dict.fromkeys(hosts, settings.instance_profile)
        else:
            own = {role: settings.groups[role].policies for role in hosts if settings.groups[role].policies}
            profiles = {role: self._profile(role.value, ROLES[role].prefix, arns) for role, arns in own.items()}
            others = [role for role in hosts if role not in own]
            self.profiles = {**profiles, **dict.fromkeys(others, self._profile("flink") if others else "")}
        self.register_outputs({})

    def _profile(self, name: str, part: str = "", policies: tuple[str, ...] = ()) -> pulumi.Output[str]:
        """A profile whose role may use the storage, and what `policies` allow. `part` is for its name in AWS."""
        child = pulumi.ResourceOptions(parent=self)
        settings, labels = self._args.settings, self._args.labels
        full = names.role(labels.stack, settings.region, part)
        role = iam.Role(
            name,
            name=full,
            description=f"Flink cluster {labels.stack}: its part of the bucket {settings.bucket}",
            assume_role_policy=json.dumps(trust(settings.region)),
            permissions_boundary=settings.permissions_boundary or None,
            force_detach_policies=True,
            tags=labels.tags(full),
            opts=role_options(self),
        )
        rights: list[pulumi.Resource] = [
            iam.RolePolicy(
                f"storage-{part}" if part else "storage",
                name="storage",
                role=role.name,
                policy=json.dumps(policy(settings)),
                opts=child,
            )
        ]
        rights += [
            iam.RolePolicyAttachment(f"{name}-{_short(arn)}", role=role.name, policy_arn=arn, opts=child)
            for arn in policies
        ]
        # So that a machine with the profile has all rights for its whole lifetime
        after = pulumi.ResourceOptions(parent=self, depends_on=rights)
        return iam.InstanceProfile(name, name=full, role=role.name, tags=labels.tags(full), opts=after).name


def _short(arn: str) -> str:
    """A policy's account and path, as a part of the name of a resource."""
    return arn.split(":", 4)[4].replace(":policy/", "-").replace("/", "-")

"""The bucket for HA metadata, checkpoints and savepoints: encrypted, private, TLS only, protected from deletion."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import s3

from .. import naming
from ..naming import Labels
from . import names
from .declaration import AwsSettings

UPLOAD_DAYS = 7
"""Days after which an incomplete multipart upload is aborted; a checkpoint takes minutes."""


@dataclass(frozen=True, kw_only=True)
class BucketArgs:
    """Arguments of `Bucket`."""

    settings: AwsSettings
    labels: Labels


def tls_only(bucket_arn: str) -> dict[str, Any]:
    """The bucket's policy: it denies every request without TLS."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [bucket_arn, f"{bucket_arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def lifecycle(settings: AwsSettings) -> list[s3.BucketLifecycleConfigurationRuleArgs]:
    """What expires: interrupted uploads and, if configured, old versions and old savepoints. No current version of
    anything else does, because HA metadata and checkpoints may be old and in use (docs/aws.md).

    A job that claimed a savepoint's files (restore mode CLAIM) may need them for longer than `savepoint_days`.
    """
    rules = [
        s3.BucketLifecycleConfigurationRuleArgs(
            id="broken-uploads",
            status="Enabled",
            filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{settings.prefix}/"),
            abort_incomplete_multipart_upload=s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=UPLOAD_DAYS
            ),
        )
    ]
    if settings.version_days:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="old-versions",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{settings.prefix}/"),
                noncurrent_version_expiration=s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                    noncurrent_days=settings.version_days
                ),
                # What is left of a deleted object when its last version has expired; it makes listings slow
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            )
        )
    if settings.savepoint_days:
        rules.append(
            s3.BucketLifecycleConfigurationRuleArgs(
                id="old-savepoints",
                status="Enabled",
                filter=s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=f"{settings.prefix}/savepoints/"),
                expiration=s3.BucketLifecycleConfigurationRuleExpirationArgs(days=settings.savepoint_days),
            )
        )
    return rules


class Bucket(pulumi.ComponentResource):
    """The stack's bucket. Creates nothing if an existing bucket is used.

    Unless the stack is ephemeral, the bucket is protected, and it remains in AWS even if it is removed from the stack.
    """

    ready: list[pulumi.Resource]
    """What must exist before Flink writes."""

    def __init__(self, name: str, args: BucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Bucket"), name, None, opts)
        self._settings = args.settings
        self.ready = []
        if args.settings.create_bucket:
            self._create(args.labels)
        self.register_outputs({"bucket": args.settings.bucket})

    def _create(self, labels: Labels) -> None:
        bucket = s3.Bucket(
            "bucket",
            bucket=self._settings.bucket,
            force_destroy=self._settings.ephemeral,
            tags=labels.tags(self._settings.bucket),
            opts=self._child(protect=not self._settings.ephemeral),
        )
        self.ready = [bucket]
        self._close(bucket)
        self._encrypt(bucket)
        if self._settings.version_days:
            self._keep_versions(bucket)
        s3.BucketLifecycleConfiguration(
            "bucket", bucket=bucket.bucket, rules=lifecycle(self._settings), opts=self._child()
        )

    def _child(self, protect: bool | None = None) -> pulumi.ResourceOptions:
        """Options of the next resource. Encryption and policy are retained together with the bucket.

        S3 refuses concurrent changes of a bucket (409 OperationAborted), so each resource waits for the previous one.
        """
        return pulumi.ResourceOptions(
            parent=self,
            protect=protect,
            retain_on_delete=not self._settings.ephemeral,
            depends_on=self.ready[-1:],
        )

    def _close(self, bucket: s3.Bucket) -> None:
        """Only the account has access, whatever a policy or access list grants, and only over TLS."""
        block = s3.BucketPublicAccessBlock(
            "bucket",
            bucket=bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child(),
        )
        self.ready.append(block)
        owner = s3.BucketOwnershipControls(
            "bucket",
            bucket=bucket.bucket,
            rule=s3.BucketOwnershipControlsRuleArgs(object_ownership="BucketOwnerEnforced"),
            opts=self._child(),
        )
        self.ready.append(owner)
        arn = names.bucket_arn(self._settings.region, self._settings.bucket)
        policy = s3.BucketPolicy("bucket", bucket=bucket.bucket, policy=json.dumps(tls_only(arn)), opts=self._child())
        self.ready.append(policy)

    def _keep_versions(self, bucket: s3.Bucket) -> None:
        """Never retained: without it in the stack no rule deletes old versions, so no more of them may be made."""
        opts = pulumi.ResourceOptions(parent=self, depends_on=self.ready[-1:])
        enabled = s3.BucketVersioningVersioningConfigurationArgs(status="Enabled")
        self.ready.append(
            s3.BucketVersioning("bucket", bucket=bucket.bucket, versioning_configuration=enabled, opts=opts)
        )

    def _encrypt(self, bucket: s3.Bucket) -> None:
        key = self._settings.kms_key
        default = s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
            sse_algorithm="aws:kms" if key else "AES256", kms_master_key_id=key or None
        )
        rule = s3.BucketServerSideEncryptionConfigurationRuleArgs(
            apply_server_side_encryption_by_default=default,
            # One KMS call for many objects: a checkpoint writes thousands, and each call costs money
            bucket_key_enabled=True if key else None,
        )
        self.ready.append(
            s3.BucketServerSideEncryptionConfiguration("bucket", bucket=bucket.bucket, rules=[rule], opts=self._child())
        )

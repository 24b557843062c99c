"""Daily snapshots of the volumes with ZooKeeper's data, by Amazon Data Lifecycle Manager."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import dlm, iam

from .. import naming
from ..naming import Labels
from . import identity, names
from .declaration import AwsSettings

TAG = "snapshots"
"""The tag by which volumes and their snapshots are found. A policy takes volumes with any of its tags, so there must
be a single one that no other volume has."""

TIME = "03:00"
"""UTC. Data Lifecycle Manager begins within the hour."""


@dataclass(frozen=True, kw_only=True)
class SnapshotsArgs:
    """Arguments of `Snapshots`."""

    settings: AwsSettings
    labels: Labels


def tag(settings: AwsSettings, labels: Labels) -> dict[str, str]:
    """The tag of volumes of which snapshots are made; none if there are no snapshots."""
    return {TAG: names.snapshots(labels.stack, settings.region)} if settings.snapshot_days else {}


def policy(region: str, value: str) -> dict[str, Any]:
    """The access policy: snapshots of volumes with the tag, and deletion of those that have it from their volume."""
    partition = names.partition(region).name
    volumes, snapshots = f"arn:{partition}:ec2:{region}:*:volume/*", f"arn:{partition}:ec2:{region}::snapshot/*"
    tagged = {"StringEquals": {f"aws:ResourceTag/{TAG}": value}}
    found = ["ec2:DescribeAvailabilityZones", "ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": found, "Resource": "*"},
            {"Effect": "Allow", "Action": "ec2:CreateSnapshot", "Resource": volumes, "Condition": tagged},
            # A snapshot has no tags before it exists
            {"Effect": "Allow", "Action": ["ec2:CreateSnapshot", "ec2:CreateTags"], "Resource": snapshots},
            {"Effect": "Allow", "Action": "ec2:DeleteSnapshot", "Resource": snapshots, "Condition": tagged},
        ],
    }


class Snapshots(pulumi.ComponentResource):
    """The policy, and its role. Snapshots stay when the policy goes."""

    def __init__(self, name: str, args: SnapshotsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Snapshots"), name, None, opts)
        self._create(args.settings, args.labels)
        self.register_outputs({})

    def _create(self, settings: AwsSettings, labels: Labels) -> None:
        full = names.snapshots(labels.stack, settings.region)
        role = iam.Role(
            "snapshots",
            name=full,
            description=f"Snapshots of the volumes of ZooKeeper in {labels.stack}",
            assume_role_policy=json.dumps(identity.trust_in("dlm.amazonaws.com")),
            permissions_boundary=settings.permissions_boundary or None,
            force_detach_policies=True,
            tags=labels.tags(full),
            opts=identity.role_options(self),
        )
        rights = iam.RolePolicy(
            "snapshots",
            name="snapshots",
            role=role.name,
            policy=json.dumps(policy(settings.region, full)),
            opts=pulumi.ResourceOptions(parent=self),
        )
        schedule = dlm.LifecyclePolicyPolicyDetailsScheduleArgs(
            name="daily",
            copy_tags=True,
            create_rule=dlm.LifecyclePolicyPolicyDetailsScheduleCreateRuleArgs(
                interval=24, interval_unit="HOURS", times=TIME
            ),
            retain_rule=dlm.LifecyclePolicyPolicyDetailsScheduleRetainRuleArgs(
                interval=settings.snapshot_days, interval_unit="DAYS"
            ),
        )
        dlm.LifecyclePolicy(
            "snapshots",
            description=f"Volumes of ZooKeeper in {labels.stack}",
            execution_role_arn=role.arn,
            policy_details=dlm.LifecyclePolicyPolicyDetailsArgs(
                resource_types=["VOLUME"], target_tags={TAG: full}, schedules=[schedule]
            ),
            tags=labels.tags(full),
            # So that the first snapshot does not fail
            opts=pulumi.ResourceOptions(parent=self, depends_on=[rights]),
        )

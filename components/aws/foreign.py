"""What the configuration names in the account, and the program does not create: an instance profile, policies, security
groups. Checked before anything is created.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pulumi
import pulumi_aws as aws

from ..naming import Labels
from ..problems import Problems
from .declaration import AwsSettings
from .groups import GROUPS

T = TypeVar("T")

_MISSING = re.compile(r"(?i)couldn't find resource|no matching|not ?found|NoSuchEntity|empty result")
"""Errors of Pulumi's AWS plugin for what does not exist."""


def check(settings: AwsSettings, labels: Labels, problems: Problems) -> None:
    """Add what does not exist or does not fit to `problems`. What the account does not let us read is a warning: AWS
    itself reports it later.
    """
    if settings.instance_profile:
        _check_profile(settings.instance_profile, problems)
    policies = {arn: "permissionsBoundary" for arn in [settings.permissions_boundary] if arn}
    for role, keys in GROUPS.items():
        policies |= dict.fromkeys(settings.groups[role].policies, keys.policies)
    for arn, key in policies.items():
        _read(key, f"the policy {arn}", partial(aws.iam.get_policy, arn=arn), problems)
    for role, keys in GROUPS.items():
        for name in settings.groups[role].security_groups:
            _check_group(keys.security_groups, name, settings, labels, problems)


def _read(key: str, what: str, ask: Callable[[], T], problems: Problems) -> T | None:
    try:
        return ask()
    except Exception as error:  # the SDK raises nothing more special
        words = " ".join(str(error).split())
        if _MISSING.search(words):
            problems.add(key, f"{what} does not exist: expected an existing one ({words})")
        else:
            pulumi.log.warn(f"{key}: {what} cannot be read, so it was not checked ({words})")
        return None


def _check_profile(name: str, problems: Problems) -> None:
    key = "instanceProfile"
    found = _read(key, f"the instance profile {name}", partial(aws.iam.get_instance_profile, name=name), problems)
    if found and not found.role_name:
        problems.add(key, f"{name} has no role: expected one whose role may use the storage (docs/aws.md)")


def _check_group(key: str, name: str, settings: AwsSettings, labels: Labels, problems: Problems) -> None:
    """A machine can be in groups of its own VPC only."""
    found = _read(key, f"the security group {name}", partial(aws.ec2.get_security_group, id=name), problems)
    if found is None:
        return
    if settings.vpc_id:
        if found.vpc_id != settings.vpc_id:
            problems.add(key, f"{name} is in {found.vpc_id}: expected a group in vpcId {settings.vpc_id}")
        return
    vpc = _read(key, found.vpc_id, partial(aws.ec2.get_vpc, id=found.vpc_id), problems)
    if vpc and (vpc.tags.get("project"), vpc.tags.get("stack")) != (labels.project, labels.stack):
        problems.add(key, f"{name} is in {found.vpc_id}: expected a group in the VPC that this stack has created")

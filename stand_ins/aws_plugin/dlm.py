"""Data Lifecycle Manager: policies for snapshots of volumes."""

from __future__ import annotations

import re
from typing import Any

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.aws_plugin.support import unsupported
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_ROLE_SECONDS = 120
"""The official plugin repeats the request until IAM has propagated the role."""


class LifecyclePolicy(Resource):
    """A policy that makes snapshots of volumes with a tag on schedules."""

    token = "aws:dlm/lifecyclePolicy:LifecyclePolicy"
    kind = "DLM Lifecycle Policy"
    replaces = frozenset({"defaultPolicy"})
    defaults = {"state": "ENABLED"}
    computed = frozenset({"arn"})

    def check(self, inputs: Object) -> list[Failure]:
        """The state, and the characters of the description."""
        found = [*tags.failures(inputs), *unsupported(inputs, "defaultPolicy")]
        found += failures_of_choice(inputs, {"state": ("ENABLED", "DISABLED")})
        text = inputs.get("description")
        if isinstance(text, str) and not is_unknown(text) and not re.fullmatch(r"[0-9A-Za-z _-]{1,500}", text):
            found.append(
                Failure("description", "must contain only alphanumeric, space, underscore or hyphen characters")
            )
        for schedule in (inputs.get("policyDetails") or {}).get("schedules") or []:
            rule = schedule.get("createRule") or {}
            if rule.get("interval") not in (None, 1, 2, 3, 4, 6, 8, 12, 24):
                found.append(
                    Failure(
                        "policyDetails", f"expected interval to be one of [1 2 3 4 6 8 12 24], got {rule['interval']}"
                    )
                )
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it, as soon as IAM knows the role."""
        client = aws.client("dlm")

        def make() -> str | None:
            try:
                made = client.create_lifecycle_policy(**_request(inputs), Tags=inputs.get("tags") or {})
            except Exception as error:
                if "cannot be assumed" in str(error):
                    return None
                raise
            return str(made["PolicyId"])

        id = aws.until("the role of the policy to be assumable", make, _ROLE_SECONDS)
        return id, self._outputs(id, inputs, aws)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        if found is None:
            raise Refused(f"{id} does not exist right after its creation")
        return found

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The policy."""
        try:
            policy = aws.client("dlm").get_lifecycle_policy(PolicyId=id)["Policy"]
        except Exception as error:
            if "ResourceNotFoundException" in str(error):
                return None
            raise
        details = _lower(policy["PolicyDetails"])
        before = state.get("policyDetails")
        same = before is not None and _details(before) == policy["PolicyDetails"]
        return {
            "arn": policy["PolicyArn"],
            "description": policy["Description"],
            "executionRoleArn": policy["ExecutionRoleArn"],
            "policyDetails": before if same else details,
            "region": aws.region,
            "state": policy["State"],
            "tags": dict(policy.get("Tags") or {}),
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """All of it can change."""
        client = aws.client("dlm")
        client.update_lifecycle_policy(PolicyId=id, **_request(new))
        before, after = old.get("tags") or {}, new.get("tags") or {}
        if removed := sorted(before.keys() - after.keys()):
            client.untag_resource(ResourceArn=old["arn"], TagKeys=removed)
        if changed := {key: value for key, value in after.items() if before.get(key) != value}:
            client.tag_resource(ResourceArn=old["arn"], Tags=changed)
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it; its snapshots stay."""
        try:
            aws.client("dlm").delete_lifecycle_policy(PolicyId=id)
        except Exception as error:
            if "ResourceNotFoundException" not in str(error):
                raise


def _request(inputs: Object) -> Object:
    return {
        "Description": inputs["description"],
        "ExecutionRoleArn": inputs["executionRoleArn"],
        "PolicyDetails": _details(inputs["policyDetails"]),
        "State": inputs.get("state", "ENABLED"),
    }


def _details(details: Object) -> Any:
    """The API's form. Tags are lists there, and times are, too."""
    api: Object = _upper({name: value for name, value in details.items() if name != "targetTags"})
    api.setdefault("PolicyType", "EBS_SNAPSHOT_MANAGEMENT")
    if details.get("targetTags"):
        api["TargetTags"] = tags.as_list(details["targetTags"])
    for schedule in api.get("Schedules") or []:
        if isinstance(schedule.get("TagsToAdd"), dict):
            schedule["TagsToAdd"] = tags.as_list(schedule["TagsToAdd"])
        if isinstance(times := (schedule.get("CreateRule") or {}).get("Times"), str):
            schedule["CreateRule"]["Times"] = [times]
    return api


def _upper(value: Value) -> Any:
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _upper(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_upper(item) for item in value]
    return int(value) if isinstance(value, float) else value


def _lower(value: Any) -> Value:
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: _lower(item) for name, item in value.items()}
    return [_lower(item) for item in value] if isinstance(value, list) else value


RESOURCES: dict[str, Resource] = {LifecyclePolicy.token: LifecyclePolicy()}

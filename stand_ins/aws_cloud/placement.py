"""EC2's placement groups, which moto has not: groups, the instances in them, and what AWS refuses.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PER_ZONE = 7
"""Running instances of a spread group in a zone."""


@dataclass
class Group:
    """A placement group."""

    id: str
    name: str
    strategy: str
    partitions: int


def apply(replace: Any) -> None:
    """Add them to moto. `replace` is `corrections.replace`."""
    from moto.ec2.responses import EC2Response
    from moto.ec2.responses.instances import InstanceResponse
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, EC2_RESOURCE_TO_PREFIX, filter_dict_attribute_mapping

    if hasattr(EC2Response, "create_placement_group"):
        return  # it was done before, in this process
    run = InstanceResponse.run_instances

    def run_instances(self: Any) -> Any:
        name = self._get_param("Placement.GroupName")
        if not name:
            return run(self)
        group = _group(self, name)
        _refuse(self, group)
        answer = run(self)
        reservation: Any = answer.result
        for instance in reservation.instances:
            instance.placement.group_name = name
        _refuse_full(self, group, reservation.instances)
        return answer

    EC2_RESOURCE_TO_PREFIX["placement-group"], EC2_PREFIX_TO_RESOURCE["pg"] = "pg", "placement-group"
    filter_dict_attribute_mapping["placement-group-name"] = "placement.group_name"
    replace(InstanceResponse, "run_instances", run_instances)
    for method in (create_placement_group, describe_placement_groups, delete_placement_group):
        replace(EC2Response, method.__name__, method)


def create_placement_group(self: Any) -> Any:
    """CreatePlacementGroup."""
    from moto.core.responses import ActionResult
    from moto.moto_api._internal import mock_random

    name, strategy = self._get_param("GroupName"), self._get_param("Strategy", "cluster")
    if name in _groups(self):
        raise _error("InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists.")
    partitions = int(self._get_param("PartitionCount") or 2) if strategy == "partition" else 0
    if not 0 <= partitions <= PER_ZONE:
        raise _error("InvalidParameterValue", f"Value ({partitions}) for parameter partitionCount is invalid.")
    group = Group(f"pg-{mock_random.get_random_hex(17)}", name, strategy, partitions)
    _groups(self)[name] = group
    for key, value in (self._parse_tag_specification().get("placement-group") or {}).items():
        self.ec2_backend.create_tags([group.id], {key: value})
    return ActionResult({"PlacementGroup": _described(self, group)})


def describe_placement_groups(self: Any) -> Any:
    """DescribePlacementGroups, by names, ids or tags."""
    from moto.core.responses import ActionResult

    names, ids = self._get_param("GroupNames", []), self._get_param("GroupIds", [])
    groups = [_group(self, name) for name in names] or list(_groups(self).values())
    found = [_described(self, group) for group in groups if not ids or group.id in ids]
    for expected in self._get_param("Filters", []):
        key = expected["Name"].removeprefix("tag:")
        tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in found]
        found = [each for each, own in zip(found, tags, strict=True) if own.get(key) in expected["Values"]]
    return ActionResult({"PlacementGroups": found})


def delete_placement_group(self: Any) -> Any:
    """DeletePlacementGroup, if no instance is in it."""
    from moto.core.responses import ActionResult

    group = _group(self, self._get_param("GroupName"))
    if _inside(self, group):
        raise _error(
            "InvalidPlacementGroup.InUse", f"The placement group '{group.name}' is in use and may not be deleted."
        )
    del _groups(self)[group.name]
    return ActionResult({})


def _groups(self: Any) -> dict[str, Group]:
    backend = self.ec2_backend
    found: dict[str, Group] = backend.__dict__.setdefault("placement_groups", {})
    return found


def _group(self: Any, name: str) -> Group:
    if name not in _groups(self):
        raise _error("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
    return _groups(self)[name]


def _described(self: Any, group: Group) -> dict[str, Any]:
    tags = self.ec2_backend.tags.get(group.id, {})
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "State": "available",
        "Strategy": group.strategy,
        "PartitionCount": group.partitions or None,
        "SpreadLevel": "rack" if group.strategy == "spread" else None,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "GroupArn": f"arn:aws:ec2:{self.region}:{self.current_account}:placement-group/{group.name}",
    }


def _inside(self: Any, group: Group) -> list[Any]:
    """The instances in a group, of which a terminated one is none."""
    return [
        instance
        for reservation in self.ec2_backend.reservations.values()
        for instance in reservation.instances
        if instance.placement.group_name == group.name and instance.state not in ("terminated", "shutting-down")
    ]


def _refuse(self: Any, group: Group) -> None:
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    kind = self._get_param("InstanceType")
    if group.strategy not in INSTANCE_TYPES[kind]["PlacementGroupInfo"]["SupportedStrategies"]:
        reason = f"{group.strategy} placement groups are not supported by the '{kind}' instance type."
        raise _error("InvalidParameterCombination", reason)


def _refuse_full(self: Any, group: Group, new: list[Any]) -> None:
    inside = _inside(self, group)
    zones = [instance.placement.zone for instance in inside]
    full = group.strategy == "spread" and any(zones.count(zone) > PER_ZONE for zone in zones)
    if full or (group.strategy == "cluster" and len(set(zones)) > 1):
        self.ec2_backend.terminate_instances([instance.id for instance in new])
        raise _error(
            "InsufficientInstanceCapacity",
            "We currently do not have sufficient capacity to launch all of the additional requested instances into "
            f"Placement Group '{group.name}'.",
        )


def _error(code: str, message: str) -> Exception:
    from moto.ec2.exceptions import EC2ClientError

    error: Exception = EC2ClientError(code, message)
    return error

"""EC2: placement groups."""

from __future__ import annotations

from stand_ins.aws_plugin.ec2 import Ec2Resource, arn, given, made, specification, tags_of, whole
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object


class PlacementGroup(Ec2Resource):
    """A placement group: its id is its name, as in the official plugin."""

    token = "aws:ec2/placementGroup:PlacementGroup"
    kind = "EC2 Placement Group"
    supported = frozenset({"name", "partitionCount", "strategy"})
    replaces = frozenset({"name", "partitionCount", "strategy"})
    computed = frozenset({"arn", "partitionCount", "placementGroupId", "spreadLevel"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The strategy, and what belongs to one only."""
        found = super().check(inputs)
        found += failures_of_choice(inputs, {"strategy": ("cluster", "partition", "spread")})
        if inputs.get("partitionCount") is not None and inputs.get("strategy") != "partition":
            found.append(Failure("partitionCount", 'partitionCount must not be set unless strategy = "partition"'))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        aws.client("ec2").create_placement_group(
            GroupName=inputs["name"],
            Strategy=inputs["strategy"],
            TagSpecifications=specification("placement-group", inputs),
            **given(PartitionCount=whole(inputs.get("partitionCount"))),
        )
        with made(inputs["name"]):
            return inputs["name"], self.found(inputs["name"], inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The group."""
        try:
            [group] = aws.client("ec2").describe_placement_groups(GroupNames=[id])["PlacementGroups"]
        except Exception as error:
            if "InvalidPlacementGroup.Unknown" in str(error):
                return None
            raise
        return {
            "arn": arn(aws, f"placement-group/{id}"),
            "name": group["GroupName"],
            "partitionCount": group.get("PartitionCount", 0),
            "placementGroupId": group["GroupId"],
            "region": aws.region,
            "spreadLevel": group.get("SpreadLevel", ""),
            "strategy": group["Strategy"],
            "tags": tags_of(group),
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Only tags can change, which AWS has at the group's id."""
        from stand_ins.aws_plugin.ec2 import update_tags

        found = self.found(id, old, aws)
        update_tags(found["placementGroupId"], old, new, aws)
        return self.found(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it; refused while machines are in it."""
        try:
            aws.client("ec2").delete_placement_group(GroupName=id)
        except Exception as error:
            if "InvalidPlacementGroup.Unknown" not in str(error):
                raise Refused(str(error)) from error


RESOURCES: dict[str, Resource] = {PlacementGroup.token: PlacementGroup()}

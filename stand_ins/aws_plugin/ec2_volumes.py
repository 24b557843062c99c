"""EC2: EBS volumes, and their attachments to machines."""

from __future__ import annotations

import zlib
from typing import Any

from stand_ins.aws_plugin.ec2 import Ec2Resource, arn, given, made, one, specification, tags_of, when_unused, whole
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

VOLUME_TYPES = ("standard", "io1", "io2", "gp2", "gp3", "sc1", "st1")


class Volume(Ec2Resource):
    """A volume that outlives machines."""

    token = "aws:ebs/volume:Volume"
    kind = "EBS Volume"
    supported = frozenset(
        {"availabilityZone", "encrypted", "iops", "kmsKeyId", "size", "snapshotId", "throughput", "type"}
    )
    replaces = frozenset({"availabilityZone", "encrypted", "kmsKeyId", "snapshotId"})
    computed = frozenset({"arn", "createTime", "encrypted", "iops", "kmsKeyId", "size", "throughput", "type"})

    def check(self, inputs: Object) -> list[Failure]:
        """The type, and that a size is given."""
        found = super().check(inputs) + failures_of_choice(inputs, {"type": VOLUME_TYPES})
        if "size" not in inputs and "snapshotId" not in inputs:
            found.append(Failure("size", "one of `size,snapshotId` must be specified"))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it and wait until it is available."""
        refuse_performance(inputs.get("type", "gp2"), inputs.get("size"), inputs.get("iops"), inputs.get("throughput"))
        volume = aws.client("ec2").create_volume(
            AvailabilityZone=inputs["availabilityZone"],
            TagSpecifications=specification("volume", inputs),
            **given(
                Encrypted=inputs.get("encrypted"),
                Iops=whole(inputs.get("iops")),
                KmsKeyId=inputs.get("kmsKeyId"),
                Size=whole(inputs.get("size")),
                SnapshotId=inputs.get("snapshotId"),
                Throughput=whole(inputs.get("throughput")),
                VolumeType=inputs.get("type", "gp2"),
            ),
        )
        id = volume["VolumeId"]
        with made(id):
            until_volume(id, "available", aws)
            return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The volume."""
        volume = _volume(id, aws)
        return {
            "arn": arn(aws, f"volume/{id}"),
            "availabilityZone": volume["AvailabilityZone"],
            "createTime": str(volume.get("CreateTime", "")),
            "encrypted": volume["Encrypted"],
            "iops": volume.get("Iops", 0),
            "kmsKeyId": volume.get("KmsKeyId", ""),
            "region": aws.region,
            "size": volume["Size"],
            "tags": tags_of(volume),
            "throughput": volume.get("Throughput", 0),
            "type": volume["VolumeType"],
        }

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """A larger size, another type. AWS reports an error for a smaller size; moto accepts it."""
        if (new.get("size") or old["size"]) < old["size"]:
            raise Refused(
                f"operation error EC2: ModifyVolume, api error InvalidParameterValue: New size cannot be smaller than "
                f"existing size ({old['size']:g} GiB)"
            )
        refuse_performance(new.get("type", "gp2"), new.get("size"), new.get("iops"), new.get("throughput"))
        names = {"size": "Size", "type": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
        changed = {names[name]: new[name] for name in names if name in new and new[name] != old.get(name)}
        if changed:
            numbers = {name: value if isinstance(value, str) else int(value) for name, value in changed.items()}
            aws.client("ec2").modify_volume(VolumeId=id, **numbers)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it as soon as no machine has it, and wait until it is deleted."""
        when_unused(aws, id, lambda: aws.client("ec2").delete_volume(VolumeId=id), "VolumeInUse")
        by_id = [{"Name": "volume-id", "Values": [id]}]
        describe = aws.client("ec2").describe_volumes
        aws.until(f"{id} to be deleted", lambda: None if describe(Filters=by_id)["Volumes"] else True)


class VolumeAttachment(Ec2Resource):
    """A machine's volume."""

    token = "aws:ec2/volumeAttachment:VolumeAttachment"
    kind = "EBS Volume Attachment"
    supported = frozenset(
        {"deviceName", "forceDetach", "instanceId", "skipDestroy", "stopInstanceBeforeDetaching", "volumeId"}
    )
    replaces = frozenset({"deviceName", "instanceId", "volumeId"})
    delete_before_replace = True

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Attach it as soon as machine and volume can have each other, and wait for it."""
        volume, machine, device = inputs["volumeId"], inputs["instanceId"], inputs["deviceName"]
        self._refuse_other_zone(volume, machine, aws)
        until_volume(volume, "available", aws)
        aws.client("ec2").attach_volume(VolumeId=volume, InstanceId=machine, Device=device)
        id = f"vai-{zlib.crc32(f'{device}-{machine}-{volume}-'.encode())}"
        with made(id):
            aws.until(f"{volume} to be attached to {machine}", lambda: self._attached(inputs, aws))
            return id, self.found(id, inputs, aws)

    def _refuse_other_zone(self, volume: str, machine: str, aws: Aws) -> None:
        [reservation] = aws.client("ec2").describe_instances(InstanceIds=[machine])["Reservations"]
        [instance] = reservation["Instances"]
        state = instance["State"]["Name"]
        if state not in ("running", "stopped", "stopping"):
            raise Refused(f"operation error EC2: AttachVolume, api error IncorrectState: {machine} is {state}")
        zone, of_volume = instance["Placement"]["AvailabilityZone"], _volume(volume, aws)["AvailabilityZone"]
        if zone != of_volume:
            raise Refused(
                f"operation error EC2: AttachVolume, api error InvalidVolume.ZoneMismatch: The volume '{volume}' is "
                f"not in the same availability zone as instance '{machine}' ({of_volume} and {zone})"
            )

    def _attached(self, state: Object, aws: Aws) -> Any | None:
        for attachment in _volume(state["volumeId"], aws)["Attachments"]:
            if attachment["InstanceId"] == state["instanceId"] and attachment["State"] == "attached":
                return attachment
        return None

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The attachment."""
        attachment = self._attached(state, aws)
        if attachment is None:
            return None
        return {
            "deviceName": attachment["Device"],
            "instanceId": attachment["InstanceId"],
            "region": aws.region,
            "volumeId": attachment["VolumeId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Only how it is to be taken away can be another, which AWS is not told."""
        return self.found(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Detach it and wait for that; a machine that has ended has let go of it already."""
        if state.get("skipDestroy"):
            return
        volume, machine = state["volumeId"], state["instanceId"]
        client = aws.client("ec2")
        if state.get("stopInstanceBeforeDetaching"):
            client.stop_instances(InstanceIds=[machine])
            client.get_waiter("instance_stopped").wait(InstanceIds=[machine], WaiterConfig={"Delay": 1})
        if any(attachment["InstanceId"] == machine for attachment in _volume(volume, aws)["Attachments"]):
            force = bool(state.get("forceDetach"))
            client.detach_volume(VolumeId=volume, InstanceId=machine, Device=state["deviceName"], Force=force)
        until_volume(volume, "available", aws)


def until_volume(id: str, state: str, aws: Aws) -> None:
    """Wait until a volume is in this state."""
    aws.until(f"{id} to be {state}", lambda: True if _volume(id, aws)["State"] == state else None)


def _volume(id: str, aws: Aws) -> Any:
    return one(aws.client("ec2").describe_volumes(VolumeIds=[id])["Volumes"])


def refuse_performance(type: str, gib: Value, iops: Value, throughput: Value) -> None:
    """Refuse what AWS refuses of a gp3 volume, and moto does not. The numbers may be `None`.

    https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
    """
    if type != "gp3":
        return
    problem = ""
    if iops is not None and not 3000 <= iops <= 80000:
        problem = f"Volume iops of {iops:g} is not in the range of 3000 to 80000"
    elif throughput is not None and not 125 <= throughput <= 2000:
        problem = f"Throughput of {throughput:g} MiB/s is not in the range of 125 to 2000"
    elif iops is not None and gib is not None and iops > max(3000, 500 * gib):
        problem = f"Iops to volume size ratio of {iops / gib:g} is too high; maximum is 500 IOPS per GiB"
    elif throughput is not None and throughput > (iops or 3000) / 4:
        problem = (
            f"Throughput (MiBps) to iops ratio of {throughput / (iops or 3000):f} is too high; maximum is 0.250000"
        )
    if problem:
        raise Refused(f"operation error EC2, api error InvalidParameterCombination: {problem}")


RESOURCES: dict[str, Resource] = {resource.token: resource for resource in (Volume(), VolumeAttachment())}

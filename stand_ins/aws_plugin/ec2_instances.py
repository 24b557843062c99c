"""EC2: machines."""

from __future__ import annotations

import base64
import re
from typing import Any

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.ec2 import Ec2Resource, arn, given, made, one, tags_of, update_tags, whole
from stand_ins.aws_plugin.ec2_volumes import VOLUME_TYPES, refuse_performance
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_USER_DATA_BYTES = 16384
"""https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""
_SWITCH = ("enabled", "disabled")
_CHOICES = {
    "creditSpecification.cpuCredits": ("standard", "unlimited"),
    "instanceMarketOptions.marketType": ("spot", "capacity-block", "interruptible-capacity-reservation"),
    "instanceMarketOptions.spotOptions.instanceInterruptionBehavior": ("hibernate", "stop", "terminate"),
    "instanceMarketOptions.spotOptions.spotInstanceType": ("one-time", "persistent"),
    "metadataOptions.httpEndpoint": _SWITCH,
    "metadataOptions.httpTokens": ("optional", "required", "no-preference"),
    "metadataOptions.instanceMetadataTags": _SWITCH,
    "privateDnsNameOptions.hostnameType": ("ip-name", "resource-name"),
    "rootBlockDevice.volumeType": VOLUME_TYPES,
}
_ROOT = ("deleteOnTermination", "encrypted", "iops", "kmsKeyId", "tags", "throughput", "volumeSize", "volumeType")
_METADATA = ("httpEndpoint", "httpPutResponseHopLimit", "httpTokens", "instanceMetadataTags")
_SPOT = ("instanceInterruptionBehavior", "maxPrice", "spotInstanceType", "validUntil")


class Instance(Ec2Resource):
    """A machine."""

    token = "aws:ec2/instance:Instance"
    kind = "EC2 Instance"
    supported = frozenset(
        {
            *("ami", "associatePublicIpAddress", "availabilityZone", "disableApiStop", "disableApiTermination"),
            *("ebsOptimized", "iamInstanceProfile", "instanceInitiatedShutdownBehavior", "instanceType", "keyName"),
            *(
                "monitoring",
                "placementGroup",
                "privateIp",
                "subnetId",
                "userData",
                "userDataReplaceOnChange",
                "vpcSecurityGroupIds",
            ),
            *("forceDestroy", "getPasswordData", "sourceDestCheck", "volumeTags", "creditSpecification.cpuCredits"),
            "instanceMarketOptions.marketType",
            *(f"instanceMarketOptions.spotOptions.{name}" for name in _SPOT),
            *(f"metadataOptions.{name}" for name in _METADATA),
            "privateDnsNameOptions.enableResourceNameDnsARecord",
            "privateDnsNameOptions.hostnameType",
            *(f"rootBlockDevice.{name}" for name in _ROOT),
        }
    )
    replaces = frozenset(
        {
            *("ami", "associatePublicIpAddress", "availabilityZone", "instanceMarketOptions", "keyName", "privateIp"),
            "placementGroup",
            *("subnetId", "rootBlockDevice.encrypted", "rootBlockDevice.kmsKeyId"),
            "privateDnsNameOptions.hostnameType",
        }
    )
    defaults = {"forceDestroy": False, "getPasswordData": False, "sourceDestCheck": True}
    computed = frozenset(
        {
            *("arn", "associatePublicIpAddress", "availabilityZone", "disableApiStop", "disableApiTermination"),
            *("ebsOptimized", "instanceInitiatedShutdownBehavior", "instanceLifecycle", "instanceState", "monitoring"),
            *("primaryNetworkInterfaceId", "privateDns", "privateIp", "publicDns", "publicIp", "rootBlockDevice"),
            *("spotInstanceRequestId", "subnetId", "tenancy", "vpcSecurityGroupIds", "metadataOptions"),
        }
    )
    sets = frozenset({"vpcSecurityGroupIds"})
    volatile = {
        "publicDns": ("instanceType", "userData"),
        "publicIp": ("instanceType", "userData"),
    }

    def check(self, inputs: Object) -> list[Failure]:
        """What the official plugin and AWS refuse before a machine exists."""
        found = super().check(inputs) + failures_of_choice(inputs, _CHOICES)
        for name in ("ami", "instanceType"):
            if name not in inputs:
                found.append(Failure(name, f'"{name}": one of `{name},launchTemplate` must be specified'))
        ami = inputs.get("ami")
        if isinstance(ami, str) and not is_unknown(ami) and not re.fullmatch(r"ami-[0-9a-z]+", ami):
            found.append(Failure("ami", f'InvalidAMIID.Malformed: Invalid id: "{ami}" (expecting "ami-...")'))
        data = inputs.get("userData")
        if isinstance(data, str) and not is_unknown(data) and len(data.encode()) > _USER_DATA_BYTES:
            reason = f"user data is limited to {_USER_DATA_BYTES} bytes, this has {len(data.encode())}"
            found.append(Failure("userData", reason))
        if "volumeTags" in inputs and "tags" in _inner(inputs, "rootBlockDevice"):
            found.append(Failure("rootBlockDevice.tags", '"root_block_device.0.tags": conflicts with volume_tags'))
        hops = (_inner(inputs, "metadataOptions")).get("httpPutResponseHopLimit")
        if isinstance(hops, float | int) and not 1 <= hops <= 64:
            reason = f"expected httpPutResponseHopLimit to be in the range (1 - 64), got {hops:g}"
            found.append(Failure("metadataOptions.httpPutResponseHopLimit", reason))
        return found

    def replaced_by(self, old: Object, new: Object) -> frozenset[str]:
        """User data, if the program sets it."""
        return frozenset({"userData"}) if new.get("userDataReplaceOnChange") else frozenset()

    # Life

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Start it and wait until it runs."""
        client = aws.client("ec2")
        image = _image(inputs["ami"], aws)
        _refuse_type(inputs["instanceType"], image, aws)
        _refuse_root(inputs, image)
        _refuse_performance(_inner(inputs, "rootBlockDevice"))
        _refuse_groups(inputs, aws)
        instance = client.run_instances(**_request(inputs, image), MinCount=1, MaxCount=1)["Instances"][0]
        id = str(instance["InstanceId"])
        with made(id):  # It costs money.
            self._until_running(id, aws)
            self._tag_root(id, inputs, aws)
            if inputs.get("disableApiTermination"):
                client.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": True})
            if inputs.get("sourceDestCheck") is False:
                client.modify_instance_attribute(InstanceId=id, SourceDestCheck={"Value": False})
            return id, self.found(id, inputs, aws)

    def _tag_root(self, id: str, inputs: Object, aws: Aws) -> None:
        """The root volume's own tags are set after the launch: terraform-provider-aws 41653 and 35639."""
        root = _root(_instance(id, aws), aws) or {}
        if own := _inner(inputs, "rootBlockDevice").get("tags"):
            aws.client("ec2").create_tags(Resources=[root["volumeId"]], Tags=tags.as_list(own))

    def _until_running(self, id: str, aws: Aws) -> None:
        def running() -> bool | None:
            instance = _instance(id, aws)
            if instance is None or instance["State"]["Name"] in ("shutting-down", "terminated", "stopped"):
                reason = ((instance or {}).get("StateReason") or {}).get("Message", "it is gone")
                raise Refused(f"unexpected state, expected target 'running': {reason}")
            return True if instance["State"]["Name"] == "running" else None

        aws.until(f"{id} to be running", running)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The machine; None for a terminated one, though AWS returns it for an hour. One that shuts down exists."""
        instance = _instance(id, aws)
        if instance is None or instance["State"]["Name"] == "terminated":
            return None
        return {
            **_described(instance),
            "arn": arn(aws, f"instance/{id}"),
            "disableApiStop": self._attribute(id, "disableApiStop", aws),
            "disableApiTermination": self._attribute(id, "disableApiTermination", aws),
            "instanceInitiatedShutdownBehavior": self._attribute(id, "instanceInitiatedShutdownBehavior", aws),
            "region": aws.region,
            "rootBlockDevice": _root(instance, aws, tagged=not state.get("volumeTags")),
            **({"userData": self._user_data(id, aws)} if "userData" in state else {}),
            **({"volumeTags": _volume_tags(id, aws)} if state.get("volumeTags") else {}),
        }

    def _attribute(self, id: str, name: str, aws: Aws) -> Value:
        answer = aws.client("ec2").describe_instance_attribute(InstanceId=id, Attribute=name)
        return answer.get(name[0].upper() + name[1:], {}).get("Value")

    def _user_data(self, id: str, aws: Aws) -> str:
        return base64.b64decode(self._attribute(id, "userData", aws) or "").decode("utf-8", "replace")

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Change what can be changed; the type and user data while it is stopped."""
        client = aws.client("ec2")
        if set(old.get("vpcSecurityGroupIds") or []) != set(groups := new.get("vpcSecurityGroupIds") or []):
            _refuse_groups(new, aws)
            client.modify_instance_attribute(InstanceId=id, Groups=groups)
        for name in ("disableApiTermination", "disableApiStop", "sourceDestCheck"):
            if name in new and new[name] != old.get(name):
                client.modify_instance_attribute(InstanceId=id, **{name[0].upper() + name[1:]: {"Value": new[name]}})
        # All of them, because moto forgets the ones that are not given.
        if (options := {**_metadata(old), **_metadata(new)}) != _metadata(old):
            client.modify_instance_metadata_options(InstanceId=id, **options)
        self._update_profile(id, old, new, aws)
        self._update_root(id, old, new, aws)
        self._update_stopped(id, old, new, aws)
        if "volumeTags" in new and new["volumeTags"] != old.get("volumeTags"):
            for volume in _volumes(id, aws):
                update_tags(volume["VolumeId"], {"tags": old.get("volumeTags")}, {"tags": new["volumeTags"]}, aws)
        update_tags(id, old, new, aws)
        return self.found(id, new, aws)

    def _update_profile(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        before, after = old.get("iamInstanceProfile") or "", new.get("iamInstanceProfile") or ""
        if before == after:
            return
        client = aws.client("ec2")
        of_id = [{"Name": "instance-id", "Values": [id]}]
        for held in client.describe_iam_instance_profile_associations(Filters=of_id)["IamInstanceProfileAssociations"]:
            client.disassociate_iam_instance_profile(AssociationId=held["AssociationId"])
        if after:
            client.associate_iam_instance_profile(InstanceId=id, IamInstanceProfile={"Name": after})

    def _update_root(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        before, after = _inner(old, "rootBlockDevice"), _inner(new, "rootBlockDevice")
        volume = before.get("volumeId")
        # What moto does not know of a volume is 0
        _refuse_performance({**{key: value for key, value in before.items() if value}, **after})
        names = {"volumeSize": "Size", "volumeType": "VolumeType", "iops": "Iops", "throughput": "Throughput"}
        changed = {names[name]: after[name] for name in names if name in after and after[name] != before.get(name)}
        if "Size" in changed and changed["Size"] < before.get("volumeSize", 0):
            raise Refused(
                "operation error EC2: ModifyVolume, api error InvalidParameterValue: New size cannot be smaller than "
                f"existing size ({before['volumeSize']:g} GiB)"
            )
        if changed:
            numbers = {name: value if isinstance(value, str) else int(value) for name, value in changed.items()}
            aws.client("ec2").modify_volume(VolumeId=volume, **numbers)
        if volume and "tags" in after:
            update_tags(volume, before, after, aws)

    def _update_stopped(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        changes: list[Object] = []
        if new["instanceType"] != old.get("instanceType"):
            _refuse_type(new["instanceType"], _image(new["ami"], aws), aws)
            changes.append({"InstanceType": {"Value": new["instanceType"]}})
        if (new.get("userData") or "") != (old.get("userData") or ""):
            changes.append({"UserData": {"Value": (new.get("userData") or "").encode()}})
        if not changes:
            return
        client = aws.client("ec2")
        client.stop_instances(InstanceIds=[id])
        self._until(id, "stopped", aws)
        for change in changes:
            client.modify_instance_attribute(InstanceId=id, **change)
        client.start_instances(InstanceIds=[id])
        self._until(id, "running", aws)

    def _until(self, id: str, state: str, aws: Aws) -> None:
        def reached() -> bool | None:
            instance = _instance(id, aws)
            return True if instance is not None and instance["State"]["Name"] == state else None

        aws.until(f"{id} to be {state}", reached)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Terminate it and wait until it has terminated."""

        def ended() -> bool | None:
            instance = _instance(id, aws)
            return True if instance is None or instance["State"]["Name"] == "terminated" else None

        if not ended():
            aws.client("ec2").terminate_instances(InstanceIds=[id])
            aws.until(f"{id} to be terminated", ended)


# What AWS refuses and moto does not


def _image(id: str, aws: Aws) -> Any:
    """The image; AWS's own error if there is none."""
    return aws.client("ec2").describe_images(ImageIds=[id])["Images"][0]


def _refuse_type(name: str, image: Any, aws: Aws) -> None:
    """Refuse a type that AWS does not have, or that does not match the image's architecture."""
    [found] = aws.client("ec2").describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
    architectures = found.get("ProcessorInfo", {}).get("SupportedArchitectures") or [image["Architecture"]]
    if image["Architecture"] not in architectures:
        raise Refused(
            f"operation error EC2: RunInstances, api error InvalidParameterValue: The architecture "
            f"'{','.join(architectures)}' of the specified instance type does not match the architecture "
            f"'{image['Architecture']}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again."
        )


def _refuse_root(inputs: Object, image: Any) -> None:
    """Refuse a root volume that is smaller than the image."""
    size = _inner(inputs, "rootBlockDevice").get("volumeSize")
    for mapping in image.get("BlockDeviceMappings") or []:
        smallest = mapping.get("Ebs", {}).get("VolumeSize") or 0
        if mapping.get("DeviceName") == image.get("RootDeviceName") and size is not None and size < smallest:
            raise Refused(
                f"operation error EC2: RunInstances, api error InvalidBlockDeviceMapping: Volume of size {size:g}GB is "
                f"smaller than snapshot '{mapping['Ebs'].get('SnapshotId')}', expect size >= {smallest}GB"
            )


def _refuse_performance(root: Object) -> None:
    refuse_performance(root.get("volumeType", "gp3"), root.get("volumeSize"), root.get("iops"), root.get("throughput"))


def _refuse_groups(inputs: Object, aws: Aws) -> None:
    """Refuse groups that AWS does not have, with its own error, or that belong to another network than the subnet."""
    groups, subnet = inputs.get("vpcSecurityGroupIds"), inputs.get("subnetId")
    if not groups or not subnet:
        return
    client = aws.client("ec2")
    [vpc] = {found["VpcId"] for found in client.describe_subnets(SubnetIds=[subnet])["Subnets"]}
    for group in client.describe_security_groups(GroupIds=groups)["SecurityGroups"]:
        if group["VpcId"] != vpc:
            raise Refused(
                "operation error EC2: RunInstances, api error InvalidParameter: Security group "
                f"{group['GroupId']} and subnet {subnet} belong to different networks."
            )


# The call


def _request(inputs: Object, image: Any) -> Object:
    """The parameters of RunInstances."""
    groups, subnet = inputs.get("vpcSecurityGroupIds"), inputs.get("subnetId")
    private, public = inputs.get("privateIp"), inputs.get("associatePublicIpAddress")
    if subnet:
        # moto deletes a machine's interface only if this is set; AWS does it by default.
        interface = {"DeviceIndex": 0, "SubnetId": subnet, "DeleteOnTermination": True}
        interface.update(given(AssociatePublicIpAddress=public, Groups=groups, PrivateIpAddress=private))
        network: Object = {"NetworkInterfaces": [interface]}
    else:
        network = given(SecurityGroupIds=groups, PrivateIpAddress=private)
    zone, profile = inputs.get("availabilityZone"), inputs.get("iamInstanceProfile")
    return {
        "ImageId": inputs["ami"],
        "InstanceType": inputs["instanceType"],
        **network,
        **given(
            BlockDeviceMappings=_root_request(inputs, image),
            CreditSpecification=_capitalized(inputs.get("creditSpecification")),
            DisableApiStop=inputs.get("disableApiStop"),
            EbsOptimized=inputs.get("ebsOptimized"),
            IamInstanceProfile={"Name": profile} if profile else None,
            InstanceInitiatedShutdownBehavior=inputs.get("instanceInitiatedShutdownBehavior"),
            InstanceMarketOptions=_capitalized(inputs.get("instanceMarketOptions")),
            KeyName=inputs.get("keyName"),
            MetadataOptions=_metadata(inputs) or None,
            Monitoring={"Enabled": True} if inputs.get("monitoring") else None,
            Placement=given(AvailabilityZone=zone, GroupName=inputs.get("placementGroup") or None) or None,
            PrivateDnsNameOptions=_capitalized(inputs.get("privateDnsNameOptions")),
            TagSpecifications=_tag_specifications(inputs),
            UserData=inputs.get("userData"),
        ),
    }


def _tag_specifications(inputs: Object) -> list[Object] | None:
    expected = {"instance": inputs.get("tags"), "volume": inputs.get("volumeTags")}
    made = [{"ResourceType": kind, "Tags": tags.as_list(value)} for kind, value in expected.items() if value]
    return made or None


def _root_request(inputs: Object, image: Any) -> list[Object] | None:
    root = _inner(inputs, "rootBlockDevice")
    if not root:
        return None
    ebs = given(
        DeleteOnTermination=root.get("deleteOnTermination", True),
        Encrypted=root.get("encrypted"),
        Iops=whole(root.get("iops")),
        KmsKeyId=root.get("kmsKeyId"),
        Throughput=whole(root.get("throughput")),
        VolumeSize=whole(root.get("volumeSize")),
        VolumeType=root.get("volumeType"),
    )
    return [{"DeviceName": image.get("RootDeviceName") or "/dev/xvda", "Ebs": ebs}]


def _metadata(inputs: Object) -> Object:
    options = _inner(inputs, "metadataOptions")
    return _capitalized({name: options[name] for name in _METADATA if name in options}) or {}


def _capitalized(value: Value) -> Any:
    """An object with the API's names, whose first letter differs."""
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _capitalized(item) for name, item in value.items() if item is not None}
    return int(value) if isinstance(value, float) else value


def _inner(inputs: Object, name: str) -> Object:
    """An object among the inputs; empty if it is absent or unknown."""
    value = inputs.get(name)
    return value if isinstance(value, dict) else {}


# The answer


def _instance(id: str, aws: Aws) -> Any | None:
    reservations = aws.client("ec2").describe_instances(Filters=[{"Name": "instance-id", "Values": [id]}])
    return one([instance for group in reservations["Reservations"] for instance in group["Instances"]])


def _described(instance: Any) -> Object:
    interface = one([i for i in instance.get("NetworkInterfaces") or [] if i["Attachment"]["DeviceIndex"] == 0]) or {}
    options = instance.get("MetadataOptions") or {}
    spot = instance.get("InstanceLifecycle") == "spot"
    profile = (instance.get("IamInstanceProfile") or {}).get("Arn", "")
    return {
        "ami": instance["ImageId"],
        "associatePublicIpAddress": bool(instance.get("PublicIpAddress")),
        "availabilityZone": instance["Placement"]["AvailabilityZone"],
        "ebsOptimized": bool(instance.get("EbsOptimized")),
        "iamInstanceProfile": profile.rpartition("/")[2] or None,
        "instanceLifecycle": "spot" if spot else "",
        "instanceState": instance["State"]["Name"],
        "instanceType": instance["InstanceType"],
        "metadataOptions": {name: options.get(name[0].upper() + name[1:]) for name in _METADATA},
        "monitoring": instance.get("Monitoring", {}).get("State") == "enabled",
        "placementGroup": instance["Placement"].get("GroupName", ""),
        "primaryNetworkInterfaceId": interface.get("NetworkInterfaceId", ""),
        "privateDns": instance.get("PrivateDnsName", ""),
        "privateIp": instance.get("PrivateIpAddress", ""),
        "publicDns": instance.get("PublicDnsName", ""),
        "publicIp": instance.get("PublicIpAddress", ""),
        "spotInstanceRequestId": instance.get("SpotInstanceRequestId", ""),
        "subnetId": instance.get("SubnetId", ""),
        "tags": tags_of(instance),
        "tenancy": instance["Placement"].get("Tenancy", "default"),
        # Of the interface, because moto has a machine's only after a change; in AWS they are the same.
        "vpcSecurityGroupIds": [group["GroupId"] for group in interface.get("Groups") or []],
    }


def _volumes(id: str, aws: Aws) -> list[Any]:
    """All volumes of a machine, also those that others have attached."""
    attached = [{"Name": "attachment.instance-id", "Values": [id]}]
    found: list[Any] = aws.client("ec2").describe_volumes(Filters=attached)["Volumes"]
    return found


def _volume_tags(id: str, aws: Aws) -> dict[str, str]:
    """The tags of all its volumes as one object, as the official plugin reads them."""
    return {key: value for volume in _volumes(id, aws) for key, value in tags_of(volume).items()}


def _root(instance: Any, aws: Aws, *, tagged: bool = True) -> Object | None:
    """The root volume; with `volumeTags` the official plugin does not read its tags here, too."""
    name = instance.get("RootDeviceName")
    mapping = one([m for m in instance.get("BlockDeviceMappings") or [] if m["DeviceName"] == name])
    if mapping is None:
        return None
    id = mapping["Ebs"]["VolumeId"]
    [volume] = aws.client("ec2").describe_volumes(VolumeIds=[id])["Volumes"]
    return {
        "deleteOnTermination": mapping["Ebs"]["DeleteOnTermination"],
        "deviceName": name,
        "encrypted": volume["Encrypted"],
        "iops": volume.get("Iops", 0),
        "kmsKeyId": volume.get("KmsKeyId", ""),
        **({"tags": tags_of(volume)} if tagged else {}),
        "throughput": volume.get("Throughput", 0),
        "volumeId": id,
        "volumeSize": volume["Size"],
        "volumeType": volume["VolumeType"],
    }


RESOURCES: dict[str, Resource] = {Instance.token: Instance()}

"""The machines on AWS: their user data, what protects their data, and what never replaces them."""

from typing import Any

import pulumi
import pytest

from components.aws.capacity import Offer
from components.aws.declaration import AdminKey, AwsSettings, GroupSettings
from components.aws.facts import Facts, Launch, Size
from components.aws.machines import Machines, MachinesArgs
from components.aws.network import Network, NetworkArgs
from components.aws.security import Security, SecurityArgs
from components.host import Role
from tests.unit import aws_mocks
from tests.unit.aws_mocks import ZONES, Mocks, Registered, of_type

BOTH = pytest.mark.parametrize("preview", [True, False])
STACKS = pytest.mark.parametrize("of", [aws_mocks.settings(), aws_mocks.prod()], ids=["dev", "prod"])
KEYS: Any = {
    "tls:index/privateKey:PrivateKey": lambda name, _: {
        "privateKeyOpenssh": f"PRIVATE {name}",
        "publicKeyOpenssh": f"ssh-ed25519 {name}",
    }
}


def run(of: AwsSettings, *, preview: bool = False, replaced: bool = False) -> dict[str, Registered]:
    """What is registered, in a network as `of` describes it."""

    def program() -> None:
        labels = aws_mocks.labels(of)
        network = Network("net", NetworkArgs(settings=of, labels=labels, zones=ZONES[: of.zones]))
        facts = Facts(
            account="123456789012",
            zones=ZONES[: of.zones],
            images={"amd64": "ami-1"},
            sizes={
                name: Size(name=name, cpus=2, memory_mib=7680, architecture="amd64", nitro=True)
                for name in ("m6i.large", "t3.micro")
            },
            launches={
                role: [
                    Launch(
                        offer=Offer(market="on-demand", type="m6i.large", zone=ZONES[index % of.zones]),
                        replaced=replaced,
                    )
                    for index in range(group.count)
                ]
                for role, group in of.groups.items()
            },
            subnets=(),
            operator_cidrs=of.operator_cidrs,
        )
        security = Security("groups", SecurityArgs(settings=of, labels=labels, vpc_id=network.vpc_id))
        args = MachinesArgs(
            settings=of,
            facts=facts,
            labels=labels,
            network=network,
            security=security,
            profiles=dict.fromkeys((Role.JOBMANAGER, Role.TASKMANAGER), "flink"),
        )
        hosts = Machines("machines", args).hosts
        for host in hosts:
            assert host.service is not None
            host.service.keep(pulumi.ComponentResource("flink:test:Service", host.name))

    return aws_mocks.register(program, preview=preview, mocks=Mocks(answers=KEYS))


@BOTH
@STACKS
def test_data_volumes_are_protected_where_the_stack_is_to_stay(of: AwsSettings, preview: bool) -> None:
    found = run(of, preview=preview)
    aws_mocks.check_common({key: one for key, one in found.items() if one.type.startswith("aws:")}, of)
    volumes = of_type(found, "ebs/volume:Volume")
    assert volumes and all(one.protect is not of.ephemeral for one in volumes.values())
    assert all(one.inputs["encrypted"] and one.inputs["type"] == "gp3" for one in volumes.values())
    for one in of_type(found, "ec2/volumeAttachment:VolumeAttachment").values():
        assert one.inputs["stopInstanceBeforeDetaching"] and one.deleted_first


@BOTH
@STACKS
def test_nothing_that_can_change_by_itself_replaces_a_machine(of: AwsSettings, preview: bool) -> None:
    for one in of_type(run(of, preview=preview), "ec2/instance:Instance").values():
        assert one.ignores == {"ami", "userData", "subnetId", "volumeTags", "rootBlockDevice.tags"}, one.name
        # In the launch itself; both at once are refused by the plugin
        assert one.inputs["volumeTags"] == one.inputs["tags"] and "tags" not in one.inputs["rootBlockDevice"]
        assert one.replaced_by == {"instanceType"} and one.deleted_first, one.name
        assert one.inputs["rootBlockDevice"]["encrypted"] is True


def test_a_machine_that_is_replaced_has_the_newest_image_and_stays_with_its_volume() -> None:
    found = of_type(run(aws_mocks.settings(), replaced=True), "ec2/instance:Instance")
    assert {name for name, one in found.items() if one.ignores} == {"zk-0", "zk-1", "mon-0", "mon-1"}
    assert all(one.ignores <= {"subnetId"} for one in found.values())


@BOTH
def test_a_data_volume_is_in_the_zone_of_its_machine(preview: bool) -> None:
    groups = dict.fromkeys(Role, GroupSettings(count=3, instance_type="m6i.large", disk_gib=20, zones=3, data_gib=10))
    found = run(aws_mocks.prod(groups=groups), preview=preview)
    zones = {name: one.inputs["availabilityZone"] for name, one in of_type(found, "ebs/volume:Volume").items()}
    assert zones == {f"{prefix}-{index}-data": ZONES[index] for prefix in ("zk", "mon") for index in range(3)}


@BOTH
def test_a_key_that_is_given_is_not_made(preview: bool) -> None:
    given = aws_mocks.settings(admin_key=AdminKey(path="mine", private="MINE", public="ssh-ed25519 MINE"))
    found = run(given, preview=preview)
    assert "tls:index/privateKey:PrivateKey/admin-key" not in found
    assert "tls:index/privateKey:PrivateKey/tm-0-key" in found
    for one in of_type(found, "ec2/instance:Instance").values():
        if not preview:
            assert "ssh-ed25519 MINE" in str(one.inputs["userData"])


@BOTH
def test_no_machine_has_an_address_in_the_internet_but_the_bastion(preview: bool) -> None:
    found = of_type(run(aws_mocks.prod(), preview=preview), "ec2/instance:Instance")
    assert {name for name, one in found.items() if one.inputs["associatePublicIpAddress"]} == {"bastion"}
    assert "iamInstanceProfile" not in found["bastion"].inputs
    assert "iamInstanceProfile" not in found["zk-0"].inputs
    assert found["tm-0"].inputs["iamInstanceProfile"] == "flink"

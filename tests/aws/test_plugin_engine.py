"""EC2 of the AWS stand-in under the real Pulumi engine: a network with a machine, from creation to deletion."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from pulumi import ResourceOptions, automation

from stand_ins.builds import programs
from stand_ins.plugins import AWS, TLS
from tests.aws.aws_client import Moto, moto
from tests.engine_stack import EngineStack

REPOSITORY = Path(__file__).parents[2]
BROKEN_PLUGIN = """
from stand_ins.plugin.serve import main
from stand_ins.aws_plugin import aws_provider, ec2_instances, resource

def broken(self, id, aws):
    raise resource.Refused("it broke")

ec2_instances.Instance._until_running = broken
main(aws_provider.AwsProvider)
"""
"""The plugin, with machines that never run."""
COUNT = 8
"""Resources of the program below, the stack included."""


@dataclass(frozen=True)
class Expected:
    """The program's parameters."""

    image: str
    instance_type: str = "t3.small"
    hostname: str = "one"
    role: str = "worker"
    second_cidr: str = "10.60.1.0/24"


def program(expected: Expected) -> Callable[[], None]:
    """A network with two subnets and a machine that is replaced if its type changes."""

    def run() -> None:
        zones = aws.get_availability_zones(state="available").names
        vpc = aws.ec2.Vpc("net", cidr_block="10.60.0.0/16", enable_dns_hostnames=True)
        gateway = aws.ec2.InternetGateway("net", vpc_id=vpc.id)
        cidrs = {"a": "10.60.0.0/24", "b": expected.second_cidr}
        subnets = [
            aws.ec2.Subnet(name, vpc_id=vpc.id, cidr_block=cidr, availability_zone=zone)
            for (name, cidr), zone in zip(cidrs.items(), zones, strict=False)
        ]
        group = aws.ec2.SecurityGroup("workers", vpc_id=vpc.id)
        aws.vpc.SecurityGroupEgressRule("out", security_group_id=group.id, ip_protocol="-1", cidr_ipv4="0.0.0.0/0")
        machine = aws.ec2.Instance(
            "worker-0",
            ami=expected.image,
            instance_type=expected.instance_type,
            subnet_id=subnets[0].id,
            vpc_security_group_ids=[group.id],
            associate_public_ip_address=True,
            user_data=f"#cloud-config\nhostname: {expected.hostname}\n",
            user_data_replace_on_change=True,
            metadata_options={"http_tokens": "required", "http_endpoint": "enabled"},
            root_block_device={"volume_type": "gp3", "volume_size": 30, "encrypted": True},
            tags={"Name": "worker-0", "role": expected.role},
            opts=ResourceOptions(replace_on_changes=["instanceType"], depends_on=gateway),
        )
        pulumi.export("id", machine.id)
        pulumi.export("address", machine.private_ip)

    return run


@pytest.fixture
def cloud() -> Iterator[Moto]:
    with moto() as it:
        yield it


@pytest.fixture
def stack(tmp_path: Path, cloud: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineStack]:
    plugins = tmp_path / "bin"
    for plugin in (AWS, TLS):
        plugin.install(plugins)
    monkeypatch.setenv("PATH", os.pathsep.join([str(plugins), str(programs.pulumi().parent), os.environ["PATH"]]))
    directory = tmp_path / "stack"
    directory.mkdir()
    it = EngineStack(directory)
    it.configure({f"aws:{key}": value for key, value in cloud.config().items()})
    yield it


@pytest.fixture
def expected(cloud: Moto) -> Expected:
    images = cloud.client("ec2").describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"]
    return Expected(next(i["ImageId"] for i in images if i.get("BlockDeviceMappings")))


def machines(cloud: Moto) -> dict[str, Any]:
    """The running machines, by id."""
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    reservations = cloud.client("ec2").describe_instances(Filters=running)["Reservations"]
    return {instance["InstanceId"]: instance for group in reservations for instance in group["Instances"]}


def changed(expected: Expected, **changes: str) -> Callable[[], None]:
    return program(Expected(**{**vars(expected), **changes}))


def test_life_of_a_network_with_a_machine(stack: EngineStack, cloud: Moto, expected: Expected) -> None:
    assert stack.preview(program(expected)).totals == {"create": COUNT}
    assert machines(cloud) == {}
    stack.up(program(expected))
    [id] = machines(cloud)
    assert stack.outputs()["id"] == id
    assert stack.outputs()["address"].startswith("10.60.0.")
    again = stack.up(program(expected), refresh=True, diff=True)
    assert again.totals == {"same": COUNT}, stack.printed

    # A tag changes in place; the type, as the program requires, and the user data by a new machine.
    up = stack.up(changed(expected, role="jobmanager"))
    assert up.totals == {"update": 1, "same": COUNT - 1}
    assert list(machines(cloud)) == [id]
    up = stack.up(changed(expected, instance_type="t3.large"))
    assert up.totals == {"replace": 1, "same": COUNT - 1}
    [second] = machines(cloud)
    assert second != id
    stack.up(changed(expected, hostname="two"))
    [third] = machines(cloud)
    assert third != second

    # Without Pulumi: a tag changes, then the machine is terminated.
    client = cloud.client("ec2")
    client.create_tags(Resources=[third], Tags=[{"Key": "role", "Value": "stolen"}])
    up = stack.up(changed(expected, hostname="two"), refresh=True)
    assert up.totals == {"update": 1, "same": COUNT - 1}
    assert {"Key": "role", "Value": "worker"} in machines(cloud)[third]["Tags"]
    client.terminate_instances(InstanceIds=[third])
    up = stack.up(changed(expected, hostname="two"), refresh=True)
    assert up.totals == {"create": 1, "same": COUNT - 1}
    assert len(machines(cloud)) == 1

    stack.destroy()
    assert machines(cloud) == {}
    assert [vpc for vpc in client.describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []
    assert client.describe_volumes()["Volumes"] == []
    assert client.describe_network_interfaces()["NetworkInterfaces"] == []


def test_what_aws_refuses_fails_the_update_by_its_name(stack: EngineStack, cloud: Moto, expected: Expected) -> None:
    with pytest.raises(automation.CommandError) as error:
        stack.up(changed(expected, second_cidr="10.60.0.128/25"))
    assert "creating EC2 Subnet" in str(error.value)
    assert "InvalidSubnet.Conflict" in str(error.value)
    stack.destroy()
    assert [vpc for vpc in cloud.client("ec2").describe_vpcs()["Vpcs"] if not vpc["IsDefault"]] == []


def test_a_machine_that_does_not_come_up_is_in_the_state(
    stack: EngineStack, cloud: Moto, expected: Expected, tmp_path: Path
) -> None:
    """It exists and costs money: it must be in the engine's state, or nothing would ever delete it."""
    broken = tmp_path / "broken.py"
    broken.write_text(BROKEN_PLUGIN)
    executable = tmp_path / "bin" / "pulumi-resource-aws"
    executable.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} {broken} "$@"\n')
    with pytest.raises(automation.CommandError, match="it broke"):
        stack.up(program(expected))
    [id] = machines(cloud)
    state = stack.state()["worker-0"]
    assert state["id"] == id
    assert "it broke" in state["initErrors"][0]
    for plugin in (AWS, TLS):
        plugin.install(executable.parent)
    stack.up(program(expected))
    assert stack.outputs()["id"] == id
    stack.destroy()
    assert machines(cloud) == {}


def test_a_misspelt_nested_input_stops_the_run_before_anything_is_made(stack: EngineStack, cloud: Moto) -> None:
    class Misspelt(pulumi.CustomResource):
        def __init__(self) -> None:
            inputs = {"ami": "ami-1", "instanceType": "t3.small", "metadataOptions": {"httpToken": "required"}}
            super().__init__("aws:ec2/instance:Instance", "it", inputs)

    def misspelt() -> None:
        Misspelt()

    with pytest.raises(automation.CommandError, match=r"Unrecognized field 'httpToken'"):
        stack.up(misspelt)
    assert machines(cloud) == {}


def test_a_missing_region_stops_the_preview(stack: EngineStack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    stack.configure({"aws:region": None})

    def network() -> None:
        aws.ec2.Vpc("net", cidr_block="10.60.0.0/16")

    with pytest.raises(automation.CommandError, match="Invalid or missing region"):
        stack.preview(network)

"""The AWS stand-in over gRPC, on a moto server: what it creates, changes, reads and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from stand_ins.aws_plugin import ec2
from stand_ins.aws_plugin.aws_provider import AwsProvider
from stand_ins.plugin.values import UNKNOWN, Secret
from tests.aws.aws_client import REGION, AwsClient, Moto, aws_plugin
from tests.plugin_client import State, failure, plugin

VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
GATEWAY = "aws:ec2/internetGateway:InternetGateway"
TABLE = "aws:ec2/routeTable:RouteTable"
ROUTE = "aws:ec2/route:Route"
ASSOCIATION = "aws:ec2/routeTableAssociation:RouteTableAssociation"
EIP = "aws:ec2/eip:Eip"
NAT = "aws:ec2/natGateway:NatGateway"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
INSTANCE = "aws:ec2/instance:Instance"
VOLUME = "aws:ebs/volume:Volume"
ATTACHMENT = "aws:ec2/volumeAttachment:VolumeAttachment"
ZONE = f"{REGION}a"


@pytest.fixture
def aws(cloud: Moto, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsClient]:
    monkeypatch.setattr(ec2, "IN_USE_SECONDS", 5)
    with aws_plugin(cloud) as it:
        try:
            yield it
        finally:
            it.remove_all()


@pytest.fixture
def image(cloud: Moto) -> str:
    """One of moto's images: for x86_64, with a root volume."""
    images = cloud.client("ec2").describe_images(Filters=[{"Name": "architecture", "Values": ["x86_64"]}])["Images"]
    return str(next(i["ImageId"] for i in images if i.get("BlockDeviceMappings")))


def network(aws: AwsClient, cidr: str = "10.20.0.0/16") -> tuple[str, str]:
    """A VPC and a subnet in it."""
    vpc, _ = aws.make(VPC, {"cidrBlock": cidr, "enableDnsHostnames": True})
    subnet, _ = aws.make(SUBNET, {"vpcId": vpc, "cidrBlock": cidr.replace("/16", "/24"), "availabilityZone": ZONE})
    return vpc, subnet


def machine(image: str, subnet: str, **more: Any) -> State:
    return {
        "ami": image,
        "instanceType": "t3.small",
        "subnetId": subnet,
        "userData": "#cloud-config\nhostname: one\n",
        "metadataOptions": {"httpTokens": "required", "httpEndpoint": "enabled", "httpPutResponseHopLimit": 1},
        "rootBlockDevice": {"volumeType": "gp3", "volumeSize": 30, "encrypted": True},
        "tags": {"Name": "one"},
        **more,
    }


def refused(aws: AwsClient, token: str, inputs: State) -> str:
    """The error text of a failed create, which users read."""
    with pytest.raises(grpc.RpcError) as error:
        aws.make(token, inputs)
    return failure(error)


# Configuration


def test_a_missing_region_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, cloud: Moto) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    config = {name: value for name, value in cloud.config().items() if name != "region"}
    with plugin(AwsProvider, AwsClient) as client:
        assert "Invalid or missing region" in client.check_config(config)["region"]


def test_missing_credentials_are_one_clear_error(monkeypatch: pytest.MonkeyPatch, cloud: Moto, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    config = {name: value for name, value in cloud.config().items() if not name.endswith("Key")}
    with plugin(AwsProvider, AwsClient) as client, pytest.raises(grpc.RpcError) as error:
        client.configure(config)
    assert "No valid credential sources found" in failure(error)


def test_a_profile_gives_the_credentials(monkeypatch: pytest.MonkeyPatch, cloud: Moto, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "credentials").write_text("[flink]\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    config = {name: value for name, value in cloud.config().items() if not name.endswith("Key")}
    with plugin(AwsProvider, AwsClient) as client:
        client.configure({**config, "profile": "flink"})
        with pytest.raises(grpc.RpcError) as error:
            client.configure({**config, "profile": "other"})
    assert failure(error).startswith("unable to validate AWS credentials. Details: The config profile (other)")


def test_an_unknown_region_is_refused(cloud: Moto) -> None:
    with plugin(AwsProvider, AwsClient) as client, pytest.raises(grpc.RpcError) as error:
        client.configure({**cloud.config(), "region": "eu-central-9"})
    assert "Invalid AWS Region: eu-central-9" in failure(error)


def test_configuration_that_the_stand_in_does_not_know_is_refused(cloud: Moto) -> None:
    with plugin(AwsProvider, AwsClient) as client:
        found = client.check_config({**cloud.config(), "regoin": "x", "httpProxy": "http://x"})
    assert found.keys() == {"regoin", "httpProxy"}


# Life


def test_life_of_a_network(aws: AwsClient, cloud: Moto) -> None:
    """All of its types, created and deleted; nothing remains."""
    vpc, state = aws.make(VPC, {"cidrBlock": "10.30.0.0/16", "enableDnsHostnames": True, "tags": {"Name": "net"}})
    assert state["enableDnsHostnames"] is True
    assert state["tagsAll"] == {"Name": "net"}
    assert state["mainRouteTableId"].startswith("rtb-")
    assert state["defaultSecurityGroupId"].startswith("sg-")
    assert state["arn"] == f"arn:aws:ec2:{REGION}:123456789012:vpc/{vpc}"
    public = {"vpcId": vpc, "cidrBlock": "10.30.0.0/24", "availabilityZone": ZONE, "mapPublicIpOnLaunch": True}
    subnet, state = aws.make(SUBNET, public)
    assert state["mapPublicIpOnLaunch"] is True
    gateway, _ = aws.make(GATEWAY, {"vpcId": vpc})
    table, _ = aws.make(TABLE, {"vpcId": vpc})
    route, _ = aws.make(ROUTE, {"routeTableId": table, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": gateway})
    assert route == f"r-{table}1080289494"
    aws.make(ASSOCIATION, {"routeTableId": table, "subnetId": subnet})
    address, state = aws.make(EIP, {"domain": "vpc"})
    assert state["publicIp"]
    nat, state = aws.make(NAT, {"subnetId": subnet, "allocationId": address})
    assert state["publicIp"]
    private, _ = aws.make(TABLE, {"vpcId": vpc})
    aws.make(ROUTE, {"routeTableId": private, "destinationCidrBlock": "0.0.0.0/0", "natGatewayId": nat})
    endpoint = {"vpcId": vpc, "serviceName": f"com.amazonaws.{REGION}.s3", "routeTableIds": [table, private]}
    _, state = aws.make(ENDPOINT, endpoint)
    assert state["prefixListId"].startswith("pl-")
    for token, id, state in aws.made:
        assert aws.read(token, id, state, state)[0] == id, token
    aws.remove_all()
    client = cloud.client("ec2")
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    assert client.describe_vpcs(Filters=of_vpc)["Vpcs"] == []
    assert client.describe_route_tables(Filters=of_vpc)["RouteTables"] == []
    assert [n for n in client.describe_nat_gateways()["NatGateways"] if n["State"] != "deleted"] == []
    assert client.describe_addresses()["Addresses"] == []


def test_life_of_a_machine(aws: AwsClient, cloud: Moto, image: str) -> None:
    vpc, subnet = network(aws)
    group, state = aws.make(GROUP, {"vpcId": vpc, "name": "workers", "description": "workers"})
    assert state["ingress"] == []
    inputs = machine(image, subnet, vpcSecurityGroupIds=[group], associatePublicIpAddress=True)
    id, state = aws.make(INSTANCE, inputs)
    assert state["instanceState"] == "running"
    assert state["privateIp"].startswith("10.20.0.")
    assert state["publicIp"]
    assert state["rootBlockDevice"]["volumeId"].startswith("vol-")
    assert state["rootBlockDevice"]["volumeSize"] == 30
    assert state["vpcSecurityGroupIds"] == [group]
    assert state["metadataOptions"]["httpTokens"] == "required"

    changed = {**inputs, "instanceType": "t3.large", "tags": {"Name": "two"}, "disableApiTermination": True}
    state = aws.change(INSTANCE, id, state, changed)
    assert state["instanceType"] == "t3.large"
    assert state["instanceState"] == "running"
    assert state["tagsAll"] == {"Name": "two"}
    with pytest.raises(grpc.RpcError) as error:
        aws.remove(INSTANCE, id, state)
    assert "OperationNotPermitted" in failure(error)
    state = aws.change(INSTANCE, id, state, {**changed, "disableApiTermination": False})
    aws.remove(INSTANCE, id, state)
    found = cloud.client("ec2").describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "terminated"
    aws.remove(INSTANCE, id, state)


def test_tags_of_volumes_are_in_the_launch_and_those_of_the_root_device_are_not(
    aws: AwsClient, cloud: Moto, image: str
) -> None:
    _, subnet = network(aws)
    inputs = machine(image, subnet, volumeTags={"owner": "x"})
    id, state = aws.make(INSTANCE, inputs)
    volume = state["rootBlockDevice"]["volumeId"]
    client = cloud.client("ec2")
    client.create_tags(Resources=[volume], Tags=[{"Key": "Name", "Value": "root"}])
    assert aws.read(INSTANCE, id, state, inputs)[2]["volumeTags"] == {"owner": "x", "Name": "root"}
    aws.remove(INSTANCE, id, state)
    both = {**inputs, "rootBlockDevice": {**inputs["rootBlockDevice"], "tags": {"owner": "x"}}}
    assert "conflicts with volume_tags" in aws.check(INSTANCE, both)[1]["rootBlockDevice.tags"]
    id, state = aws.make(INSTANCE, {key: value for key, value in both.items() if key != "volumeTags"})
    assert state["rootBlockDevice"]["tags"] == {"owner": "x"}
    aws.remove(INSTANCE, id, state)


def test_a_volume_outlives_its_machine(aws: AwsClient, image: str) -> None:
    _, subnet = network(aws)
    id, _ = aws.make(INSTANCE, machine(image, subnet))
    expected = {"availabilityZone": ZONE, "size": 8, "type": "gp3", "encrypted": True}
    volume, state = aws.make(VOLUME, expected)
    attachment, attached = aws.make(ATTACHMENT, {"volumeId": volume, "instanceId": id, "deviceName": "/dev/sdf"})
    assert attachment.startswith("vai-")
    assert aws.read(ATTACHMENT, attachment, attached, attached)[0] == attachment
    state = aws.change(VOLUME, volume, state, {**expected, "size": 16})
    assert state["size"] == 16
    with pytest.raises(grpc.RpcError) as error:
        aws.change(VOLUME, volume, state, expected)
    assert "New size cannot be smaller" in failure(error)
    aws.remove(INSTANCE, id, {})
    assert aws.read(ATTACHMENT, attachment, attached, attached)[0] == ""
    assert aws.read(VOLUME, volume, state, expected)[0] == volume


def test_a_volume_of_another_zone_is_refused(aws: AwsClient, image: str) -> None:
    _, subnet = network(aws)
    id, _ = aws.make(INSTANCE, machine(image, subnet))
    volume, _ = aws.make(VOLUME, {"availabilityZone": f"{REGION}b", "size": 8})
    text = refused(aws, ATTACHMENT, {"volumeId": volume, "instanceId": id, "deviceName": "/dev/sdf"})
    assert "InvalidVolume.ZoneMismatch" in text


def test_life_of_security_rules(aws: AwsClient, cloud: Moto) -> None:
    vpc, _ = network(aws)
    one, _ = aws.make(GROUP, {"vpcId": vpc, "tags": {"role": "one"}})
    two, _ = aws.make(GROUP, {"vpcId": vpc, "name": "two"})
    assert (
        cloud.client("ec2").describe_security_groups(GroupIds=[one])["SecurityGroups"][0]["IpPermissionsEgress"] == []
    )
    from_two = {
        "securityGroupId": one,
        "referencedSecurityGroupId": two,
        "ipProtocol": "tcp",
        "fromPort": 2181,
        "toPort": 2181,
        "description": "ZooKeeper",
        "tags": {"Name": "zk"},
    }
    rule, state = aws.make(INGRESS, from_two)
    assert rule == state["securityGroupRuleId"]
    assert state["referencedSecurityGroupId"] == two
    assert state["tagsAll"] == {"Name": "zk"}
    aws.make(EGRESS, {"securityGroupId": one, "cidrIpv4": "0.0.0.0/0", "ipProtocol": "-1"})
    ssh = {"securityGroupId": one, "cidrIpv4": "192.0.2.1/32", "ipProtocol": "tcp", "fromPort": 22, "toPort": 22}
    rule, state = aws.make(INGRESS, ssh)
    assert "Duplicate" in refused(aws, INGRESS, ssh)
    state = aws.change(INGRESS, rule, state, {**ssh, "cidrIpv4": "192.0.2.2/32"})
    assert state["cidrIpv4"] == "192.0.2.2/32"
    cloud.client("ec2").revoke_security_group_ingress(GroupId=one, SecurityGroupRuleIds=[rule])
    assert aws.read(INGRESS, rule, state, ssh)[0] == ""
    aws.remove(INGRESS, rule, state)


# Preview and difference


def test_a_preview_creates_nothing(aws: AwsClient, cloud: Moto, image: str) -> None:
    before = len(cloud.client("ec2").describe_vpcs()["Vpcs"])
    id, state = aws.make(VPC, {"cidrBlock": "10.40.0.0/16"}, preview=True)
    assert id == ""
    assert state["arn"] == state["mainRouteTableId"] == UNKNOWN
    assert state["cidrBlock"] == "10.40.0.0/16"
    _, state = aws.make(INSTANCE, machine(image, UNKNOWN), preview=True)
    assert state["privateIp"] == state["publicIp"] == state["subnetId"] == UNKNOWN
    assert state["tagsAll"] == {"Name": "one"}
    assert len(cloud.client("ec2").describe_vpcs()["Vpcs"]) == before


def test_what_replaces_a_machine_and_what_does_not(aws: AwsClient) -> None:
    old = aws.checked(INSTANCE, machine("ami-1", "subnet-1", vpcSecurityGroupIds=["sg-1", "sg-2"]))

    def differences(**changes: Any) -> dict[str, str]:
        return aws.differences(INSTANCE, old, old, aws.checked(INSTANCE, {**old, **changes}))

    assert differences() == {}
    assert differences(vpcSecurityGroupIds=["sg-2", "sg-1"]) == {}
    assert differences(instanceType="t3.large") == {"instanceType": "UPDATE"}
    assert differences(ami="ami-2") == {"ami": "UPDATE_REPLACE"}
    assert differences(userData="other") == {"userData": "UPDATE"}
    assert differences(userData="other", userDataReplaceOnChange=True)["userData"] == "UPDATE_REPLACE"
    assert differences(tags={"Name": "one", "more": "x"}) == {"tags.more": "ADD"}
    root = {"volumeType": "gp3", "volumeSize": 31, "encrypted": False}
    assert differences(rootBlockDevice=root) == {
        "rootBlockDevice.volumeSize": "UPDATE",
        "rootBlockDevice.encrypted": "UPDATE_REPLACE",
    }


def test_secrets_stay_secret(aws: AwsClient, image: str) -> None:
    _, subnet = network(aws)
    inputs = {**machine(image, subnet), "userData": Secret("#cloud-config\n")}
    id, state = aws.make(INSTANCE, inputs)
    assert state["userData"] == Secret("#cloud-config\n")
    _, refreshed, now = aws.read(INSTANCE, id, state, inputs)
    assert refreshed["userData"] == now["userData"] == Secret("#cloud-config\n")


def test_a_name_that_nobody_gave_stays(aws: AwsClient) -> None:
    first = aws.checked(GROUP, {"vpcId": "vpc-1"})
    assert first["name"].startswith("it-")
    assert len(first["name"]) == len("it-") + 7


# Drift


def test_no_drift_is_no_difference(aws: AwsClient, image: str) -> None:
    _, subnet = network(aws)
    inputs = aws.checked(INSTANCE, machine(image, subnet))
    id, state = aws.make(INSTANCE, inputs)
    same_id, refreshed, now = aws.read(INSTANCE, id, state, inputs)
    assert same_id == id
    assert refreshed == inputs
    assert now == state


def test_changes_behind_pulumis_back_are_seen(aws: AwsClient, cloud: Moto, image: str) -> None:
    _, subnet = network(aws)
    inputs = aws.checked(INSTANCE, machine(image, subnet))
    id, state = aws.make(INSTANCE, inputs)
    client = cloud.client("ec2")
    client.create_tags(Resources=[id], Tags=[{"Key": "Name", "Value": "stolen"}, {"Key": "new", "Value": "x"}])
    client.modify_instance_metadata_options(InstanceId=id, HttpTokens="optional", HttpEndpoint="enabled")
    _, refreshed, now = aws.read(INSTANCE, id, state, inputs)
    assert refreshed["tags"] == now["tagsAll"] == {"Name": "stolen", "new": "x"}
    assert refreshed["metadataOptions"]["httpTokens"] == "optional"
    found = aws.differences(INSTANCE, now, refreshed, inputs)
    assert found == {"tags.Name": "UPDATE", "tags.new": "DELETE", "metadataOptions.httpTokens": "UPDATE"}
    state = aws.change(INSTANCE, id, now, inputs)
    assert aws.read(INSTANCE, id, state, inputs)[1] == inputs


def test_what_is_gone_is_reported(aws: AwsClient, cloud: Moto, image: str) -> None:
    _, subnet = network(aws)
    id, state = aws.make(INSTANCE, machine(image, subnet))
    cloud.client("ec2").terminate_instances(InstanceIds=[id])
    assert aws.read(INSTANCE, id, state, state)[0] == ""
    other, state = aws.make(VPC, {"cidrBlock": "10.50.0.0/16"})
    cloud.client("ec2").delete_vpc(VpcId=other)
    assert aws.read(VPC, other, state, state)[0] == ""
    aws.remove(VPC, other, state)


# Refusals


@pytest.mark.parametrize(
    ("token", "inputs", "path", "reason"),
    [
        (VPC, {"cidrBlok": "10.0.0.0/16"}, "cidrBlok", "Unrecognized"),
        (VPC, {"cidrBlock": "10.0.0.0/8"}, "cidrBlock", "prefix length between 16 and 28"),
        (VPC, {"cidrBlock": "10.0.0.1/16"}, "cidrBlock", "host bits"),
        (VPC, {}, "cidrBlock", "must be specified"),
        (SUBNET, {"cidrBlock": "10.0.0.0/24"}, "vpcId", "Missing required"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "instanceTenancy": "mine"}, "instanceTenancy", "one of"),
        (VPC, {"cidrBlock": "10.0.0.0/16", "region": "us-east-1"}, "region", "no other region"),
        (INSTANCE, {"ami": "ami-1", "instanceType": 3}, "instanceType", "must be a string"),
        (INSTANCE, {"instanceType": "t3.small"}, "ami", "must be specified"),
        (INSTANCE, {"ami": "ami-1", "instanceType": "t3.small", "hibernation": True}, "hibernation", "stand-in"),
        (INSTANCE, {"metadataOptions": {"httpToken": "required"}}, "metadataOptions.httpToken", "Unrecognized"),
        (INSTANCE, {"rootBlockDevice": {"volumeType": "gp4"}}, "rootBlockDevice.volumeType", "one of"),
        (INSTANCE, {"metadataOptions": {"httpTokens": "always"}}, "metadataOptions.httpTokens", "one of"),
        (INSTANCE, {"userData": "x" * 16385}, "userData", "16384 bytes"),
        (ROUTE, {"routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0"}, "gatewayId", "one target"),
        (GROUP, {"name": "Großbuchstaben"}, "name", "characters"),
        (INGRESS, {"securityGroupId": "sg-1", "ipProtocol": "tcp", "cidrIpv4": "0.0.0.0/0"}, "fromPort", "both"),
        (INGRESS, {"securityGroupId": "sg-1", "ipProtocol": "-1"}, "cidrIpv4", "exactly one"),
    ],
)
def test_inputs_are_refused_before_anything_is_made(
    aws: AwsClient, token: str, inputs: State, path: str, reason: str
) -> None:
    _, failures = aws.check(token, inputs)
    assert reason in failures[path]


def test_what_moto_takes_and_aws_does_not_is_refused(aws: AwsClient, image: str) -> None:
    vpc, subnet = network(aws)
    assert "InvalidAMIID.NotFound" in refused(aws, INSTANCE, machine("ami-00000000000000000", subnet))
    assert "InvalidInstanceType" in refused(aws, INSTANCE, machine(image, subnet, instanceType="t3.giant"))
    assert "architecture" in refused(aws, INSTANCE, machine(image, subnet, instanceType="t4g.small"))
    assert "InvalidGroup.NotFound" in refused(aws, INSTANCE, machine(image, subnet, vpcSecurityGroupIds=["sg-0"]))
    assert "InvalidSubnet.Conflict" in refused(aws, SUBNET, {"vpcId": vpc, "cidrBlock": "10.20.0.128/25"})
    assert "InvalidSubnet.Range" in refused(aws, SUBNET, {"vpcId": vpc, "cidrBlock": "10.21.0.0/24"})
    assert "InvalidVpcID.NotFound" in refused(aws, SUBNET, {"vpcId": "vpc-0", "cidrBlock": "10.20.9.0/24"})
    zone = {"vpcId": vpc, "cidrBlock": "10.20.9.0/24", "availabilityZone": "eu-central-1z"}
    assert "availabilityZone" in refused(aws, SUBNET, zone)
    assert "NotFound" in refused(aws, NAT, {"subnetId": subnet, "allocationId": "eipalloc-0"})
    other, _ = aws.make(VPC, {"cidrBlock": "10.70.0.0/16"})
    group, _ = aws.make(GROUP, {"vpcId": other})
    assert "different networks" in refused(aws, INSTANCE, machine(image, subnet, vpcSecurityGroupIds=[group]))
    aws.make(GATEWAY, {"vpcId": vpc})
    service = {"vpcId": vpc, "serviceName": "com.amazonaws.eu-central-1.s4"}
    assert "InvalidServiceName" in refused(aws, ENDPOINT, service)


def test_a_wrong_value_of_an_enumeration_is_refused_by_botocores_model(aws: AwsClient, image: str) -> None:
    _, subnet = network(aws)
    inputs = machine(image, subnet, instanceInitiatedShutdownBehavior="explode")
    text = refused(aws, INSTANCE, inputs)
    assert "Invalid value 'explode' for InstanceInitiatedShutdownBehavior: one of stop, terminate" in text
    assert text.startswith("creating EC2 Instance (it): operation error EC2: RunInstances")


def test_a_type_that_the_stand_in_does_not_have_is_refused(aws: AwsClient) -> None:
    with pytest.raises(grpc.RpcError) as error:
        aws.check("aws:ec2/keyPair:KeyPair", {})
    assert "the stand-in has no aws:ec2/keyPair:KeyPair" in failure(error)


# Functions


def test_functions(aws: AwsClient, image: str) -> None:
    assert aws.invoke("aws:index/getCallerIdentity:getCallerIdentity", {})["accountId"] == "123456789012"
    assert aws.invoke("aws:index/getRegion:getRegion", {})["region"] == REGION
    zones = aws.invoke("aws:index/getAvailabilityZones:getAvailabilityZones", {"state": "available"})
    assert zones["names"] == [f"{REGION}a", f"{REGION}b", f"{REGION}c"]
    found = aws.invoke("aws:ec2/getInstanceType:getInstanceType", {"instanceType": "m5.xlarge"})
    assert (found["defaultVcpus"], found["memorySize"]) == (4, 16384)
    vpc, subnet = network(aws)
    assert aws.invoke("aws:ec2/getVpc:getVpc", {"id": vpc})["cidrBlock"] == "10.20.0.0/16"
    assert aws.invoke("aws:ec2/getSubnet:getSubnet", {"id": subnet})["availabilityZone"] == ZONE
    id, _ = aws.make(INSTANCE, machine(image, subnet, tags={"role": "worker"}))
    asked = {"instanceTags": {"role": "worker"}, "instanceStateNames": ["running", "pending"]}
    assert aws.invoke("aws:ec2/getInstances:getInstances", asked)["ids"] == [id]
    small = [{"name": "instance-type", "values": ["t3.nano"]}]
    assert aws.invoke("aws:ec2/getInstances:getInstances", {**asked, "filters": small})["ids"] == []


def test_a_bucket_is_found_in_its_own_region(aws: AwsClient, cloud: Moto) -> None:
    cloud.client("s3", "eu-west-1").create_bucket(
        Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    found = aws.invoke("aws:s3/getBucket:getBucket", {"bucket": "elsewhere"})
    assert (found["bucketRegion"], found["region"]) == ("eu-west-1", REGION)


@pytest.mark.parametrize(
    ("token", "args", "reason"),
    [
        ("aws:ec2/getInstanceType:getInstanceType", {"instanceType": "m5.giant"}, "InvalidInstanceType"),
        ("aws:ec2/getVpc:getVpc", {"id": "vpc-0"}, "InvalidVpcID.NotFound"),
        ("aws:s3/getBucket:getBucket", {"bucket": "no-such-bucket"}, "couldn't find resource"),
        ("aws:ssm/getParameter:getParameter", {"name": "/no/such"}, "ParameterNotFound"),
    ],
)
def test_functions_pass_on_what_aws_says(aws: AwsClient, token: str, args: State, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as error:
        aws.invoke(token, args)
    assert reason in failure(error)

"""What `python -m ops orphans` finds on AWS, and what it refuses. moto in this process; no engine."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import boto3
import pulumi
import pulumi_aws
import pytest
from moto import mock_aws

from automation.deployment import AWS_PROVIDER
from automation.pending import Operation
from components.aws import healing, names, snapshots
from ops.aws import KNOWN, SETTINGS, Aws
from ops.errors import OpsError
from stand_ins.aws_cloud import corrections, dlm
from toolbox.paths import REPO

REGION = "eu-central-1"
ACCOUNT = "123456789012"
"""moto's."""
STATE: dict[str, Any] = {"resources": [{"type": AWS_PROVIDER, "urn": "u", "inputs": {"region": REGION}}]}


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    corrections.apply()  # moto has no placement groups
    dlm.apply()
    with mock_aws():
        yield


def tags(name: str, stack: str = "dev") -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in {"Name": name, "project": "flink", "stack": stack}.items()]


def specification(kind: str, name: str, stack: str = "dev") -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tags(name, stack)}]


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def volume(name: str, stack: str = "dev") -> str:
    made = client("ec2").create_volume(
        AvailabilityZone=f"{REGION}a", Size=1, TagSpecifications=specification("volume", name, stack)
    )
    return str(made["VolumeId"])


def instance(name: str) -> str:
    root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": True}}
    ec2 = client("ec2")
    found = ec2.run_instances(
        ImageId=ec2.describe_images()["Images"][0]["ImageId"],
        MinCount=1,
        MaxCount=1,
        BlockDeviceMappings=[root],
        TagSpecifications=specification("instance", name) + specification("volume", name),
    )
    return str(found["Instances"][0]["InstanceId"])


def aws(state: dict[str, Any] = STATE, account: str = ACCOUNT) -> Aws:
    return Aws("dev", state, account=account, sleep=lambda _: None)


def listed(state: dict[str, Any] = STATE) -> list[str]:
    return [f"{it.type} {it.id}" for it in Aws("dev", state).orphans().found]


def test_what_has_the_stacks_tags_and_is_unknown_to_the_state_is_listed_with_its_command() -> None:
    known, unknown = volume("dev-zk-0-data"), volume("dev-zk-1-data")
    volume("other-zk-0-data", stack="other")
    state = {"resources": [*STATE["resources"], {"type": "aws:ebs/volume:Volume", "urn": "v", "id": known}]}
    found = Aws("dev", state).orphans()
    assert [(it.id, it.name) for it in found.found] == [(unknown, "dev-zk-1-data")]
    assert f"aws --region {REGION} ec2 delete-volume --volume-id {unknown}" in found.text()
    assert found.text().splitlines()[-1].startswith(f"1 resources in {REGION} have the tags of stack dev")


def test_a_machine_is_listed_without_the_volume_that_is_deleted_with_it_and_not_once_it_is_terminated() -> None:
    id = instance("dev-tm-0")
    assert listed() == [f"aws:ec2/instance:Instance {id}"]
    client("ec2").terminate_instances(InstanceIds=[id])
    assert listed() == []


def test_a_placement_group_is_listed_by_the_name_that_blocks_the_next_up() -> None:
    for name, stack in (("flink-dev-tm-spread", "dev"), ("flink-other-tm-spread", "other")):
        client("ec2").create_placement_group(
            GroupName=name, Strategy="spread", TagSpecifications=specification("placement-group", name, stack)
        )
    assert listed() == ["aws:ec2/placementGroup:PlacementGroup flink-dev-tm-spread"]


def test_what_is_no_part_of_ec2_is_found_as_well() -> None:
    zone = (
        client("route53")
        .create_hosted_zone(Name="dev.flink.internal", CallerReference="1", HostedZoneConfig={"PrivateZone": True})[
            "HostedZone"
        ]["Id"]
        .removeprefix("/hostedzone/")
    )
    client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone, AddTags=tags("dev-names"))
    role, iam = names.role("dev", REGION), client("iam")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=tags(role))
    iam.create_instance_profile(InstanceProfileName=role, Tags=tags(role))
    snapshots = names.snapshots("dev", REGION)
    iam.create_role(RoleName=snapshots, AssumeRolePolicyDocument="{}", Tags=tags(snapshots))
    for name, stack in (("flink-dev", "dev"), ("flink-other", "other")):
        client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        client("s3").put_bucket_tagging(Bucket=name, Tagging={"TagSet": tags(name, stack)})
    assert listed() == [
        f"aws:route53/zone:Zone {zone}",
        f"aws:iam/instanceProfile:InstanceProfile {role}",
        f"aws:iam/role:Role {role}",
        f"aws:iam/role:Role {snapshots}",
        "aws:s3/bucket:Bucket flink-dev",
    ]


def policy(stack: str = "dev") -> str:
    """A policy for snapshots."""
    trust = {"Version": "2012-10-17", "Statement": [{"Principal": {"Service": "dlm.amazonaws.com"}}]}
    role = f"flink-{stack}-for-snapshots"
    iam = client("iam")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    made = client("dlm").create_lifecycle_policy(
        ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}",
        Description="Volumes of ZooKeeper",
        State="ENABLED",
        PolicyDetails={"ResourceTypes": ["VOLUME"], "TargetTags": [{"Key": snapshots.TAG, "Value": "x"}]},
        Tags={"project": "flink", "stack": stack, "Name": names.snapshots(stack, REGION)},
    )
    return str(made["PolicyId"])


def reporting(stack: str = "dev") -> tuple[str, str]:
    """What reports a lost machine: the name of its connection and destination, and that of its rule."""
    events, name, rule = client("events"), names.healing(stack), names.healing(stack, 0)
    connection = events.create_connection(
        Name=name,
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "a", "ApiKeyValue": "b"}},
    )["ConnectionArn"]
    destination = events.create_api_destination(
        Name=name, ConnectionArn=connection, InvocationEndpoint="https://ci", HttpMethod="POST"
    )["ApiDestinationArn"]
    events.put_rule(Name=rule, EventPattern=healing.pattern(["i-1"]), Tags=tags(rule, stack))
    events.put_targets(Rule=rule, Targets=[{"Id": "ci", "Arn": destination}])
    return name, rule


def test_a_policy_for_snapshots_is_found_by_its_tags() -> None:
    id, _ = policy(), policy("other")
    assert listed() == [f"aws:dlm/lifecyclePolicy:LifecyclePolicy {id}"]
    assert f"aws --region {REGION} dlm delete-lifecycle-policy --policy-id {id}" in aws().orphans().text()
    creation = creating("dlm/lifecyclePolicy:LifecyclePolicy", tags={"Name": names.snapshots("dev", REGION)})
    assert aws().find([creation]) == {"u::new": [id]}


def test_what_reports_lost_machines_is_listed_before_the_machines_whose_end_it_reports() -> None:
    name, rule = reporting()
    reporting("dev-healing-0")
    machine = instance("dev-tm-0")
    assert listed() == [
        f"aws:cloudwatch/eventRule:EventRule {rule}",
        f"aws:cloudwatch/eventApiDestination:EventApiDestination {name}",
        f"aws:cloudwatch/eventConnection:EventConnection {name}",
        f"aws:ec2/instance:Instance {machine}",
    ]
    text = aws().orphans().text()
    commands = [line.split(maxsplit=3)[3] for line in text.splitlines() if "events " in line]
    assert commands == [
        f"events remove-targets --rule {rule} --ids ci",
        f"events delete-rule --name {rule}",
        f"events delete-api-destination --name {name}",
        f"events delete-connection --name {name}",
    ]


def test_pending_creations_of_what_reports_lost_machines_are_found() -> None:
    name, rule = names.healing("dev"), names.healing("dev", 0)
    creations: dict[str, tuple[dict[str, Any], str]] = {
        "eventConnection:EventConnection": ({"name": name}, name),
        "eventApiDestination:EventApiDestination": ({"name": name}, name),
        "eventRule:EventRule": ({"name": rule, "tags": {"Name": rule}}, rule),
        "eventTarget:EventTarget": ({"rule": rule, "targetId": "ci"}, f"{rule}-ci"),
    }
    operations = {type: creating(f"cloudwatch/{type}", **inputs) for type, (inputs, _) in creations.items()}
    assert [aws().find([it]) for it in operations.values()] == [{"u::new": []}] * 4
    reporting()
    assert {type: aws().find([it])["u::new"] for type, it in operations.items()} == {
        type: [id] for type, (_, id) in creations.items()
    }


def program() -> set[str]:
    """The types of all resources on AWS that the program may create."""
    found = set()
    for file in (REPO / "components").rglob("*.py"):
        tree = ast.parse(file.read_text())
        imports = [it for it in ast.walk(tree) if isinstance(it, ast.ImportFrom) and it.module == "pulumi_aws"]
        modules = {alias.name for each in imports for alias in each.names}
        for call in (it.func for it in ast.walk(tree) if isinstance(it, ast.Call)):
            if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id in modules:
                made = getattr(getattr(pulumi_aws, call.value.id), call.attr)
                if inspect.isclass(made) and issubclass(made, pulumi.CustomResource):
                    (type,) = set(re.findall(r"'(aws:[\w/]+:\w+)',\n", inspect.getsource(made)))
                    found.add(type)
    return found


def test_of_every_type_that_the_program_creates_it_is_known_what_a_killed_creation_leaves() -> None:
    made = program()
    assert {"aws:ec2/instance:Instance", "aws:dlm/lifecyclePolicy:LifecyclePolicy", "aws:s3/bucket:Bucket"} <= made
    assert made - KNOWN == set(), "ops/aws.py neither looks for it, nor says that it need not"
    assert set(SETTINGS) <= made


def test_a_type_of_which_that_is_not_known_is_refused() -> None:
    with pytest.raises(OpsError, match=r"new \(creating\) only you can find out, .* looked for on AWS"):
        aws().find([creating("sqs/queue:Queue", name="dev")])


def test_all_roles_that_a_stack_may_have_are_found_with_their_policies() -> None:
    iam = client("iam")
    arn = iam.create_policy(PolicyName="jobs", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
    made = names.roles("dev", REGION)
    assert len(made) == len(set(made)) > 4
    for role in made:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=tags(role))
    iam.attach_role_policy(RoleName=names.role("dev", REGION, "tm"), PolicyArn=arn)
    assert listed() == [f"aws:iam/role:Role {role}" for role in made]
    text = aws().orphans().text()
    detach = f"iam detach-role-policy --role-name {names.role('dev', REGION, 'tm')} --policy-arn {arn}"
    assert text.count(detach) == 1, "the second of two would fail"


def test_nothing_is_said_to_be_nothing() -> None:
    found = Aws("dev", STATE).orphans()
    assert found.text() == f"no AWS resources of stack dev in {REGION} are missing from its state"


def test_a_pending_creation_is_found_by_type_and_name() -> None:
    made = [volume("dev-zk-0-data"), volume("dev-zk-0-data"), volume("dev-zk-1-data")]

    def operation(name: str) -> Operation:
        inputs = {"tags": {"Name": f"dev-{name}", "stack": "dev", "project": "flink"}}
        return Operation("creating", {"urn": f"u::{name}", "type": "aws:ebs/volume:Volume", "inputs": inputs})

    found = aws(STATE).find([operation("zk-0-data"), operation("zk-1-data"), operation("zk-2-data")])
    assert sorted(found["u::zk-0-data"]) == sorted(made[:2])
    assert (found["u::zk-1-data"], found["u::zk-2-data"]) == (made[2:], [])


def test_credentials_of_another_account_are_refused() -> None:
    arn = {"type": "aws:ec2/vpc:Vpc", "urn": "v", "id": "v", "outputs": {"arn": f"arn:aws:ec2:{REGION}:999999999999:v"}}
    with pytest.raises(OpsError, match=r"are of AWS account 123456789012, but stack dev is in 999999999999"):
        Aws("dev", {"resources": [*STATE["resources"], arn]}).orphans()


def test_a_state_without_a_region_needs_one() -> None:
    with pytest.raises(OpsError, match="expected the option --region"):
        Aws("dev", {})
    assert Aws("dev", {}, region=REGION).orphans().found == []


def test_what_is_not_on_aws_only_the_user_can_look_for() -> None:
    operation = Operation("creating", {"urn": "u::disk", "type": "gcp:compute/disk:Disk"})
    with pytest.raises(OpsError, match=r"disk \(creating\) only you can find out"):
        aws(STATE).find([operation])


def creating(type: str, /, **inputs: Any) -> Operation:
    return Operation("creating", {"urn": "u::new", "type": f"aws:{type}", "inputs": inputs})


@pytest.mark.parametrize("operation", [
    creating("ec2/route:Route", routeTableId="rtb-00000000000000000", destinationCidrBlock="0.0.0.0/0"),
    creating(
        "ec2/routeTableAssociation:RouteTableAssociation", routeTableId="rtb-00000000000000000", subnetId="subnet-0"
    ),
    creating("ec2/volumeAttachment:VolumeAttachment", volumeId="vol-0", instanceId="i-0", deviceName="/dev/sdf"),
    creating("route53/record:Record", zoneId="Z00000000000000000000", name="jm-0.dev.flink.internal", type="A"),
], ids=lambda it: it.type)  # fmt: skip
def test_what_was_being_created_in_something_that_is_gone_was_not_created(operation: Operation) -> None:
    assert aws(STATE).find([operation]) == {"u::new": []}


def test_a_bucket_without_tags_is_found_by_its_exact_name_if_nothing_is_in_it() -> None:
    s3, constraint = client("s3"), {"LocationConstraint": REGION}
    for name in ("flink-dev", "flink-dev-2", "flink-used", "flink-other"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=constraint)
    s3.put_object(Bucket="flink-used", Key="data", Body=b"x")
    s3.put_bucket_tagging(Bucket="flink-other", Tagging={"TagSet": tags("flink-other", "other")})

    def found(name: str, **known: Any) -> list[str]:
        state = {"resources": [*STATE["resources"], known]} if known else STATE
        operation = creating("s3/bucket:Bucket", bucket=name, tags={"Name": name})
        return aws(state).find([operation])["u::new"]

    assert found("flink-dev") == ["flink-dev"]
    assert found("flink-dev", type="aws:s3/bucket:Bucket", urn="b", id="flink-dev") == []
    assert [found(name) for name in ("flink-used", "flink-other", "flink-none")] == [[], [], []]


def zone(vpc: str, caller: str) -> str:
    made = client("route53").create_hosted_zone(
        Name="dev.flink.internal",
        CallerReference=caller,
        HostedZoneConfig={"PrivateZone": True},
        VPC={"VPCRegion": REGION, "VPCId": vpc},
    )
    return str(made["HostedZone"]["Id"].removeprefix("/hostedzone/"))


def test_a_zone_without_tags_is_found_by_its_name_and_vpc_if_it_has_no_records() -> None:
    ec2 = client("ec2")
    vpcs = [ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"] for _ in range(2)]
    ids = [zone(vpc, vpc) for vpc in vpcs]

    def found(vpc: str) -> list[str]:
        operation = creating("route53/zone:Zone", name="dev.flink.internal", vpcs=[{"vpcId": vpc}])
        return aws(STATE).find([operation])["u::new"]

    assert [found(vpc) for vpc in vpcs] == [[ids[0]], [ids[1]]]
    record(ids[0], "somebodys.dev.flink.internal")
    assert found(vpcs[0]) == []


def record(zone: str, name: str) -> None:
    record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "10.0.0.1"}]}
    client("route53").change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )


POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
VOLUME = creating("ebs/volume:Volume", tags={"Name": "dev-zk-0-data"})


def test_if_nothing_shows_the_account_and_nothing_is_found_the_user_must_name_it() -> None:
    with pytest.raises(OpsError, match=rf"does not name its account.* --account {ACCOUNT}`"):
        aws(account="").find([VOLUME])
    assert aws().find([VOLUME]) == {"u::new": []}
    with pytest.raises(OpsError, match="is in 999999999999"):
        aws(account="999999999999").find([VOLUME])
    made = volume("dev-zk-0-data")
    assert aws(account="").find([VOLUME]) == {"u::new": [made]}


@pytest.mark.parametrize("owner", [ACCOUNT, "999999999999"])
def test_the_name_of_a_pending_bucket_shows_the_account(owner: str) -> None:
    bucket = creating("s3/bucket:Bucket", bucket=f"flink-dev-{owner}-{REGION}")
    if owner == ACCOUNT:
        assert aws(account="").find([bucket]) == {"u::new": []}
    else:
        with pytest.raises(OpsError, match=f"is in {owner}"):
            aws(account="").find([bucket])


def test_what_costs_money_is_asked_for_until_two_answers_are_equal() -> None:
    made: list[str] = []

    def appears(_: float) -> None:
        if not made:
            made.append(volume("dev-zk-0-data"))

    it = Aws("dev", STATE, account=ACCOUNT, sleep=appears)
    assert it.find([VOLUME]) == {"u::new": made} and len(made) == 1

    again = Aws("dev", STATE, account=ACCOUNT, sleep=lambda _: volume("dev-zk-0-data"))
    with pytest.raises(OpsError, match="still change"):
        again.find([VOLUME])


def test_the_commands_work_in_the_order_in_which_they_are_listed() -> None:
    ec2, iam = client("ec2"), client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=specification("vpc", "dev-vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway(TagSpecifications=specification("internet-gateway", "dev-internet"))[
        "InternetGateway"
    ]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=specification("elastic-ip", "dev-nat"))
    nat = ec2.create_nat_gateway(
        SubnetId=subnet, AllocationId=address["AllocationId"], TagSpecifications=specification("natgateway", "dev-nat")
    )["NatGateway"]["NatGatewayId"]
    machines, data = [instance("dev-tm-0"), instance("dev-tm-1")], volume("dev-zk-0-data")
    id = zone(vpc, "1")
    client("route53").change_tags_for_resource(ResourceType="hostedzone", ResourceId=id, AddTags=tags("dev-names"))
    record(id, "tm-0.dev.flink.internal")
    role = names.role("dev", REGION)
    iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}", Tags=tags(role))
    iam.put_role_policy(RoleName=role, PolicyName="bucket", PolicyDocument=json.dumps(POLICY))
    iam.create_instance_profile(InstanceProfileName=role, Tags=tags(role))
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)

    text = aws().orphans().text()
    commands = [line.split(maxsplit=3)[3] for line in text.splitlines() if line.startswith("    aws --region")]
    assert sorted(commands[:2]) == sorted(f"ec2 terminate-instances --instance-ids {it}" for it in machines)
    assert commands[2].startswith("ec2 wait instance-terminated --instance-ids ")
    assert all(it in commands[2] for it in machines)
    (change,) = [it for it in commands if "change-resource-record-sets" in it]
    batch = json.loads(shlex.split(change)[-1])
    assert [it["ResourceRecordSet"]["Name"] for it in batch["Changes"]] == ["tm-0.dev.flink.internal."]
    assert [it for it in commands[3:] if it != change] == [
        f"ec2 delete-volume --volume-id {data}",
        f"ec2 delete-nat-gateway --nat-gateway-id {nat}",
        f"ec2 wait nat-gateway-deleted --nat-gateway-ids {nat}",
        f"ec2 release-address --allocation-id {address['AllocationId']}",
        f"ec2 detach-internet-gateway --internet-gateway-id {gateway} --vpc-id {vpc}",
        f"ec2 delete-internet-gateway --internet-gateway-id {gateway}",
        f"ec2 delete-vpc --vpc-id {vpc}",
        f"route53 delete-hosted-zone --id {id}",
        f"iam remove-role-from-instance-profile --instance-profile-name {role} --role-name {role}",
        f"iam delete-instance-profile --instance-profile-name {role}",
        f"iam delete-role-policy --role-name {role} --policy-name bucket",
        f"iam delete-role --role-name {role}",
    ]
    assert commands.index(change) < commands.index(f"route53 delete-hosted-zone --id {id}")

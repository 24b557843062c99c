"""Pulumi.ephemeral.yaml and this project's own program, for two branches in one AWS, without machines: a plugin that
does nothing runs their steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from pulumi import automation as auto

from automation.engine import Engine
from automation.steps import Recorder
from automation.workspace import opened
from branches import capacity, changes, names, stack_tags, summary
from branches.errors import BranchesError
from branches.stacks import FILE, Stacks, Up
from tests import tool_environment
from tests.aws import stack
from tests.aws.inventory import client, everything, machines
from tests.aws.limits import BRANCHES, document, limit, make_boundary, policy_arn
from tests.golden import same

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
REGION = "eu-central-1"
KEY = stack.VARIABLES["AWS_ACCESS_KEY_ID"]
FIRST, SECOND = "feature/login", "feature/Login"


@pytest.fixture
def stacks(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stacks:
    # What others have in a network stays: it need not be waited for
    variables = {**stack.VARIABLES, **tool_environment.made(tmp_path, "test"), "STAND_IN_IN_USE_SECONDS": "10"}
    for plugin in stack.WITHOUT_HOSTS:
        plugin.install(tmp_path / "plugins")
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    content = yaml.safe_load(FILE.read_text())
    make_boundary(endpoint, "flink-br-boundary", "branches-boundary-policy")
    ours = {
        **stack.PLAIN,
        "flink:operatorCidrs": ["198.51.100.0/24"],
        "flink:permissionsBoundary": policy_arn("flink-br-boundary"),
        # Otherwise minutes pass until the lack of a machine is reported
        "aws:maxRetries": 2,
    }
    content["config"] |= {**stack.at(endpoint), **ours}
    return Stacks(Engine(), print, content=content)


@pytest.mark.exhaustive  # four minutes; tests/engine/test_branches_engine.py has the commands
def test_two_branches_have_nothing_in_common_and_leave_nothing(
    stacks: Stacks, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(endpoint, REGION)
    limit(endpoint, KEY, [document(f"{name}-policy") for name in BRANCHES])

    def up(branch: str, ttl: str) -> Up:
        done = stacks.up(branch, ttl=stack_tags.ttl(ttl), commit="c0ffee", changes=(), now=NOW)
        assert done.outputs["sshPrivateKey"] == "[secret]"
        assert done.outputs["clusterId"] == done.stack and done.stack in done.outputs["bucket"]
        found = {role: len(of) for role, of in done.outputs["hosts"].items()}
        assert found == {"jobmanager": 1, "taskmanager": 1, "zookeeper": 0, "client": 0, "monitoring": 0}
        return done

    up(FIRST, "7h")
    first = everything(endpoint, REGION) - before
    _check_other_bucket(stacks, NOW + timedelta(hours=7))
    # A longer lifetime changes only tags: nothing is replaced
    assert set(up(FIRST, "8h").changes) == {"update"}
    assert everything(endpoint, REGION) - before == first
    # AWS is just ending a machine: `up` waits, and creates it again
    with monkeypatch.context() as patch:
        lost = _lose(endpoint, f"{names.stack(FIRST)}-tm-0")
        patch.setattr(capacity, "sleep", lambda _: stack.set_limits(endpoint))  # which ends it
        assert up(FIRST, "8h").changes["create"] > 0
    first = everything(endpoint, REGION) - before
    assert f"instance {lost}" not in first
    # AWS lacks the spot machine that is preferred: the same `up` takes the next one
    no_spot = {"code": "InsufficientInstanceCapacity", "type": "t3.medium", "market": "spot"}
    stack.set_limits(endpoint, machines=[no_spot])
    up(SECOND, "1m")
    stack.set_limits(endpoint)
    both = everything(endpoint, REGION) - before
    # The second one has created its own resources, and changed none of the first
    assert first < both and len(both) == 2 * len(first)

    ec2 = client("ec2", endpoint, REGION)
    for branch, expires in ((FIRST, "2030-01-31T20:00:00Z"), (SECOND, "2030-01-31T12:01:00Z")):
        mine = [{"Name": "tag:stack", "Values": [names.stack(branch)]}]
        instances = [it for group in ec2.describe_instances(Filters=mine)["Reservations"] for it in group["Instances"]]
        assert {(it["InstanceType"], it.get("InstanceLifecycle", "")) for it in instances} == {
            ("t3.small", ""),
            ("t3.medium" if branch == FIRST else "t3a.medium", "spot"),
        }
        tags = [{tag["Key"]: tag["Value"] for tag in it["Tags"]} for it in instances]
        assert {it["expires"] for it in tags} == {expires}
        assert len(ec2.describe_vpcs(Filters=mine)["Vpcs"]) == 1

    _check_nothing_of_others(endpoint)
    swept = stacks.sweep(now=NOW + timedelta(minutes=1))
    assert [it.stack for it in swept.removed] == [names.stack(SECOND)] and not swept.failed
    assert everything(endpoint, REGION) - before == first
    _check_attachments(stacks, endpoint)
    assert stacks.down(FIRST)
    assert everything(endpoint, REGION) == before and stacks.list() == []


def _lose(endpoint: str, name: str) -> str:
    """Terminate a machine, which is shutting down until other limits are set. Returns its id."""
    stack.set_limits(endpoint, endingSeconds=3600)
    id = machines(endpoint, REGION)[name]
    client("ec2", endpoint, REGION).terminate_instances(InstanceIds=[id])
    return id


def _check_nothing_of_others(endpoint: str) -> None:
    """With the rights of CI, a branch changes neither prod's network nor its role, and makes no role without limits."""
    owner, limited = client("ec2", endpoint, REGION), session(KEY, endpoint)
    tags = [{"Key": "project", "Value": "flink"}, {"Key": "stack", "Value": "prod"}]
    vpc = owner.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = owner.create_security_group(GroupName="flink-prod-jobmanager", Description="prod", VpcId=vpc)["GroupId"]
    owner.create_tags(Resources=[vpc, group], Tags=tags)
    iam = client("iam", endpoint, REGION)
    iam.create_role(RoleName="flink-prod-eu-central-1", AssumeRolePolicyDocument="{}")
    ec2, roles = limited("ec2"), limited("iam")
    rule = [{"IpProtocol": "tcp", "FromPort": 8081, "ToPort": 8081, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    tried: list[tuple[str, Callable[[], object]]] = [
        ("Unauthorized", lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rule)),
        ("Unauthorized", lambda: ec2.create_tags(Resources=[group], Tags=[{"Key": "stack", "Value": "br-x"}])),
        ("Unauthorized", lambda: ec2.create_security_group(GroupName="mine", Description="-", VpcId=vpc)),
        ("AccessDenied", lambda: roles.delete_role(RoleName="flink-prod-eu-central-1")),
        ("AccessDenied", lambda: roles.create_role(RoleName="flink-br-mine", AssumeRolePolicyDocument="{}")),
    ]
    for code, call in tried:
        with pytest.raises(ClientError, match=code):
            call()
    iam.delete_role(RoleName="flink-prod-eu-central-1")
    owner.delete_security_group(GroupId=group)
    owner.delete_vpc(VpcId=vpc)


def _check_attachments(stacks: Stacks, endpoint: str) -> None:
    """`down` names what of others keeps the network, as GuardDuty's endpoint and group do, and whoever deletes that."""
    name, ec2 = names.stack(FIRST), client("ec2", endpoint, REGION)
    mine = [{"Name": "tag:stack", "Values": [name]}]
    (subnet,) = ec2.describe_subnets(Filters=mine)["Subnets"]
    own = next(it["GroupId"] for it in ec2.describe_security_groups(Filters=mine)["SecurityGroups"])
    vpc = subnet["VpcId"]
    called = f"GuardDutyManagedSecurityGroup-{vpc}"
    group = ec2.create_security_group(GroupName=called, Description="-", VpcId=vpc)["GroupId"]
    there = ec2.create_vpc_endpoint(
        VpcId=vpc,
        ServiceName=f"com.amazonaws.{REGION}.guardduty-data",
        VpcEndpointType="Interface",
        SubnetIds=[subnet["SubnetId"]],
        SecurityGroupIds=[group],
        TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": [{"Key": "GuardDutyManaged", "Value": "true"}]}],
    )["VpcEndpoint"]["VpcEndpointId"]
    given = {"SubnetId": subnet["SubnetId"], "Groups": [own], "Description": "of a function"}
    interface = ec2.create_network_interface(**given)["NetworkInterface"]["NetworkInterfaceId"]
    with pytest.raises(BranchesError) as refused:
        stacks.down(FIRST)
    said = str(refused.value)
    assert "DependencyViolation" in said
    places = [
        said.index(f"endpoint {there}  com.amazonaws.{REGION}.guardduty-data GuardDutyManaged=true"),
        said.index(f"ec2 delete-vpc-endpoints --vpc-endpoint-ids {there}"),
        said.index(f"network interface {interface}  of a function"),
        said.index(f"security group {group}  {called}"),
        said.index(f"ec2 delete-security-group --group-id {group}"),
    ]
    assert places == sorted(places) and said.count("network interface eni-") == 1
    ec2.delete_vpc_endpoints(VpcEndpointIds=[there])
    ec2.delete_network_interface(NetworkInterfaceId=interface)
    ec2.delete_security_group(GroupId=group)


def session(key: str, endpoint: str) -> Callable[[str], Any]:
    """Clients of an identity."""
    own = boto3.Session(aws_access_key_id=key, aws_secret_access_key=key, region_name=REGION)
    return lambda service: own.client(service, endpoint_url=endpoint)


def _check_other_bucket(stacks: Stacks, expires: datetime) -> None:
    """The summary of a preview that would replace the bucket, without any of the state's secrets."""
    name = names.stack(FIRST)
    mark = stack_tags.Mark(names.label(FIRST), "c0ffee", expires)
    events: list[auto.EngineEvent] = []
    with opened(name, stacks._configuration(name, mark, ["bucketName=other-{stack}"]), engine=Engine()) as it:
        it.preview(Recorder(on_event=events.append))
    found = changes.read(events)
    assert found.verdict is changes.Verdict.DANGEROUS
    text = summary.markdown(found, stack=name)
    for output in (text, json.dumps(found.json())):
        assert "PRIVATE KEY" not in output and "testing" not in output
    same(Path(__file__).parent / "golden" / "storage-replaced.md", text)

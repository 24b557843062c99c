"""AWS accounts with rules of their own: required tags, permissions boundaries, roles of somebody else, rights for jobs.
Also names that are too long for AWS or for Linux.
"""

import json
from pathlib import Path
from typing import Any

import boto3
import pulumi
import pytest
from botocore.exceptions import ClientError

import settings
from components.aws import identity, infrastructure, names, plan
from components.naming import OWN_TAGS, Labels
from tests.unit import aws_mocks
from tests.unit.aws_mocks import _taggable
from tests.unit.test_aws_program import OWN_VPC, Aws, configuration, of_type, run

BOUNDARY = "arn:aws:iam::123456789012:policy/company/Boundary"
KINESIS = "arn:aws:iam::aws:policy/AmazonKinesisReadOnlyAccess"
GLUE = "arn:aws:iam::123456789012:policy/glue"
GROUP = "sg-0123456789abcdef0"
COMPANY = {"CostCenter": "4711", "Data Class": "internal/öffentlich"}


def refused(stack: str = "dev", aws: Aws | None = None, name: str = "dev", **changes: Any) -> str:
    """What the program says instead of declaring anything."""
    mocks = aws or Aws()
    with pytest.raises(Exception, match="nothing was changed") as error:
        settings.load(configuration(stack, **changes), stack=name)
        run(stack, mocks, **changes)
    assert not [entry for entry in mocks.found.values() if entry.type != "pulumi:pulumi:Stack"]
    return str(error.value)


def differing(old: dict[str, Any], new: dict[str, Any]) -> set[str]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


# --- Tags


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_everything_has_the_tags_of_the_company_and_the_programs_own(stack: str) -> None:
    found = run(stack, tags=COMPANY, clients=1)
    tagged = {entry.type: entry.inputs["tags"] for entry in found.values() if "tags" in entry.inputs}
    for kind in ("Instance", "Volume", "Bucket", "Zone", "Role", "InstanceProfile", "Vpc", "SecurityGroup", "Subnet"):
        assert [one for one in tagged if one.endswith(f":{kind}")], kind
    for entry in found.values():
        if entry.type.startswith("aws:") and _taggable(entry.type):
            assert entry.inputs["tags"].items() >= COMPANY.items(), entry.name
            assert {"Name", "project", "stack", "owner"} <= entry.inputs["tags"].keys(), entry.name


TAGS: list[tuple[dict[str, Any], str]] = [
    *(({key: "x"}, f"tags: '{key}' is a tag that the program sets: expected other keys than Name, ")
      for key in OWN_TAGS),
    ({"Owner": "x"}, "tags: 'Owner' and 'owner' are the same to IAM"),
    ({"name": "x"}, "tags: 'name' and 'Name' are the same to IAM"),
    ({"a": "x", "A": "x"}, "tags: 'A' and 'a' are the same to IAM"),
    ({"aws:x": "x"}, "tags: 'aws:x' begins with aws:, which is reserved"),
    ({"AWS:x": "x"}, "tags: 'AWS:x' begins with aws:, which is reserved"),
    ({"": "x"}, "tags: '' is not the key of a tag"),
    ({"a" * 129: "x"}, f"tags: '{'a' * 20}"),
    ({"a\n": "x"}, r"tags: 'a\n' is not the key of a tag"),
    ({"a#b": "x"}, "tags: 'a#b' is not the key of a tag"),
    ({"a": ""}, "tags: the value of 'a', '', is not that of a tag"),
    ({"a": " "}, "tags: the value of 'a', ' ', is not that of a tag"),
    ({"a": "x" * 257}, "tags: the value of 'a', '"),
    ({"a": "x\n"}, r"tags: the value of 'a', 'x\n', is not that of a tag"),
    ({"a": 4711}, "tags: the value of 'a', 4711, is not that of a tag: expected a text"),
    ({"a": None}, "tags: the value of 'a', None, is not that of a tag"),
    ({"a": {"b": "c"}}, "tags: the value of 'a', "),
    ({f"k{number}": "x" for number in range(45)}, "tags: has 45 keys: expected 44 or fewer"),
]  # fmt: skip


@pytest.mark.parametrize(("tags", "said"), TAGS, ids=[str(number) for number in range(len(TAGS))])
def test_tags_that_aws_or_the_program_cannot_have_are_refused(tags: dict[str, Any], said: str) -> None:
    assert f"  - {said}" in refused(tags=tags)


def test_tags_of_the_plugin_may_overlap_but_not_in_another_case() -> None:
    settings.load(configuration("dev", tags=COMPANY, **{"aws:defaultTags": {"tags": {"CostCenter": "1"}}}), stack="dev")
    for key in ("Owner", "costcenter"):
        changes: dict[str, Any] = {"tags": COMPANY, "aws:defaultTags": {"tags": {key: "x"}}}
        assert f"  - aws:defaultTags: '{key}' and " in refused(**changes)
    for odd in ('{"tags": 1}', "[]", "x", ""):
        settings.load(configuration("dev", **{"aws:defaultTags": odd}), stack="dev")


# --- The free plan


def test_an_account_on_the_free_plan_gets_types_that_it_may_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "is_free", lambda account, region: account == "123456789012")
    text = refused()
    free = "cannot be launched, because account 123456789012 is on AWS's free plan: expected"
    assert f"  - jobManagerType: t3.medium {free} c7i-flex.large, m7i-flex.large, or the paid plan" in text
    assert f"  - taskManagerType: m6i.large {free} t3.small, c7i-flex.large, m7i-flex.large, or the paid plan" in text
    assert "zookeeperType" not in text
    text = refused("prod", name="prod")
    assert f"  - jobManagerType: m6i.large {free} m7i-flex.large, or the paid plan" in text, "6 GiB, and the system"
    text = refused("prod", name="prod", jobManagerMemory="12g", jobManagerType="m6i.xlarge")
    assert f"  - jobManagerType: m6i.xlarge {free} the paid plan, since no free type is enough" in text
    assert run("dev", jobManagerType="c7i-flex.large", taskManagerType="m7i-flex.large")
    text = refused("prod", bastionType="t3.medium", name="prod")
    assert f"  - bastionType: t3.medium {free} t3.micro, t3.small, c7i-flex.large, m7i-flex.large, or" in text


def answer(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    client = type("Client", (), {"get_account_plan_state": lambda self: found})()
    monkeypatch.setattr(boto3.Session, "client", lambda self, *_, **__: client)


def test_the_plan_is_that_of_the_account_in_which_the_plugin_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi.runtime.set_all_config({}, [])
    answer(monkeypatch, accountId="123456789012", accountPlanType="FREE")
    assert plan.is_free("123456789012", "eu-central-1")
    assert not plan.is_free("210987654321", "eu-central-1")
    assert not plan.is_free("123456789012", "cn-north-1")
    answer(monkeypatch, accountId="123456789012", accountPlanType="PAID")
    assert not plan.is_free("123456789012", "eu-central-1")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ThrottlingException"])
def test_an_account_that_does_not_tell_its_plan_is_not_refused(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pulumi.runtime.set_all_config({}, [])
    assert not plan.is_free("123456789012", "eu-central-1"), "no credentials"
    answer(monkeypatch)

    def client(*_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "x"}}, "GetAccountPlanState")

    monkeypatch.setattr(boto3.Session, "client", client)
    assert not plan.is_free("123456789012", "eu-central-1")


# --- Roles


def test_a_permissions_boundary_is_on_every_role_that_is_created() -> None:
    roles = of_type(run("dev", permissionsBoundary=BOUNDARY, taskPolicyArns=[KINESIS]), "iam/role:Role")
    assert {role.inputs["permissionsBoundary"] for role in roles.values()} == {BOUNDARY} and len(roles) == 2
    (role,) = of_type(run("dev"), "iam/role:Role").values()
    assert "permissionsBoundary" not in role.inputs


def test_an_instance_profile_of_the_user_replaces_role_and_profile() -> None:
    found = run("dev", Aws(profiles={"company-flink": "company-role"}), instanceProfile="company-flink")
    assert not [entry.name for entry in found.values() if entry.type.startswith("aws:iam/")]
    machines = of_type(found, ":Instance")
    assert {name: one.inputs.get("iamInstanceProfile") for name, one in machines.items()} == {
        name: "company-flink" if name[:2] in ("jm", "tm") else None for name in machines
    }


def test_the_document_for_such_a_profile_is_what_the_program_gives_to_hosts() -> None:
    text = (Path(__file__).parents[2] / "docs/iam/hosts-policy.json").read_text()
    for word, value in (
        ("BUCKET", "my-bucket"),
        ("PREFIX", "dev"),
        ("REGION", "eu-central-1"),
        ("KEYARN", aws_mocks.KEY),
    ):
        text = text.replace(word, value)
    of = aws_mocks.settings(bucket="my-bucket", prefix="dev", kms_key=aws_mocks.KEY)
    assert json.loads(text) == identity.policy(of)


def test_policies_for_jobs_are_for_taskmanagers_only() -> None:
    found = run("dev", taskPolicyArns=[KINESIS, GLUE])
    attached = of_type(found, "iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert {one.inputs["policyArn"] for one in attached} == {KINESIS, GLUE}
    assert {one.inputs["role"] for one in attached} == {"flink-dev-eu-central-1-tm"}
    profiles = {name: one.inputs.get("iamInstanceProfile") for name, one in of_type(found, ":Instance").items()}
    assert {profiles[name] for name in ("tm-0", "tm-1")} == {"flink-dev-eu-central-1-tm"}
    assert {profiles[name] for name in ("jm-0", "jm-1")} == {"flink-dev-eu-central-1"}
    assert profiles["zk-0"] is None
    # All of them may use the storage, as without the key
    before = of_type(run("dev"), "iam/rolePolicy:RolePolicy")["storage"].inputs["policy"]
    rights = of_type(found, "iam/rolePolicy:RolePolicy").values()
    assert {one.inputs["role"]: one.inputs["policy"] for one in rights} == {
        "flink-dev-eu-central-1": before,
        "flink-dev-eu-central-1-tm": before,
    }


def test_what_exists_stays_as_it_is_when_jobs_get_rights() -> None:
    before, after = run("dev"), run("dev", taskPolicyArns=[KINESIS])
    for name in before:
        for kind in (":Role", ":RolePolicy", ":InstanceProfile", ":Instance"):
            old, new = of_type(before, kind).get(name), of_type(after, kind).get(name)
            changed = {"iamInstanceProfile"} if kind == ":Instance" and name.startswith("tm-") else set()
            # Mocks assign addresses in turn, but these are outputs
            assert old is None or (new is not None and differing(old.inputs, new.inputs) == changed), (name, kind)


def test_jobmanagers_get_rights_of_their_own() -> None:
    found = run("dev", taskPolicyArns=[KINESIS], jobManagerPolicyArns=[GLUE])
    attached = of_type(found, "iam/rolePolicyAttachment:RolePolicyAttachment").values()
    assert {(one.inputs["role"], one.inputs["policyArn"]) for one in attached} == {
        ("flink-dev-eu-central-1-tm", KINESIS),
        ("flink-dev-eu-central-1-jm", GLUE),
    }
    assert set(of_type(found, "iam/role:Role")) == {"taskmanager", "jobmanager"}, "no role that nobody has"


def test_further_security_groups_are_for_one_role() -> None:
    aws = Aws(security_groups={GROUP: "vpc-0123456789abcdef0"})
    changes: dict[str, Any] = {**OWN_VPC, "taskSecurityGroups": [GROUP]}
    machines = of_type(run("dev", aws, **changes), ":Instance")
    having = {name for name, one in machines.items() if GROUP in one.inputs["vpcSecurityGroupIds"]}
    assert having == {"tm-0", "tm-1"}
    assert {len(one.inputs["vpcSecurityGroupIds"]) for name, one in machines.items() if name in having} == {2}
    own = {"project": "flink", "stack": "dev"}
    aws = Aws(security_groups={GROUP: "vpc-1"}, vpcs={"vpc-1": own})
    machines = of_type(run("dev", aws, jobManagerSecurityGroups=[GROUP]), ":Instance")
    assert {name for name, one in machines.items() if GROUP in one.inputs["vpcSecurityGroupIds"]} == {"jm-0", "jm-1"}


FOREIGN: list[tuple[Aws, dict[str, Any], str]] = [
    (Aws(refuses={"getInstanceProfile": "NoSuchEntity: Instance Profile x cannot be found"}), {"instanceProfile": "x"},
     "instanceProfile: the instance profile x does not exist: expected an existing one (invoke"),
    (Aws(profiles={"x": ""}), {"instanceProfile": "x"}, "instanceProfile: x has no role"),
    (Aws(refuses={"getPolicy": "reading IAM Policy: couldn't find resource"}), {"permissionsBoundary": BOUNDARY},
     f"permissionsBoundary: the policy {BOUNDARY} does not exist"),
    (Aws(refuses={"getPolicy": "reading IAM Policy: couldn't find resource"}), {"taskPolicyArns": [GLUE]},
     f"taskPolicyArns: the policy {GLUE} does not exist"),
    (Aws(refuses={"getSecurityGroup": "no matching EC2 Security Group found"}), {"taskSecurityGroups": [GROUP]},
     f"taskSecurityGroups: the security group {GROUP} does not exist"),
    (Aws(security_groups={GROUP: "vpc-1"}), {**OWN_VPC, "taskSecurityGroups": [GROUP]},
     f"taskSecurityGroups: {GROUP} is in vpc-1: expected a group in vpcId vpc-0123456789abcdef0"),
    (Aws(security_groups={GROUP: "vpc-1"}), {"jobManagerSecurityGroups": [GROUP]},
     f"jobManagerSecurityGroups: {GROUP} is in vpc-1: expected a group in the VPC that this stack has created"),
]  # fmt: skip


@pytest.mark.parametrize(("aws", "changes", "said"), FOREIGN, ids=[str(number) for number in range(len(FOREIGN))])
def test_what_the_account_does_not_have_is_refused(aws: Aws, changes: dict[str, Any], said: str) -> None:
    assert f"  - {said}" in refused(aws=aws, **changes)


def test_what_may_not_be_read_is_left_to_aws() -> None:
    aws = Aws(refuses={"getPolicy": "AccessDenied: not authorized to perform: iam:GetPolicy"})
    assert "aws:iam/role:Role" in {one.type for one in run("dev", aws, permissionsBoundary=BOUNDARY).values()}


FORMS: list[tuple[dict[str, Any], str]] = [
    *(({"permissionsBoundary": arn}, f"permissionsBoundary: {arn!r} is not the ARN of a managed policy")
      for arn in ("Boundary", f"{BOUNDARY}\n", f"{BOUNDARY} ", BOUNDARY.replace("policy", "role"),
                  "arn:aws:iam::1:policy/x", f"{BOUNDARY}*", "arn:aws:iam::123456789012:policy/"
                  )),
    ({"permissionsBoundary": BOUNDARY.replace("aws:", "aws-cn:")}, "permissionsBoundary: arn:aws-cn:iam::1234"),
    ({"taskPolicyArns": ["x"]}, "taskPolicyArns: 'x' is not the ARN of a managed policy"),
    ({"taskPolicyArns": [7]}, "taskPolicyArns: 7 is not the ARN of a managed policy"),
    ({"taskPolicyArns": [GLUE, GLUE]}, "taskPolicyArns: contains an entry twice"),
    ({"taskPolicyArns": [""]}, "taskPolicyArns: contains an empty entry"),
    ({"jobManagerPolicyArns": [{"a": 1}]}, "jobManagerPolicyArns: "),
    *(({"instanceProfile": name}, f"instanceProfile: {name!r} is not an instance profile's name: expected its")
      for name in ("arn:aws:iam::123456789012:instance-profile/x", "a b", "x\n", "*")),
    ({"instanceProfile": "x", "permissionsBoundary": BOUNDARY}, "permissionsBoundary: has no effect with"),
    ({"instanceProfile": "x", "taskPolicyArns": [GLUE]}, "taskPolicyArns: has no effect with instanceProfile"),
    ({"taskSecurityGroups": ["sg-1"]}, "taskSecurityGroups: 'sg-1' is not a security group's id"),
    ({"taskSecurityGroups": [f"{GROUP}\n"]}, rf"taskSecurityGroups: '{GROUP}\n' is not a security group's id"),
    ({"jobManagerSecurityGroups": [GROUP, GROUP]}, "jobManagerSecurityGroups: contains an entry twice"),
    ({"taskSecurityGroups": [f"sg-0123456789abcdef{n}" for n in range(5)]}, "taskSecurityGroups: has 5 groups"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), FORMS, ids=[str(number) for number in range(len(FORMS))])
def test_what_is_no_name_in_iam_or_ec2_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(settings.ConfigError) as error:
        settings.load(configuration("dev", **changes), stack="dev")
    assert f"  - {said}" in str(error.value)


# --- Names


@pytest.mark.parametrize(
    ("stack", "changes", "host", "most"),
    [
        ("dev", {}, "jm-1", 44),
        ("dev", {"workers": 11}, "tm-10", 43),
        ("dev", {"workers": 1000}, "tm-999", 42),
        ("prod", {}, "bastion", 41),
    ],
)
def test_a_stacks_name_is_as_long_as_its_longest_host_name_permits(
    stack: str, changes: dict[str, Any], host: str, most: int
) -> None:
    found = configuration(stack, **changes)
    settings.load(found, stack="a" * most)
    assert len(f"{host}.{'a' * most}.flink.internal") == 64
    with pytest.raises(settings.ConfigError) as error:
        settings.load(found, stack="a" * (most + 1))
    assert f"has {most + 1} characters, so that the host name {host}.aaa" in str(error.value)
    assert f"expected a name of {most} or fewer" in str(error.value)


def test_no_other_name_is_too_long_with_the_longest_name_of_a_stack() -> None:
    """Of security groups 255 characters, of roles 64, of buckets 63, of a domain's labels 63, of tags' values 256."""
    stack = "a" * 44
    region, account = "ap-southeast-1", "123456789012"
    assert all(len(names.role(stack, region, part)) <= 64 for part in ("", "tm", "jm"))
    assert len({names.role(stack, region, part) for part in ("", "tm", "jm")}) == 3
    assert len(infrastructure.bucket_name("flink", stack, account, region)) <= 63
    assert len(f"flink-{stack}-taskmanager") <= 255
    assert len(names.domain(stack)) <= 253 and len(stack) <= 63
    assert len(json.dumps(Labels(project="flink", stack=stack, owner="x").tags(f"{stack}-zk-6-data"))) < 256

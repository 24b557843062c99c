"""What hosts on AWS may do, and what the documented policies for deploying allow."""

import fnmatch
import json
import re
from pathlib import Path
from typing import Any

import botocore
import botocore.session
import pytest

from components.aws import identity, names
from components.aws.declaration import AwsSettings
from components.aws.identity import Identity, IdentityArgs
from settings import PROJECT
from tests.unit import aws_mocks
from tests.unit.aws_mocks import Registered, of_type

BOTH = pytest.mark.parametrize("preview", [True, False])
OWN = "arn:aws:s3:::flink-dev-123456789012"

# What flink-s3-fs-native 2.3 calls, as S3's permissions: https://docs.aws.amazon.com/AmazonS3/latest/API/
NEEDED = {
    "ListObjectsV2": ("s3:ListBucket", OWN, "dev/ha/"),
    "HeadObject of what is not there": ("s3:ListBucket", OWN, "dev/ha/jobgraph"),
    "HeadObject": ("s3:GetObject", f"{OWN}/dev/ha/jobgraph", ""),
    "GetObject": ("s3:GetObject", f"{OWN}/dev/checkpoints/1/chk-7/_metadata", ""),
    "PutObject": ("s3:PutObject", f"{OWN}/dev/checkpoints/1/chk-7/_metadata", ""),
    "CreateMultipartUpload, UploadPart, CompleteMultipartUpload": ("s3:PutObject", f"{OWN}/dev/savepoints/s", ""),
    "AbortMultipartUpload": ("s3:AbortMultipartUpload", f"{OWN}/dev/savepoints/s", ""),
    "DeleteObject": ("s3:DeleteObject", f"{OWN}/dev/checkpoints/1/chk-6/_metadata", ""),
}


def run(of: AwsSettings, *, preview: bool = False) -> dict[str, Registered]:
    found = aws_mocks.register(
        lambda: Identity("identity", IdentityArgs(settings=of, labels=aws_mocks.labels(of))), preview=preview
    )
    aws_mocks.check_common(found, of)
    return found


def may(policy: dict[str, Any], action: str, resource: str, context: dict[str, str]) -> bool:
    """Whether a policy with only Allow statements allows an action, as IAM evaluates it."""
    return any(
        action in statement["Action"]
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and _holds(statement.get("Condition", {}), context)
        for statement in policy["Statement"]
    )


def _holds(condition: dict[str, dict[str, Any]], context: dict[str, str]) -> bool:
    assert set(condition) <= {"StringLike", "StringEquals"}
    for tests in condition.values():
        for key, patterns in tests.items():
            listed = [patterns] if isinstance(patterns, str) else patterns
            if key not in context or not any(fnmatch.fnmatchcase(context[key], pattern) for pattern in listed):
                return False
    return True


@BOTH
def test_machines_take_a_role_by_an_instance_profile(preview: bool) -> None:
    found = run(aws_mocks.settings(), preview=preview)
    (role,) = of_type(found, "iam/role:Role").values()
    (profile,) = of_type(found, "iam/instanceProfile:InstanceProfile").values()
    (rights,) = of_type(found, "iam/rolePolicy:RolePolicy").values()
    assert role.inputs["name"] == profile.inputs["name"] == "flink-dev-eu-central-1"
    assert profile.inputs["role"] == rights.inputs["role"] == role.inputs["name"]
    trusted = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
    assert trusted == [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    # a preview shows what hosts will be allowed to do
    assert json.loads(rights.inputs["policy"]) == identity.policy(aws_mocks.settings())
    # and the permissions exist before a machine has the profile
    assert rights.key in profile.after


def test_nothing_else_gives_rights() -> None:
    found = run(aws_mocks.prod())
    kinds = {one.type for one in found.values()} - {"flink:aws:Identity"}
    assert kinds == {"aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy", "aws:iam/instanceProfile:InstanceProfile"}
    (role,) = of_type(found, "iam/role:Role").values()
    assert not {"managedPolicyArns", "inlinePolicies"} & set(role.inputs)


@pytest.mark.parametrize("call", NEEDED)
def test_flink_may_do_what_it_does(call: str) -> None:
    action, resource, prefix = NEEDED[call]
    context = {"s3:prefix": prefix} if prefix else {}
    assert may(identity.policy(aws_mocks.settings()), action, resource, context)


@pytest.mark.parametrize("prefix", ["dev", "dev/", "dev/savepoints/"])
def test_its_prefix_can_be_listed(prefix: str) -> None:
    assert may(identity.policy(aws_mocks.settings()), "s3:ListBucket", OWN, {"s3:prefix": prefix})


@pytest.mark.parametrize("prefix", ["", "prod/", "dev2/", "de", None])
def test_nothing_but_its_prefix_can_be_listed(prefix: str | None) -> None:
    context = {} if prefix is None else {"s3:prefix": prefix}
    assert not may(identity.policy(aws_mocks.settings()), "s3:ListBucket", OWN, context)


@pytest.mark.parametrize("key", ["prod/ha/x", "dev2/ha/x", "development", "x"])
@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"])
def test_other_objects_are_out_of_reach(action: str, key: str) -> None:
    policy = identity.policy(aws_mocks.prod(prefix="dev", bucket="flink-dev-123456789012"))
    assert not may(policy, action, f"{OWN}/{key}", {})
    assert not may(policy, action, f"arn:aws:s3:::another/dev/{key}", {})


def test_no_right_is_given_by_a_pattern_of_actions_or_on_everything() -> None:
    for statement in identity.policy(aws_mocks.prod())["Statement"]:
        assert not [action for action in statement["Action"] if "*" in action]
        assert "*" not in statement["Resource"]
        assert not [action for action in statement["Action"] if re.search("Policy|Acl|Bucket$|Version", action)] or (
            statement["Action"] == ["s3:ListBucket"]
        )


def test_the_key_can_be_used_by_s3_only_and_only_where_there_is_one() -> None:
    policy = identity.policy(aws_mocks.prod())
    for action in ("kms:Decrypt", "kms:GenerateDataKey"):
        assert may(policy, action, aws_mocks.KEY, {"kms:ViaService": "s3.eu-central-1.amazonaws.com"})
        assert not may(policy, action, aws_mocks.KEY, {})
        assert not may(policy, action, f"{aws_mocks.KEY}0", {"kms:ViaService": "s3.eu-central-1.amazonaws.com"})
    assert "kms" not in json.dumps(identity.policy(aws_mocks.settings()))


@pytest.mark.parametrize(
    ("region", "arn", "service"),
    [
        ("cn-north-1", "arn:aws-cn:s3:::", "ec2.amazonaws.com.cn"),
        ("us-gov-west-1", "arn:aws-us-gov:s3:::", "ec2.amazonaws.com"),
    ],
)
def test_other_partitions_have_their_own_names(region: str, arn: str, service: str) -> None:
    of = aws_mocks.settings(region=region)
    assert all(text.startswith(arn) for one in identity.policy(of)["Statement"] for text in one["Resource"])
    assert identity.trust(region)["Statement"][0]["Principal"]["Service"] == service


def test_partitions_are_botocores() -> None:
    data = json.loads((Path(botocore.__file__).parent / "data/endpoints.json").read_text())
    known = set()
    for partition in data["partitions"]:
        for region in partition["regions"]:
            try:
                found = names.partition(region)
            except ValueError as error:
                assert region in str(error) and partition["partition"] not in ("aws", "aws-cn", "aws-us-gov")
                continue
            assert (found.name, found.suffix) == (partition["partition"], partition["dnsSuffix"]), region
            known.add(found.name)
    assert known == {"aws", "aws-cn", "aws-us-gov"}


def test_role_names_fit_iam_and_differ_where_stacks_do() -> None:
    long = "a-branch-with-a-name-that-goes-on-and-on-until-nobody-can-read-it"
    made = {names.role(stack, region) for stack in (long, f"{long}-2", "dev") for region in ("us-east-1", "eu-west-1")}
    assert len(made) == 6
    assert all(re.fullmatch(r"flink-[\w+=,.@-]{1,58}", name) for name in made)
    # the bucket's derived name and the documented policies rely on the prefix
    assert names.role("dev", "us-east-1") == "flink-dev-us-east-1"


DOCUMENTS = Path(__file__).parents[2] / "docs/iam"

# Permissions whose name differs from the operation's:
# https://docs.aws.amazon.com/service-authorization/latest/reference/
NOT_OPERATIONS = {
    "s3:ListAllMyBuckets": "ListBuckets",
    "iam:PassRole": "asked for by RunInstances",
    "s3:ListBucket": "ListObjectsV2, HeadBucket",
    "s3:ListBucketMultipartUploads": "ListMultipartUploads",
    "s3:ListBucketVersions": "ListObjectVersions",
    "s3:DeleteObjectVersion": "DeleteObject of a version",
    "s3:GetAccelerateConfiguration": "GetBucketAccelerateConfiguration",
    "s3:GetBucketCORS": "GetBucketCors",
    "s3:GetBucketObjectLockConfiguration": "GetObjectLockConfiguration",
    "s3:GetBucketPublicAccessBlock": "GetPublicAccessBlock",
    "s3:PutBucketPublicAccessBlock": "PutPublicAccessBlock, DeletePublicAccessBlock",
    "s3:GetEncryptionConfiguration": "GetBucketEncryption",
    "s3:PutEncryptionConfiguration": "PutBucketEncryption, DeleteBucketEncryption",
    "s3:GetLifecycleConfiguration": "GetBucketLifecycleConfiguration",
    "s3:PutLifecycleConfiguration": "PutBucketLifecycleConfiguration, DeleteBucketLifecycle",
    "s3:GetReplicationConfiguration": "GetBucketReplication",
}
CONDITIONS = {
    "aws:RequestTag/project",
    "aws:ResourceTag/project",
    "ec2:CreateAction",
    "iam:PassedToService",
    "iam:AWSServiceName",
    "route53:ChangeResourceRecordSetsNormalizedRecordNames",
}


def document(name: str) -> list[dict[str, Any]]:
    found = json.loads((DOCUMENTS / f"{name}-policy.json").read_text())
    assert set(found) == {"Version", "Statement"} and found["Version"] == "2012-10-17"
    return list(found["Statement"])


def actions(name: str) -> set[str]:
    return {action for statement in document(name) for action in statement["Action"]}


@pytest.mark.parametrize("name", ["deploy", "preview"])
def test_documented_policies_are_well_formed(name: str) -> None:
    text = (DOCUMENTS / f"{name}-policy.json").read_text()
    statements = document(name)
    assert len({statement["Sid"] for statement in statements}) == len(statements)
    for statement in statements:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow" and re.fullmatch("[A-Za-z0-9]+", statement["Sid"])
        assert statement["Action"] == sorted(set(statement["Action"]))
        assert all(re.fullmatch(r"\*|arn:aws:[a-z0-9-]*:[a-z0-9-*]*:[0-9*]*:\S+", one) for one in statement["Resource"])
        for tests in statement.get("Condition", {}).values():
            assert set(tests) <= CONDITIONS
    listed = [action for statement in statements for action in statement["Action"]]
    # new objects may be tagged: root volumes, and ours
    assert sorted(listed) == sorted([*set(listed), *(["ec2:CreateTags"] * 2 if name == "deploy" else [])])
    # a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert len(re.sub(r"\s", "", text)) <= 6144


@pytest.mark.parametrize("name", ["deploy", "preview"])
def test_documented_actions_are_operations_of_aws(name: str) -> None:
    session = botocore.session.get_session()
    operations: dict[str, set[str]] = {
        service: set(session.get_service_model(service).operation_names)
        for service in ("ec2", "freetier", "iam", "s3", "s3control", "route53", "ssm", "sts")
    }
    operations["s3"] |= operations.pop("s3control")
    for action in actions(name):
        service, _, operation = action.partition(":")
        assert service in operations, action
        assert operation in operations[service] or action in NOT_OPERATIONS, action


def test_the_previews_policy_is_the_part_of_the_deployments_that_reads() -> None:
    reading = {action for action in actions("deploy") if re.match(r"\w+:(Describe|Get|List)", action)}
    # emptying an ephemeral bucket is not for previews, nor is the search for orphans
    others = {"s3:ListBucketVersions", "s3:ListBucketMultipartUploads"}
    others |= {action for it in document("deploy") if it["Sid"] == "Orphans" for action in it["Action"]}
    assert actions("preview") == reading - others


def test_documented_policies_reach_only_what_is_flinks_where_names_allow() -> None:
    for statement in document("deploy"):
        if any(action.startswith("iam:") for action in statement["Action"]):
            for resource in statement["Resource"]:
                assert re.match(r"arn:aws:iam::\*:(role|instance-profile)/(flink-\*|aws-service-role/spot)", resource)
        if any(action.startswith("s3:") and action != "s3:ListAllMyBuckets" for action in statement["Action"]):
            assert all(
                resource.startswith("arn:aws:s3:") and "flink-" in resource for resource in statement["Resource"]
            )
        if "iam:PassRole" in statement["Action"]:
            assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
        if "ec2:TerminateInstances" in statement["Action"]:
            assert statement["Condition"] == {"StringEquals": {"aws:ResourceTag/project": PROJECT}}
        if "ec2:CreateTags" in statement["Action"]:
            assert statement["Condition"], "an identity that may tag any resource may then delete it"
        if "route53:ChangeResourceRecordSets" in statement["Action"]:
            (patterns,) = statement["Condition"]["ForAllValues:StringLike"].values()
            assert patterns == [f"*.{names.domain('dev').partition('.')[2]}"]

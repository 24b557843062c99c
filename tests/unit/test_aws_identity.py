"""What hosts on AWS may do."""

import json
import re
from pathlib import Path
from typing import Any

import botocore
import pytest

from components.aws import identity, names
from components.aws.declaration import AwsSettings
from components.aws.identity import Identity, IdentityArgs
from stand_ins.aws_cloud.evaluation import Asked, permitted
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
    return permitted([policy], Asked(action, resource, context))


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


THEIRS = "arn:aws:s3:::flink-prod-123456789012"
SAVEPOINT = "prod/savepoints/prod/counts/3-1/savepoint-66638a-0"


@pytest.fixture
def reading() -> dict[str, Any]:
    """The policy of a stack whose job starts from the savepoint of another one."""
    return identity.policy(aws_mocks.settings(reads=(f"s3://flink-prod-123456789012/{SAVEPOINT}",)))


def test_a_savepoint_of_another_stack_can_be_read_and_nothing_beside_it(reading: dict[str, Any]) -> None:
    for key in (SAVEPOINT, f"{SAVEPOINT}/_metadata"):
        assert may(reading, "s3:GetObject", f"{THEIRS}/{key}", {})
        for action in ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"):
            assert not may(reading, action, f"{THEIRS}/{key}", {})
    for prefix in (SAVEPOINT, f"{SAVEPOINT}/"):
        assert may(reading, "s3:ListBucket", THEIRS, {"s3:prefix": prefix})
    for key in (f"{SAVEPOINT}1/_metadata", "prod/savepoints/prod/counts/3-2/x", "prod/ha/x", "prod/jobs/prod/counts/x"):
        assert not may(reading, "s3:GetObject", f"{THEIRS}/{key}", {})
    assert not may(reading, "s3:ListBucket", THEIRS, {"s3:prefix": "prod/"})
    assert may(reading, "s3:PutObject", f"{OWN}/dev/ha/x", {})


def test_the_key_of_its_bucket_decrypts_it_and_nothing_else(reading: dict[str, Any]) -> None:
    by_s3 = {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}
    for arn, right in ((THEIRS, True), (f"{THEIRS}/{SAVEPOINT}/_metadata", True), (f"{THEIRS}/prod/ha/x", False)):
        context = {**by_s3, "kms:EncryptionContext:aws:s3:arn": arn}
        assert may(reading, "kms:Decrypt", aws_mocks.KEY, context) is right
    assert not may(reading, "kms:Decrypt", aws_mocks.KEY, by_s3)
    assert not may(reading, "kms:GenerateDataKey", aws_mocks.KEY, {**by_s3, "kms:EncryptionContext:aws:s3:arn": THEIRS})


def test_a_checkpoint_shares_files_with_those_before_it() -> None:
    of = aws_mocks.settings(reads=("s3a://theirs/prod/checkpoints/prod/0a/chk-7",))
    shared = "arn:aws:s3:::theirs/prod/checkpoints/prod/0a/shared/1"
    assert may(identity.policy(of), "s3:GetObject", shared, {})


def test_what_is_below_the_own_prefix_needs_no_further_rights() -> None:
    plain = identity.policy(aws_mocks.settings())
    own = aws_mocks.settings(reads=("s3://flink-dev-123456789012/dev/savepoints/dev/counts/1-1/savepoint-1",))
    assert identity.policy(own) == plain
    other = aws_mocks.settings(reads=("s3://flink-dev-123456789012/dev2/savepoints/x",))
    assert identity.policy(other) != plain

"""The bucket on AWS: what protects it, what may expire in it, and what remains when a stack is destroyed."""

import json
from itertools import pairwise
from typing import Any

import pytest

from components.aws.declaration import AwsSettings
from components.aws.storage import Bucket, BucketArgs, tls_only
from tests.unit import aws_mocks
from tests.unit.aws_mocks import KEY, Registered

BOTH = pytest.mark.parametrize("preview", [True, False])
DEV, PROD = aws_mocks.settings(), aws_mocks.prod(bucket="flink-prod-123456789012", prefix="prod")
EITHER = pytest.mark.parametrize("of", [DEV, PROD], ids=["dev", "prod"])

PARTS = (
    "BucketPublicAccessBlock",
    "BucketOwnershipControls",
    "BucketPolicy",
    "BucketServerSideEncryptionConfiguration",
    "BucketLifecycleConfiguration",
)


def run(of: AwsSettings, *, preview: bool = False) -> tuple[dict[str, Registered], Bucket]:
    made: list[Bucket] = []

    def program() -> None:
        made.append(Bucket("storage", BucketArgs(settings=of, labels=aws_mocks.labels(of))))

    found = aws_mocks.register(program, preview=preview)
    aws_mocks.check_common(found, of)
    assert found.pop("flink:aws:Bucket/storage")
    return {one.type.split(":")[-1]: one for one in found.values()}, made[0]


@BOTH
@EITHER
def test_everything_of_a_bucket_is_said_of_the_same_bucket(of: AwsSettings, preview: bool) -> None:
    found, _ = run(of, preview=preview)
    assert set(found) == {"Bucket", *PARTS}
    assert {one.inputs["bucket"] for one in found.values()} == {of.bucket}
    # settings that AWS has deprecated, or that have separate resources, are not repeated in the bucket
    assert set(found["Bucket"].inputs) == {"bucket", "forceDestroy", "tags"}


@BOTH
@EITHER
def test_nobody_outside_reads_it(of: AwsSettings, preview: bool) -> None:
    found, _ = run(of, preview=preview)
    block = {key: value for key, value in found["BucketPublicAccessBlock"].inputs.items() if key != "bucket"}
    assert block == dict.fromkeys(
        ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"), True
    )
    assert found["BucketOwnershipControls"].inputs["rule"] == {"objectOwnership": "BucketOwnerEnforced"}


@BOTH
@EITHER
def test_nobody_gets_in_without_tls(of: AwsSettings, preview: bool) -> None:
    found, _ = run(of, preview=preview)
    policy = json.loads(found["BucketPolicy"].inputs["policy"])
    arn = f"arn:aws:s3:::{of.bucket}"
    assert policy == tls_only(arn)
    (statement,) = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Resource"] == [arn, f"{arn}/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_policy_of_a_bucket_in_china_names_it_as_china_does() -> None:
    of = aws_mocks.settings(region="cn-north-1")
    policy = json.loads(run(of)[0]["BucketPolicy"].inputs["policy"])
    assert policy["Statement"][0]["Resource"][0] == f"arn:aws-cn:s3:::{of.bucket}"


@BOTH
@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (DEV, {"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}),
        (
            PROD,
            {
                "applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY},
                "bucketKeyEnabled": True,
            },
        ),
    ],
    ids=["dev", "prod"],
)
def test_objects_are_encrypted(of: AwsSettings, expected: dict[str, Any], preview: bool) -> None:
    found, _ = run(of, preview=preview)
    assert found["BucketServerSideEncryptionConfiguration"].inputs["rules"] == [expected]


@BOTH
@EITHER
def test_a_stack_that_must_last_keeps_its_bucket_with_all_that_protects_it(of: AwsSettings, preview: bool) -> None:
    found, _ = run(of, preview=preview)
    assert found["Bucket"].protect is not of.ephemeral
    assert found["Bucket"].inputs["forceDestroy"] is of.ephemeral
    assert {kind: one.retain for kind, one in found.items()} == dict.fromkeys(found, not of.ephemeral)


def expiring(of: AwsSettings) -> dict[str, int]:
    """Prefixes below which objects expire, with the days."""
    rules = run(of)[0]["BucketLifecycleConfiguration"].inputs["rules"]
    assert all(rule["status"] == "Enabled" for rule in rules)
    assert len({rule["id"] for rule in rules}) == len(rules)
    return {rule["filter"]["prefix"]: rule["expiration"]["days"] for rule in rules if "expiration" in rule}


def test_only_savepoints_expire_and_only_if_asked_for() -> None:
    assert expiring(DEV) == {}
    assert expiring(PROD) == {"prod/savepoints/": 90}
    for of in (DEV, PROD):
        for rule in run(of)[0]["BucketLifecycleConfiguration"].inputs["rules"]:
            assert set(rule) <= {"id", "status", "filter", "abortIncompleteMultipartUpload", "expiration"}


@BOTH
@EITHER
def test_uploads_that_broke_off_go_after_a_week(of: AwsSettings, preview: bool) -> None:
    (rule,) = [
        rule
        for rule in run(of, preview=preview)[0]["BucketLifecycleConfiguration"].inputs["rules"]
        if "abortIncompleteMultipartUpload" in rule
    ]
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 7}
    assert rule["filter"] == {"prefix": f"{of.prefix}/"}


@EITHER
def test_changes_of_the_bucket_wait_for_each_other(of: AwsSettings) -> None:
    """S3 refuses the second of two at the same time."""
    found, _ = run(of)
    order = ["Bucket", *PARTS]
    for before, after in pairwise(order):
        assert found[before].key in found[after].after, f"{after} does not wait for {before}"


def test_flink_waits_for_all_but_the_lifecycle() -> None:
    _, bucket = run(DEV)
    assert [type(one).__name__ for one in bucket.ready] == ["Bucket", *PARTS[:-1]]


@BOTH
@EITHER
def test_an_existing_bucket_is_not_changed(of: AwsSettings, preview: bool) -> None:
    there = AwsSettings(**{**vars(of), "create_bucket": False})
    found, bucket = run(there, preview=preview)
    assert found == {} and bucket.ready == []

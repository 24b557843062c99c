"""The AWS stand-in's buckets and their settings, on a moto server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from stand_ins.aws_plugin import s3
from stand_ins.aws_plugin.aws import Access, Session
from tests.aws.aws_client import REGION, Moto
from tests.aws.thing import (
    BLOCK,
    BUCKET,
    BUCKET_POLICY,
    ENCRYPTION,
    LIFECYCLE,
    OTHER_TAGS,
    SETTINGS,
    TAGS,
    Make,
    Properties,
    Thing,
    refused,
    statement,
    tls_only,
    unique,
)


@pytest.fixture
def bucket(make: Make) -> Iterator[Thing]:
    """An empty bucket with `forceDestroy`."""
    thing = make(BUCKET)
    thing.create({"bucket": unique("bucket"), "forceDestroy": True})
    yield thing
    thing.delete()


def test_a_bucket_lives(make: Make, cloud: Moto) -> None:
    bucket, client = make(BUCKET), cloud.client("s3")
    name = unique("bucket")
    inputs = {"bucket": name, "tags": TAGS}
    state = bucket.create(inputs)
    assert bucket.id == name
    assert state["arn"] == f"arn:aws:s3:::{name}"
    assert state["bucketDomainName"] == f"{name}.s3.amazonaws.com"
    assert state["bucketRegionalDomainName"] == f"{name}.s3.{REGION}.amazonaws.com"
    assert (state["hostedZoneId"], state["region"], state["forceDestroy"]) == ("Z21DNDUVLTQW6Q", REGION, False)
    assert client.get_bucket_location(Bucket=name)["LocationConstraint"] == REGION
    assert bucket.refresh() == {}

    bucket.update({**inputs, "tags": OTHER_TAGS})
    assert {t["Key"]: t["Value"] for t in client.get_bucket_tagging(Bucket=name)["TagSet"]} == OTHER_TAGS
    client.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "Name", "Value": "theirs"}]})
    assert bucket.refresh() == {"tags": {"Name": "theirs"}}
    bucket.update({"bucket": name})
    assert bucket.refresh() == {}
    assert bucket.diff({"bucket": "other"}) == {"bucket": "UPDATE_REPLACE"}

    bucket.delete()
    assert bucket.refresh() is None
    bucket.delete()


def test_the_first_region_is_not_named(cloud: Moto) -> None:
    endpoints = {"s3": cloud.url}
    keys: dict[str, Any] = {"access_key": "test", "secret_key": "test"}
    first = Session(Access(region="us-east-1", endpoints=endpoints, path_style=True, **keys))
    name = unique("bucket")
    id, outputs = s3.Bucket().create("it", {"bucket": name}, first)
    assert first.client("s3").get_bucket_location(Bucket=id)["LocationConstraint"] is None
    assert outputs["bucketRegionalDomainName"] == f"{name}.s3.us-east-1.amazonaws.com"
    s3.Bucket().delete(id, {}, first)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "b" * 64,
        "Bucket",
        "my_bucket",
        "-bucket",
        "bucket-",
        ".bucket",
        "my..bucket",
        "192.168.5.4",
        "xn--bucket",
        "sthree-bucket",
        "amzn-s3-demo-bucket",
        "bucket-s3alias",
        "bucket--ol-s3",
        "bucket.mrap",
        "bucket--x-s3",
        "bucket--table-s3",
        "bucket-123456789012-eu-west-1-an",
    ],
)
def test_bucket_names_that_s3_refuses(make: Make, name: str) -> None:
    assert name in make(BUCKET).refusals({"bucket": name})["bucket"]


@pytest.mark.parametrize("name", ["abc", "b" * 63, "my.bucket-1", "1bucket", "192.168.5.400", "plan-an"])
def test_bucket_names_that_s3_takes(make: Make, name: str) -> None:
    assert make(BUCKET).refusals({"bucket": name}) == {}


def test_what_a_bucket_has_types_of_its_own_for_is_refused(make: Make) -> None:
    assert list(make(BUCKET).refusals({"bucket": "abc", "versioning": {"enabled": True}})) == ["versioning"]


def test_an_existing_bucket_is_not_adopted(make: Make, bucket: Thing) -> None:
    text = refused(lambda: make(BUCKET).create({"bucket": bucket.id}))
    assert "creating S3 Bucket" in text and "BucketAlreadyOwnedByYou" in text


def test_a_bucket_with_something_in_it_is_deleted_only_by_force(make: Make, cloud: Moto) -> None:
    bucket, client = make(BUCKET), cloud.client("s3")
    name = unique("bucket")
    bucket.create({"bucket": name})
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for index in range(3):
        client.put_object(Bucket=name, Key="again", Body=str(index))
        client.put_object(Bucket=name, Key=f"dir/{index}", Body="x")
    client.delete_object(Bucket=name, Key="again")  # Leaves a delete marker and three versions.
    client.create_multipart_upload(Bucket=name, Key="never ended")
    assert "BucketNotEmpty" in refused(bucket.delete)
    bucket.update({"bucket": name, "forceDestroy": True})
    bucket.delete()
    assert bucket.refresh() is None
    bucket.create({"bucket": name})
    assert "Uploads" not in client.list_multipart_uploads(Bucket=name)
    bucket.delete()


@pytest.mark.parametrize("token", SETTINGS)
def test_a_setting_of_a_bucket_lives(make: Make, bucket: Thing, token: str) -> None:
    before, after = ({"bucket": bucket.id, **setting} for setting in SETTINGS[token])
    setting, theirs = make(token), make(token)
    assert setting.create(before)["region"] == REGION
    assert setting.id == bucket.id
    assert setting.refresh() == {}
    assert setting.diff(before) == {}
    assert setting.diff({**before, "bucket": "other"}) == {"bucket": "UPDATE_REPLACE"}
    setting.update(after)
    assert setting.refresh() == {}
    # A refresh finds what another client changes in the meantime.
    theirs.create(before)
    drift = setting.refresh()
    assert drift
    assert "bucket" not in drift
    setting.update(after)
    setting.delete()
    assert setting.refresh() is None
    setting.delete()
    # Deleted with its bucket.
    setting.create(after)
    bucket.delete()
    assert setting.refresh() is None
    setting.delete()


@pytest.mark.parametrize("token", SETTINGS)
def test_an_import_reports_the_settings_of_a_bucket(make: Make, bucket: Thing, token: str) -> None:
    for setting in SETTINGS[token]:
        thing = make(token)
        thing.create({"bucket": bucket.id, **setting})
        imported = make(token).read(bucket.id)
        for name in ("rules", "rule", "blockPublicAcls"):
            if name in setting:
                assert contains(imported[name], setting[name])


def contains(found: Any, expected: Any) -> bool:
    """Whether everything expected is found, at any depth."""
    if isinstance(expected, dict):
        return all(name in found and contains(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(contains, found, expected))
    return bool(found == expected)


def test_a_block_that_need_not_go_stays(make: Make, bucket: Thing, cloud: Moto) -> None:
    block = make(BLOCK)
    block.create({"bucket": bucket.id, "blockPublicAcls": True, "skipDestroy": True})
    block.delete()
    found = cloud.client("s3").get_public_access_block(Bucket=bucket.id)["PublicAccessBlockConfiguration"]
    assert found["BlockPublicAcls"] is True


def _encryption(**default: str) -> Properties:
    return {"bucket": "b", "rules": [{"applyServerSideEncryptionByDefault": default}]}


@pytest.mark.parametrize(
    "inputs",
    [_encryption(sseAlgorithm="AES-256"), _encryption(sseAlgorithm="AES256", kmsMasterKeyId="alias/a")],
)
def test_encryption_that_s3_refuses(make: Make, inputs: Properties) -> None:
    assert make(ENCRYPTION).refusals(inputs)


def test_a_setting_of_no_bucket_is_refused(make: Make) -> None:
    for token, (setting, _) in SETTINGS.items():
        assert "NoSuchBucket" in refused(lambda t=token, s=setting: make(t).create({"bucket": "no-such-one", **s}))  # type: ignore[misc]


def _rule(**changed: Any) -> Properties:
    rule = {"id": "r", "status": "Enabled", "filter": {"prefix": "p/"}, "expiration": {"days": 1}, **changed}
    return {name: value for name, value in rule.items() if value is not None}


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [_rule(status="enabled")],
        [_rule(), _rule()],
        [_rule(id="r" * 256)],
        [_rule(expiration=None)],
        [_rule(expiration={"days": 0})],
        [_rule(expiration={})],
        [_rule(expiration={"days": 1, "expiredObjectDeleteMarker": True})],
        [_rule(prefix="p/")],
        [_rule(filter={"prefix": "p/", "tag": {"key": "a", "value": "b"}})],
        [_rule(abortIncompleteMultipartUpload={"daysAfterInitiation": 0})],
        [_rule(filter={"tag": {"key": "a", "value": "b"}}, abortIncompleteMultipartUpload={"daysAfterInitiation": 1})],
        [_rule(noncurrentVersionExpiration={"noncurrentDays": 0})],
        [_rule(transitions=[{"days": 1, "storageClass": "COLD"}])],
    ],
)
def test_lifecycles_that_s3_refuses(make: Make, bucket: Thing, rules: list[Properties]) -> None:
    inputs = {"bucket": bucket.id, "rules": rules}
    thing = make(LIFECYCLE)
    if not thing.refusals(inputs):
        assert "creating S3 Bucket Lifecycle Configuration" in refused(lambda: thing.create(inputs))


def test_a_buckets_policy_lives(make: Make, bucket: Thing, cloud: Moto) -> None:
    thing, client = make(BUCKET_POLICY), cloud.client("s3")
    document = tls_only(bucket.id)
    inputs = {"bucket": bucket.id, "policy": json.dumps(document)}
    thing.create(inputs)
    assert thing.id == bucket.id
    assert thing.refresh() == {}
    # In S3's own form.
    form = statement(document, Principal={"AWS": "*"}, Condition={"Bool": {"aws:SecureTransport": False}})
    assert thing.diff({**inputs, "policy": form}) == {}
    client.put_bucket_policy(Bucket=bucket.id, Policy=form)
    assert thing.refresh() == {}

    wider = statement(document, Condition={"NumericLessThan": {"s3:TlsVersion": "1.2"}})
    client.put_bucket_policy(Bucket=bucket.id, Policy=wider)
    drift = thing.refresh()
    assert drift is not None
    assert json.loads(drift["policy"]) == json.loads(wider)
    thing.update(inputs)
    assert json.loads(client.get_bucket_policy(Bucket=bucket.id)["Policy"]) == document
    thing.delete()
    assert thing.refresh() is None
    thing.delete()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"Principal": None}, "Missing required field Principal"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:group/g"}}, "Invalid principal in policy"),
        ({"Action": "ec2:*"}, "Policy has invalid action"),
        ({"Resource": "*"}, "Policy has invalid resource"),
        ({"Resource": "arn:aws:s3:::other/*"}, "Policy has invalid resource"),
        ({"Resource": None}, "must contain resources"),
        ({"Action": "s3:GetObject", "Resource": "arn:aws:s3:::mine"}, "Action does not apply"),
        ({"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::mine/*"}, "Action does not apply"),
        ({"Condition": {"Bool": {"SecureTransport": "false"}}}, "condition keys"),
        ({"Resource": [f"arn:aws:s3:::mine/{'p' * 500}/{index}" for index in range(45)]}, "20480 bytes"),
    ],
)
def test_policies_that_s3_refuses(make: Make, changed: Properties, reason: str) -> None:
    inputs = {"bucket": "mine", "policy": statement(tls_only("mine"), **changed)}
    assert reason in make(BUCKET_POLICY).refusals(inputs)["policy"]


def test_a_public_policy_is_refused_where_those_are_blocked(make: Make, bucket: Thing) -> None:
    changed: Properties = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket.id}/*"}
    # A condition on TLS does not restrict who may send the request.
    public = {"bucket": bucket.id, "policy": statement(tls_only(bucket.id), **changed)}
    ours = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
    private = {"bucket": bucket.id, "policy": statement(tls_only(bucket.id), **changed, Condition=ours)}
    make(BLOCK).create({"bucket": bucket.id, "blockPublicPolicy": True})
    assert "AccessDenied" in refused(lambda: make(BUCKET_POLICY).create(public))
    make(BUCKET_POLICY).create(private)
    make(BUCKET_POLICY).create({"bucket": bucket.id, "policy": json.dumps(tls_only(bucket.id))})

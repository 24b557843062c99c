"""IAM, S3, Route 53 and private keys of the stand-ins, all of them under the real Pulumi engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws
import pulumi_tls
import pytest

from automation.steps import Steps
from stand_ins.builds import programs
from stand_ins.plugins import AWS, TLS
from tests.aws.aws_client import Moto
from tests.aws.thing import ENCRYPTION, LIFECYCLE, OWNERSHIP, SETTINGS, TAGS, TRUST, tls_only, unique
from tests.engine_stack import EngineStack


def declare(vpc: str, name: str, indent: int | None) -> None:
    """One of each type; policies are written with this indent."""
    bucket = pulumi_aws.s3.Bucket("bucket", bucket=name, force_destroy=True, tags=TAGS)
    pulumi_aws.s3.BucketPublicAccessBlock("bucket", bucket=bucket.bucket, block_public_policy=True)
    pulumi_aws.s3.BucketPolicy("bucket", bucket=bucket.bucket, policy=json.dumps(tls_only(name), indent=indent))
    pulumi_aws.s3.BucketOwnershipControls("bucket", bucket=bucket.bucket, **_snake(SETTINGS[OWNERSHIP][0]))
    pulumi_aws.s3.BucketLifecycleConfiguration("bucket", bucket=bucket.bucket, **_snake(SETTINGS[LIFECYCLE][0]))
    pulumi_aws.s3.BucketServerSideEncryptionConfiguration(
        "bucket", bucket=bucket.bucket, **_snake(SETTINGS[ENCRYPTION][0])
    )
    role = pulumi_aws.iam.Role("role", name=name, assume_role_policy=json.dumps(TRUST, indent=indent), tags=TAGS)
    rights = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket.arn}
    document = pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [rights]}, indent=indent)
    pulumi_aws.iam.RolePolicy("storage", role=role.name, policy=document)
    profile = pulumi_aws.iam.InstanceProfile("profile", role=role.name)
    zone = pulumi_aws.route53.Zone("zone", name=f"{name}.internal", vpcs=[{"vpc_id": vpc}])
    record = pulumi_aws.route53.Record(
        "jm-0", zone_id=zone.zone_id, name="jm-0", type="A", ttl=60, records=["10.0.0.1"]
    )
    key = pulumi_tls.PrivateKey("key", algorithm="ED25519")
    outputs = {"profile": profile.arn, "fqdn": record.fqdn, "public": key.public_key_openssh}
    for output, value in {**outputs, "private": key.private_key_openssh}.items():
        pulumi.export(output, value)


def _snake(value: Any) -> Any:
    """Inputs by their Python names."""
    if isinstance(value, dict):
        return {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): _snake(v) for name, v in value.items()}
    return [_snake(item) for item in value] if isinstance(value, list) else value


def inventory(cloud: Moto) -> set[str]:
    """The existing objects of the types under test."""
    listed = cloud.client("iam")
    return {
        *(role["Arn"] for role in listed.list_roles()["Roles"]),
        *(profile["Arn"] for profile in listed.list_instance_profiles()["InstanceProfiles"]),
        *(bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]),
        *(zone["Id"] for zone in cloud.client("route53").list_hosted_zones()["HostedZones"]),
    }


@pytest.fixture
def stack(
    tmp_path: Path, cloud: Moto, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EngineStack]:
    plugins = tmp_path_factory.mktemp("bin")
    for plugin in (AWS, TLS):
        plugin.install(plugins)
    monkeypatch.setenv("PATH", os.pathsep.join([str(plugins), str(programs.pulumi().parent), os.environ["PATH"]]))
    it = EngineStack(tmp_path)
    it.configure({f"aws:{key}": value for key, value in cloud.config().items()})
    yield it


def test_all_of_them_under_the_real_engine(stack: EngineStack, cloud: Moto) -> None:
    vpc = cloud.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    name = unique("flink")

    def preview(indent: int | None = None) -> dict[str, int]:
        return stack.preview(lambda: declare(vpc, name, indent)).totals

    def up(indent: int | None = None, *, refresh: bool = False) -> Steps:
        return stack.up(lambda: declare(vpc, name, indent), refresh=refresh)

    before = inventory(cloud)
    count = 13
    assert preview() == {"create": count}
    assert inventory(cloud) == before

    assert up().totals == {"create": count}
    new = inventory(cloud) - before
    assert len(new) == 4
    outputs = stack.outputs(secrets=True)
    assert outputs["profile"] in new
    assert outputs["fqdn"].startswith("jm-0.flink-")
    assert outputs["public"].startswith("ssh-ed25519 ")
    assert stack.outputs()["private"] == "[secret]"
    assert "PRIVATE KEY" in outputs["private"] and "PRIVATE KEY" not in stack.state()["text"]

    assert preview() == {"same": count}
    assert up(2, refresh=True).totals == {"same": count}

    # Behind Pulumi's back: tags, a record, the bucket's policy, and something in the bucket. While the policy is there
    # moto refuses that, as S3 would: our calls come without TLS.
    client, dns = cloud.client("s3"), cloud.client("route53")
    (bucket,) = (name for name in new if name.startswith("flink-"))
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []})
    client.delete_bucket_policy(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="ha/metadata", Body=b"x")
    (zone,) = (id for id in new if id.startswith("/hostedzone/"))
    listed = dns.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    changes = [{"Action": "DELETE", "ResourceRecordSet": record} for record in listed if record["Type"] == "A"]
    dns.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    healed = up(2, refresh=True)
    assert healed.totals == {"same": count - 3, "create": 2, "update": 1}
    assert {t["Key"]: t["Value"] for t in client.get_bucket_tagging(Bucket=bucket)["TagSet"]} == TAGS
    assert preview(2) == {"same": count}

    stack.destroy()
    assert inventory(cloud) == before

"""S3: buckets and their settings."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

from stand_ins.aws_plugin import lifecycle, policy, tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.aws_plugin.support import half_made, unsupported, unsupported_but
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_ACCOUNTS_OWN = re.compile(r".*-\d{12}-[a-z]+(-[a-z]+)+-\d-an")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""
_PROPAGATION = 120
"""Seconds until a bucket is visible everywhere, or nowhere."""
_ROUNDS = 5
"""Times that a bucket is emptied before the stand-in assumes that something still writes to it."""
_HOSTED_ZONES = {
    "ap-northeast-1": "Z2M4EHUR26P7ZW",
    "ap-southeast-1": "Z3O0J2DXBE1FTB",
    "ap-southeast-2": "Z1WCIGYICN2BYD",
    "ca-central-1": "Z1QDHH18159H29",
    "eu-central-1": "Z21DNDUVLTQW6Q",
    "eu-north-1": "Z3BAZG2TWCNX0D",
    "eu-west-1": "Z1BKCTXD74EZPE",
    "eu-west-2": "Z3GKZC51ZF0DB4",
    "eu-west-3": "Z3R1K369G5AVDG",
    "us-east-1": "Z3AQBSTGFYJSTF",
    "us-east-2": "Z2O1EMRO9K5GLX",
    "us-west-1": "Z2F56UZL2M1ACD",
    "us-west-2": "Z3BJ6K6RIION7M",
}
"""Hosted zones of S3's website endpoints: https://docs.aws.amazon.com/general/latest/gr/s3.html; empty if unknown."""


class Bucket(Resource):
    """A bucket: its id is its name."""

    token = "aws:s3/bucket:Bucket"
    kind = "S3 Bucket"
    replaces = frozenset({"bucket", "region"})
    defaults = {"forceDestroy": False}
    computed = frozenset({"hostedZoneId"})
    autoname = "bucket"

    def check(self, inputs: Object) -> list[Failure]:
        """The name, by S3's rules; inputs that have separate resource types are not supported."""
        found = unsupported_but(inputs, "bucket", "forceDestroy", "region", "tags")
        bucket = inputs.get("bucket")
        if isinstance(bucket, str) and not is_unknown(bucket):
            found += [Failure("bucket", reason) for reason in _name_problems(bucket)]
        return [*found, *tags.failures(inputs)]

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it in the provider's region."""
        client = aws.client("s3")
        bucket = inputs["bucket"]
        for problem in _name_problems(bucket):
            raise Refused(f"InvalidBucketName: {problem}")
        # S3's first region must not be named: it is the default.
        place = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}
        client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
        with half_made(bucket):
            aws.until(f"bucket {bucket}", lambda: is_there(client, bucket) or None, _PROPAGATION)
            if inputs.get("tags"):
                client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags.as_list(inputs["tags"])})
        return bucket, self._outputs(bucket, aws)

    def _outputs(self, id: str, aws: Aws) -> Object:
        return {
            "arn": f"arn:{aws.partition}:s3:::{id}",
            "bucketDomainName": f"{id}.s3.amazonaws.com",
            "bucketRegion": aws.region,
            "bucketRegionalDomainName": f"{id}.s3.{aws.region}.amazonaws.com",
            "hostedZoneId": _HOSTED_ZONES.get(aws.region, ""),
            "region": aws.region,
        }

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The bucket with its tags."""
        client = aws.client("s3")
        if not is_there(client, id):
            return None
        found = _found(lambda: client.get_bucket_tagging(Bucket=id)["TagSet"], "NoSuchTagSet")
        return {
            "bucket": id,
            "forceDestroy": state.get("forceDestroy", False),
            "tags": tags.as_object(found or []),
            **self._outputs(id, aws),
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The tags; `forceDestroy` only changes the state."""
        client = aws.client("s3")
        if new.get("tags"):
            client.put_bucket_tagging(Bucket=id, Tagging={"TagSet": tags.as_list(new["tags"])})
        elif old.get("tags"):
            client.delete_bucket_tagging(Bucket=id)
        return self._outputs(id, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Only if it is empty, or may be emptied: then with all versions and incomplete uploads."""
        client = aws.client("s3")
        for left in reversed(range(_ROUNDS if state.get("forceDestroy") else 1)):
            if state.get("forceDestroy"):
                _empty(client, id)
            try:
                client.delete_bucket(Bucket=id)
                break
            except Exception as error:
                if _code(error) != "BucketNotEmpty" or not left:
                    raise
        aws.until(f"the end of bucket {id}", lambda: not is_there(client, id) or None, _PROPAGATION)


class _Setting(Resource):
    """A setting that a bucket has once: its id is the bucket's name."""

    replaces = frozenset({"bucket", "region"})
    missing: ClassVar[str]
    """The error code with which S3 reports that the bucket has none."""

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it."""
        raise NotImplementedError

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """The inputs that describe the actual setting."""
        raise NotImplementedError

    def remove(self, client: Any, bucket: str) -> None:
        """Remove it."""
        raise NotImplementedError

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Set it."""
        self.put(aws.client("s3"), inputs["bucket"], inputs)
        return inputs["bucket"], {"region": aws.region}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The actual setting; deleted with its bucket, too."""
        client = aws.client("s3")
        found = _found(lambda: self.get(client, id, state), self.missing, "NoSuchBucket")
        return None if found is None else {"bucket": id, **found, "region": aws.region}

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Set it in place of the old one."""
        self.put(aws.client("s3"), id, new)
        return {"region": aws.region}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it."""
        client = aws.client("s3")
        _found(lambda: self.remove(client, id), self.missing, "NoSuchBucket")


class Encryption(_Setting):
    """A bucket's default encryption."""

    token = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    kind = "S3 Bucket Server-side Encryption Configuration"
    # There, `…Args` is an input of Bucket.
    args = "pulumi_aws.s3.bucket_server_side_encryption_configuration:BucketServerSideEncryptionConfigurationInitArgs"
    missing = "ServerSideEncryptionConfigurationNotFoundError"

    def check(self, inputs: Object) -> list[Failure]:
        """The algorithm, and a key only if it is used."""
        found = unsupported(inputs, "expectedBucketOwner")
        for index, rule in enumerate(_objects(inputs.get("rules"))):
            path = f"rules[{index}].applyServerSideEncryptionByDefault"
            default = rule.get("applyServerSideEncryptionByDefault")
            if not isinstance(default, dict):
                continue
            choices = {"sseAlgorithm": ("AES256", "aws:fsx", "aws:kms", "aws:kms:dsse", "aws:backup")}
            found += [Failure(f"{path}.{f.path}", f.reason) for f in failures_of_choice(default, choices)]
            if default.get("sseAlgorithm") == "AES256" and default.get("kmsMasterKeyId"):
                reason = "InvalidArgument: a KMSMasterKeyID is not applicable if the default sse algorithm is AES256"
                found.append(Failure(f"{path}.kmsMasterKeyId", reason))
        return found

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it."""
        rules = [_encryption_rule(rule) for rule in inputs["rules"]]
        client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """Its rules."""
        answer = client.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        before = state.get("rules") or []
        if [_told(_encryption_rule(rule)) for rule in before] == [_told(rule) for rule in answer]:
            return {"rules": before}
        return {"rules": [_rule_from(rule) for rule in answer]}

    def remove(self, client: Any, bucket: str) -> None:
        """Restore S3's default."""
        client.delete_bucket_encryption(Bucket=bucket)


class PublicAccessBlock(_Setting):
    """What a bucket's public access block refuses."""

    token = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    kind = "S3 Bucket Public Access Block"
    missing = "NoSuchPublicAccessBlockConfiguration"
    names = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it; settings that are not given do not block."""
        blocked = {name[0].upper() + name[1:]: bool(inputs.get(name)) for name in self.names}
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked)

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """What is blocked."""
        answer = client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        return {name: bool(answer.get(name[0].upper() + name[1:])) for name in self.names}

    def remove(self, client: Any, bucket: str) -> None:
        """Block nothing."""
        client.delete_public_access_block(Bucket=bucket)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it, unless it must stay."""
        if not state.get("skipDestroy"):
            super().delete(id, state, aws)


class BucketPolicy(_Setting):
    """The policy of a bucket."""

    token = "aws:s3/bucketPolicy:BucketPolicy"
    kind = "S3 Bucket Policy"
    missing = "NoSuchBucketPolicy"

    def check(self, inputs: Object) -> list[Failure]:
        """The content of the policy."""
        problem = policy.bucket_problem(inputs.get("policy"), inputs.get("bucket"))
        return [Failure("policy", problem)] if problem else []

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether an input has the same meaning in another form."""
        return name == "policy" and policy.same(old, new)

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it; a public policy only if none is blocked."""
        if problem := policy.bucket_problem(inputs["policy"], bucket):
            raise Refused(problem)
        if policy.public(inputs["policy"]):
            blocked = _found(
                lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
                PublicAccessBlock.missing,
            )
            if blocked and blocked.get("BlockPublicPolicy"):
                reason = "public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access"
                raise Refused(f"AccessDenied: {reason}")
        client.put_bucket_policy(Bucket=bucket, Policy=policy.text(inputs["policy"]))

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """The policy."""
        return {"policy": policy.kept(state.get("policy"), client.get_bucket_policy(Bucket=bucket)["Policy"])}

    def remove(self, client: Any, bucket: str) -> None:
        """Remove it."""
        client.delete_bucket_policy(Bucket=bucket)


class LifecycleConfiguration(_Setting):
    """When objects in a bucket expire."""

    token = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
    kind = "S3 Bucket Lifecycle Configuration"
    missing = "NoSuchLifecycleConfiguration"
    computed = frozenset({"transitionDefaultMinimumObjectSize"})

    def check(self, inputs: Object) -> list[Failure]:
        """The content of a rule."""
        return [*lifecycle.failures(inputs), *unsupported(inputs, "expectedBucketOwner", "timeouts")]

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Set it."""
        id, outputs = super().create(name, inputs, aws)
        return id, {**outputs, "transitionDefaultMinimumObjectSize": lifecycle.DEFAULT_SIZE}

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set its rules."""
        rules = [lifecycle.to_api(rule) for rule in inputs["rules"]]
        client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """Its rules."""
        answer = client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        return {"rules": lifecycle.kept(state.get("rules") or [], answer)}

    def remove(self, client: Any, bucket: str) -> None:
        """Expire nothing."""
        client.delete_bucket_lifecycle(Bucket=bucket)


class Versioning(_Setting):
    """Whether S3 keeps the old versions of a bucket's objects."""

    token = "aws:s3/bucketVersioning:BucketVersioning"
    kind = "S3 Bucket Versioning"
    args = "pulumi_aws.s3.bucket_versioning:BucketVersioningInitArgs"
    missing = "NoSuchVersioningConfiguration"

    def check(self, inputs: Object) -> list[Failure]:
        """The allowed values."""
        choices = {"versioningConfiguration.status": ("Enabled", "Suspended", "Disabled")}
        return [*failures_of_choice(inputs, choices), *unsupported(inputs, "expectedBucketOwner", "mfa")]

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it. A bucket that never had versions is Disabled, which cannot be set."""
        status = inputs["versioningConfiguration"]["status"]
        if status != "Disabled":
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """The status."""
        status = client.get_bucket_versioning(Bucket=bucket).get("Status", "Disabled")
        return {"versioningConfiguration": {"mfaDelete": "", "status": status}}

    def remove(self, client: Any, bucket: str) -> None:
        """No version is made any more; those that are there stay."""
        if client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


class OwnershipControls(_Setting):
    """The owner of objects that other accounts write into a bucket."""

    token = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
    kind = "S3 Bucket Ownership Controls"
    missing = "OwnershipControlsNotFoundError"

    def check(self, inputs: Object) -> list[Failure]:
        """The allowed values."""
        choices = ("BucketOwnerPreferred", "ObjectWriter", "BucketOwnerEnforced")
        return failures_of_choice(inputs, {"rule.objectOwnership": choices})

    def put(self, client: Any, bucket: str, inputs: Object) -> None:
        """Set it."""
        rules = [{"ObjectOwnership": inputs["rule"]["objectOwnership"]}]
        client.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": rules})

    def get(self, client: Any, bucket: str, state: Object) -> Object:
        """The rule."""
        rules = client.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
        return {"rule": {"objectOwnership": rules[0]["ObjectOwnership"]}}

    def remove(self, client: Any, bucket: str) -> None:
        """Restore S3's default."""
        client.delete_bucket_ownership_controls(Bucket=bucket)


RESOURCES: dict[str, Resource] = {
    resource.token: resource
    for resource in (
        Bucket(),
        Encryption(),
        PublicAccessBlock(),
        BucketPolicy(),
        LifecycleConfiguration(),
        OwnershipControls(),
        Versioning(),
    )
}


def _name_problems(bucket: str) -> Iterator[str]:
    """Why S3 refuses a bucket with this name."""
    if not 3 <= len(bucket) <= 63:
        yield f"a bucket's name has 3 to 63 characters, {bucket} has {len(bucket)}"
    elif not _NAME.fullmatch(bucket):
        yield (
            "a bucket's name has lower-case letters, digits, periods and hyphens only, and begins and ends with a "
            f"letter or a digit; got {bucket}"
        )
    elif ".." in bucket:
        yield f"a bucket's name has no two periods side by side; got {bucket}"
    elif _is_address(bucket):
        yield f"a bucket's name must not look like an IP address; got {bucket}"
    else:
        yield from (f"{part} begins no bucket's name; got {bucket}" for part in _PREFIXES if bucket.startswith(part))
        if _ACCOUNTS_OWN.fullmatch(bucket):
            yield f"-ACCOUNT-REGION-an ends names of an account's own namespace only; got {bucket}"
        yield from (f"{part} ends no bucket's name; got {bucket}" for part in _SUFFIXES if bucket.endswith(part))


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _empty(client: Any, bucket: str) -> None:
    """Delete every version of every object, and incomplete uploads."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        if not objects:
            continue
        answer = client.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
        for error in answer.get("Errors", []):
            raise Refused(f"{error['Code']}: deleting {error['Key']}: {error.get('Message', '')}")
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            with suppress(client.exceptions.NoSuchUpload):
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _found(call: Callable[[], Any], *missing: str) -> Any:
    """The result of the call; `None` if S3 answers that the object does not exist."""
    try:
        return call()
    except Exception as error:
        if _code(error) in missing:
            return None
        raise


def _code(error: Exception) -> str:
    """The code of an error of AWS."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def is_there(client: Any, bucket: str) -> bool:
    """Whether a bucket exists, in whatever region."""
    # A HEAD response has no body: the code is the status.
    return _found(lambda: client.head_bucket(Bucket=bucket), "404", "NoSuchBucket") is not None


def _objects(value: Value) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _encryption_rule(rule: Object) -> Object:
    default = rule.get("applyServerSideEncryptionByDefault") or {}
    api: Object = {}
    if default:
        api["ApplyServerSideEncryptionByDefault"] = {"SSEAlgorithm": default["sseAlgorithm"]}
        if default.get("kmsMasterKeyId"):
            api["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] = default["kmsMasterKeyId"]
    if "bucketKeyEnabled" in rule:
        api["BucketKeyEnabled"] = rule["bucketKeyEnabled"]
    if rule.get("blockedEncryptionTypes"):
        api["BlockedEncryptionTypes"] = {"EncryptionType": rule["blockedEncryptionTypes"]}
    return api


def _told(rule: Object) -> Object:
    """A rule of the API with its defaults."""
    return {"BucketKeyEnabled": False, **{name: value for name, value in rule.items() if value is not None}}


def _rule_from(rule: Object) -> Object:
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    now: Object = {"bucketKeyEnabled": rule.get("BucketKeyEnabled", False)}
    if default:
        now["applyServerSideEncryptionByDefault"] = {
            "sseAlgorithm": default["SSEAlgorithm"],
            "kmsMasterKeyId": default.get("KMSMasterKeyID", ""),
        }
    if blocked := rule.get("BlockedEncryptionTypes"):
        now["blockedEncryptionTypes"] = blocked["EncryptionType"]
    return now

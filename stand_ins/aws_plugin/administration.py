"""What an administrator creates: managed policies, identity providers, and keys with their aliases."""

from __future__ import annotations

from contextlib import suppress

from stand_ins.aws_plugin import policy, tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource
from stand_ins.aws_plugin.support import unsupported_but
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

LENGTH = 6144
"""Characters of a managed policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""


class Policy(Resource):
    """A managed policy: its id is its ARN."""

    token = "aws:iam/policy:Policy"
    kind = "IAM Policy"
    replaces = frozenset({"description", "name", "path"})
    defaults = {"path": "/"}
    computed = frozenset({"arn", "policyId"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The content of the policy."""
        found = unsupported_but(inputs, "description", "name", "path", "policy", "tags")
        if problem := policy.inline_problem(inputs.get("policy")):
            found.append(Failure("policy", problem))
        return [*found, *tags.failures(inputs)]

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether an input has the same meaning in another form."""
        return name == "policy" and policy.same(old, new)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        _check_length(inputs)
        made = aws.client("iam").create_policy(
            PolicyName=inputs["name"],
            Path=inputs["path"],
            PolicyDocument=policy.text(inputs["policy"]),
            Description=inputs.get("description", ""),
            Tags=tags.as_list(inputs.get("tags")),
        )["Policy"]
        return made["Arn"], {"arn": made["Arn"], "policyId": made["PolicyId"]}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The policy in its default version."""
        client = aws.client("iam")
        found = client.get_policy(PolicyArn=id)["Policy"]
        version = client.get_policy_version(PolicyArn=id, VersionId=found["DefaultVersionId"])["PolicyVersion"]
        now = version["Document"]
        return {
            "name": found["PolicyName"],
            "path": found["Path"],
            "description": found.get("Description", ""),
            "policy": policy.kept(state.get("policy"), now),
            "tags": tags.as_object(found.get("Tags", [])),
            "arn": id,
            "policyId": found["PolicyId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """A new default version; of AWS's five versions the oldest goes."""
        _check_length(new)
        client = aws.client("iam")
        others = [it for it in client.list_policy_versions(PolicyArn=id)["Versions"] if not it["IsDefaultVersion"]]
        if len(others) >= 4:
            oldest = min(others, key=lambda it: it["CreateDate"])
            client.delete_policy_version(PolicyArn=id, VersionId=oldest["VersionId"])
        client.create_policy_version(PolicyArn=id, PolicyDocument=policy.text(new["policy"]), SetAsDefault=True)
        return {"arn": id, "policyId": old["policyId"]}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it with its versions."""
        client = aws.client("iam")
        with suppress(client.exceptions.NoSuchEntityException):
            for it in client.list_policy_versions(PolicyArn=id)["Versions"]:
                if not it["IsDefaultVersion"]:
                    client.delete_policy_version(PolicyArn=id, VersionId=it["VersionId"])
            client.delete_policy(PolicyArn=id)


def _check_length(inputs: Object) -> None:
    if policy.length(inputs["policy"]) > LENGTH:
        raise Refused(f"LimitExceeded: Cannot exceed quota for PolicySize: {LENGTH}")


class IdentityProvider(Resource):
    """An issuer of tokens: its id is its ARN."""

    token = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    kind = "IAM OIDC Provider"
    replaces = frozenset({"url"})
    computed = frozenset({"arn", "thumbprintLists"})
    sets = frozenset({"clientIdLists"})

    def check(self, inputs: Object) -> list[Failure]:
        """Only what the stand-in supports."""
        return unsupported_but(inputs, "clientIdLists", "tags", "url")

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        made = aws.client("iam").create_open_id_connect_provider(
            Url=inputs["url"], ClientIDList=inputs["clientIdLists"], Tags=tags.as_list(inputs.get("tags"))
        )
        arn = made["OpenIDConnectProviderArn"]
        return arn, {"arn": arn, "thumbprintLists": []}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The issuer and the audiences."""
        found = aws.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=id)
        return {
            "url": state.get("url") if str(state.get("url", "")).endswith(found["Url"]) else found["Url"],
            "clientIdLists": sorted(found["ClientIDList"]),
            "tags": tags.as_object(found.get("Tags", [])),
            "arn": id,
            "thumbprintLists": found.get("ThumbprintList", []),
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        aws.client("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=id)


class Key(Resource):
    """A key of KMS."""

    token = "aws:kms/key:Key"
    kind = "KMS Key"
    computed = frozenset({"arn", "keyId"})

    def check(self, inputs: Object) -> list[Failure]:
        """Only what the stand-in supports."""
        return unsupported_but(inputs, "description", "enableKeyRotation", "tags")

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        client = aws.client("kms")
        given = [{"TagKey": key, "TagValue": value} for key, value in (inputs.get("tags") or {}).items()]
        made = client.create_key(Description=inputs.get("description", ""), Tags=given)["KeyMetadata"]
        if inputs.get("enableKeyRotation"):
            client.enable_key_rotation(KeyId=made["KeyId"])
        return made["KeyId"], {"arn": made["Arn"], "keyId": made["KeyId"]}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The key; one that is waiting for its deletion is gone."""
        client = aws.client("kms")
        found = client.describe_key(KeyId=id)["KeyMetadata"]
        if found["KeyState"] == "PendingDeletion":
            return None
        return {
            "description": found["Description"],
            "enableKeyRotation": client.get_key_rotation_status(KeyId=id)["KeyRotationEnabled"],
            "tags": {it["TagKey"]: it["TagValue"] for it in client.list_resource_tags(KeyId=id)["Tags"]},
            "arn": found["Arn"],
            "keyId": id,
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Schedule its deletion."""
        aws.client("kms").schedule_key_deletion(KeyId=id)


class Alias(Resource):
    """A name of a key: its id is that name."""

    token = "aws:kms/alias:Alias"
    kind = "KMS Alias"
    replaces = frozenset({"name"})
    computed = frozenset({"arn", "targetKeyArn"})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        aws.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        found = self.read(inputs["name"], inputs, aws) or {}
        return inputs["name"], {key: found[key] for key in ("arn", "targetKeyArn")}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The key that it names."""
        client = aws.client("kms")
        for page in client.get_paginator("list_aliases").paginate():
            for it in page["Aliases"]:
                if it["AliasName"] == id:
                    key = client.describe_key(KeyId=it["TargetKeyId"])["KeyMetadata"]["Arn"]
                    return {"name": id, "targetKeyId": it["TargetKeyId"], "arn": it["AliasArn"], "targetKeyArn": key}
        return None

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        aws.client("kms").delete_alias(AliasName=id)


RESOURCES: dict[str, Resource] = {it.token: it for it in (Policy(), IdentityProvider(), Key(), Alias())}

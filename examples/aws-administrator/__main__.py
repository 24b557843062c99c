"""What an administrator of an AWS account creates once, so that CI deploys with limited rights: the bucket for the
state of stacks and the keys of their secrets, the trust in GitHub's or GitLab's tokens, CI's roles, and the boundaries
of the roles that CI may create. The rights are the documents in docs/iam; docs/ci.md describes the set-up.
"""

import json
from pathlib import Path

import pulumi
import pulumi_aws as aws

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "iam"
DEPLOY = ("read", "deploy", "deploy-identity", "deploy-storage")
BRANCHES = ("branches-read", "branches", "branches-identity", "branches-storage")

config = pulumi.Config()
bucket_name = config.require("bucket")
subject, project = config.get("subject") or "", config.get("gitlabProject") or ""
stacks, healed = config.get_object("stacks") or [], config.get_object("healed") or []
branches = config.get_bool("branches") or False
if bool(subject) == bool(project):
    raise ValueError("expected either subject (GitHub) or gitlabProject")
if bucket_name.startswith("flink-"):
    raise ValueError(f"bucket {bucket_name}: expected another name than flink-…, which who deploys may empty")
if unknown := set(healed) - set(stacks):
    raise ValueError(f"healed: {', '.join(sorted(unknown))} is not in stacks")

# Keys and state are never replaced or deleted: without them nobody can change or destroy a stack
KEPT = pulumi.ResourceOptions(protect=True)
account, region = aws.get_caller_identity().account_id, aws.get_region().region
host = "token.actions.githubusercontent.com" if subject else config.get("gitlabHost") or "gitlab.com"
forge = "github" if subject else "gitlab"


def document(name: str, **places: pulumi.Input[str]) -> pulumi.Output[str]:
    """A document of docs/iam, with these values in its places."""

    def filled(values: dict[str, str]) -> str:
        text = (DOCUMENTS / f"{name}.json").read_text()
        for place, value in values.items():
            text = text.replace(place, value)
        return json.dumps(json.loads(text))

    known = {"ACCOUNT": account, "SUBJECT": subject, "GITLABHOST": host, "GITLABPROJECT": project}
    return pulumi.Output.all(**known, BUCKET=bucket_name, **places).apply(filled)


def policy(name: str, text: pulumi.Input[str]) -> aws.iam.Policy:
    """A policy of the account."""
    return aws.iam.Policy(name, name=name, policy=text)


def key(name: str) -> aws.kms.Key:
    """The key for the secrets of one stack, or of all branches."""
    made = aws.kms.Key(name, description=f"Secrets of Pulumi: {name}", enable_key_rotation=True, opts=KEPT)
    aws.kms.Alias(name, name=f"alias/pulumi-flink-{name}", target_key_id=made.key_id, opts=KEPT)
    return made


def role(name: str, trust: str, rights: dict[str, pulumi.Input[str]]) -> pulumi.Output[str]:
    """A role of CI with these policies, by the ending of their names; returns its ARN."""
    after = [trusted] if trusted else []
    opts = pulumi.ResourceOptions(depends_on=after)
    made = aws.iam.Role(name, name=name, assume_role_policy=document(f"{forge}-{trust}-trust"), opts=opts)
    for ending, text in rights.items():
        attached = policy(f"{name}-{ending}", text)
        aws.iam.RolePolicyAttachment(f"{name}-{ending}", role=made.name, policy_arn=attached.arn)
    return made.arn


def state(document_name: str, names: list[str]) -> dict[str, pulumi.Input[str]]:
    """Rights on the state of these stacks, each with its key."""
    return {
        f"{document_name}-{name}": document(f"{document_name}-policy", STACK=name, KEYARN=keys[name].arn)
        for name in names
    }


def rights(*names: str) -> dict[str, pulumi.Input[str]]:
    """Documents without places."""
    return {name: document(f"{name}-policy") for name in names}


bucket = aws.s3.Bucket("state", bucket=bucket_name, opts=KEPT)
aws.s3.BucketVersioning(
    "state",
    bucket=bucket.bucket,
    versioning_configuration=aws.s3.BucketVersioningVersioningConfigurationArgs(status="Enabled"),
)
aws.s3.BucketPublicAccessBlock(
    "state",
    bucket=bucket.bucket,
    block_public_acls=True,
    block_public_policy=True,
    ignore_public_acls=True,
    restrict_public_buckets=True,
)
trusted = None
if config.get_bool("trusted") is not False:
    trusted = aws.iam.OpenIdConnectProvider("ci", url=f"https://{host}", client_id_lists=["sts.amazonaws.com"])
keys = {name: key(name) for name in (*stacks, *(["branches"] if branches else []))}
backend = f"s3://{bucket_name}?region={region}"

# The outputs have the names of the repository's variables
if stacks:
    policy("flink-boundary", document("boundary-policy"))
    pulumi.export(
        "AWS_PREVIEW_ROLE", role("ci-flink-preview", "preview", rights("preview") | state("state-preview", stacks))
    )
    pulumi.export("AWS_DRIFT_ROLE", role("ci-flink-drift", "drift", rights("read") | state("state-preview", stacks)))
    pulumi.export("PULUMI_BACKEND_URL", backend)
    pulumi.export("PULUMI_STACKS", json.dumps(stacks))
if healed:
    given = rights(*DEPLOY, "heal") | state("state-heal", healed)
    pulumi.export("AWS_HEAL_ROLE", role("ci-flink-heal", "heal", given))
    pulumi.export("HEAL_STACKS", json.dumps(healed))
if branches:
    boundary = policy("flink-br-boundary", document("branches-boundary-policy"))
    given = rights(*BRANCHES)
    given["state-branches"] = document("state-branches-policy", KEYARN=keys["branches"].arn)
    pulumi.export("AWS_DEPLOY_ROLE", role("ci-flink-branches", "deploy", given))
    pulumi.export("PULUMI_BRANCHES_BACKEND_URL", backend)
    pulumi.export("permissionsBoundary", boundary.arn)
pulumi.export("AWS_REGION", region)

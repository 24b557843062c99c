"""examples/aws-administrator, as docs/ci.md configures it: real engine, moto. Its roles have what documents give."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.automation import CommandError

from automation import local
from automation.engine import Engine
from automation.stack import Stack
from automation.workspace import Workspace, write
from stand_ins.aws_cloud.evaluation import Asked, Policy, permitted
from stand_ins.builds import programs
from stand_ins.plugins import AWS
from tests.aws import stack as aws_stack
from tests.aws.inventory import client
from tests.aws.limits import policy_arn
from toolbox.paths import REPO

EXAMPLE, GUIDE = REPO / "examples" / "aws-administrator", REPO / "docs" / "ci.md"
REGION, SUBJECT = "eu-central-1", "repo:acme/flink"


def configured(name: str) -> list[list[str]]:
    """The guide's `pulumi config set` for one of its stacks, as words."""
    (block,) = re.findall(rf"```sh untested\npulumi stack init {name}\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    lines = [line.replace("$SUBJECT", SUBJECT) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("pulumi config set")]


class Account:
    """The program in one account."""

    def __init__(self, folder: Path, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        folder.mkdir()
        local.prepare(folder)
        AWS.install(folder / "plugins")
        write(folder / "Pulumi.yaml", {**yaml.safe_load((EXAMPLE / "Pulumi.yaml").read_text()), "main": str(EXAMPLE)})
        home = local.without_log(folder / "home")
        variables = {**local.variables(folder, home=home), **aws_stack.VARIABLES}
        self._workspace = Workspace(
            folder, Engine(str(programs.pulumi().parent.parent)), run=self._run, variables=variables
        )
        self._workspace.create_stack(name)
        self._stack = Stack(name, self._workspace)
        for words in configured(name):
            self._stack.pulumi(*words)
        endpoints = [dict.fromkeys((*aws_stack.SERVICES, "kms"), endpoint)]
        for key, value in {**aws_stack.at(endpoint), "aws:endpoints": endpoints}.items():
            self._stack.pulumi("config", "set", key, "--", json.dumps(value))

    @staticmethod
    def _run() -> None:
        runpy.run_path(str(EXAMPLE / "__main__.py"), run_name="__main__")

    def set(self, *words: str) -> None:
        self._stack.pulumi("config", "set", *words)

    def up(self) -> dict[str, str]:
        steps = self._stack.up()
        assert self._stack.preview().changes() == {}, steps
        return self._stack.outputs()

    def preview(self) -> None:
        self._stack.preview()

    def policies(self, role: str) -> tuple[dict[str, Any], list[Policy]]:
        """A role's trust policy, and the documents that it has."""
        iam = client("iam", self.endpoint, REGION)
        found = []
        for it in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            version = iam.get_policy(PolicyArn=it["PolicyArn"])["Policy"]["DefaultVersionId"]
            found.append(
                iam.get_policy_version(PolicyArn=it["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
            )
        return iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"], found

    def key(self, name: str) -> str:
        """ARN of a key, by its alias."""
        kms = client("kms", self.endpoint, REGION)
        return str(kms.describe_key(KeyId=f"alias/pulumi-flink-{name}")["KeyMetadata"]["Arn"])


def state(name: str, action: str = "GetObject", bucket: str = "acme-pulumi-state") -> Asked:
    return Asked(f"s3:{action}", f"arn:aws:s3:::{bucket}/.pulumi/stacks/flink/{name}.json")


def test_the_administrators_program_makes_what_ci_needs(endpoint: str, tmp_path: Path) -> None:
    account = Account(tmp_path / "a", endpoint, "long-lived")
    account.set("--path", "stacks[1]", "prod")
    made = account.up()
    assert json.loads(made["PULUMI_STACKS"]) == ["dev", "prod"] and "AWS_HEAL_ROLE" not in made
    # A workflow's variables are the outputs
    assert made["AWS_PREVIEW_ROLE"].endswith(":role/ci-flink-preview")
    account.set("--path", "healed[0]", "dev")
    made = account.up()
    assert made["PULUMI_BACKEND_URL"] == f"s3://acme-pulumi-state?region={REGION}"

    subjects = {"ci-flink-preview": "pull_request", "ci-flink-drift": "ref:refs/heads/main"}
    subjects["ci-flink-heal"] = subjects["ci-flink-drift"]
    (provider,) = client("iam", endpoint, REGION).list_open_id_connect_providers()["OpenIDConnectProviderList"]
    for role, expected in subjects.items():
        (statement,) = account.policies(role)[0]["Statement"]
        assert statement["Principal"] == {"Federated": provider["Arn"]}
        assert f"{SUBJECT}:{expected}" in json.dumps(statement["Condition"])

    reads, heals = account.policies("ci-flink-preview")[1], account.policies("ci-flink-heal")[1]
    assert permitted(reads, state("dev")) and permitted(reads, state("prod"))
    assert not permitted(reads, state("dev", "PutObject"))
    assert permitted(reads, Asked("kms:Decrypt", account.key("prod")))
    assert permitted(heals, state("dev", "PutObject")) and permitted(heals, Asked("kms:Encrypt", account.key("dev")))
    assert not permitted(heals, state("prod")) and not permitted(heals, Asked("kms:Decrypt", account.key("prod")))
    boundary = client("iam", endpoint, REGION).get_policy(PolicyArn=policy_arn("flink-boundary"))["Policy"]
    assert boundary["AttachmentCount"] == 0
    versions = client("s3", endpoint, REGION).get_bucket_versioning(Bucket="acme-pulumi-state")
    assert versions["Status"] == "Enabled"

    # The same account for the branches: the trust is there already
    both = Account(tmp_path / "b", endpoint, "branches")
    both.set("trusted", "false")
    made = both.up()
    assert made["permissionsBoundary"] == policy_arn("flink-br-boundary")
    trust, writes = both.policies("ci-flink-branches")
    assert f"{SUBJECT}:environment:ephemeral" in json.dumps(trust)
    for name, allowed in (("br-x", True), ("dev", False)):
        assert permitted(writes, state(name, "PutObject", "acme-pulumi-branches")) == allowed
    assert not permitted(writes, state("br-x")), "of the other bucket"


def test_what_cannot_be_right_is_refused(endpoint: str, tmp_path: Path) -> None:
    account = Account(tmp_path / "a", endpoint, "long-lived")
    for words, expected in (
        (("bucket", "flink-state"), "another name than flink-"),
        (("gitlabProject", "acme/flink"), "either subject"),
        (("--path", "healed[0]", "prod"), "healed: prod is not in stacks"),
    ):
        account.set(*words)
        with pytest.raises(CommandError, match=expected):
            account.preview()
        account.set("bucket", "acme-pulumi-state")
        account.set("gitlabProject", "")

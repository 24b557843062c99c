"""The AWS stand-in's roles, policies and instance profiles, against a moto server."""

from __future__ import annotations

import json

import pytest

from stand_ins.plugin.values import UNKNOWN
from tests.aws.aws_client import Moto
from tests.aws.thing import (
    ACCOUNT,
    BUCKET_POLICY,
    INLINE,
    OTHER_TAGS,
    PROFILE,
    ROLE,
    ROLE_POLICY,
    TAGS,
    TRUST,
    Make,
    Properties,
    refused,
    statement,
    unique,
)


def test_a_managed_policy_is_attached_and_detached(make: Make, cloud: Moto) -> None:
    role, attachment, name = make(ROLE), make("aws:iam/rolePolicyAttachment:RolePolicyAttachment"), unique("role")
    role.create({"name": name, "assumeRolePolicy": json.dumps(TRUST)})
    client = cloud.client("iam")
    allowed = {"Effect": "Allow", "Action": "kinesis:ListShards", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    arn = client.create_policy(PolicyName=unique("jobs"), PolicyDocument=document)["Policy"]["Arn"]
    attachment.create({"role": name, "policyArn": arn})
    assert [it["PolicyArn"] for it in client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]] == [arn]
    assert attachment.refresh() == {}
    attachment.delete()
    assert client.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    role.delete()


def test_a_role_lives(make: Make, cloud: Moto) -> None:
    role = make(ROLE)
    name = unique("role")
    inputs = {"name": name, "assumeRolePolicy": json.dumps(TRUST), "description": "what for", "tags": TAGS}
    preview = role.preview(inputs)
    assert (preview["arn"], preview["name"], preview["tagsAll"]) == (UNKNOWN, name, TAGS)

    state = role.create(inputs)
    assert role.id == name
    assert state["arn"] == f"arn:aws:iam::{ACCOUNT}:role/{name}"
    assert state["uniqueId"].startswith("AROA")
    assert state["createDate"].endswith("Z")
    assert (state["path"], state["maxSessionDuration"], state["forceDetachPolicies"]) == ("/", 3600, False)
    assert role.refresh() == {}

    trust = statement(TRUST, Principal={"Service": ["ec2.amazonaws.com", "ssm.amazonaws.com"]})
    expected = {
        **inputs,
        "assumeRolePolicy": trust,
        "description": "else",
        "maxSessionDuration": 7200,
        "tags": OTHER_TAGS,
    }
    assert set(role.diff(expected).values()) == {"UPDATE", "ADD", "DELETE"}
    assert role.update(expected)["tagsAll"] == OTHER_TAGS
    found = cloud.client("iam").get_role(RoleName=name)["Role"]
    assert found["AssumeRolePolicyDocument"] == json.loads(trust)
    assert (found["Description"], found["MaxSessionDuration"]) == ("else", 7200)
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == OTHER_TAGS
    assert role.refresh() == {}

    role.delete()
    assert role.refresh() is None
    role.delete()  # Deleting what does not exist is no error.


def test_what_was_changed_of_a_role_is_seen(make: Make, cloud: Moto) -> None:
    role, client = make(ROLE), cloud.client("iam")
    name = unique("role")
    role.create({"name": name, "assumeRolePolicy": json.dumps(TRUST), "tags": TAGS})
    other = statement(TRUST, Principal={"AWS": "arn:aws:iam::123456789012:root"})
    client.update_assume_role_policy(RoleName=name, PolicyDocument=other)
    client.tag_role(RoleName=name, Tags=[{"Key": "owner", "Value": "you"}])
    drift = role.refresh()
    assert drift is not None
    assert drift["tags"] == {**TAGS, "owner": "you"}
    assert json.loads(drift["assumeRolePolicy"]) == json.loads(other)
    client.delete_role(RoleName=name)
    assert role.refresh() is None


def test_a_policy_in_another_form_is_no_change(make: Make, cloud: Moto) -> None:
    role = make(ROLE)
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    action = ["sts:AssumeRole"]
    other_form = json.dumps(json.loads(statement(TRUST, Action=action, Sid="")), indent=4, sort_keys=True)
    assert role.diff({**inputs, "assumeRolePolicy": other_form}) == {}
    cloud.client("iam").update_assume_role_policy(RoleName=role.id, PolicyDocument=other_form)
    assert role.refresh() == {}
    denied = statement(TRUST, Effect="Deny")
    assert role.diff({**inputs, "assumeRolePolicy": denied}) == {"assumeRolePolicy": "UPDATE"}
    role.delete()


def test_what_replaces_in_iam(make: Make) -> None:
    role = make(ROLE)
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    assert role.diff({**inputs, "name": "other"}) == {"name": "UPDATE_REPLACE"}
    assert role.diff({**inputs, "path": "/flink/"}) == {"path": "UPDATE_REPLACE"}
    inline = make(ROLE_POLICY)
    of_role = {"role": role.id, "name": "p", "policy": json.dumps(INLINE)}
    inline.create(of_role)
    assert inline.diff({**of_role, "role": "other"}) == {"role": "UPDATE_REPLACE"}
    profile = make(PROFILE)
    profile.create({"name": role.id, "role": role.id})
    assert profile.diff({"name": "other", "role": role.id}) == {"name": "UPDATE_REPLACE"}
    assert profile.diff({"name": role.id, "role": "other"}) == {"role": "UPDATE"}
    for thing in (profile, inline, role):
        thing.delete()


def test_names_that_nobody_gave_are_made_once(make: Make) -> None:
    role = make(ROLE)
    inputs = {"assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    assert role.id.startswith("it-")
    assert role.diff(inputs) == {}
    role.delete()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "invalid Json"),
        ("[]", "Syntax errors"),
        (json.dumps({**TRUST, "Version": "2024-01-01"}), "Version"),
        (json.dumps({**TRUST, "Statements": []}), "Syntax errors"),
        (json.dumps({**TRUST, "Statement": []}), "not empty"),
        (statement(TRUST, Effect="allow"), "Effect"),
        (statement(TRUST, Action=None), "must contain actions"),
        (statement(TRUST, Action="ec2:RunInstances"), "only specify STS AssumeRole"),
        (statement(TRUST, Resource="*"), "prohibited field Resource"),
        (statement(TRUST, Principal=None), "Missing required field Principal"),
        (statement(TRUST, Principal={}), "Invalid principal"),
        (statement(TRUST, Principal="ec2.amazonaws.com"), "Invalid principal"),
        (statement(TRUST, Principal={"Service": "ec2"}), 'Invalid principal in policy: "Service":"ec2"'),
        (statement(TRUST, Principal={"Services": "ec2.amazonaws.com"}), "Invalid principal"),
        (statement(TRUST, Principal={"AWS": "arn:aws:iam::1234:root"}), "Invalid principal"),
        (statement(TRUST, Principal={"AWS": "arn:aws:iam::123456789012:role/*"}), "Invalid principal"),
        (statement(TRUST, Condition={"StringEqual": {"aws:SourceAccount": "1"}}), "Invalid Condition type"),
        (statement(TRUST, Conditions={}), "A statement has no Conditions"),
        (statement(TRUST, Condition={"StringEquals": {"aws:a": "x" * 2000}}), "ACLSizePerRole: 2048"),
    ],
)
def test_trust_policies_that_iam_refuses(make: Make, document: str, reason: str) -> None:
    assert reason in make(ROLE).refusals({"assumeRolePolicy": document})["assumeRolePolicy"]


def test_white_space_does_not_count_and_what_is_unknown_is_not_judged(make: Make) -> None:
    assert make(ROLE).refusals({"assumeRolePolicy": json.dumps(TRUST, indent=600)}) == {}
    assert make(ROLE).refusals({"assumeRolePolicy": UNKNOWN}) == {}
    assert make(ROLE_POLICY).refusals({"role": UNKNOWN, "policy": UNKNOWN}) == {}
    assert make(BUCKET_POLICY).refusals({"bucket": UNKNOWN, "policy": UNKNOWN}) == {}


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"name": "a role"}, "name"),
        ({"name": "r" * 65}, "name"),
        ({"path": "flink"}, "path"),
        ({"maxSessionDuration": 60}, "maxSessionDuration"),
        ({"tags": {"aws:a": "b"}}, "tags.aws:a"),
        ({"tags": {f"k{i}": "v" for i in range(51)}}, "tags"),
        ({"tags": {"k": "v" * 257}}, "tags.k"),
        ({"inlinePolicies": [{"name": "p", "policy": "{}"}]}, "inlinePolicies"),
    ],
)
def test_inputs_of_a_role_that_are_refused(make: Make, inputs: Properties, path: str) -> None:
    assert list(make(ROLE).refusals({"assumeRolePolicy": json.dumps(TRUST), **inputs})) == [path]


def test_a_roles_policy_lives(make: Make, cloud: Moto) -> None:
    role, inline, client = make(ROLE), make(ROLE_POLICY), cloud.client("iam")
    role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)})
    inputs = {"role": role.id, "name": "storage", "policy": json.dumps(INLINE)}
    inline.create(inputs)
    assert inline.id == f"{role.id}:storage"
    assert inline.refresh() == {}
    turned = statement(INLINE, Action=["s3:PutObject", "s3:GetObject"], Resource=["arn:aws:s3:::b/p/*"])
    assert inline.diff({**inputs, "policy": turned}) == {}

    more = statement(INLINE, Resource="arn:aws:s3:::b/*")
    assert inline.diff({**inputs, "policy": more}) == {"policy": "UPDATE"}
    inline.update({**inputs, "policy": more})
    assert client.get_role_policy(RoleName=role.id, PolicyName="storage")["PolicyDocument"] == json.loads(more)

    client.put_role_policy(RoleName=role.id, PolicyName="storage", PolicyDocument=json.dumps(INLINE))
    drift = inline.refresh()
    assert drift is not None
    assert json.loads(drift["policy"]) == INLINE
    assert make(ROLE_POLICY).read(inline.id)["role"] == role.id
    client.delete_role_policy(RoleName=role.id, PolicyName="storage")
    assert inline.refresh() is None
    inline.delete()
    role.delete()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (statement(INLINE, Principal="*"), "should not specify a principal"),
        (statement(INLINE, Resource=None), "must contain resources"),
        (statement(INLINE, Resource="b/*"), "must be in ARN format"),
        (statement(INLINE, Action="GetObject"), "prefaced by a vendor"),
        (statement(INLINE, Sid="a b"), "alpha-numeric"),
        (statement(INLINE, Resource=[f"arn:aws:s3:::{'b' * 60}/{n}" for n in range(200)]), "10240 bytes exceeded"),
        (json.dumps({**INLINE, "Statement": [{**INLINE["Statement"][0], "Sid": "a"}] * 2}), "must be unique"),
    ],
)
def test_policies_that_iam_refuses(make: Make, document: str, reason: str) -> None:
    assert reason in make(ROLE_POLICY).refusals({"role": "r", "policy": document})["policy"]


def test_a_roles_policies_have_room_for_10240_characters_together(make: Make) -> None:
    role = make(ROLE)
    role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST), "forceDetachPolicies": True})
    half = statement(INLINE, Resource=[f"arn:aws:s3:::{'b' * 60}/{index}" for index in range(70)])
    make(ROLE_POLICY).create({"role": role.id, "name": "one", "policy": half})
    second = {"role": role.id, "name": "two", "policy": half}
    text = refused(lambda: make(ROLE_POLICY).create(second))
    assert f"Maximum policy size of 10240 bytes exceeded for role {role.id}" in text
    role.delete()


def test_a_role_with_a_strangers_policy_is_deleted_only_by_force(make: Make, cloud: Moto) -> None:
    role, client = make(ROLE), cloud.client("iam")
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)}
    role.create(inputs)
    client.put_role_policy(RoleName=role.id, PolicyName="theirs", PolicyDocument=json.dumps(INLINE))
    managed = client.create_policy(PolicyName=unique("managed"), PolicyDocument=json.dumps(INLINE))["Policy"]["Arn"]
    client.attach_role_policy(RoleName=role.id, PolicyArn=managed)
    text = refused(role.delete)
    assert "deleting IAM Role" in text and "DeleteConflict" in text
    role.update({**inputs, "forceDetachPolicies": True})
    role.delete()
    assert role.refresh() is None


def test_managed_policies_of_a_role(make: Make, cloud: Moto) -> None:
    role, client = make(ROLE), cloud.client("iam")
    one, two = (
        client.create_policy(PolicyName=unique("managed"), PolicyDocument=json.dumps(INLINE))["Policy"]["Arn"]
        for _ in range(2)
    )
    inputs = {"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST), "managedPolicyArns": [one]}
    role.create(inputs)
    assert role.refresh() == {}
    role.update({**inputs, "managedPolicyArns": [two]})
    attached = client.list_attached_role_policies(RoleName=role.id)["AttachedPolicies"]
    assert [item["PolicyArn"] for item in attached] == [two]
    role.delete()


def test_an_instance_profile_lives(make: Make, cloud: Moto) -> None:
    roles = [make(ROLE), make(ROLE)]
    for role in roles:
        role.create({"name": unique("role"), "assumeRolePolicy": json.dumps(TRUST)})
    profile, client = make(PROFILE), cloud.client("iam")
    inputs = {"name": unique("profile"), "role": roles[0].id, "tags": TAGS}
    assert profile.preview(inputs)["arn"] == UNKNOWN
    state = profile.create(inputs)
    assert state["arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/{profile.id}"
    assert state["uniqueId"]
    assert profile.refresh() == {}

    profile.update({**inputs, "role": roles[1].id, "tags": OTHER_TAGS})
    found = client.get_instance_profile(InstanceProfileName=profile.id)["InstanceProfile"]
    assert [role["RoleName"] for role in found["Roles"]] == [roles[1].id]
    assert profile.refresh() == {}

    client.remove_role_from_instance_profile(InstanceProfileName=profile.id, RoleName=roles[1].id)
    assert profile.refresh() == {"role": ""}
    profile.update({**inputs, "role": roles[1].id})
    profile.delete()
    assert profile.refresh() is None
    for role in roles:
        role.delete()


def test_a_profile_without_its_role_is_not_forgotten(make: Make, cloud: Moto) -> None:
    profile = make(PROFILE)
    name = unique("profile")
    text = profile.create_half({"name": name, "role": "nobody"})
    assert "creating IAM Instance Profile (it)" in text and "NoSuchEntity" in text
    assert profile.id == name
    profile.delete()
    names = [item["InstanceProfileName"] for item in cloud.client("iam").list_instance_profiles()["InstanceProfiles"]]
    assert name not in names

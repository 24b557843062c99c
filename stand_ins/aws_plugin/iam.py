"""IAM: roles, their inline policies, and instance profiles."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import Any

from stand_ins.aws_plugin import policy, tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, is_unknown
from stand_ins.aws_plugin.support import half_made, unsupported
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
_PATH = re.compile(r"/|/[!-\x7f]+/")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html"""


class Role(Resource):
    """A role: its id is its name."""

    token = "aws:iam/role:Role"
    kind = "IAM Role"
    replaces = frozenset({"name", "path"})
    defaults = {"forceDetachPolicies": False, "maxSessionDuration": 3600, "path": "/"}
    computed = frozenset({"arn", "createDate", "uniqueId", "managedPolicyArns"})
    sets = frozenset({"managedPolicyArns"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """Names, lengths, and the content of the trust policy."""
        found = [
            *_name_failures(inputs, 64),
            *tags.failures(inputs),
            *unsupported(inputs, "inlinePolicies", "namePrefix"),
        ]
        if problem := policy.trust_problem(inputs.get("assumeRolePolicy")):
            found.append(Failure("assumeRolePolicy", problem))
        seconds = inputs.get("maxSessionDuration")
        if isinstance(seconds, float | int) and not 3600 <= seconds <= 43200:
            reason = f"expected maxSessionDuration to be in the range (3600 - 43200), got {int(seconds)}"
            found.append(Failure("maxSessionDuration", reason))
        return found

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether an input has the same meaning in another form."""
        return name == "assumeRolePolicy" and policy.same(old, new)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it with its managed policies."""
        _refuse(policy.trust_problem(inputs["assumeRolePolicy"]))
        client = aws.client("iam")
        optional = {"Description": "description", "PermissionsBoundary": "permissionsBoundary"}
        role = client.create_role(
            RoleName=inputs["name"],
            Path=inputs["path"],
            AssumeRolePolicyDocument=policy.text(inputs["assumeRolePolicy"]),
            MaxSessionDuration=int(inputs["maxSessionDuration"]),
            Tags=tags.as_list(inputs.get("tags")),
            **{field: inputs[name] for field, name in optional.items() if inputs.get(name)},
        )["Role"]
        with half_made(role["RoleName"]):
            for arn in inputs.get("managedPolicyArns") or []:
                client.attach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
            return role["RoleName"], self._outputs(role["RoleName"], inputs, aws)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        return {name: found[name] for name in ("arn", "createDate", "uniqueId", "managedPolicyArns")}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The role with its managed policies."""
        client = aws.client("iam")
        role = client.get_role(RoleName=id)["Role"]
        attached = client.list_attached_role_policies(RoleName=id)["AttachedPolicies"]
        return {
            "name": role["RoleName"],
            "path": role["Path"],
            "description": role.get("Description", ""),
            "maxSessionDuration": role["MaxSessionDuration"],
            "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
            "assumeRolePolicy": policy.kept(state.get("assumeRolePolicy"), role["AssumeRolePolicyDocument"]),
            "forceDetachPolicies": state.get("forceDetachPolicies", False),
            "managedPolicyArns": sorted(item["PolicyArn"] for item in attached),
            "tags": tags.as_object(role.get("Tags", [])),
            "arn": role["Arn"],
            "createDate": _date(role["CreateDate"]),
            "uniqueId": role["RoleId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Everything except the name and the path, starting from the actual state."""
        client = aws.client("iam")
        old = {**old, **self.read(id, old, aws)}
        if not policy.same(old.get("assumeRolePolicy"), new["assumeRolePolicy"]):
            _refuse(policy.trust_problem(new["assumeRolePolicy"]))
            client.update_assume_role_policy(RoleName=id, PolicyDocument=policy.text(new["assumeRolePolicy"]))
        client.update_role(
            RoleName=id,
            Description=new.get("description", ""),
            MaxSessionDuration=int(new["maxSessionDuration"]),
        )
        _update_boundary(client, id, old, new)
        _update_tags(client, "role", {"RoleName": id}, old, new)
        if "managedPolicyArns" in new:
            before, after = set(old.get("managedPolicyArns") or []), set(new["managedPolicyArns"])
            for arn in before - after:
                client.detach_role_policy(RoleName=id, PolicyArn=arn)
            for arn in after - before:
                client.attach_role_policy(RoleName=id, PolicyArn=arn)
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """With the policies that the state has as attached; with `forceDetachPolicies` also with all others."""
        client = aws.client("iam")
        with suppress(client.exceptions.NoSuchEntityException):
            for profile in client.list_instance_profiles_for_role(RoleName=id)["InstanceProfiles"]:
                client.remove_role_from_instance_profile(
                    RoleName=id, InstanceProfileName=profile["InstanceProfileName"]
                )
            for arn in self._attached(client, id, state):
                client.detach_role_policy(RoleName=id, PolicyArn=arn)
            if state.get("forceDetachPolicies"):
                for name in client.list_role_policies(RoleName=id)["PolicyNames"]:
                    client.delete_role_policy(RoleName=id, PolicyName=name)
            client.delete_role(RoleName=id)

    def _attached(self, client: Any, id: str, state: Object) -> list[str]:
        """The managed policies to detach before a delete."""
        attached = [item["PolicyArn"] for item in client.list_attached_role_policies(RoleName=id)["AttachedPolicies"]]
        known = state.get("managedPolicyArns") or []
        return [arn for arn in attached if state.get("forceDetachPolicies") or arn in known]


class RolePolicy(Resource):
    """A policy that is part of a role: its id is `<role>:<name>`."""

    token = "aws:iam/rolePolicy:RolePolicy"
    kind = "IAM Role Policy"
    replaces = frozenset({"name", "role"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """Names, and the content of the policy."""
        found = [*_name_failures(inputs, 128), *unsupported(inputs, "namePrefix")]
        if problem := policy.inline_problem(inputs.get("policy")):
            found.append(Failure("policy", problem))
        return found

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether an input has the same meaning in another form."""
        return name == "policy" and policy.same(old, new)

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Put it."""
        self._put(inputs["role"], inputs["name"], inputs["policy"], aws)
        return f"{inputs['role']}:{inputs['name']}", {}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The policy."""
        role, _, name = id.partition(":")
        client = aws.client("iam")
        now = client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        return {"role": role, "name": name, "policy": policy.kept(state.get("policy"), now)}

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Put it in place of the old one."""
        role, _, name = id.partition(":")
        self._put(role, name, new["policy"], aws)
        return {}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        role, _, name = id.partition(":")
        aws.client("iam").delete_role_policy(RoleName=role, PolicyName=name)

    def _put(self, role: str, name: str, document: Value, aws: Aws) -> None:
        _refuse(policy.inline_problem(document))
        client = aws.client("iam")
        others = [other for other in client.list_role_policies(RoleName=role)["PolicyNames"] if other != name]
        length = policy.length(document)
        for other in others:
            length += policy.length(client.get_role_policy(RoleName=role, PolicyName=other)["PolicyDocument"])
        if length > policy.INLINE_LENGTH:
            limit = policy.INLINE_LENGTH
            raise Refused(f"LimitExceeded: Maximum policy size of {limit} bytes exceeded for role {role}")
        client.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy.text(document))


class RolePolicyAttachment(Resource):
    """A managed policy that is attached to a role: its id is `<role>/<ARN>`."""

    token = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    kind = "IAM Role Policy Attachment"
    replaces = frozenset({"policyArn", "role"})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Attach it."""
        aws.client("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}/{inputs['policyArn']}", {}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """Whether it is attached."""
        role, _, arn = id.partition("/")
        attached = aws.client("iam").list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        return {"role": role, "policyArn": arn} if arn in [item["PolicyArn"] for item in attached] else None

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Detach it."""
        role, _, arn = id.partition("/")
        client = aws.client("iam")
        with suppress(client.exceptions.NoSuchEntityException):
            client.detach_role_policy(RoleName=role, PolicyArn=arn)


class InstanceProfile(Resource):
    """An instance profile with at most one role: its id is its name."""

    token = "aws:iam/instanceProfile:InstanceProfile"
    kind = "IAM Instance Profile"
    replaces = frozenset({"name", "path"})
    defaults = {"path": "/"}
    computed = frozenset({"arn", "createDate", "uniqueId"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """Names and tags."""
        return [*_name_failures(inputs, 128), *tags.failures(inputs), *unsupported(inputs, "namePrefix")]

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it and add its role."""
        client = aws.client("iam")
        id = inputs["name"]
        client.create_instance_profile(
            InstanceProfileName=id, Path=inputs["path"], Tags=tags.as_list(inputs.get("tags"))
        )
        with half_made(id):
            if inputs.get("role"):
                client.add_role_to_instance_profile(InstanceProfileName=id, RoleName=inputs["role"])
            return id, self._outputs(id, inputs, aws)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        return {name: found[name] for name in ("arn", "createDate", "uniqueId")}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The profile with its role."""
        client = aws.client("iam")
        profile = client.get_instance_profile(InstanceProfileName=id)["InstanceProfile"]
        return {
            "name": profile["InstanceProfileName"],
            "path": profile["Path"],
            "role": profile["Roles"][0]["RoleName"] if profile["Roles"] else "",
            "tags": tags.as_object(profile.get("Tags", [])),
            "arn": profile["Arn"],
            "createDate": _date(profile["CreateDate"]),
            "uniqueId": profile["InstanceProfileId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The role and the tags, starting from the actual state."""
        client = aws.client("iam")
        old = self.read(id, old, aws)
        if old["role"] != new.get("role", ""):
            self._remove_role(client, id)
            if new.get("role"):
                client.add_role_to_instance_profile(InstanceProfileName=id, RoleName=new["role"])
        _update_tags(client, "instance_profile", {"InstanceProfileName": id}, old, new)
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Without its role, as AWS requires."""
        client = aws.client("iam")
        self._remove_role(client, id)
        client.delete_instance_profile(InstanceProfileName=id)

    def _remove_role(self, client: Any, id: str) -> None:
        for role in client.get_instance_profile(InstanceProfileName=id)["InstanceProfile"]["Roles"]:
            # Another client may remove it in the meantime: the profile must still be deleted.
            with suppress(client.exceptions.NoSuchEntityException):
                client.remove_role_from_instance_profile(InstanceProfileName=id, RoleName=role["RoleName"])


RESOURCES: dict[str, Resource] = {
    resource.token: resource for resource in (Role(), RolePolicy(), RolePolicyAttachment(), InstanceProfile())
}


def _refuse(problem: str | None) -> None:
    if problem is not None:
        raise Refused(problem)


def _date(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def _name_failures(inputs: Object, longest: int) -> list[Failure]:
    found = []
    name, path = inputs.get("name"), inputs.get("path")
    if isinstance(name, str) and not is_unknown(name) and not (_NAME.fullmatch(name) and len(name) <= longest):
        found.append(Failure("name", f"a name has 1 to {longest} letters, digits and _+=,.@-; got {name}"))
    if isinstance(path, str) and not is_unknown(path) and not _PATH.fullmatch(path):
        found.append(Failure("path", f"a path begins and ends with a slash; got {path}"))
    return found


def _update_boundary(client: Any, role: str, old: Object, new: Object) -> None:
    boundary = new.get("permissionsBoundary")
    if boundary == old.get("permissionsBoundary"):
        return
    if boundary:
        client.put_role_permissions_boundary(RoleName=role, PermissionsBoundary=boundary)
    elif old.get("permissionsBoundary"):
        client.delete_role_permissions_boundary(RoleName=role)


def _update_tags(client: Any, what: str, of: dict[str, str], old: Object, new: Object) -> None:
    expected, unwanted = tags.changes(old, new)
    if unwanted:
        getattr(client, f"untag_{what}")(**of, TagKeys=unwanted)
    if expected:
        getattr(client, f"tag_{what}")(**of, Tags=expected)

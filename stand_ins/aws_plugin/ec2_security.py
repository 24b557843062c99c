"""EC2: security groups, and each of their rules as a separate resource."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, ClassVar

from stand_ins.aws_plugin.ec2 import (
    Ec2Resource,
    arn,
    given,
    made,
    one,
    specification,
    tags_of,
    until_unused,
    update_tags,
    whole,
)
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object

_TEXT = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}")
"""https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html"""
_SOURCES = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")


class SecurityGroup(Ec2Resource):
    """A group without rules: AWS's default rule, which allows all outgoing traffic, is removed, as officially."""

    token = "aws:ec2/securityGroup:SecurityGroup"
    kind = "EC2 Security Group"
    supported = frozenset({"description", "name", "revokeRulesOnDelete", "vpcId"})
    replaces = frozenset({"description", "name", "vpcId"})
    defaults = {"description": "Managed by Pulumi", "revokeRulesOnDelete": False}
    computed = frozenset({"arn", "egress", "ingress", "ownerId", "vpcId"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """Names and descriptions that AWS accepts."""
        found = super().check(inputs)
        for name in ("name", "description"):
            found.extend(_text_failure(inputs, name))
        if str(inputs.get("name", "")).startswith("sg-"):
            found.append(Failure("name", "a security group's name cannot begin with sg-"))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it, and remove the default rule."""
        client = aws.client("ec2")
        if inputs.get("vpcId"):
            client.describe_vpcs(VpcIds=[inputs["vpcId"]])
        id = client.create_security_group(
            GroupName=inputs["name"],
            Description=inputs["description"],
            TagSpecifications=specification("security-group", inputs),
            **given(VpcId=inputs.get("vpcId")),
        )["GroupId"]
        with made(id):
            if everything := self._group(id, aws)["IpPermissionsEgress"]:
                client.revoke_security_group_egress(GroupId=id, IpPermissions=everything)
            return id, self.found(id, inputs, aws)

    def _group(self, id: str, aws: Aws) -> Any:
        [group] = aws.client("ec2").describe_security_groups(GroupIds=[id])["SecurityGroups"]
        return group

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The group. Its rules are not included: those of a program are separate resources."""
        group = self._group(id, aws)
        return {
            "arn": arn(aws, f"security-group/{id}"),
            "description": group["Description"],
            "egress": [],
            "ingress": [],
            "name": group["GroupName"],
            "ownerId": group.get("OwnerId", ""),
            "region": aws.region,
            "tags": tags_of(group),
            "vpcId": group.get("VpcId"),
        }

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it as soon as no machine and no other group's rule uses it, which moto does not check."""
        self._group(id, aws)
        until_unused(aws, id, lambda: self._unused(id, aws))
        aws.client("ec2").delete_security_group(GroupId=id)

    def _unused(self, id: str, aws: Aws) -> bool:
        client = aws.client("ec2")
        in_group = [{"Name": "group-id", "Values": [id]}]
        if client.describe_network_interfaces(Filters=in_group)["NetworkInterfaces"]:
            return False
        for kind in ("ip-permission", "egress.ip-permission"):
            refers = [{"Name": f"{kind}.group-id", "Values": [id]}]
            groups = client.describe_security_groups(Filters=refers)["SecurityGroups"]
            if any(group["GroupId"] != id for group in groups):
                return False
        return True


class _Rule(Ec2Resource):
    """What both directions share. moto can change only the ports and descriptions of rules with CIDR blocks."""

    supported = frozenset({"description", "fromPort", "ipProtocol", "securityGroupId", "toPort", *_SOURCES})
    replaces = frozenset({"securityGroupId"})
    computed = frozenset({"arn", "securityGroupRuleId"})
    direction: ClassVar[str]

    def check(self, inputs: Object) -> list[Failure]:
        """One source, ports that fit the protocol, and networks."""
        found = super().check(inputs)
        if sum(name in inputs for name in _SOURCES) != 1:
            found.append(Failure("cidrIpv4", f"exactly one of [{', '.join(_SOURCES)}] must be specified"))
        found.extend(_text_failure(inputs, "description"))
        found.extend(_port_failures(inputs))
        for name, network in (("cidrIpv4", ipaddress.IPv4Network), ("cidrIpv6", ipaddress.IPv6Network)):
            text = inputs.get(name)
            if isinstance(text, str) and not is_unknown(text):
                try:
                    network(text)
                except ValueError as error:
                    found.append(Failure(name, f'"{text}" is not a valid CIDR block: {error}'))
        return found

    def replaced_by(self, old: Object, new: Object) -> frozenset[str]:
        """Everything except the description, if the kinds of source before and after differ."""
        if all("cidrIpv4" in inputs and inputs.get("ipProtocol") != "-1" for inputs in (old, new)):
            return frozenset()
        return frozenset({"fromPort", "ipProtocol", "toPort", *_SOURCES})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Add it to its group. AWS reports an error for a group that does not exist; moto accepts any."""
        client = aws.client("ec2")
        if inputs.get("referencedSecurityGroupId"):
            client.describe_security_groups(GroupIds=[inputs["referencedSecurityGroupId"]])
        authorize = getattr(client, f"authorize_security_group_{self.direction}")
        rule = authorize(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[_permission(inputs)],
            TagSpecifications=specification("security-group-rule", inputs),
        )["SecurityGroupRules"][0]
        id = rule["SecurityGroupRuleId"]
        return id, self.found(id, inputs, aws)

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The rule."""
        by_id = [{"Name": "security-group-rule-id", "Values": [id]}]
        rule = one(aws.client("ec2").describe_security_group_rules(Filters=by_id)["SecurityGroupRules"])
        if rule is None:
            return None
        everything = rule["IpProtocol"] == "-1"
        return {
            "arn": arn(aws, f"security-group-rule/{id}"),
            "cidrIpv4": rule.get("CidrIpv4"),
            "cidrIpv6": rule.get("CidrIpv6"),
            "description": rule.get("Description") or None,
            "fromPort": None if everything else rule.get("FromPort"),
            "ipProtocol": rule["IpProtocol"],
            "prefixListId": rule.get("PrefixListId"),
            "referencedSecurityGroupId": (rule.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "region": aws.region,
            "securityGroupId": rule["GroupId"],
            "securityGroupRuleId": id,
            "tags": tags_of(rule),
            "toPort": None if everything else rule.get("ToPort"),
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Change ports, network or description in place."""
        client = aws.client("ec2")
        changed = {name for name in self.supported if old.get(name) != new.get(name)}
        if changed == {"description"}:
            describe = getattr(client, f"update_security_group_rule_descriptions_{self.direction}")
            describe(GroupId=new["securityGroupId"], IpPermissions=[_permission(new)])
        elif changed:
            change = {"SecurityGroupRuleId": id, "SecurityGroupRule": _request(new)}
            client.modify_security_group_rules(GroupId=new["securityGroupId"], SecurityGroupRules=[change])
        update_tags(id, old, new, aws)
        return self.found(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it from its group."""
        revoke = getattr(aws.client("ec2"), f"revoke_security_group_{self.direction}")
        revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


class IngressRule(_Rule):
    """Allows incoming traffic."""

    token = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    kind = "VPC Security Group Ingress Rule"
    direction = "ingress"


class EgressRule(_Rule):
    """Allows outgoing traffic."""

    token = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    kind = "VPC Security Group Egress Rule"
    direction = "egress"


def _port_failures(inputs: Object) -> list[Failure]:
    """Why AWS refuses the ports."""
    ports = {name: inputs[name] for name in ("fromPort", "toPort") if name in inputs}
    protocol = inputs.get("ipProtocol")
    if any(is_unknown(value) for value in (protocol, *ports.values())):
        return []
    if protocol == "-1":
        return [Failure(name, f"{name} has no meaning where `ipProtocol` is -1, all protocols") for name in ports]
    if protocol not in ("tcp", "udp", "6", "17"):
        return []
    if len(ports) < 2:
        reason = (
            "InvalidParameterValue: Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange"
        )
        return [Failure("fromPort", reason)]
    found = [
        Failure(name, f"expected {name} to be in the range (0 - 65535), got {value:g}")
        for name, value in ports.items()
        if not 0 <= value <= 65535
    ]
    if not found and ports["fromPort"] > ports["toPort"]:
        reason = f"InvalidParameterValue: Invalid TCP/UDP port range ({ports['fromPort']:g}:{ports['toPort']:g})"
        found.append(Failure("fromPort", reason))
    return found


def _text_failure(inputs: Object, name: str) -> list[Failure]:
    text = inputs.get(name)
    if not isinstance(text, str) or is_unknown(text) or _TEXT.fullmatch(text):
        return []
    return [Failure(name, f"{name} has at most 255 characters, of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{{}}!$*")]


def _permission(inputs: Object) -> Object:
    """The parameters for adding the rule."""
    text = given(Description=inputs.get("description"))
    sources = {
        "cidrIpv4": ("IpRanges", "CidrIp"),
        "cidrIpv6": ("Ipv6Ranges", "CidrIpv6"),
        "prefixListId": ("PrefixListIds", "PrefixListId"),
        "referencedSecurityGroupId": ("UserIdGroupPairs", "GroupId"),
    }
    found = [(*sources[name], inputs[name]) for name in sources if inputs.get(name)]
    if len(found) != 1:
        raise Refused(f"a rule has one source, this has {len(found)}")
    [(group, key, value)] = found
    return {
        "IpProtocol": inputs["ipProtocol"],
        group: [{key: value, **text}],
        **given(FromPort=whole(inputs.get("fromPort")), ToPort=whole(inputs.get("toPort"))),
    }


def _request(inputs: Object) -> Object:
    """The parameters for changing the rule."""
    return given(
        IpProtocol=inputs["ipProtocol"],
        FromPort=whole(inputs.get("fromPort")),
        ToPort=whole(inputs.get("toPort")),
        CidrIpv4=inputs.get("cidrIpv4"),
        CidrIpv6=inputs.get("cidrIpv6"),
        PrefixListId=inputs.get("prefixListId"),
        ReferencedGroupId=inputs.get("referencedSecurityGroupId"),
        Description=inputs.get("description"),
    )


RESOURCES: dict[str, Resource] = {
    resource.token: resource for resource in (SecurityGroup(), IngressRule(), EgressRule())
}

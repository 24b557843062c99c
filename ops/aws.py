"""AWS resources with a stack's tags: which are missing from its state, and what a killed run has created.

Region, profile and endpoints are those of the provider in the state; credentials come from the environment, as for the
plugin, and must be of the account in which the state's resources are.
"""

import contextlib
import itertools
import json
import os
import re
import shlex
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from textwrap import indent
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from automation.deployment import AWS_PROVIDER
from automation.pending import Operation
from components.aws import names
from components.naming import PROJECT
from ops.errors import OpsError

ENDED = ("terminated", "shutting-down", "deleted", "deleting")
"""States of what no longer exists, but is shown for a while."""

COSTLY = (
    "aws:ec2/instance:Instance",
    "aws:ec2/natGateway:NatGateway",
    "aws:ec2/eip:Eip",
    "aws:ebs/volume:Volume",
    "aws:route53/zone:Zone",
    "aws:lb/loadBalancer:LoadBalancer",
)
"""Types that cost money even if nobody uses them: what was just created may be missing from AWS's first answer."""

PAUSE, ANSWERS = 4.0, 6
"""Seconds between two answers; maximum number of answers."""

_HEALING = (
    "cloudwatch/eventRule:EventRule",
    "cloudwatch/eventApiDestination:EventApiDestination",
    "cloudwatch/eventConnection:EventConnection",
)
"""Types in EventBridge, in an order in which they can be deleted."""

_BALANCING = ("lb/listener:Listener", "lb/loadBalancer:LoadBalancer", "lb/targetGroup:TargetGroup")
"""Types of a load balancer, in an order in which they can be deleted."""

_MOST_ARNS = 20
"""Of a request for tags: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTags.html."""

_SNAPSHOTS = "dlm/lifecyclePolicy:LifecyclePolicy"

_ELSEWHERE = ("route53/zone:Zone", "iam/instanceProfile:InstanceProfile", "iam/role:Role", "s3/bucket:Bucket")
"""Types in other services."""

_OF_BUCKETS = (
    "LifecycleConfiguration",
    "OwnershipControls",
    "Policy",
    "PublicAccessBlock",
    "ServerSideEncryptionConfiguration",
    "Versioning",
)

_APEX = ("NS", "SOA")
"""Types of the records that a zone always has."""


@dataclass(frozen=True)
class Kind:
    """A kind of resources in EC2, with the API's names."""

    type: str
    """Type in Pulumi; here without `aws:`."""
    call: str
    key: str
    id: str
    delete: str
    """What the AWS CLI needs to delete one."""


EC2 = (
    Kind(
        "ec2/instance:Instance",
        "describe_instances",
        "Reservations",
        "InstanceId",
        "terminate-instances --instance-ids",
    ),
    Kind("ebs/volume:Volume", "describe_volumes", "Volumes", "VolumeId", "delete-volume --volume-id"),
    Kind(
        "ec2/natGateway:NatGateway",
        "describe_nat_gateways",
        "NatGateways",
        "NatGatewayId",
        "delete-nat-gateway --nat-gateway-id",
    ),
    Kind("ec2/eip:Eip", "describe_addresses", "Addresses", "AllocationId", "release-address --allocation-id"),
    Kind(
        "ec2/networkInterface:NetworkInterface",
        "describe_network_interfaces",
        "NetworkInterfaces",
        "NetworkInterfaceId",
        "delete-network-interface --network-interface-id",
    ),
    Kind(
        "ec2/vpcEndpoint:VpcEndpoint",
        "describe_vpc_endpoints",
        "VpcEndpoints",
        "VpcEndpointId",
        "delete-vpc-endpoints --vpc-endpoint-ids",
    ),
    # A group without machines costs nothing, but the next `up` cannot create another one with its name
    Kind(
        "ec2/placementGroup:PlacementGroup",
        "describe_placement_groups",
        "PlacementGroups",
        "GroupName",
        "delete-placement-group --group-name",
    ),
    Kind("ec2/keyPair:KeyPair", "describe_key_pairs", "KeyPairs", "KeyName", "delete-key-pair --key-name"),
    Kind(
        "vpc/securityGroupIngressRule:SecurityGroupIngressRule",
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "revoke-security-group-ingress --group-id {GroupId} --security-group-rule-ids",
    ),
    Kind(
        "vpc/securityGroupEgressRule:SecurityGroupEgressRule",
        "describe_security_group_rules",
        "SecurityGroupRules",
        "SecurityGroupRuleId",
        "revoke-security-group-egress --group-id {GroupId} --security-group-rule-ids",
    ),
    Kind(
        "ec2/securityGroup:SecurityGroup",
        "describe_security_groups",
        "SecurityGroups",
        "GroupId",
        "delete-security-group --group-id",
    ),
    Kind("ec2/subnet:Subnet", "describe_subnets", "Subnets", "SubnetId", "delete-subnet --subnet-id"),
    Kind(
        "ec2/routeTable:RouteTable",
        "describe_route_tables",
        "RouteTables",
        "RouteTableId",
        "delete-route-table --route-table-id",
    ),
    Kind(
        "ec2/internetGateway:InternetGateway",
        "describe_internet_gateways",
        "InternetGateways",
        "InternetGatewayId",
        "delete-internet-gateway --internet-gateway-id",
    ),
    Kind("ec2/vpc:Vpc", "describe_vpcs", "Vpcs", "VpcId", "delete-vpc --vpc-id"),
)
"""In an order in which they can be deleted."""

_WAITERS = {
    "aws:ec2/instance:Instance": "instance-terminated --instance-ids",
    "aws:ec2/natGateway:NatGateway": "nat-gateway-deleted --nat-gateway-ids",
}
"""Types that keep addresses, volumes, interfaces and groups until their deletion has been completed."""


@dataclass(frozen=True)
class Resource:
    """A resource with the tags of a stack."""

    type: str
    """As in Pulumi."""
    id: str
    """As in Pulumi."""
    name: str
    """Its tag `Name`."""
    delete: str
    """The commands of the AWS CLI that delete it, and all that must be deleted before; one a line."""


@dataclass(frozen=True)
class Orphans:
    """The result: AWS resources of the stack that are missing from its state."""

    stack: str
    region: str
    found: Sequence[Resource] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        if not self.found:
            return f"no AWS resources of stack {self.stack} in {self.region} are missing from its state"
        lines = [f"{it.type}  {it.id}  {it.name}\n{indent(it.delete, '    ')}" for it in self.found]
        return "\n".join(
            [
                *lines,
                f"{len(self.found)} resources in {self.region} have the tags of stack {self.stack}, and are missing "
                "from its state. If nobody needs them, delete them with the commands above, in this order",
            ]
        )


class Aws:
    """The account and region of a deployment's AWS provider. The methods raise OpsError."""

    def __init__(
        self,
        stack: str,
        deployment: Mapping[str, Any],
        *,
        region: str = "",
        variables: Mapping[str, str] = os.environ,
        account: str = "",
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`region` is for a state without a provider, `variables` the environment with the credentials, `account` what
        the user says is the stack's account, for a state that does not name it.
        """
        self._stack = stack
        self._deployment = deployment
        self._variables = variables
        self._account = account
        self._sleep = sleep
        self._provider = provider(deployment)
        self._clients: dict[str, Any] = {}
        self.region = str(self._provider.get("region") or region)
        if not self.region:
            raise OpsError(f"stack {stack}: its state names no region of AWS: expected the option --region")

    # Pending creations

    def find(self, operations: Sequence[Operation]) -> dict[str, list[str]]:
        """Ids of what may be the result of these pending creations, by URN."""
        if foreign := [str(it) for it in operations if it.type not in KNOWN]:
            raise OpsError(
                f"what became of {', '.join(foreign)} only you can find out, since it is neither a step on a host nor "
                f"of a type that is looked for on AWS: `pulumi refresh --stack {self._stack}` in a terminal asks for "
                "each"
            )
        with _reported():
            known = self._check_account(operations)
            found = self._answer(operations)
            costly = [it for it in operations if it.type in COSTLY]
            if costly:
                found = self._same_twice(operations, found)
        if costly and not known and not any(found.values()):
            raise OpsError(
                f"AWS account {self._mine} has nothing of what was being created, and the state of stack "
                f"{self._stack} does not name its account: in another account it may exist. If the account is right: "
                f"`python -m ops pending --stack {self._stack} --account {self._mine}`"
            )
        return found

    def _answer(self, operations: Sequence[Operation]) -> dict[str, list[str]]:
        unknown = self._unknown(types={it.type for it in operations})
        return {it.urn: sorted(self._results(it, unknown)) for it in operations}

    def _same_twice(self, operations: Sequence[Operation], found: dict[str, list[str]]) -> dict[str, list[str]]:
        for _ in range(ANSWERS - 1):
            self._sleep(PAUSE)
            before, found = found, self._answer(operations)
            if found == before:
                return found
        raise OpsError(
            f"AWS's answers to what it has of stack {self._stack} still change: is another run working on it? Wait, "
            "then run the same command again"
        )

    def _results(self, operation: Operation, unknown: Sequence[Resource]) -> list[str]:
        inputs = operation.resource.get("inputs") or {}
        if computed := _COMPUTED.get(operation.type):
            try:
                return [id for id in [computed(self, inputs)] if id]
            except ClientError as error:
                if _is_gone(error):  # the table, volume or zone in which it would be
                    return []
                raise
        name = (inputs.get("tags") or {}).get("Name") or inputs.get("name")
        found = [it.id for it in unknown if it.type == operation.type and it.name == name]
        if not found and (untagged := _UNTAGGED.get(operation.type)):
            known = {it.get("id") for it in self._deployment.get("resources") or []}
            found = [id for id in untagged(self, inputs) if id not in known]
        return found

    # The plugin creates buckets and zones without tags, and adds these afterwards. What has no tags is adopted only if
    # it has the exact name, and nothing in it that could be somebody's

    def _untagged_bucket(self, inputs: Mapping[str, Any]) -> Iterator[str]:
        s3, name = self._client("s3"), str(inputs.get("bucket"))
        if name not in [it["Name"] for it in s3.list_buckets()["Buckets"]]:
            return
        try:
            tagged = bool(s3.get_bucket_tagging(Bucket=name)["TagSet"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchTagSet":
                raise
            tagged = False
        if not tagged and not s3.list_objects_v2(Bucket=name, MaxKeys=1).get("KeyCount"):
            yield name

    def _untagged_zone(self, inputs: Mapping[str, Any]) -> Iterator[str]:
        route53, name = self._client("route53"), str(inputs.get("name")).rstrip(".")
        vpcs = {it.get("vpcId") for it in inputs.get("vpcs") or []}
        for zone in items(route53, "list_hosted_zones", "HostedZones"):
            if zone["Name"].rstrip(".") != name or zone.get("ResourceRecordSetCount", 0) > len(_APEX):
                continue
            id = zone["Id"].removeprefix("/hostedzone/")
            tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=id)["ResourceTagSet"]["Tags"]
            there = {it["VPCId"] for it in route53.get_hosted_zone(Id=id).get("VPCs") or []}
            if not tags and there == vpcs:
                yield id

    def _route(self, inputs: Mapping[str, Any]) -> str | None:
        table, destination = inputs["routeTableId"], inputs["destinationCidrBlock"]
        routes = (route for it in self._tables([table]) for route in it["Routes"])
        found = any(route.get("DestinationCidrBlock") == destination for route in routes)
        # The plugin's own id: https://github.com/hashicorp/terraform-provider-aws, routeCreateID
        return f"r-{table}{zlib.crc32(destination.encode())}" if found else None

    def _association(self, inputs: Mapping[str, Any]) -> str | None:
        for table in self._tables([inputs["routeTableId"]]):
            for association in table["Associations"]:
                if association.get("SubnetId") == inputs["subnetId"]:
                    return str(association["RouteTableAssociationId"])
        return None

    def _attachment(self, inputs: Mapping[str, Any]) -> str | None:
        volume, instance, device = inputs["volumeId"], inputs["instanceId"], inputs["deviceName"]
        found = self._client("ec2").describe_volumes(VolumeIds=[volume])["Volumes"]
        there = any(it["InstanceId"] == instance for each in found for it in each["Attachments"])
        # As for a route, volumeAttachmentID
        return f"vai-{zlib.crc32(f'{device}-{instance}-{volume}-'.encode())}" if there else None

    def _record(self, inputs: Mapping[str, Any]) -> str | None:
        zone, name, kind = inputs["zoneId"], inputs["name"], inputs["type"]
        found = self._client("route53").list_resource_record_sets(
            HostedZoneId=zone, StartRecordName=name, StartRecordType=kind, MaxItems="1"
        )["ResourceRecordSets"]
        there = any(it["Name"].rstrip(".") == name.rstrip(".") and it["Type"] == kind for it in found)
        return f"{zone}_{name}_{kind}" if there else None

    def _target(self, inputs: Mapping[str, Any]) -> str | None:
        rule, target = inputs["rule"], inputs["targetId"]
        found = items(self._client("events"), "list_targets_by_rule", "Targets", Rule=rule)
        # The plugin's own id, targetCreateResourceID
        return f"{rule}-{target}" if any(it["Id"] == target for it in found) else None

    def _tables(self, ids: list[str]) -> list[Any]:
        return list(self._client("ec2").describe_route_tables(RouteTableIds=ids)["RouteTables"])

    # Orphans

    def orphans(self, deployment: Mapping[str, Any] | None = None) -> Orphans:
        """What has the stack's tags, and is missing from its state: the deployment of this object, or another."""
        with _reported():
            self._check_account()
            return Orphans(self._stack, self.region, self._unknown(deployment))

    @contextlib.contextmanager
    def asked(self) -> Iterator[Any]:
        """A client for EC2, whose errors in this block are OpsErrors."""
        with _reported():
            self._check_account()
            yield self._client("ec2")

    def _unknown(self, deployment: Mapping[str, Any] | None = None, types: Collection[str] = ()) -> list[Resource]:
        """`types` are the only ones of interest; without them all are."""
        resources = (self._deployment if deployment is None else deployment).get("resources") or []
        known = {(it["type"], it.get("id")) for it in resources}
        tagged = self._tagged({id for _, id in known if id}, types)
        found = [it for it in tagged if (it.type, it.id) not in known]
        for type, waiter in _WAITERS.items():
            if ids := [it.id for it in found if it.type == type]:
                last = max(place for place, it in enumerate(found) if it.type == type)
                wait = f"aws --region {self.region} ec2 wait {waiter} {' '.join(ids)}"
                found[last] = replace(found[last], delete=f"{found[last].delete}\n{wait}")
        return found

    def _tagged(self, known: set[str], types: Collection[str]) -> Iterator[Resource]:
        """Everything with the stack's tags; of what has an id in `known` perhaps not everything."""
        parts: set[str] = set()

        def of(*made: str) -> bool:
            return not types or not {f"aws:{it}" for it in made}.isdisjoint(types)

        # Before the machines, whose end would be reported
        if of(*_HEALING):
            yield from self._healing()
        # Before the groups and subnets that it is in
        if of(*_BALANCING):
            yield from self._balancing()
        for kind in EC2:
            yield from self._in_ec2(kind, parts)
        if of(_SNAPSHOTS):
            yield from self._snapshots()
        yield from self._zones()
        yield from self._roles()
        yield from self._buckets(known)

    def _healing(self) -> Iterator[Resource]:
        events, whole = self._client("events"), names.healing(self._stack)
        rule, destination, connection = _HEALING
        for it in items(events, "list_rules", "Rules", NamePrefix=f"{whole}-"):
            tags = _tags(events.list_tags_for_resource(ResourceARN=it["Arn"])["Tags"])
            if self._ours(tags):
                targets = [each["Id"] for each in items(events, "list_targets_by_rule", "Targets", Rule=it["Name"])]
                before = [f"events remove-targets --rule {it['Name']} --ids {' '.join(targets)}"] if targets else []
                yield self._resource(rule, it["Name"], tags, *before, f"events delete-rule --name {it['Name']}")
        # These have no tags, and a name that is the stack's
        for type, call, key, word in (
            (destination, "list_api_destinations", "ApiDestinations", "api-destination"),
            (connection, "list_connections", "Connections", "connection"),
        ):
            for it in items(events, call, key, NamePrefix=whole):
                if it["Name"] == whole:
                    yield self._resource(type, whole, {"Name": whole}, f"events delete-{word} --name {whole}")

    def _balancing(self) -> Iterator[Resource]:
        elb, (listener, balancer, group) = self._client("elbv2"), _BALANCING
        try:
            balancers = [it["LoadBalancerArn"] for it in items(elb, "describe_load_balancers", "LoadBalancers")]
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                raise
            return  # who may not even list them has created none (docs/iam/load-balancer-policy.json)
        ours = [arn for arn, _ in self._with_tags(balancers)]
        listeners = [
            it["ListenerArn"]
            for arn in ours
            for it in items(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn)
        ]
        groups = [it["TargetGroupArn"] for it in items(elb, "describe_target_groups", "TargetGroups")]
        for type, word, arns in (
            (listener, "listener", listeners),
            (balancer, "load-balancer", balancers),
            (group, "target-group", groups),
        ):
            for arn, tags in self._with_tags(arns):
                # Whatever uses it must have ended
                after = [f"elbv2 wait load-balancers-deleted --load-balancer-arns {arn}"] if type == balancer else []
                yield self._resource(type, arn, tags, f"elbv2 delete-{word} --{word}-arn {arn}", *after)

    def _with_tags(self, arns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
        """Those of a load balancer's parts that are the stack's."""
        for start in range(0, len(arns), _MOST_ARNS):
            some = list(arns[start:][:_MOST_ARNS])
            for it in self._client("elbv2").describe_tags(ResourceArns=some)["TagDescriptions"]:
                if self._ours(tags := _tags(it["Tags"])):
                    yield it["ResourceArn"], tags

    def _snapshots(self) -> Iterator[Resource]:
        for it in self._client("dlm").get_lifecycle_policies()["Policies"]:
            tags = it.get("Tags") or {}
            if self._ours(tags):
                id = it["PolicyId"]
                yield self._resource(_SNAPSHOTS, id, tags, f"dlm delete-lifecycle-policy --policy-id {id}")

    def _in_ec2(self, kind: Kind, parts: set[str]) -> Iterator[Resource]:
        """`parts` are the ids of volumes that are deleted together with their machines; machines add to it."""
        filters = [{"Name": f"tag:{key}", "Values": [value]} for key, value in self._tags.items()]
        for item in items(self._client("ec2"), kind.call, kind.key, Filters=filters):
            for each in item["Instances"] if kind.key == "Reservations" else [item]:
                mappings = (it.get("Ebs") or {} for it in each.get("BlockDeviceMappings") or [])
                parts |= {it["VolumeId"] for it in mappings if it.get("DeleteOnTermination")}
                if each.get(kind.id, "") not in {"", *parts} and exists(each) and not _part(each) and _is(kind, each):
                    id, command = each[kind.id], kind.delete.format(**each)
                    attached = [it["VpcId"] for it in each.get("Attachments") or [] if "VpcId" in it]
                    before = [
                        f"ec2 detach-internet-gateway --internet-gateway-id {id} --vpc-id {it}" for it in attached
                    ]
                    yield self._resource(kind.type, id, _tags(each["Tags"]), *before, f"ec2 {command} {id}")

    def _zones(self) -> Iterator[Resource]:
        route53 = self._client("route53")
        for zone in items(route53, "list_hosted_zones", "HostedZones"):
            if zone["Name"].rstrip(".") != names.domain(self._stack):
                continue
            id = zone["Id"].removeprefix("/hostedzone/")
            answer = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=id)
            tags = _tags(answer["ResourceTagSet"]["Tags"])
            if self._ours(tags):
                commands = [*self._record_deletions(id), f"route53 delete-hosted-zone --id {id}"]
                yield self._resource("route53/zone:Zone", id, tags, *commands)

    def _record_deletions(self, zone: str) -> Iterator[str]:
        for record in items(
            self._client("route53"), "list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone
        ):
            if record["Type"] not in _APEX:
                batch = json.dumps({"Changes": [{"Action": "DELETE", "ResourceRecordSet": record}]})
                yield f"route53 change-resource-record-sets --hosted-zone-id {zone} --change-batch {shlex.quote(batch)}"

    def _roles(self) -> Iterator[Resource]:
        iam = self._client("iam")
        for name, (type, call, key) in itertools.product(
            names.roles(self._stack, self.region),
            (
                ("iam/instanceProfile:InstanceProfile", "get_instance_profile", "InstanceProfile"),
                ("iam/role:Role", "get_role", "Role"),
            ),
        ):
            try:
                found = getattr(iam, call)(**{f"{key}Name": name})[key]
            except iam.exceptions.NoSuchEntityException:
                continue
            tags = _tags(found.get("Tags"))
            if self._ours(tags):
                words = re.sub("([A-Z])", r"-\1", key).lower()
                before = self._policy_deletions(name) if key == "Role" else _role_removals(found)
                yield self._resource(type, name, tags, *before, f"iam delete{words} --{words[1:]}-name {name}")

    def _policy_deletions(self, role: str) -> Iterator[str]:
        iam = self._client("iam")
        for name in items(iam, "list_role_policies", "PolicyNames", RoleName=role):
            yield f"iam delete-role-policy --role-name {role} --policy-name {name}"
        for attached in items(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=role):
            yield f"iam detach-role-policy --role-name {role} --policy-arn {attached['PolicyArn']}"

    def _buckets(self, known: set[str]) -> Iterator[Resource]:
        s3 = self._client("s3")
        for bucket in s3.list_buckets()["Buckets"]:
            name = bucket["Name"]
            if name in known:
                continue
            try:
                tags = _tags(s3.get_bucket_tagging(Bucket=name)["TagSet"])
            except ClientError:  # it has no tags, or is none of ours to look at
                continue
            if self._ours(tags):
                yield self._resource("s3/bucket:Bucket", name, tags, f"s3 rb s3://{name}  # only an empty one")

    def _resource(self, type: str, id: str, tags: Mapping[str, str], *commands: str) -> Resource:
        lines = "\n".join(f"aws --region {self.region} {it}" for it in commands)
        return Resource(f"aws:{type}", id, tags.get("Name", ""), lines)

    @property
    def _tags(self) -> dict[str, str]:
        return {"stack": self._stack, "project": PROJECT}

    def _ours(self, tags: Mapping[str, str]) -> bool:
        return self._tags.items() <= tags.items()

    # The account

    def _check_account(self, operations: Sequence[Operation] = ()) -> bool:
        """Refuse credentials of another account, in which nothing of the stack would be found. Returns whether the
        account is known: from the state, these pending operations, or the user.
        """
        resources = [*(self._deployment.get("resources") or []), *(it.resource for it in operations)]
        arns = (str((it.get("outputs") or {}).get("arn", "")) for it in resources)
        accounts = {parts[4] for arn in arns if len(parts := arn.split(":")) > 5 and parts[4].isdigit()}
        if not accounts:
            # The bucket's default name contains it, and the plugin refuses others than those that are allowed
            names = (str((it.get("inputs") or {}).get("bucket", "")) for it in resources)
            accounts = {id for name in names for id in re.findall(rf"-(\d{{12}})-{self.region}$", name)}
            accounts = accounts or set(re.findall(r"\d{12}", str(self._provider.get("allowedAccountIds", ""))))
        accounts = accounts or {self._account} - {""}
        if accounts and self._mine not in accounts:
            raise OpsError(
                f"the credentials in the environment are of AWS account {self._mine}, but stack {self._stack} is in "
                f"{', '.join(sorted(accounts))}: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return bool(accounts)

    @cached_property
    def _mine(self) -> str:
        return str(self._client("sts").get_caller_identity()["Account"])

    @cached_property
    def _session(self) -> Any:
        keys: dict[str, Any] = {name.lower(): self._variables.get(name) for name in _KEYS}
        # A secret key is encrypted in the state: then the environment must have the credentials
        if isinstance(self._provider.get("accessKey"), str) and isinstance(self._provider.get("secretKey"), str):
            keys = {name.lower(): self._provider.get(key) for name, key in _KEYS.items()}
        return boto3.Session(profile_name=self._provider.get("profile") or None, region_name=self.region, **keys)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            style: Any = "path" if self._provider.get("s3UsePathStyle") == "true" else "auto"
            config = Config(s3={"addressing_style": style}, retries={"mode": "standard", "max_attempts": 5})
            endpoints = json.loads(self._provider.get("endpoints") or "[]")
            url = next((it[service] for it in endpoints if it.get(service)), None)
            self._clients[service] = self._session.client(service, endpoint_url=url, config=config)
        return self._clients[service]


_KEYS = {"AWS_ACCESS_KEY_ID": "accessKey", "AWS_SECRET_ACCESS_KEY": "secretKey", "AWS_SESSION_TOKEN": "token"}
"""Credentials, by the variable of the environment: the provider's inputs."""

_COMPUTED: dict[str, Callable[[Aws, Mapping[str, Any]], str | None]] = {
    "aws:ec2/route:Route": Aws._route,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": Aws._association,
    "aws:ec2/volumeAttachment:VolumeAttachment": Aws._attachment,
    "aws:route53/record:Record": Aws._record,
    # It would be written again, but its rule cannot be deleted while it is there
    "aws:cloudwatch/eventTarget:EventTarget": Aws._target,
}
"""Types without tags that cannot be created twice. Their ids follow from their inputs."""

SETTINGS = (
    *(f"aws:s3/bucket{it}:Bucket{it}" for it in _OF_BUCKETS),
    "aws:iam/rolePolicy:RolePolicy",
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
    "aws:lb/targetGroupAttachment:TargetGroupAttachment",
)
"""Types that are parts of a bucket, a role or a target group: they are written again, and deleted together with it."""

KNOWN = frozenset(
    [
        *(f"aws:{it}" for it in (*(kind.type for kind in EC2), *_HEALING, *_BALANCING, _SNAPSHOTS, *_ELSEWHERE)),
        *_COMPUTED,
        *SETTINGS,
    ]
)
"""Types of which a killed creation is found, or leaves nothing. A test compares them with those of the program."""

_UNTAGGED: dict[str, Callable[[Aws, Mapping[str, Any]], Iterator[str]]] = {
    "aws:s3/bucket:Bucket": Aws._untagged_bucket,
    "aws:route53/zone:Zone": Aws._untagged_zone,
}
"""Types that the plugin creates without tags, which it adds afterwards."""


def _is_gone(error: ClientError) -> bool:
    code = str(error.response["Error"]["Code"])
    return code.endswith(".NotFound") or code in ("NoSuchHostedZone", "ResourceNotFoundException")


def provider(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of the AWS provider in a deployment; empty if it has none."""
    found = [it for it in deployment.get("resources") or [] if it["type"] == AWS_PROVIDER and not it.get("delete")]
    return dict(found[0].get("inputs") or {}) if found else {}


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Turn an error of AWS into OpsError."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise OpsError(f"AWS cannot be asked what it has of the stack: {error}") from None


def _role_removals(profile: Mapping[str, Any]) -> Iterator[str]:
    name = profile["InstanceProfileName"]
    for role in profile.get("Roles") or []:
        yield f"iam remove-role-from-instance-profile --instance-profile-name {name} --role-name {role['RoleName']}"


def items(client: Any, call: str, key: str, **arguments: Any) -> Iterator[Any]:
    """What a request lists below `key`, on all pages."""
    if not client.can_paginate(call):
        yield from getattr(client, call)(**arguments)[key]
        return
    for page in client.get_paginator(call).paginate(**arguments):
        yield from page[key]


def exists(item: Mapping[str, Any]) -> bool:
    """Whether it is not just being deleted."""
    state = item.get("State", "")
    return str(state["Name"] if isinstance(state, dict) else state).lower() not in ENDED


def _part(item: Mapping[str, Any]) -> bool:
    """Whether a network interface is deleted with the machine or by the service that it is of."""
    return bool(item.get("RequesterManaged") or (item.get("Attachment") or {}).get("DeleteOnTermination"))


def _is(kind: Kind, item: Mapping[str, Any]) -> bool:
    """Rules of security groups have one call and two types."""
    return "IsEgress" not in item or item["IsEgress"] == ("Egress" in kind.type)


def _tags(tags: Sequence[Mapping[str, str]] | None) -> dict[str, str]:
    return {it["Key"]: it["Value"] for it in tags or ()}

"""Elastic Load Balancing: application load balancers, their listeners with one action, target groups and targets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.aws_plugin.support import half_made, unsupported_but
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

NAME_LENGTH = 32
"""https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html"""
POLICIES = (
    *("ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS13-1-2-2021-06", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"),
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
)
"""Of AWS's policies those that somebody may want here; it refuses unknown ones, moto does not."""

_ATTRIBUTES = {
    "clientKeepAlive": "client_keep_alive.seconds",
    "desyncMitigationMode": "routing.http.desync_mitigation_mode",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
    "enableHttp2": "routing.http2.enabled",
    "enableTlsVersionAndCipherSuiteHeaders": "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "enableWafFailOpen": "waf.fail_open.enabled",
    "enableXffClientPort": "routing.http.xff_client_port.enabled",
    "idleTimeout": "idle_timeout.timeout_seconds",
    "preserveHostHeader": "routing.http.preserve_host_header.enabled",
    "xffHeaderProcessingMode": "routing.http.xff_header_processing.mode",
}
"""Inputs of a load balancer → its attributes."""
_HEALTH = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}
"""Inputs of a health check → parameters of the API; `matcher` is an object there."""


def _name_failures(inputs: Object) -> list[Failure]:
    name = inputs.get("name")
    if not isinstance(name, str) or is_unknown(name):
        return []
    if len(name) > NAME_LENGTH:
        return [Failure("name", f'"name" cannot be longer than {NAME_LENGTH} characters: "{name}"')]
    if not re.fullmatch(r"(?!internal-)[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?", name):
        reason = (
            'only alphanumeric characters and hyphens allowed in "name", no hyphen at its ends, no internal- before'
        )
        return [Failure("name", f"{reason}: {name}")]
    return []


def _tags(inputs: Object) -> dict[str, Any]:
    """The parameter for tags, which must not be empty."""
    return {"Tags": tags.as_list(inputs["tags"])} if inputs.get("tags") else {}


def _update_tags(client: Any, id: str, old: Object, new: Object) -> None:
    changed, removed = tags.changes(old, new)
    if removed:
        client.remove_tags(ResourceArns=[id], TagKeys=removed)
    if changed:
        client.add_tags(ResourceArns=[id], Tags=changed)


def _tags_of(client: Any, id: str) -> dict[str, str]:
    [found] = client.describe_tags(ResourceArns=[id])["TagDescriptions"]
    return tags.as_object(found["Tags"])


def _suffix(arn: str) -> str:
    """As CloudWatch names it."""
    return arn.rpartition(":")[2].removeprefix("loadbalancer/")


def _text(value: Value) -> str:
    """A value as an attribute."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float | int) else str(value)


def _like(value: Value, text: str) -> Value:
    """An attribute in the form of an input."""
    if isinstance(value, bool):
        return text == "true"
    return float(text) if isinstance(value, float | int) else text


class LoadBalancer(Resource):
    """An application load balancer: its id is its ARN."""

    token = "aws:lb/loadBalancer:LoadBalancer"
    kind = "ELBv2 application Load Balancer"
    replaces = frozenset({"name", "internal", "loadBalancerType"})
    defaults = {
        "clientKeepAlive": 3600,
        "desyncMitigationMode": "defensive",
        "dropInvalidHeaderFields": False,
        "enableCrossZoneLoadBalancing": False,
        "enableDeletionProtection": False,
        "enableHttp2": True,
        "enableTlsVersionAndCipherSuiteHeaders": False,
        "enableWafFailOpen": False,
        "enableXffClientPort": False,
        "enableZonalShift": False,
        "idleTimeout": 60,
        "loadBalancerType": "application",
        "preserveHostHeader": False,
        "xffHeaderProcessingMode": "append",
    }
    computed = frozenset({"arn", "arnSuffix", "dnsName", "vpcId", "zoneId"})
    sets = frozenset({"securityGroups", "subnets"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name, the kind, and the subnets."""
        known = ("name", "internal", "ipAddressType", "loadBalancerType", "securityGroups", "subnets", "tags", "region")
        found = [*tags.failures(inputs), *_name_failures(inputs)]
        found += unsupported_but(inputs, *known, *_ATTRIBUTES, "enableCrossZoneLoadBalancing", "enableZonalShift")
        found += failures_of_choice(
            inputs,
            {
                "desyncMitigationMode": ("monitor", "defensive", "strictest"),
                "ipAddressType": ("ipv4",),
                "loadBalancerType": ("application",),
                "xffHeaderProcessingMode": ("append", "preserve", "remove"),
            },
        )
        idle = inputs.get("idleTimeout")
        if isinstance(idle, float | int) and not 1 <= idle <= 4000:
            found.append(Failure("idleTimeout", f"expected idleTimeout to be in the range (1 - 4000), got {idle:g}"))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it, set its attributes, and wait until it is active."""
        client = aws.client("elbv2")
        _check_subnets(inputs, aws)
        made = client.create_load_balancer(
            Name=inputs["name"],
            Subnets=inputs["subnets"],
            SecurityGroups=inputs.get("securityGroups") or [],
            Scheme="internal" if inputs.get("internal") else "internet-facing",
            Type=inputs["loadBalancerType"],
            IpAddressType=inputs.get("ipAddressType") or "ipv4",
            **_tags(inputs),
        )
        id = str(made["LoadBalancers"][0]["LoadBalancerArn"])
        with half_made(id):
            aws.until(f"{id} to be active", lambda: self._active(client, id))
            self._set(client, id, {}, inputs)
            return id, self._outputs(id, inputs, aws)

    def _active(self, client: Any, id: str) -> bool | None:
        [found] = client.describe_load_balancers(LoadBalancerArns=[id])["LoadBalancers"]
        return found["State"]["Code"] == "active" or None

    def _set(self, client: Any, id: str, old: Object, new: Object) -> None:
        changed = {key: text for name, key in _ATTRIBUTES.items() if (text := _text(new[name])) != _text(old.get(name))}
        if changed:
            given = [{"Key": key, "Value": text} for key, text in changed.items()]
            client.modify_load_balancer_attributes(LoadBalancerArn=id, Attributes=given)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        return {name: found[name] for name in self.computed}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The load balancer, with its attributes and tags."""
        client = aws.client("elbv2")
        [found] = client.describe_load_balancers(LoadBalancerArns=[id])["LoadBalancers"]
        listed = client.describe_load_balancer_attributes(LoadBalancerArn=id)["Attributes"]
        attributes = {it["Key"]: it["Value"] for it in listed}
        return {
            **{
                name: _like(self.defaults[name], attributes[key])
                for name, key in _ATTRIBUTES.items()
                if key in attributes
            },
            "arn": id,
            "arnSuffix": _suffix(id),
            "dnsName": found["DNSName"],
            "internal": found["Scheme"] == "internal",
            "ipAddressType": found["IpAddressType"],
            "loadBalancerType": found["Type"],
            "name": found["LoadBalancerName"],
            "region": aws.region,
            "securityGroups": sorted(found["SecurityGroups"]),
            "subnets": sorted(it["SubnetId"] for it in found["AvailabilityZones"]),
            "tags": _tags_of(client, id),
            "vpcId": found["VpcId"],
            "zoneId": found["CanonicalHostedZoneId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Subnets, groups, attributes and tags."""
        client = aws.client("elbv2")
        if sorted(old["subnets"]) != sorted(new["subnets"]):
            _check_subnets(new, aws)
            client.set_subnets(LoadBalancerArn=id, Subnets=new["subnets"])
        if sorted(old.get("securityGroups") or []) != sorted(new.get("securityGroups") or []):
            client.set_security_groups(LoadBalancerArn=id, SecurityGroups=new["securityGroups"])
        self._set(client, id, old, new)
        _update_tags(client, id, old, new)
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it with its listeners; AWS refuses that while it is protected."""
        client = aws.client("elbv2")
        [_] = client.describe_load_balancers(LoadBalancerArns=[id])["LoadBalancers"]
        client.delete_load_balancer(LoadBalancerArn=id)


def _check_subnets(inputs: Object, aws: Aws) -> None:
    """AWS requires two zones, one subnet in each, and room in them; moto takes one."""
    subnets = aws.client("ec2").describe_subnets(SubnetIds=inputs["subnets"])["Subnets"]
    zones = [it["AvailabilityZone"] for it in subnets]
    if len(set(zones)) < 2:
        raise Refused("ValidationError: At least two subnets in two different Availability Zones must be specified")
    if len(set(zones)) < len(zones):
        raise Refused(
            "InvalidConfigurationRequest: A load balancer cannot be attached to multiple subnets in the same zone"
        )
    for it in subnets:
        if int(it["CidrBlock"].partition("/")[2]) > 27 or it["AvailableIpAddressCount"] < 8:
            raise Refused(
                f"InvalidSubnet: Not enough IP space available in {it['SubnetId']}. ELB requires at least 8 free"
            )
    if not inputs.get("internal"):
        _check_internet({it["VpcId"] for it in subnets}, aws)


def _check_internet(vpcs: set[str], aws: Aws) -> None:
    attached = [{"Name": "attachment.vpc-id", "Values": sorted(vpcs)}]
    if not aws.client("ec2").describe_internet_gateways(Filters=attached)["InternetGateways"]:
        raise Refused(f"InvalidSubnet: VPC {', '.join(sorted(vpcs))} has no internet gateway")


class TargetGroup(Resource):
    """A group of machines: its id is its ARN."""

    token = "aws:lb/targetGroup:TargetGroup"
    kind = "ELBv2 Target Group"
    replaces = frozenset({"name", "port", "protocol", "protocolVersion", "targetType", "vpcId", "ipAddressType"})
    defaults = {
        "deregistrationDelay": 300,
        "lambdaMultiValueHeadersEnabled": False,
        "proxyProtocolV2": False,
        "slowStart": 0,
        "targetType": "instance",
    }
    computed = frozenset({"arn", "arnSuffix", "loadBalancerArns"})
    autoname = "name"

    def check(self, inputs: Object) -> list[Failure]:
        """The name, the protocol, and the health check."""
        known = ("name", "port", "protocol", "protocolVersion", "vpcId", "healthCheck", "tags", "region")
        found = [*tags.failures(inputs), *_name_failures(inputs), *unsupported_but(inputs, *known, *self.defaults)]
        choices = {
            "protocol": ("HTTP", "HTTPS"),
            "protocolVersion": ("HTTP1", "HTTP2", "GRPC"),
            "targetType": ("instance",),
        }
        found += failures_of_choice(inputs, choices)
        found += [
            Failure(name, f"the stand-in does only {self.defaults[name]}")
            for name in self.defaults
            if inputs.get(name, self.defaults[name]) != self.defaults[name]
        ]
        health = inputs.get("healthCheck") or {}
        interval, timeout = health.get("interval", 30), health.get("timeout", 5)
        if not any(map(is_unknown, (interval, timeout))) and timeout >= interval:
            found.append(Failure("healthCheck", "Health check timeout must be smaller than the interval"))
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it without targets."""
        aws.client("ec2").describe_vpcs(VpcIds=[inputs["vpcId"]])
        made = aws.client("elbv2").create_target_group(
            Name=inputs["name"],
            Protocol=inputs["protocol"],
            ProtocolVersion=inputs.get("protocolVersion") or "HTTP1",
            Port=int(inputs["port"]),
            VpcId=inputs["vpcId"],
            TargetType=inputs["targetType"],
            **_tags(inputs),
            **_health(inputs),
        )
        id = str(made["TargetGroups"][0]["TargetGroupArn"])
        with half_made(id):
            return id, self._outputs(id, inputs, aws)

    def _outputs(self, id: str, state: Object, aws: Aws) -> Object:
        found = self.read(id, state, aws)
        return {name: found[name] for name in self.computed}

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The group, without its targets: those are resources of their own."""
        client = aws.client("elbv2")
        [found] = client.describe_target_groups(TargetGroupArns=[id])["TargetGroups"]
        health = {name: found.get(key) for name, key in _HEALTH.items()}
        health["matcher"] = (found.get("Matcher") or {}).get("HttpCode")
        given = state.get("healthCheck")
        return {
            "arn": id,
            "arnSuffix": _suffix(id),
            "healthCheck": _as_given(given, health) if given else health,
            "loadBalancerArns": sorted(found["LoadBalancerArns"]),
            "name": found["TargetGroupName"],
            "port": found["Port"],
            "protocol": found["Protocol"],
            "protocolVersion": found.get("ProtocolVersion") or "HTTP1",
            "region": aws.region,
            "tags": _tags_of(client, id),
            "targetType": found["TargetType"],
            "vpcId": found["VpcId"],
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """The health check and the tags."""
        client = aws.client("elbv2")
        if old.get("healthCheck") != new.get("healthCheck"):
            client.modify_target_group(TargetGroupArn=id, **_health(new))
        _update_tags(client, id, old, new)
        return self._outputs(id, new, aws)

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it; AWS refuses that while a listener uses it."""
        aws.client("elbv2").delete_target_group(TargetGroupArn=id)


def _health(inputs: Object) -> dict[str, Any]:
    given = inputs.get("healthCheck") or {}
    found = {
        key: value if isinstance(value := given[name], bool | str) else int(value)
        for name, key in _HEALTH.items()
        if given.get(name) is not None
    }
    return {**found, **({"Matcher": {"HttpCode": given["matcher"]}} if given.get("matcher") else {})}


def _as_given(given: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """The actual health check: numbers as numbers, and nothing that the program does not set."""
    return {
        name: _like(value, _text(actual[name])) if actual.get(name) is not None else None
        for name, value in given.items()
    }


class Listener(Resource):
    """A port of a load balancer, which forwards everything to one group: its id is its ARN."""

    token = "aws:lb/listener:Listener"
    kind = "ELBv2 Listener"
    replaces = frozenset({"loadBalancerArn"})
    computed = frozenset({"arn"})

    def check(self, inputs: Object) -> list[Failure]:
        """TLS, and the action."""
        known = (
            "loadBalancerArn",
            "port",
            "protocol",
            "sslPolicy",
            "certificateArn",
            "defaultActions",
            "tags",
            "region",
        )
        found = [*tags.failures(inputs), *unsupported_but(inputs, *known)]
        found += failures_of_choice(inputs, {"protocol": ("HTTPS",), "sslPolicy": POLICIES})
        if inputs.get("certificateArn") is None:
            found.append(Failure("certificateArn", "A certificate must be specified for HTTPS listeners"))
        for action in inputs.get("defaultActions") or []:
            if not is_unknown(action):
                found += unsupported_but(action, "type", "targetGroupArn")
                found += failures_of_choice(action, {"type": ("forward",)})
        return found

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it."""
        self._check_targets(inputs, aws)
        made = aws.client("elbv2").create_listener(
            LoadBalancerArn=inputs["loadBalancerArn"], **_tags(inputs), **_listener(inputs)
        )
        id = str(made["Listeners"][0]["ListenerArn"])
        return id, {"arn": id}

    def _check_targets(self, inputs: Object, aws: Aws) -> None:
        """A group belongs to one load balancer; moto takes several."""
        for action in inputs["defaultActions"]:
            arn = action["targetGroupArn"]
            [group] = aws.client("elbv2").describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
            if set(group["LoadBalancerArns"]) - {inputs["loadBalancerArn"]}:
                raise Refused(
                    "TargetGroupAssociationLimit: The following target groups cannot be associated with more than one "
                    f"load balancer: {arn}"
                )

    def read(self, id: str, state: Object, aws: Aws) -> Object:
        """The listener and its tags."""
        client = aws.client("elbv2")
        [found] = client.describe_listeners(ListenerArns=[id])["Listeners"]
        return {
            "arn": id,
            "certificateArn": next((it["CertificateArn"] for it in found.get("Certificates") or []), None),
            "defaultActions": [
                {"type": it["Type"], "targetGroupArn": it.get("TargetGroupArn")} for it in found["DefaultActions"]
            ],
            "loadBalancerArn": found["LoadBalancerArn"],
            "port": found["Port"],
            "protocol": found["Protocol"],
            "region": aws.region,
            "sslPolicy": found.get("SslPolicy"),
            "tags": _tags_of(client, id),
        }

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Everything except the load balancer."""
        self._check_targets(new, aws)
        client = aws.client("elbv2")
        client.modify_listener(ListenerArn=id, **_listener(new))
        _update_tags(client, id, old, new)
        return {"arn": id}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it."""
        aws.client("elbv2").delete_listener(ListenerArn=id)


def _listener(inputs: Object) -> dict[str, Any]:
    return {
        "Port": int(inputs["port"]),
        "Protocol": inputs["protocol"],
        "SslPolicy": inputs["sslPolicy"],
        "Certificates": [{"CertificateArn": inputs["certificateArn"]}],
        "DefaultActions": [
            {"Type": it["type"], "TargetGroupArn": it["targetGroupArn"]} for it in inputs["defaultActions"]
        ],
    }


class Attachment(Resource):
    """A machine in a group. Its id is the plugin's own."""

    token = "aws:lb/targetGroupAttachment:TargetGroupAttachment"
    kind = "ELBv2 Target Group Attachment"
    replaces = frozenset({"targetGroupArn", "targetId", "port"})

    def check(self, inputs: Object) -> list[Failure]:
        """Only machines."""
        return unsupported_but(inputs, "targetGroupArn", "targetId", "port", "region")

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Register it."""
        aws.client("elbv2").register_targets(TargetGroupArn=inputs["targetGroupArn"], Targets=[_target(inputs)])
        return f"{inputs['targetGroupArn']}-{uuid.uuid4().hex}", {}

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The target, if it is registered and has not been deregistered."""
        asked = {"TargetGroupArn": state["targetGroupArn"], "Targets": [_target(state)]}
        states = [
            it["TargetHealth"] for it in aws.client("elbv2").describe_target_health(**asked)["TargetHealthDescriptions"]
        ]
        if all(it.get("Reason") in ("Target.NotRegistered", "Target.DeregistrationInProgress") for it in states):
            return None
        return {name: state.get(name) for name in ("targetGroupArn", "targetId", "port")} | {"region": aws.region}

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Nothing of it can change."""
        return {}

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Deregister it. A machine that was terminated is none any more, which AWS takes; moto does not."""
        if self.read(id, state, aws) is not None:
            aws.client("elbv2").deregister_targets(TargetGroupArn=state["targetGroupArn"], Targets=[_target(state)])


def _target(inputs: Object) -> dict[str, Any]:
    return {"Id": inputs["targetId"], **({"Port": int(inputs["port"])} if inputs.get("port") is not None else {})}


RESOURCES: dict[str, Resource] = {it.token: it for it in (LoadBalancer(), TargetGroup(), Listener(), Attachment())}

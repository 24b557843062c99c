"""Corrects where moto differs from AWS in ways that matter to our stacks. Apply it before a backend is created."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from stand_ins.aws_cloud import evaluation, placement
from stand_ins.aws_cloud.limits import LIMITS, SERVER_ERRORS, SPOT
from stand_ins.aws_cloud.plan import plan

IMAGE_GIB = 8
"""Size of Debian's images; moto reports 15 for all images."""
ENDED = ("shutting-down", "terminated")


def apply() -> None:
    """Apply all corrections, in this process."""
    _image_size()
    _descriptions()
    _spot_filter()
    _network_acls()
    _conditions()
    _performance()
    suspended_versions()
    placement.apply(replace)
    _snapshot_policies()
    _account_rules()
    _calls()
    _capacity()
    _states()
    _networks_in_use()


def _image_size() -> None:
    """A root volume may be as small as the image."""
    from moto.ec2.models.amis import Ami

    init, mappings = Ami.__init__, vars(Ami)["block_device_mappings"].fget

    def made(self: Any, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self.ebs_snapshot.volume.size = IMAGE_GIB

    def block_device_mappings(self: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = mappings(self)
        found[0]["Ebs"]["VolumeSize"] = IMAGE_GIB
        return found

    replace(Ami, "__init__", made)
    replace(Ami, "block_device_mappings", property(block_device_mappings))


def _descriptions() -> None:
    """A rule about a group also has a description: AWS stores it, and otherwise a refresh reports drift."""
    from moto.ec2.models.security_groups import SecurityGroupRule

    def description(self: Any) -> str | None:
        found: str | None = self.ip_range.get("Description") or self.source_group.get("Description")
        return found

    replace(SecurityGroupRule, "description", property(description))


def _spot_filter() -> None:
    """DescribeInstances accepts the filter `instance-lifecycle`."""
    from moto.ec2.utils import filter_dict_attribute_mapping

    filter_dict_attribute_mapping["instance-lifecycle"] = "lifecycle"


def _network_acls() -> None:
    """A VPC's default network ACL is deleted with it."""
    from moto.ec2.models import EC2Backend

    delete = EC2Backend.delete_vpc

    def delete_vpc(self: Any, vpc_id: str) -> Any:
        gone = delete(self, vpc_id)
        for acl in [each for each in self.network_acls.values() if each.vpc_id == vpc_id and each.default]:
            del self.network_acls[acl.id]
        return gone

    replace(EC2Backend, "delete_vpc", delete_vpc)


def _conditions() -> None:
    """A statement of a bucket's policy has no effect on a request that does not meet its conditions; moto refuses it.
    No request here meets them: our policy's condition is a connection without TLS, and moto serves plain HTTP instead
    of AWS's HTTPS.
    """
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    ask = IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *args: Any, **more: Any) -> PermissionResult:
        conditions = self._statement.get("Condition", {})
        if "aws:SecureTransport" in conditions.get("Bool", {}):
            return PermissionResult.NEUTRAL
        return ask(self, *args, **more)

    replace(IAMPolicyStatement, "is_action_permitted", is_action_permitted)


def suspended_versions() -> None:
    """The versions of a bucket whose versioning is suspended are there, and can be deleted; moto answers 500."""
    from moto.s3.models import FakeBucket, FakeDeleteMarker

    def is_versioned(self: Any) -> bool:
        return self.versioning_status in ("Enabled", "Suspended")

    replace(FakeBucket, "is_versioned", property(is_versioned))
    replace(FakeDeleteMarker, "dispose", lambda self: None)


def _performance() -> None:
    """A new machine's volumes have the IOPS and the throughput of the request, and a change of throughput is done."""
    from moto.ec2.models.elastic_block_store import VolumeModification
    from moto.ec2.responses.instances import InstanceResponse

    run, modify = InstanceResponse.run_instances, VolumeModification.__init__

    def run_instances(self: Any) -> Any:
        answer = run(self)
        reservation: Any = answer.result
        for mapping in self._get_param("BlockDeviceMappings", []):
            for instance in reservation.instances:
                volume = self.ec2_backend.volumes[instance.block_device_mapping[mapping["DeviceName"]].volume_id]
                ebs = mapping.get("Ebs", {})
                volume.iops = ebs.get("Iops") or volume.iops
                volume.throughput = ebs.get("Throughput") or volume.throughput
        return answer

    def changed(self: Any, volume: Any, *args: Any, **more: Any) -> None:
        modify(self, volume, *args, **more)
        volume.throughput = self.target_throughput or volume.throughput

    replace(InstanceResponse, "run_instances", run_instances)
    replace(VolumeModification, "__init__", changed)


def _snapshot_policies() -> None:
    """There is a Data Lifecycle Manager."""
    from stand_ins.aws_cloud import dlm

    dlm.apply()


def _account_rules() -> None:
    """An account on the free plan launches only the types that are eligible, and an organization's policy may deny a
    launch whose request has no tags for the machine or its volumes.
    """
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import EC2Backend
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    run = EC2Backend.run_instances

    def run_instances(self: Any, *args: Any, **more: Any) -> Any:
        name = more.get("instance_type")
        if plan.kind == "FREE" and not INSTANCE_TYPES.get(str(name), {}).get("FreeTierEligible"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, "
                "run 'describe-instance-types' with the filter 'free-tier-eligible=true'.",
            )
        for kind in ("instance", "volume"):
            if missing := set(plan.required) - set((more.get("tags") or {}).get(kind, {})):
                raise EC2ClientError(
                    "UnauthorizedOperation",
                    f"You are not authorized to perform: ec2:RunInstances on resource: {kind}/* with an explicit "
                    f"deny in a service control policy ({', '.join(sorted(missing))})",
                )
        return run(self, *args, **more)

    replace(EC2Backend, "run_instances", run_instances)


def _report_end(instance: Any) -> None:
    """EC2 reports the end of an instance to EventBridge."""
    from moto.events.models import events_backends

    account, region = instance.ec2_backend.account_id, instance.ec2_backend.region_name
    event: Any = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": account,
        "time": time.time(),
        "region": region,
        "resources": [f"arn:aws:ec2:{region}:{account}:instance/{instance.id}"],
        "detail": {"instance-id": instance.id, "state": "terminated"},
    }
    for bus in events_backends[account][region].event_buses.values():
        for rule in bus.rules.values():
            rule.send_to_targets(event)


CALLS: list[dict[str, Any]] = []
"""The requests of API destinations: `method`, `url`, `headers`, `body`. Nothing outside of this machine is called."""


def _calls() -> None:
    """A request of an API destination has the connection's credentials and the transformed event. Without a role that
    may call it, there is none.
    """
    from moto.events.models import Rule, events_backends
    from moto.iam.models import iam_backends

    def send(self: Any, event: Any, transform_input: bool = True) -> None:
        if not self.event_pattern.matches_event(event):
            return
        backend = events_backends[self.account_id][self.region_name]
        for target in self.targets:
            destination = backend.describe_api_destination(target["Arn"].split("/")[1])
            connection = backend.connections[destination["ConnectionArn"].split("/")[1]]
            iam, name = iam_backends[self.account_id]["aws"], target["RoleArn"].rpartition("/")[2]
            policies = [iam.get_role_policy(name, it)[1] for it in iam.list_role_policies(name)]
            allowed = [json.loads(each) if isinstance(each, str) else each for each in policies]
            asked = evaluation.Asked("events:InvokeApiDestination", destination["ApiDestinationArn"])
            trusted = "events.amazonaws.com" in str(iam.get_role(name).assume_role_policy_document)
            if not trusted or not evaluation.permitted(allowed, asked):
                continue
            transformer, http = target["InputTransformer"], target.get("HttpParameters", {})
            body = _transformed(transformer["InputTemplate"], transformer["InputPathsMap"], event)
            parameters = connection.auth_parameters
            key = parameters["ApiKeyAuthParameters"]
            headers = {**http.get("HeaderParameters", {}), key["ApiKeyName"]: key["ApiKeyValue"]}
            for each in parameters.get("InvocationHttpParameters", {}).get("BodyParameters", []):
                body = {**body, each["Key"]: each["Value"]}
            call = {"method": destination["HttpMethod"], "url": destination["InvocationEndpoint"]}
            CALLS.append({**call, "headers": headers, "body": body})

    replace(Rule, "send_to_targets", send)


def _transformed(template: str, paths: Mapping[str, str], event: Mapping[str, Any]) -> dict[str, Any]:
    """The body: variables in the template, in quotes, are replaced by what is at their paths in the event."""
    for variable, path in paths.items():
        value: Any = event
        for part in path.removeprefix("$.").split("."):
            value = value[part]
        template = template.replace(f"<{variable}>", str(value))
    found: dict[str, Any] = json.loads(template)
    return found


def _capacity() -> None:
    """RunInstances fails where AWS has no machines, or a quota is exceeded (`limits`)."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models import EC2Backend

    run = EC2Backend.run_instances

    def run_instances(self: Any, *args: Any, **more: Any) -> Any:
        places = [nic.get("SubnetId") for nic in more.get("nics") or []] + [more.get("subnet_id")]
        subnet = next((self.get_subnet(place) for place in places if place), None)
        zone = subnet.availability_zone if subnet else more.get("placement") or ""
        # moto passes on the type of the market only
        market = SPOT if more.get("instance_market_options") == SPOT else "on-demand"
        if refused := LIMITS.refusal(more["instance_type"], zone, market):
            code, message = refused
            raise _server_error(code, message) if code in SERVER_ERRORS else EC2ClientError(code, message)
        return run(self, *args, **more)

    replace(EC2Backend, "run_instances", run_instances)


def _server_error(code: str, message: str) -> Exception:
    """An error of EC2 with the HTTP status 500; moto's own errors have 400."""
    from werkzeug.exceptions import HTTPException

    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    error = HTTPException(body)
    error.code = 500
    return error


def _states() -> None:
    """A machine that was terminated cannot be stopped or started, and gives up its volumes."""
    from moto.ec2.exceptions import EC2ClientError
    from moto.ec2.models.instances import Instance, InstanceBackend

    stop, terminate = InstanceBackend.stop_instances, Instance.terminate

    def stop_instances(self: Any, instance_ids: list[str]) -> Any:
        for instance in self.get_multi_instances_by_id(instance_ids):
            if instance.state in ENDED:
                text = f"This instance '{instance.id}' is not in a state from which it can be stopped."
                raise EC2ClientError("IncorrectInstanceState", text)
        return stop(self, instance_ids)

    def terminated(self: Any) -> Any:
        if self.state in ENDED:
            return self._state
        before = terminate(self)
        if not LIMITS.ending_seconds:
            _report_end(self)
            return before
        self._state.name, self._state.code = "shutting-down", 32

        def end() -> None:
            if self._state.name != "terminated":
                self._state.name, self._state.code = "terminated", 48
                _report_end(self)

        LIMITS.later(end)
        return before

    replace(InstanceBackend, "stop_instances", stop_instances)
    replace(Instance, "terminate", terminated)


def _networks_in_use() -> None:
    """Subnets and security groups with network interfaces, groups that rules of others name, and VPCs with somebody's
    security group or endpoint cannot be deleted.
    """
    from moto.ec2.exceptions import DependencyViolationError
    from moto.ec2.models import EC2Backend

    delete_subnet, delete_vpc = EC2Backend.delete_subnet, EC2Backend.delete_vpc
    delete_group = EC2Backend._delete_security_group

    def subnet_deleted(self: Any, subnet_id: str) -> Any:
        if any(interface.subnet.id == subnet_id for interface in self.enis.values()):
            raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")
        return delete_subnet(self, subnet_id)

    def vpc_deleted(self: Any, vpc_id: str) -> Any:
        groups: Mapping[str, Any] = self.groups.get(vpc_id, {})
        endpoints = [it for it in self.vpc_end_points.values() if it.vpc_id == vpc_id and it.state != "deleted"]
        if endpoints or any(group.name != "default" for group in groups.values()):
            raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
        return delete_vpc(self, vpc_id)

    def group_deleted(self: Any, vpc_id: str, group_id: str) -> Any:
        used = any(group.id == group_id for interface in self.enis.values() for group in interface.group_set)
        others = [group for group in self.groups.get(vpc_id, {}).values() if group.id != group_id]
        sources = {rule.source_group.get("GroupId") for group in others for rule in group.ingress_rules}
        if used or group_id in sources:
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        return delete_group(self, vpc_id, group_id)

    replace(EC2Backend, "_delete_security_group", group_deleted)
    replace(EC2Backend, "delete_subnet", subnet_deleted)
    replace(EC2Backend, "delete_vpc", vpc_deleted)


def replace(owner: type, name: str, member: object) -> None:
    """Replace a method or property of moto's class by ours, for all objects."""
    setattr(owner, name, member)

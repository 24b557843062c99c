"""AWS components under Pulumi's mocks: what they register, with the options that the mocks alone do not show."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockMonitor

from components.aws.declaration import AwsSettings, GroupSettings
from components.host import Role
from components.naming import Labels
from tests.unit.program import mocked

UNKNOWN = "(not known yet)"
ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def settings(**changes: Any) -> AwsSettings:
    """Settings of an ephemeral stack in one zone, such as `dev`."""
    group = GroupSettings(count=2, instance_type="m6i.large", disk_gib=20, zones=1, data_gib=10)
    base: dict[str, Any] = {
        "region": "eu-central-1",
        "bucket_region": "eu-central-1",
        "owner": "data-team",
        "ephemeral": True,
        "expires": "2030-01-31T18:00:00Z",
        "vpc_cidr": "10.20.0.0/16",
        "vpc_id": "",
        "subnet_ids": (),
        "zones": 1,
        "private_subnets": False,
        "nat_gateways": "none",
        "bastion": False,
        "bastion_type": "t3.micro",
        "operator_cidrs": ("198.51.100.0/24", "2001:db8:7::/48"),
        "bucket": "flink-dev-123456789012",
        "create_bucket": True,
        "prefix": "dev",
        "kms_key": "",
        "savepoint_days": 0,
        "groups": dict.fromkeys(Role, group),
    }
    return AwsSettings(**{**base, **changes})


def prod(**changes: Any) -> AwsSettings:
    """Settings of a stack that must last: three zones, private subnets, a bastion."""
    base = {
        "ephemeral": False,
        "expires": "",
        "zones": 3,
        "private_subnets": True,
        "nat_gateways": "zone",
        "bastion": True,
        "kms_key": KEY,
        "savepoint_days": 90,
    }
    return settings(**{**base, **changes})


def labels(of: AwsSettings) -> Labels:
    """The tags that match settings."""
    return Labels(project="flink", stack="dev" if of.ephemeral else "prod", owner=of.owner, expires=of.expires)


@dataclass(frozen=True)
class Registered:
    """A resource as it was registered."""

    type: str
    name: str
    inputs: dict[str, Any]
    parent: str
    """Type and name of the parent, as in `found`."""
    protect: bool
    retain: bool
    after: frozenset[str]
    """The resources that it depends on directly, as in `found`."""
    ignores: frozenset[str] = frozenset()
    """Inputs whose changes are ignored."""
    replaced_by: frozenset[str] = frozenset()
    """Inputs whose change replaces it, whatever the provider would do."""
    deleted_first: bool = False
    """The old resource is deleted before the replacement is created."""

    @property
    def key(self) -> str:
        return f"{self.type}/{self.name}"


class Recording(MockMonitor):
    """Stores what is registered, by `type/name`."""

    def __init__(self, mocks: pulumi.runtime.Mocks) -> None:
        super().__init__(mocks)
        self.found: dict[str, Registered] = {}

    def RegisterResource(self, request: Any) -> Any:
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            # A thread of the SDK, which has the settings of the process's first program, maybe not of a preview
            inputs = _plain(pulumi.runtime.rpc.deserialize_properties(request.object, keep_unknowns=True))
            one = Registered(
                request.type,
                request.name,
                dict(inputs),
                _key(request.parent) if request.parent else "",
                bool(request.protect),
                bool(request.retainOnDelete),
                frozenset(_key(urn) for urn in request.dependencies),
                frozenset(request.ignoreChanges),
                frozenset(request.replaceOnChanges),
                bool(request.deleteBeforeReplace),
            )
            assert one.key not in self.found, f"{one.key} is registered twice"
            self.found[one.key] = one
        return answer


def _plain(value: Any) -> Any:
    """A comparable form: values that are not known yet are UNKNOWN."""
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def id_of(name: str, *, preview: bool) -> str:
    """The id of the resource `name`, unknown in a preview."""
    return UNKNOWN if preview else f"{name}-id"


def _key(urn: str) -> str:
    _, _, types, name = urn.split("::", 3)
    return f"{types.split('$')[-1]}/{name}"


@dataclass
class Mocks(pulumi.runtime.Mocks):
    """AWS's responses: an id and `answers` by type, both only outside of a preview; to functions, `calls`."""

    preview: bool = False
    calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    answers: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if self.preview:
            return "", dict(args.inputs)
        more = {"zoneId": f"{args.name}-id"} if args.typ == "aws:route53/zone:Zone" else {}
        if args.typ in self.answers:
            more |= self.answers[args.typ](args.name, dict(args.inputs))
        return f"{args.name}-id", {**args.inputs, **more}

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        assert args.token in self.calls, f"unexpected call of {args.token}"
        return self.calls[args.token](dict(args.args))


def register(program: Callable[[], Any], *, preview: bool, mocks: Mocks | None = None) -> dict[str, Registered]:
    """The resources that `program` registers, by `type/name`, in a preview or in an update."""
    mocks = mocks or Mocks()
    mocks.preview = preview
    monitor = Recording(mocks)
    mocked(program, mocks, stack="dev", preview=preview, monitor=monitor)
    return monitor.found


def of_type(found: dict[str, Registered], kind: str) -> dict[str, Registered]:
    """The resources of a type such as `ec2/subnet:Subnet`, by name."""
    return {one.name: one for one in found.values() if one.type == f"aws:{kind}"}


def check_common(found: dict[str, Registered], of: AwsSettings) -> None:
    """The rules for every component: all resources that can have tags have all tags, and each has a parent."""
    expected = {key for key, value in labels(of).tags("x").items() if value}
    for key, one in found.items():
        if one.type.startswith("aws:"):
            assert one.parent.startswith("flink:aws:"), key
            if _taggable(one.type):
                assert expected <= set(one.inputs["tags"]), key
                assert ("expires" in one.inputs["tags"]) is of.ephemeral, key
            else:
                assert "tags" not in one.inputs, key


@cache
def _taggable(token: str) -> bool:
    """Whether a type such as aws:ec2/vpc:Vpc has tags in AWS: then the SDK's class accepts them."""
    _, module, kind = token.split(":")
    found = getattr(importlib.import_module(f"pulumi_aws.{module.split('/')[0]}"), kind)
    return "tags" in inspect.signature(found._internal_init).parameters

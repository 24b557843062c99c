"""Limits identities to their policies, as AWS does; moto's own check knows neither the resources of EC2 nor conditions.

An identity is an access key. Those without limits here may do anything.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from stand_ins.aws_cloud.authorization import Inventory, Request, Unknown, needed
from stand_ins.aws_cloud.evaluation import Asked, Policy, permitted


@dataclass
class Limits:
    """What an identity may do, and what it asked for."""

    policies: list[Policy]
    enforced: bool = True
    """Otherwise requests without permission are answered too, and one run shows all of them."""
    asked: dict[str, Asked] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Rights:
    """The limits of all identities, by access key."""

    def __init__(self) -> None:
        self._limits: dict[str, Limits] = {}
        self._one = threading.Lock()

    def set(self, text: bytes) -> None:
        """Limit an identity: `{"key": …, "policies": […], "enforced": …}`. Without `policies` it may do anything."""
        given = json.loads(text)
        with self._one:
            self._limits.pop(given["key"], None)
            if given.get("policies"):
                self._limits[given["key"]] = Limits(given["policies"], given.get("enforced", True))

    def report(self, key: str) -> dict[str, Any]:
        """What the identity asked for, and what was not permitted."""
        with self._one:
            limits = self._limits.get(key, Limits([]))
            return {"asked": [asdict(it) for it in limits.asked.values()], "refused": list(limits.refused.values())}

    def limited(self, key: str) -> bool:
        """Whether this identity has limits."""
        return key in self._limits

    def refusal(self, key: str, request: Request) -> str:
        """What the request is not permitted to do; empty if it is permitted or only noted."""
        limits = self._limits[key]
        try:
            found = needed(request, MotoInventory())
            missing = [str(it) for it in found if not permitted(limits.policies, it)]
        except Unknown as unknown:
            found, missing = [], [f"unknown here, {unknown}"]
        with self._one:
            limits.asked |= {str(it): it for it in found}
            limits.refused |= {it: it for it in missing}
        return "; ".join(missing) if limits.enforced else ""


class MotoInventory(Inventory):
    """What moto has, in this process."""

    account = DEFAULT_ACCOUNT_ID

    def tags(self, region: str, resource: str) -> Mapping[str, str]:
        """Tags of a resource of EC2."""
        return {str(key): str(value) for key, value in _ec2(region).tags.get(resource, {}).items()}

    def associated(self, region: str, association: str) -> Iterable[str]:
        """Ids of the resources of an association of a route table, an address or an instance profile."""
        backend = _ec2(region)
        for table in backend.route_tables.values():
            if association in table._associations:
                return [table.id, table._associations[association]]
        for held in backend.iam_instance_profile_associations.values():
            if held.association_id == association:
                return [held.instance.id]
        for address in backend.addresses.values():
            if address.association_id == association:
                return [address.allocation_id, *([address.eni.id] if address.eni else [])]
        return []

    def boundary(self, role: str) -> str:
        """ARN of the permissions boundary of a role; empty if it has none."""
        found = next((it for it in _iam().roles.values() if it.name == role), None)
        return str(found.permissions_boundary_arn or "") if found else ""

    def roles(self, profile: str) -> Iterable[str]:
        """Names of the roles of an instance profile, given by name or ARN."""
        name = profile.rpartition("/")[2]
        return [role.name for it in _iam().instance_profiles.values() if it.name == name for role in it.roles]

    def key(self, region: str, name: str) -> str:
        """Id of a key of KMS, given by id, ARN or alias."""
        from moto.kms.models import kms_backends

        return str(kms_backends[DEFAULT_ACCOUNT_ID][region].any_id_to_key_id(name))

    def placement_group(self, region: str, name: str) -> str:
        """Id of a placement group; empty if there is none of this name."""
        group = vars(_ec2(region)).get("placement_groups", {}).get(name)
        return str(group.id) if group else ""

    def balancer_tags(self, region: str, arn: str) -> Mapping[str, str]:
        """Tags of a load balancer, a listener or a target group."""
        from moto.elbv2.models import elbv2_backends

        found: dict[str, str] = elbv2_backends[DEFAULT_ACCOUNT_ID][region].tagging_service.get_tag_dict_for_resource(
            arn
        )
        return found

    def policy_tags(self, region: str, id: str) -> Mapping[str, str]:
        """Tags of a policy of Data Lifecycle Manager."""
        from stand_ins.aws_cloud.dlm import dlm_backends

        found = dlm_backends[DEFAULT_ACCOUNT_ID][region].policies.get(id)
        return found["Tags"] if found else {}


def _ec2(region: str) -> Any:
    from moto.ec2.models import ec2_backends

    return ec2_backends[DEFAULT_ACCOUNT_ID][region]


def _iam() -> Any:
    from moto.iam.models import iam_backends

    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]

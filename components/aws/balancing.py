"""The settings of the front door's Application Load Balancer, and what is refused without a request to AWS."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ..problems import Problems, shown
from ..shapes import Shape, fields
from . import names, subnets

KEY = "frontDoorLoadBalancer"
PORT = 443
"""The listener's."""
POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
"""TLS 1.2 and 1.3, as at the doors themselves; of TLS 1.2 only ciphers with forward secrecy and authentication (GCM):
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html."""
LEAST_ZONES = 2
LONGEST_PREFIX = 27
"""Of a subnet: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html."""
ADDRESSES = 8
"""That must be free in each subnet: likewise."""

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):acm:(?P<region>[a-z0-9-]+):[0-9]{12}:certificate/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


def _certificate(text: str) -> str:
    if not _ARN.fullmatch(text):
        raise ValueError(
            f"{shown(text)} is not the ARN of a certificate of ACM: expected arn:aws:acm:REGION:ACCOUNT:certificate/ID"
        )
    return text


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)} has the wrong type: expected true or false")
    return value


class _Shape(Shape):
    certificate_arn: Annotated[str, AfterValidator(_certificate)] = Field(
        description="the ARN of a certificate of ACM, arn:aws:acm:REGION:ACCOUNT:certificate/ID"
    )
    internal: Annotated[Any, AfterValidator(_flag)] = Field(description="true or false")


@dataclass(frozen=True, kw_only=True)
class BalancerSettings:
    """The load balancer."""

    certificate: str
    """ARN, in ACM."""
    internal: bool = True
    """It has private addresses only."""
    name: str = ""
    """A DNS name of yours for it; empty: its own."""


def load(values: Mapping[str, Any], region: str, problems: Problems) -> BalancerSettings | None:
    """The settings; None without a load balancer. What is wrong is added to `problems`."""
    given = values[KEY]
    if not given:
        return None
    known = fields(_Shape, given, KEY, problems, may_be_missing=("internal",))
    arn, internal = known.get("certificateArn", ""), known.get("internal", True)
    if found := _ARN.fullmatch(arn):
        _check_place(arn, found["region"], found["partition"], region, problems)
    if not values["frontDoor"]:
        problems.add(KEY, "has no effect without a front door: expected frontDoor: true, or remove it")
    for key in ("frontDoorCertificate", "frontDoorKey", "frontDoorAcme"):
        if values.get(key):
            problems.add(key, f"has no effect with {KEY}, whose certificate is what people see: remove one of them")
    if values["zones"] < LEAST_ZONES:
        problems.add(
            "zones",
            f"is {values['zones']}, and a load balancer ({KEY}) needs subnets in {LEAST_ZONES}: expected 2 or 3",
        )
    _check_network(values, internal, problems)
    return BalancerSettings(certificate=arn, internal=internal, name=next(iter(values["frontDoorNames"]), ""))


def _check_place(arn: str, found: str, partition: str, region: str, problems: Problems) -> None:
    where = f"{KEY} certificateArn"
    if found != region:
        problems.add(where, f"{arn} is in another region: expected a certificate in {region}")
        return
    try:
        expected = names.partition(region).name
    except ValueError:
        return  # refused elsewhere
    if partition != expected:
        problems.add(where, f"{arn} is in another partition: expected arn:{expected}:acm:…")


def _check_network(values: Mapping[str, Any], internal: bool, problems: Problems) -> None:
    where = f"{KEY} internal"
    if internal:
        if not values["vpcId"] and not values["bastion"]:
            problems.add(
                where, "is true, but nothing reaches private addresses in a new VPC without a bastion: expected false"
            )
    elif values["access"] == "ssm":
        problems.add(
            where, "is false, but nothing accepts connections from outside with access: ssm: expected true, or ssh"
        )
    elif values["vpcId"] and values["privateSubnets"]:
        problems.add(where, "is false, but the subnets in subnetIds are private: expected true, or public subnets")
    if not values["vpcId"]:
        try:
            size = subnets.plan(values["vpcCidr"]).public[0].prefixlen
        except ValueError:
            return  # refused elsewhere
        if size > LONGEST_PREFIX:
            problems.add(
                "vpcCidr",
                f"{values['vpcCidr']} has subnets of /{size}, and a load balancer ({KEY}) needs /{LONGEST_PREFIX}: "
                f"expected /{LONGEST_PREFIX - subnets.CUT} or larger",
            )

"""What others have put into a stack's network: `destroy` fails with DependencyViolation until it is gone.

GuardDuty creates an endpoint and a security group in every VPC; load balancers, functions and people create interfaces.
Nothing here is deleted: whoever created it knows whether it is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from textwrap import indent
from typing import Any

from ops.aws import Aws, exists, items

VPC, GROUP = "aws:ec2/vpc:Vpc", "aws:ec2/securityGroup:SecurityGroup"
VIOLATION = "DependencyViolation"
"""AWS's code for what cannot be deleted because something needs it."""


@dataclass(frozen=True)
class Attachment:
    """Something of others in a VPC of the stack, or with a security group of the stack."""

    kind: str
    """As AWS's console calls it."""
    id: str
    of: str
    """What AWS says of it: its name, its description, who requested it."""
    delete: str
    """The command of the AWS CLI that deletes it."""


@dataclass(frozen=True)
class Attachments:
    """The result, in an order in which it can be deleted."""

    stack: str
    found: Sequence[Attachment] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        if not self.found:
            return f"nobody else has anything in the network of stack {self.stack}"
        lines = [f"{it.kind} {it.id}  {it.of}\n{indent(it.delete, '    ')}" for it in self.found]
        return "\n".join(
            [
                f"others have put these into the network of stack {self.stack}, which cannot be deleted before:",
                *lines,
                "Ask who created it. To delete it: the commands above, in this order; then `destroy` again",
            ]
        )


def attachments(stack: str, aws: Aws, deployment: Mapping[str, Any]) -> Attachments:
    """What a deployment's VPCs and security groups contain that is not in the deployment. Raises OpsError."""
    own = {str(it.get("id")) for it in deployment.get("resources") or [] if it.get("id")}
    places = {
        type: sorted(str(it["id"]) for it in deployment.get("resources") or [] if it["type"] == type and it.get("id"))
        for type in (VPC, GROUP)
    }
    with aws.asked() as ec2:
        return Attachments(stack, list(_found(ec2, aws.region, own, places)))


def _found(ec2: Any, region: str, own: set[str], places: Mapping[str, Sequence[str]]) -> Iterator[Attachment]:
    def command(text: str, id: str) -> str:
        return f"aws --region {region} ec2 {text} {id}"

    def inside(call: str, key: str, **by: Sequence[str]) -> Iterator[dict[str, Any]]:
        for name, values in by.items():
            if values:
                filters = [{"Name": name.replace("_", "-"), "Values": list(values)}]
                yield from items(ec2, call, key, Filters=filters)

    vpcs, groups = places[VPC], places[GROUP]
    parts: set[str] = set()  # interfaces of what is listed already
    for it in inside("describe_vpc_endpoints", "VpcEndpoints", vpc_id=vpcs):
        if it["VpcEndpointId"] not in own and exists(it):
            parts |= set(it.get("NetworkInterfaceIds") or [])
            delete = command("delete-vpc-endpoints --vpc-endpoint-ids", it["VpcEndpointId"])
            yield Attachment("endpoint", it["VpcEndpointId"], _words(it["ServiceName"], it), delete)
    for it in inside("describe_network_interfaces", "NetworkInterfaces", vpc_id=vpcs, group_id=groups):
        id, machine = it["NetworkInterfaceId"], (it.get("Attachment") or {}).get("InstanceId", "")
        if id in parts | own or machine in own or it.get("InterfaceType") == "nat_gateway":
            continue
        parts.add(id)
        if machine:
            yield Attachment(
                "instance", machine, _words(f"with {id}", it), command("terminate-instances --instance-ids", machine)
            )
        else:
            said = " ".join(str(it[key]) for key in ("Description", "RequesterId") if it.get(key))
            yield Attachment(
                "network interface",
                id,
                _words(said, it),
                command("delete-network-interface --network-interface-id", id),
            )
    for it in inside("describe_security_groups", "SecurityGroups", vpc_id=vpcs):
        if it["GroupId"] not in own and it["GroupName"] != "default":
            delete = command("delete-security-group --group-id", it["GroupId"])
            yield Attachment("security group", it["GroupId"], _words(it["GroupName"], it), delete)
    for it in inside("describe_subnets", "Subnets", vpc_id=vpcs):
        if it["SubnetId"] not in own:
            yield Attachment(
                "subnet", it["SubnetId"], _words("", it), command("delete-subnet --subnet-id", it["SubnetId"])
            )


def _words(said: str, item: Mapping[str, Any]) -> str:
    """What AWS says of it, with its tags."""
    tags = item.get("Tags") or item.get("TagSet") or []
    return " ".join(filter(None, [said, *(f"{tag['Key']}={tag['Value']}" for tag in tags)]))

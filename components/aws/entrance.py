"""A way in without an open port: Session Manager reaches the bastion, whose agent connects to AWS from inside.

https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager.html
"""

import json
import shlex
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_aws import iam

from .. import naming
from ..naming import Labels
from . import identity, names

LOCAL = "127.0.0.1"
"""Where the tunnel to the bastion's port 22 begins, on the machine that runs Pulumi."""

ACTIONS = (
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""What sessions need. AWS's policy AmazonSSMManagedInstanceCore also allows to read every parameter of the account:
https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-create-iam-instance-profile.html."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """The SSM Agent, which Debian's images do not have."""

    version: str
    """`latest`, or one such as 3.3.1345.0."""
    checksum: str
    """SHA-256 of the package for the bastion's architecture; empty: only TLS proves its origin."""


@dataclass(frozen=True, kw_only=True)
class EntranceArgs:
    """Arguments of `Entrance`."""

    region: str
    labels: Labels
    permissions_boundary: str = ""
    """ARN; empty: none."""


def policy() -> dict[str, Any]:
    """The rights of the bastion's agent. AWS offers no resources to limit them to."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}]}


def install(region: str, agent: Agent) -> str:
    """A shell command that installs the agent, from AWS's own bucket in the region:
    https://docs.aws.amazon.com/systems-manager/latest/userguide/agent-install-deb.html.
    """
    server = f"https://s3.{region}.{names.partition(region).suffix}/amazon-ssm-{region}/{agent.version}"
    check = f"echo {shlex.quote(f'{agent.checksum}  agent.deb')} | sha256sum --check && " if agent.checksum else ""
    return (
        'cd "$(mktemp -d)" && chmod 0755 . && '
        f"curl -fsS --proto =https --retry 20 --retry-all-errors --retry-delay 5 -o agent.deb "
        f'{server}/debian_"$(dpkg --print-architecture)"/amazon-ssm-agent.deb && '
        f"{check}DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install ./agent.deb && "
        "systemctl enable --now amazon-ssm-agent"
    )


class Entrance(pulumi.ComponentResource):
    """The instance profile of the bastion."""

    profile: pulumi.Output[str]

    def __init__(self, name: str, args: EntranceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Entrance"), name, None, opts)
        child, labels = pulumi.ResourceOptions(parent=self), args.labels
        full = names.role(labels.stack, args.region, "entrance")
        role = iam.Role(
            "entrance",
            name=full,
            description=f"Flink cluster {labels.stack}: sessions on the bastion",
            assume_role_policy=json.dumps(identity.trust(args.region)),
            permissions_boundary=args.permissions_boundary or None,
            force_detach_policies=True,
            tags=labels.tags(full),
            opts=identity.role_options(self),
        )
        rights = iam.RolePolicy("entrance", name="sessions", role=role.name, policy=json.dumps(policy()), opts=child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[rights])
        profile = iam.InstanceProfile("entrance", name=full, role=role.name, tags=labels.tags(full), opts=after)
        self.profile = profile.name
        self.register_outputs({})

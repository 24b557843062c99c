"""An Application Load Balancer in front of the front doors, with a certificate of ACM.

It ends TLS, and begins it anew to the doors, whose certificates it does not check: it connects to machines of the
stack's own group only. Logins and rights are the doors'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import lb

from .. import naming
from ..balancing import ALIVE, IDLE_SECONDS
from ..naming import Labels
from . import names
from .balancing import POLICY, PORT, BalancerSettings


@dataclass(frozen=True, kw_only=True)
class FrontDoorBalancerArgs:
    """Arguments of `FrontDoorBalancer`."""

    settings: BalancerSettings
    labels: Labels
    vpc_id: pulumi.Input[str]
    subnets: Sequence[pulumi.Input[str]]
    """Ids, in two or more zones."""
    group: pulumi.Input[str]
    """Id of its security group."""
    door: int
    """Port of the front doors."""
    machines: Mapping[str, pulumi.Input[str]]
    """JobManagers' hosts → ids of their machines."""


class FrontDoorBalancer(pulumi.ComponentResource):
    """The load balancer. `url` is where people reach it."""

    url: pulumi.Input[str]

    def __init__(self, name: str, args: FrontDoorBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "FrontDoorBalancer"), name, None, opts)
        child, stack, internal = pulumi.ResourceOptions(parent=self), args.labels.stack, args.settings.internal
        full = names.balancer(stack, internal)
        balancer = lb.LoadBalancer(
            "front-door",
            name=full,
            load_balancer_type="application",
            internal=internal,
            ip_address_type="ipv4",
            subnets=args.subnets,
            security_groups=[args.group],
            idle_timeout=IDLE_SECONDS,
            drop_invalid_header_fields=True,
            # The doors compare it with the Origin that a browser sends
            preserve_host_header=True,
            # The doors believe the last address only, which the load balancer adds
            xff_header_processing_mode="append",
            tags=args.labels.tags(full, "load-balancer"),
            opts=child,
        )
        doors = self._doors(args, child)
        lb.Listener(
            "front-door",
            load_balancer_arn=balancer.arn,
            port=PORT,
            protocol="HTTPS",
            ssl_policy=POLICY,
            certificate_arn=args.settings.certificate,
            default_actions=[lb.ListenerDefaultActionArgs(type="forward", target_group_arn=doors.arn)],
            tags=args.labels.tags(full, "load-balancer"),
            opts=child,
        )
        for host, machine in args.machines.items():
            lb.TargetGroupAttachment(
                f"{host}-front-door", target_group_arn=doors.arn, target_id=machine, port=args.door, opts=child
            )
        self.url = pulumi.Output.concat("https://", args.settings.name or balancer.dns_name)
        self.register_outputs({"url": self.url})

    def _doors(self, args: FrontDoorBalancerArgs, child: pulumi.ResourceOptions) -> lb.TargetGroup:
        full = names.doors(args.labels.stack, args.settings.internal, args.door)
        return lb.TargetGroup(
            "front-doors",
            name=full,
            vpc_id=args.vpc_id,
            target_type="instance",
            port=args.door,
            protocol="HTTPS",
            protocol_version="HTTP1",
            health_check=lb.TargetGroupHealthCheckArgs(
                enabled=True,
                protocol="HTTPS",
                port="traffic-port",
                path=ALIVE,
                matcher="200",
                interval=10,
                timeout=5,
                healthy_threshold=2,
                unhealthy_threshold=2,
            ),
            tags=args.labels.tags(full, "load-balancer"),
            opts=child,
        )

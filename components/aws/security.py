"""Who may connect to whom: a security group for each role, with rules from the table of ports that refer to groups."""

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_aws import ec2, vpc

from .. import naming, ports
from ..host import Notices, Role
from ..naming import Labels
from .balancing import PORT, BalancerSettings
from .declaration import AwsSettings

BASTION = "bastion"
"""The machine through which operators connect. Not a role, because nothing of the cluster runs there."""
BALANCER = "load-balancer"
"""What stands in front of the front doors. Likewise."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One source may connect to one port of one group of machines."""

    target: str
    """A role, BASTION, or BALANCER."""
    port: str
    """Name in the table of ports."""
    number: int
    source: str
    """A role, BASTION, BALANCER, or the CIDR of an operators' network."""
    purpose: str

    @property
    def name(self) -> str:
        """Name of the resource. It describes the rule, so that adding one does not rename others."""
        return f"{self.target}-{self.port}-{self.source}".replace("/", "-").replace(":", "-")

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """The source, if it is a network."""
        return None if self.source in (*Role, BASTION, BALANCER) else ipaddress.ip_network(self.source)


def rules(
    roles: Collection[Role],
    operator_cidrs: Sequence[str],
    bastion: bool,
    front_door: int = 0,
    rebalance: bool = False,
    balancer: BalancerSettings | None = None,
    metrics: Sequence[str] | None = None,
) -> list[Rule]:
    """The rules in the table of ports for the roles that have hosts. Operators are their networks, or the bastion if
    there is one; `front_door` is the port of the front door, 0 without one; `rebalance`: TaskManagers ask JobManagers
    for free slots. With a load balancer the front doors are open to that alone, and it to operators: to their networks
    if it has public addresses. `metrics`: the networks that read metrics in plain text; None means operators,
    unless there is a monitoring host.
    """
    networks = list(dict.fromkeys(str(ipaddress.ip_network(text)) for text in operator_cidrs))
    operators = [BASTION] if bastion else networks
    monitored = Role.MONITORING in roles
    metrics = ports.readers(operators, metrics, closed=monitored)
    found = []
    for port in ports.table(front_door, rebalance, monitored):
        people = [BALANCER] if balancer and port.name == ports.FRONT_DOOR.name else operators
        no_roles = {ports.OPERATORS: people, ports.METRICS: [*metrics]}
        sources = [
            source
            for client in port.clients
            if client in no_roles or client in roles
            for source in no_roles.get(client, [client])
        ]
        found += [
            Rule(target=target, port=port.name, number=port.number, source=source, purpose=port.purpose)
            for target in port.listens
            if target in roles
            for source in sources
        ]
    if balancer:
        door = ports.FRONT_DOOR
        found += [
            Rule(target=BALANCER, port=door.name, number=PORT, source=source, purpose=door.purpose)
            for source in (operators if balancer.internal else networks)
        ]
    if bastion:
        ssh = ports.number("ssh")
        found += [
            Rule(target=BASTION, port="ssh", number=ssh, source=network, purpose="SSH: the way to the hosts")
            for network in networks
        ]
    return found


@dataclass(frozen=True, kw_only=True)
class SecurityArgs:
    """Arguments of `Security`."""

    settings: AwsSettings
    labels: Labels
    vpc_id: pulumi.Input[str]


class Security(pulumi.ComponentResource):
    """The security groups and their rules."""

    groups: dict[Role, pulumi.Output[str]]
    """Ids of the groups, by role with machines."""
    bastion: pulumi.Output[str] | None
    """Id of the bastion's group, if there is a bastion."""
    balancer: pulumi.Output[str] | None
    """Id of the load balancer's group, if there is one."""
    ready: list[pulumi.Resource]
    """The rules. Hosts need not wait for them: early connections are retried."""

    def __init__(self, name: str, args: SecurityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("aws", "Security"), name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        roles = [role for role, group in args.settings.groups.items() if group.count]
        bastion = [BASTION] if args.settings.bastion else []
        balancer = [BALANCER] if args.settings.balancer else []
        groups = {target: self._group(target).id for target in (*roles, *bastion, *balancer)}
        self.groups = {role: groups[role] for role in roles}
        self.bastion, self.balancer = groups.get(BASTION), groups.get(BALANCER)
        settings = args.settings
        rebalance = any(group.notices is Notices.REBALANCE for group in settings.groups.values())
        expected = rules(
            roles,
            settings.operator_cidrs,
            settings.bastion,
            settings.front_door,
            rebalance,
            settings.balancer,
            settings.metrics,
        )
        self.ready = [self._rule(rule, groups) for rule in expected]
        machines = {target: group for target, group in groups.items() if target != BALANCER}
        self.ready += [self._out(target, group, v) for target, group in machines.items() for v in (4, 6)]
        if self.balancer:
            self.ready.append(self._to_doors(self.balancer, groups[Role.JOBMANAGER]))
        self.register_outputs({})

    def _group(self, target: str) -> ec2.SecurityGroup:
        """A group without rules. A new name or description would replace it, together with everything that uses it."""
        name = f"flink-{self._args.labels.stack}-{target}"
        return ec2.SecurityGroup(
            target,
            name=name,
            description=f"Flink cluster {self._args.labels.stack}: {target}",
            vpc_id=self._args.vpc_id,
            tags=self._args.labels.tags(name, target),
            opts=self._child,
        )

    def _rule(self, rule: Rule, groups: Mapping[str, pulumi.Output[str]]) -> pulumi.Resource:
        network = rule.network
        return vpc.SecurityGroupIngressRule(
            rule.name,
            security_group_id=groups[rule.target],
            ip_protocol="tcp",
            from_port=rule.number,
            to_port=rule.number,
            referenced_security_group_id=groups[rule.source] if network is None else None,
            cidr_ipv4=str(network) if isinstance(network, ipaddress.IPv4Network) else None,
            cidr_ipv6=str(network) if isinstance(network, ipaddress.IPv6Network) else None,
            description=rule.purpose,
            tags=self._args.labels.tags(rule.name, rule.target),
            opts=self._child,
        )

    def _to_doors(self, group: pulumi.Output[str], doors: pulumi.Output[str]) -> pulumi.Resource:
        name, port = f"{BALANCER}-out", self._args.settings.front_door
        return vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            referenced_security_group_id=doors,
            description="To the front doors",
            tags=self._args.labels.tags(name, BALANCER),
            opts=self._child,
        )

    def _out(self, target: str, group: pulumi.Output[str], version: int) -> pulumi.Resource:
        # Hosts download archives and packages from changing addresses, and jobs connect to systems that only their
        # authors know. A list here would soon be wrong. A network that must be closed has no NAT gateway
        name = f"{target}-out-ipv{version}"
        return vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group,
            ip_protocol="-1",
            cidr_ipv4="0.0.0.0/0" if version == 4 else None,
            cidr_ipv6="::/0" if version == 6 else None,
            description="Anywhere",
            tags=self._args.labels.tags(name, target),
            opts=self._child,
        )

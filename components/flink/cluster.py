"""A Flink standalone cluster on hosts of any provider: the order of all steps, and the cluster check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..frontdoor.certificates import FrontDoorAuthority, shared_secret
from ..host import Host, Role
from ..logs import component as collected
from ..remote import script_text, scripts_on, step
from ..roles import ROLES
from ..storage import Storage
from . import credentials, daemon, desired_state, discovery, node, start_cluster, storage_steps, teardown
from .context import Context, Running, declare_of
from .encryption import Encryption, probed
from .node import Node, NodeArgs
from .rollout import RolloutArgs, rollout
from .settings import ClusterSettings
from .topology import Members


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Arguments of `Cluster`. `hosts` has at least one JobManager and one TaskManager, and 3, 5 or 7 ZooKeeper servers
    if there is more than one JobManager.
    """

    hosts: Sequence[Host]
    storage: Storage
    settings: ClusterSettings
    balancer_networks: Sequence[str] = ()
    """CIDRs from where the front doors' load balancer connects, if there is one."""


class Cluster(pulumi.ComponentResource):
    """A running cluster. `up` fails with the reason and log lines unless the whole cluster is healthy."""

    overview: pulumi.Output[str]
    """The JSON of Flink's REST endpoint `/overview`, after all daemons were healthy."""
    works: remote.Command
    """The step that has seen them healthy."""
    settings: ClusterSettings
    storage: Storage
    members: Members
    front_door_authority: FrontDoorAuthority | None = None
    """What signs the certificates of the front door, if you have none of your own."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Cluster"), name, None, opts)
        try:
            self._declare(name, args)
        except Exception as error:
            # Otherwise a provider that waits for the service of these hosts waits forever
            for host in args.hosts:
                if host.service:
                    host.service.give_up(error)
            raise
        self.register_outputs({"overview": self.overview})

    def _declare(self, name: str, args: ClusterArgs) -> None:
        if args.settings.repair:
            args = replace(args, hosts=[_again(host) for host in args.hosts])
        self._args = args
        self.settings, self.storage = args.settings, args.storage
        self.members = Members(tuple(args.hosts))
        child = pulumi.ResourceOptions(parent=self)
        desired_state.show(name, args.settings, args.storage, self.members, child)
        leaving = teardown.declare(name, args.hosts, args.settings, args.storage, child)
        self._probes = {host.name: self._probe(host, leaving.get(host.name), child) for host in args.hosts}
        self._all_fit = self._gate(name)
        self._nodes = {host.name: self._node(host, child) for host in args.hosts}
        keys = [self._nodes[name].public_key for name in self.members.names(Role.JOBMANAGER)]
        directory = discovery.Directory(args.settings, self.members, keys)
        joined = {host.name: self._join(host, directory) for host in args.hosts}
        accepting = self.members.accepting_logins
        trusted = [
            start_cluster.trust(host, self.settings, directory.jobmanagers, self._on(host)) for host in accepting
        ]
        logins = self._logins(joined, trusted)
        running = self._running(name, joined, logins, child)
        services = {host: step for role in running for host, step in role.services.items()}
        ready = [resource for role in running for resource in role.ready]
        flink = RolloutArgs(settings=args.settings, members=self.members, services=services)
        # The rollout logs in with the keys of `trust`, and no Flink daemon restarts before the ensemble
        after = [*services.values(), *trusted, *ready]
        rolled = rollout(flink, pulumi.ResourceOptions(parent=self, depends_on=after))
        slots = pulumi.Output.all(*[role.slots for role in running if role.slots is not None])
        finished = [step for role in running if role.finish for step in role.finish([rolled])]
        self.works = self._works(slots, [*services.values(), rolled, *finished])
        self.overview = self.works.stdout

    def _probe(self, host: Host, leaving: pulumi.Resource | None, opts: pulumi.ResourceOptions) -> remote.Command:
        """Copy the scripts to a host, and probe it. `leaving` removes what is on it from the scripts on."""
        before = [leaving] if leaving else []
        copied = scripts_on(host, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=before)))
        after = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=copied))
        settings = self._args.settings
        return node.probe(host, settings, self._args.storage, probed(host.role, settings), after)

    def _gate(self, name: str) -> pulumi.Resource:
        """The barrier between the probes and any change. Without it every step would depend on the probe of every host,
        and a preview of 100 hosts would take a third longer. It does not wait for machines that wait for others.
        """
        probes = [self._probes[host.name] for host in self._args.hosts if not host.waits]
        opts = pulumi.ResourceOptions(parent=self, depends_on=probes)
        return pulumi.Stash(f"{name}-fit", input="All hosts that are there were found fit.", opts=opts)

    def _looked_at(self, host: Host) -> list[pulumi.Resource]:
        """What must have succeeded before `host` is changed: all probes, except those of machines that are created only
        after others, perhaps this one, are in service again.
        """
        return [self._all_fit, self._probes[host.name]] if host.waits else [self._all_fit]

    def _node(self, host: Host, opts: pulumi.ResourceOptions) -> Node:
        absent = [] if credentials.declared(host, self.storage, self.settings) else ["credentials"]
        absent += self.storage.absent_steps
        if self.settings.job_secrets is None:
            absent.append("job_secrets")
        if self.settings.python is None:
            absent.append("python")
        if self.settings.front_door is None:
            absent.append("frontdoor")
        if not self.members.monitored:
            absent += ["monitor-exporter", "timer-storage"]
        elif not self.storage.servers:
            absent.append("timer-storage")
        if not self.settings.logs.collected(monitored=self.members.monitored):
            absent.append("monitor-logs")
        if not self.settings.history:
            absent.append("history")
        daemon = ROLES[host.role].daemon
        if daemon and daemon.session and not self.members.high_availability:
            absent += ["timer", "timer-superseded"]
        if not (self.settings.trusted_certificates and ROLES[host.role].runs_flink):
            absent.append("trusted")
        args = NodeArgs(
            host=host,
            settings=self.settings,
            storage=self.storage,
            probes=self._looked_at(host),
            absent=absent,
        )
        return Node(host.name, args, opts)

    def _join(self, host: Host, directory: discovery.Directory) -> remote.Command:
        return discovery.join(host, self.settings, self.members, directory, self._on(host))

    def _on(self, host: Host) -> pulumi.ResourceOptions:
        """Options of a step that writes files of the daemons' user, which must exist."""
        return pulumi.ResourceOptions(parent=self._nodes[host.name], depends_on=self._nodes[host.name].system)

    def _logins(self, joined: Mapping[str, remote.Command], trusted: list[remote.Command]) -> list[remote.Command]:
        """The steps that prove that JobManagers can log in. None for machines that the stack creates: their sshd is
        known, and some are created only after daemons of others, which therefore cannot wait for the proof.
        """
        members = self.members
        if any(host.ready is not None for host in members.hosts):
            return []
        proofs = []
        for host in members.of(Role.JOBMANAGER):
            after = [*trusted, *[joined[other.name] for other in members.accepting_logins]]
            opts = pulumi.ResourceOptions(parent=self._nodes[host.name], depends_on=after)
            proofs.append(start_cluster.logins(host, members, after, opts))
        return proofs

    def _running(
        self,
        name: str,
        joined: Mapping[str, remote.Command],
        logins: list[remote.Command],
        child: pulumi.ResourceOptions,
    ) -> list[Running]:
        """The declared hosts of every role."""
        hosts, door = self._args.hosts, self.settings.front_door
        if door and not door.certificate:
            self.front_door_authority = FrontDoorAuthority(f"{name}-front-door", self.settings, child)
        sessions = naming.numbered(f"{name}-front-door-sessions", self.settings.tls_authority)
        context = Context(
            name=name,
            settings=self.settings,
            storage=self.storage,
            members=self.members,
            nodes=self._nodes,
            joined=joined,
            machines={host.name: node.machine(host, self._probes[host.name]) for host in hosts},
            probes={host.name: self._looked_at(host) for host in hosts},
            encryption=self._encryption(name, child),
            shared=storage_steps.shared(self.settings, self.storage, hosts, self._on),
            logins=logins,
            front_door_authority=self.front_door_authority,
            front_door_sessions=shared_secret(sessions, "sessions", child) if door and door.oidc else None,
            grafana_secret=self._grafana_secret(name, child),
            balancer_networks=self._args.balancer_networks,
        )
        roles = [declare_of(role)(context, found, child) for role in Role if (found := self.members.of(role))]
        return [*roles, collected.declare(context, child)]

    def _grafana_secret(self, name: str, opts: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
        if self.settings.monitoring.grafana is None or not self.members.monitored:
            return None
        return shared_secret(naming.numbered(f"{name}-grafana", self.settings.tls_authority), "grafana", opts)

    def _encryption(self, name: str, opts: pulumi.ResourceOptions) -> Encryption | None:
        return Encryption(name, self.settings, opts, monitored=self.members.monitored) if self.settings.tls else None

    def _works(self, slots: pulumi.Output[Sequence[int]], services: list[remote.Command]) -> remote.Command:
        settings, members = self.settings, self.members
        host = members.of(Role.JOBMANAGER)[0]

        def text(known: Sequence[Any]) -> str:
            values = {
                "host": host.name,
                "jobmanagers": members.reached_as(Role.JOBMANAGER),
                "taskmanagers": members.reached_as(Role.TASKMANAGER),
                "restPort": ports.number("rest"),
                "slots": sum(known[0]),
                "version": settings.flink.version,
                "seconds": settings.ready_timeout_seconds,
                "user": ROLES[host.role].user,
            }
            return script_text(host, "cluster.sh", {"values": json.dumps(values), "generation": known[1]})

        stdin = pulumi.Output.all(slots, daemon.generation(services, self._args.hosts)).apply(text)
        opts = pulumi.ResourceOptions(parent=self, depends_on=services)
        return step(host, "cluster", stdin, seconds=settings.ready_timeout_seconds + 120, opts=opts)


def _again(host: Host) -> Host:
    """The host as if its machine had been replaced, so that every step runs again."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(host, machine=pulumi.Output.concat(host.machine, "repair-", now))

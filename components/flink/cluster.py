"""A Flink standalone cluster on hosts that are there: everything in its order, and the proof that it works."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

import pulumi
from pulumi_command import remote

from components import naming, ports
from components.flink import config, daemon, desired_state, members, node, sizing, teardown
from components.flink.flink_host import FlinkHost, FlinkHostArgs, Process
from components.flink.jobmanager import JobManager
from components.flink.node import Machine, Node, NodeArgs
from components.flink.rollout import RolloutArgs, rollout
from components.flink.taskmanager import TaskManager
from components.flink.zookeeper import ZooKeeper, ZooKeeperArgs
from components.host import Host, Role, Storage
from components.remote import script_text, step
from settings import FlinkSettings


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """What a cluster is made of."""

    hosts: Sequence[Host]
    storage: Storage
    settings: FlinkSettings


class Cluster(pulumi.ComponentResource):
    """A running cluster; `overview` is what its REST API said of itself when everything had come up (JSON)."""

    overview: pulumi.Output[str]

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Cluster"), name, None, opts)
        try:
            self._declare(name, args)
        except Exception as error:
            # Whoever waits for a service of these hosts would wait for ever
            for host in args.hosts:
                if host.service:
                    host.service.give_up(error)
            raise
        self.register_outputs({"overview": self.overview})

    def _declare(self, name: str, args: ClusterArgs) -> None:
        if args.settings.repair:
            args = replace(args, hosts=[_again(host) for host in args.hosts])
        self._args = args
        self._members = config.Members(tuple(args.hosts))
        child = pulumi.ResourceOptions(parent=self)
        desired_state.show(name, args.settings, args.storage, self._members, child)
        self._probes = {host.name: node.probe(host, args.settings, child) for host in args.hosts}
        self._all_fit = self._gate(name)
        self._leaving = teardown.declare(name, args.hosts, args.settings, args.storage, child)
        self._nodes = {
            host.name: Node(host.name, NodeArgs(host=host, settings=args.settings, probes=self._looked_at(host)), child)
            for host in args.hosts
        }
        keys = [self._nodes[name].public_key for name in self._members.names(Role.JOBMANAGER)]
        directory = members.Directory(args.settings, self._members, keys)
        self._joined = {host.name: self._join(host, directory) for host in args.hosts}
        trusted = [members.trust(host, directory, self._on(host)) for host in self._members.flink]
        ensemble = self._ensemble(name) if self._members.of(Role.ZOOKEEPER) else []
        machines = {host.name: node.machine(host, self._probes[host.name]) for host in args.hosts}
        services = self._daemons(machines)
        flink = RolloutArgs(settings=self._args.settings, members=self._members, services=services)
        # It logs in by what `trust` set up, and nothing of Flink's restarts before the ensemble has
        after = [*services.values(), *trusted, *ensemble]
        rolled = rollout(flink, pulumi.ResourceOptions(parent=self, depends_on=after))
        self.overview = self._works(machines, [*services.values(), rolled]).stdout

    def _gate(self, name: str) -> pulumi.Resource:
        """What stands between the probes and any change: without it every step would depend on every host's probe,
        and a preview of 100 hosts take a third longer. Machines that wait for others are not waited for.
        """
        probes = [self._probes[host.name] for host in self._args.hosts if not host.waits]
        opts = pulumi.ResourceOptions(parent=self, depends_on=probes)
        return pulumi.Stash(f"{name}-fit", input="All hosts that are there were found fit.", opts=opts)

    def _looked_at(self, host: Host) -> list[pulumi.Resource]:
        """What must have succeeded before `host` is changed: everyone's probe, but for those of machines that are made
        only after others, perhaps this one, are in service again.
        """
        looked = [self._all_fit, self._probes[host.name]] if host.waits else [self._all_fit]
        return [*looked, *([self._leaving[host.name]] if host.name in self._leaving else [])]

    def _join(self, host: Host, directory: members.Directory) -> remote.Command:
        return members.join(host, self._args.settings, self._members, directory, self._on(host))

    def _on(self, host: Host) -> pulumi.ResourceOptions:
        """For a step that writes files of the daemons' user, who has to be there."""
        return pulumi.ResourceOptions(parent=self._nodes[host.name], depends_on=self._nodes[host.name].system)

    def _ensemble(self, name: str) -> list[remote.Command]:
        ensemble = ZooKeeper(
            name,
            ZooKeeperArgs(
                settings=self._args.settings,
                members=self._members,
                nodes=self._nodes,
                joined=self._joined,
                probes={host.name: self._looked_at(host) for host in self._members.of(Role.ZOOKEEPER)},
            ),
            pulumi.ResourceOptions(parent=self),
        )
        return [ensemble.ready]

    def _flink_host(self, host: Host, process: pulumi.Output[Process]) -> FlinkHostArgs:
        return FlinkHostArgs(
            host=host,
            jobmanagers=self._members.of(Role.JOBMANAGER),
            node=self._nodes[host.name],
            joined=self._joined[host.name],
            settings=self._args.settings,
            storage=self._args.storage,
            process=process,
            probes=self._looked_at(host),
        )

    def _daemons(self, machines: dict[str, pulumi.Output[Machine]]) -> dict[str, remote.Command]:
        """The steps that keep Flink's daemons running, by host. They start side by side, also beside the ensemble's:
        a daemon goes on asking for it.
        """
        services = {}
        child = pulumi.ResourceOptions(parent=self)
        memory = self._args.settings.jobmanager_mib
        leading = pulumi.Output.from_input(
            Process(memory_mib=memory, config_yaml=self._config(Role.JOBMANAGER, memory))
        )
        for host in self._members.of(Role.JOBMANAGER):
            services[host.name] = _kept(host, JobManager(host.name, self._flink_host(host, leading), child))

        @cache  # most machines are alike, and YAML is slow
        def process(machine: Machine) -> Process:
            memory, slots = self._memory(machine), self._slots(machine)
            return Process(memory_mib=memory, config_yaml=self._config(Role.TASKMANAGER, memory, slots))

        for host in self._members.of(Role.TASKMANAGER):
            args = self._flink_host(host, machines[host.name].apply(process))
            services[host.name] = _kept(host, TaskManager(host.name, args, child))
        return services

    def _config(self, role: Role, memory_mib: int, slots: int = 0) -> str:
        settings, storage = self._args.settings, self._args.storage
        return config.config_yaml(role, settings, storage, self._members, memory_mib=memory_mib, slots=slots)

    def _memory(self, machine: Machine) -> int:
        return self._args.settings.taskmanager_mib or sizing.taskmanager_mib(machine.memory_mib)

    def _slots(self, machine: Machine) -> int:
        return self._args.settings.taskmanager_slots or machine.cpus

    def _works(self, machines: dict[str, pulumi.Output[Machine]], services: list[remote.Command]) -> remote.Command:
        settings, names = self._args.settings, self._members.names
        host = self._members.of(Role.JOBMANAGER)[0]
        found = [machines[name] for name in names(Role.TASKMANAGER)]
        slots = pulumi.Output.all(*found).apply(lambda known: sum(self._slots(machine) for machine in known))
        stdin = pulumi.Output.all(slots, daemon.generation(services, self._args.hosts)).apply(
            lambda known: script_text(
                host,
                "cluster.sh",
                {
                    "rest_port": ports.number("rest"),
                    "jobmanagers": self._members.reached_as(Role.JOBMANAGER),
                    "taskmanagers": names(Role.TASKMANAGER),
                    "slots": known[0],
                    "version": settings.flink.version,
                    "seconds": settings.ready_timeout_seconds,
                    "user": node.user(Role.JOBMANAGER),
                    "generation": known[1],
                },
            )
        )
        opts = pulumi.ResourceOptions(parent=self, depends_on=services)
        return step(host, "cluster", stdin, seconds=settings.ready_timeout_seconds + 120, opts=opts)


def _again(host: Host) -> Host:
    """The host as if it were another machine now, for which every step is done again."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(host, machine=pulumi.Output.concat(host.machine, "repair-", now))


def _kept(host: Host, running: FlinkHost) -> remote.Command:
    """The step that keeps a host's daemon running, of which its provider is told."""
    if host.service:
        host.service.keep(running.service)
    return running.service

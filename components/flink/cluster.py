"""A Flink standalone cluster on hosts that are there: everything in its order, and the proof that it works."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pulumi
from pulumi_command import remote

from components import naming, ports
from components.flink import config, daemon, members, node, sizing
from components.flink.flink_host import FlinkHost, FlinkHostArgs
from components.flink.jobmanager import JobManager
from components.flink.node import Machine, Node, NodeArgs
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
        self._args = args
        self._members = config.Members(tuple(args.hosts))
        child = pulumi.ResourceOptions(parent=self)
        self._probes = {host.name: node.probe(host, args.settings, child) for host in args.hosts}
        self._all_fit = self._gate(name)
        self._nodes = {
            host.name: Node(host.name, NodeArgs(host=host, settings=args.settings, probes=self._looked_at(host)), child)
            for host in args.hosts
        }
        keys = [self._nodes[name].public_key for name in self._members.names(Role.JOBMANAGER)]
        directory = members.Directory(args.settings, self._members, keys)
        self._joined = {host.name: self._join(host, directory) for host in args.hosts}
        for host in [*self._members.of(Role.JOBMANAGER), *self._members.of(Role.TASKMANAGER)]:
            members.trust(host, directory, self._on(host))
        ensemble = self._ensemble(name) if self._members.of(Role.ZOOKEEPER) else []
        machines = {host.name: node.machine(host, self._probes[host.name]) for host in args.hosts}
        jobmanagers = self._jobmanagers(ensemble)
        taskmanagers = self._taskmanagers(machines, ensemble)
        self.overview = self._works(machines, [*jobmanagers, *taskmanagers]).stdout

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
        return [self._all_fit, self._probes[host.name]] if host.waits else [self._all_fit]

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

    def _flink_host(self, host: Host, config_yaml: pulumi.Output[str], after: list[remote.Command]) -> FlinkHostArgs:
        return FlinkHostArgs(
            host=host,
            jobmanagers=self._members.of(Role.JOBMANAGER),
            node=self._nodes[host.name],
            joined=self._joined[host.name],
            settings=self._args.settings,
            storage=self._args.storage,
            config_yaml=config_yaml,
            probes=self._looked_at(host),
            after=after,
        )

    def _jobmanagers(self, ensemble: list[remote.Command]) -> list[remote.Command]:
        settings = self._args.settings
        text = config.config_yaml(
            Role.JOBMANAGER, settings, self._args.storage, self._members, memory_mib=settings.jobmanager_mib
        )
        services: list[remote.Command] = []
        # One after the other, so that there is always one to lead. Which one leads is not known here, so a change may
        # make as many failovers as there are JobManagers
        for host in self._members.of(Role.JOBMANAGER):
            args = self._flink_host(host, pulumi.Output.from_input(text), [*ensemble, *services[-1:]])
            services.append(_kept(host, JobManager(host.name, args, pulumi.ResourceOptions(parent=self))))
        return services

    def _slots(self, machine: Machine) -> int:
        return self._args.settings.taskmanager_slots or machine.cpus

    def _taskmanagers(
        self, machines: dict[str, pulumi.Output[Machine]], ensemble: list[remote.Command]
    ) -> list[remote.Command]:
        @cache  # most machines are alike, and YAML is slow
        def text(machine: Machine) -> str:
            memory = self._args.settings.taskmanager_mib or sizing.taskmanager_mib(machine.memory_mib)
            slots = self._slots(machine)
            return config.config_yaml(
                Role.TASKMANAGER,
                self._args.settings,
                self._args.storage,
                self._members,
                memory_mib=memory,
                slots=slots,
            )

        services = []
        for host in self._members.of(Role.TASKMANAGER):
            args = self._flink_host(host, machines[host.name].apply(text), ensemble)
            services.append(_kept(host, TaskManager(host.name, args, pulumi.ResourceOptions(parent=self))))
        return services

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
        return step(host, "cluster", stdin, seconds=settings.ready_timeout_seconds + 120, removable=False, opts=opts)


def _kept(host: Host, running: FlinkHost) -> remote.Command:
    """The step that keeps a host's daemon running, of which its provider is told."""
    if host.service:
        host.service.keep(running.service)
    return running.service

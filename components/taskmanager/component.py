"""A TaskManager."""

from collections.abc import Sequence
from functools import cache

import pulumi

from ..flink import sizing
from ..flink.config_yaml import config_yaml, flink_config
from ..flink.context import Context, Running, keep
from ..flink.flink_host import FlinkHost, FlinkHostArgs, Process
from ..flink.node import Machine
from ..flink.settings import ClusterSettings
from ..host import Host, Role
from . import spot


class TaskManager(FlinkHost):
    """A TaskManager on a host. It is healthy when connected to a JobManager. The cluster check counts its slots."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(
            "TaskManager",
            name,
            args,
            arguments=arguments(args.host),
            others=args.context.members.reached_as(Role.JOBMANAGER),
            opts=opts,
        )
        after = pulumi.ResourceOptions(parent=self, depends_on=self.service)
        context, host = args.context, args.host
        found = context.machines[host.name].apply(lambda machine: slots(context.settings, machine))
        spot.watch(host, context.members.reached_as(Role.JOBMANAGER), found, after)


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """TaskManagers on `hosts`, each as large as its machine allows unless the settings set a size."""

    @cache  # most machines have the same size, and YAML is slow
    def process(machine: Machine) -> Process:
        memory = memory_mib(context.settings, machine)
        text = config_yaml(
            flink_config(
                Role.TASKMANAGER,
                context.settings,
                context.storage,
                context.members,
                memory_mib=memory,
                slots=slots(context.settings, machine),
                disks=machine.local_disks,
            )
        )
        return Process(memory_mib=memory, config_yaml=text)

    services = {}
    for host in hosts:
        args = FlinkHostArgs(context=context, host=host, process=context.machines[host.name].apply(process))
        services[host.name] = TaskManager(host.name, args, opts).service
        keep(host, services[host.name])
    found = pulumi.Output.all(*[context.machines[host.name] for host in hosts])
    return Running(
        services=services, slots=found.apply(lambda known: sum(slots(context.settings, machine) for machine in known))
    )


def arguments(host: Host) -> list[str]:
    """Arguments of Flink's start script on a host. The host name is the resource id, so that metrics keep their series
    across restarts.
    """
    return ["-D", f"taskmanager.host={host.reached_as}", "-D", f"taskmanager.resource-id={host.name}"]


def memory_mib(settings: ClusterSettings, machine: Machine) -> int:
    """Memory of the process in MiB on a machine."""
    return settings.taskmanager_mib or sizing.taskmanager_mib(machine.memory_mib)


def slots(settings: ClusterSettings, machine: Machine) -> int:
    """Number of slots on a machine."""
    return settings.taskmanager_slots or machine.cpus

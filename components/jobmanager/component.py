"""A JobManager, which ZooKeeper elects as leader or keeps as standby."""

from collections.abc import Mapping, Sequence

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..flink.config_yaml import config_yaml, flink_config
from ..flink.context import Context, Running, keep
from ..flink.flink_host import RECORDER, FlinkHost, FlinkHostArgs, Process
from ..frontdoor.component import FrontDoor, FrontDoorArgs
from ..host import Host, Role
from ..remote import script_text, shipped, step
from . import history


class JobManager(FlinkHost):
    """A JobManager on a host. It is healthy when its REST API answers."""

    def __init__(self, name: str, args: FlinkHostArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        others = [host for host in args.context.members.of(Role.JOBMANAGER) if host is not args.host]
        super().__init__(
            "JobManager",
            name,
            args,
            arguments=arguments(args.host),
            others=[host.reached_as for host in others],
            opts=opts,
        )
        if args.context.members.high_availability:
            # A mark on the storage, so that no other stack's `ops gc` takes the cluster for dead
            self._timer(args.host, "alive", {})
            self._timer(args.host, "superseded", {"name": "superseded"})
        if args.context.settings.history:
            self._history(args)

    def _history(self, args: FlinkHostArgs) -> None:
        """Keep a HistoryServer running beside the JobManager. Nothing waits for it, and it starts after the JobManager:
        on a small machine it takes half a minute.
        """
        context, host = args.context, args.host
        settings, members = context.settings, context.members
        assert settings.history is not None
        files = history.files(
            settings,
            history.config(settings, context.storage, members, settings.history),
            logs=settings.logs.collected(monitored=members.monitored),
            marks=context.storage.marks(settings.cluster_id),
        )
        uses = ("program.sh", RECORDER)
        text = self.wants.apply(
            lambda wants: script_text(
                host, "jobmanager/history.sh", history.values(settings, context.storage, wants), files, uses
            )
        )
        opts = pulumi.ResourceOptions(parent=self, depends_on=[self.service])
        step(host, "history", text, seconds=history.seconds(settings) + 60, opts=opts)

    def _timer(self, host: Host, what: str, record: Mapping[str, str]) -> None:
        """Run a helper of the JobManager again and again. `record`: the value `name` of lib.sh, if the step has one."""
        unit = f"flink-{what}"
        names = [f"{unit}.{kind}" for kind in ("service", "timer")]
        files = [shipped(f"/etc/systemd/system/{name}", f"config_templates/jobmanager/{name}") for name in names]
        text = script_text(host, "timer.sh", {**record, "unit": unit}, files)
        step(host, what, text, opts=pulumi.ResourceOptions(parent=self, depends_on=[self.service]))


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """JobManagers on `hosts`. They start in parallel with the ensemble, because they retry their connections to it."""
    memory = context.settings.jobmanager_mib
    text = config_yaml(
        flink_config(Role.JOBMANAGER, context.settings, context.storage, context.members, memory_mib=memory)
    )
    process = pulumi.Output.from_input(Process(memory_mib=memory, config_yaml=text))
    services: dict[str, remote.Command] = {}
    doors: list[remote.Command] = []
    for host in hosts:
        args = FlinkHostArgs(context=context, host=host, process=process)
        made = JobManager(host.name, args, opts)
        services[host.name] = made.service
        keep(host, services[host.name])
        if context.settings.front_door:
            doors.append(_front_door(context, host, opts).ready)
    return Running(services=services, ready=doors)


def _front_door(context: Context, host: Host, opts: pulumi.ResourceOptions) -> FrontDoor:
    door = context.settings.front_door
    assert door is not None
    args = FrontDoorArgs(
        host=host,
        door=door,
        settings=context.settings,
        storage=context.storage,
        node=context.nodes[host.name],
        authority=context.front_door_authority,
        sessions=context.front_door_sessions,
        encryption=context.encryption,
        jobmanagers=context.members.reached_as(Role.JOBMANAGER),
        monitoring=next(iter(context.members.reached_as(Role.MONITORING)), ""),
        keeps_logs=context.settings.logs.to_store(monitored=context.members.monitored),
        grafana=context.grafana_secret,
        balancer_networks=context.balancer_networks,
        after=[context.joined[host.name]],
    )
    made = FrontDoor(naming.step(host, "front-door"), args, opts)
    context.front_doors[host.name] = made
    return made


def arguments(host: Host) -> list[str]:
    """Arguments of Flink's start script on a host."""
    return [host.reached_as, str(ports.number("rest"))]

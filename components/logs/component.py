"""The agent of logs on every host, and the built-in store on the monitoring host."""

from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..circles import Circle
from ..flink.context import Context, Running
from ..flink.node import install
from ..host import Host, Role
from ..monitoring.exporter import identity_of, secret_files
from ..monitoring.program import Program
from ..remote import File, step
from ..roles import ROLES, unit_path
from . import collector, store
from .settings import Destination

SECONDS = 60
"""Seconds for a program to answer after its start: the store opens its files first."""


class LogStore(pulumi.ComponentResource):
    """The built-in store on a host. `ready` is the step after which it answers."""

    ready: remote.Command

    def __init__(self, name: str, context: Context, host: Host, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("logs", "LogStore"), name, None, opts)
        settings = context.settings
        prepared = pulumi.ResourceOptions(parent=self, depends_on=context.nodes[host.name].prepared)
        release = install(host, settings, context.storage, settings.logs.store, "victoria-logs-prod", prepared)
        identity = identity_of(host, context.encryption, "logs", self)
        text = identity.apply(lambda pems: _store_text(context, host, pems))
        opts = pulumi.ResourceOptions(parent=self, depends_on=[release, context.joined[host.name]])
        self.ready = step(host, "logs-store", text, seconds=SECONDS + 60, opts=opts)
        self.register_outputs({})


class Agent(pulumi.ComponentResource):
    """The agent of logs on a host. `ready` is the step after which it runs; what it cannot send yet waits."""

    ready: remote.Command

    def __init__(self, name: str, context: Context, host: Host, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("logs", "Agent"), name, None, opts)
        settings = context.settings
        to_store = settings.logs.to_store(monitored=context.members.monitored)
        prepared = pulumi.ResourceOptions(parent=self, depends_on=context.nodes[host.name].prepared)
        release = install(host, settings, context.storage, settings.logs.agent, "otelcol-contrib", prepared)
        told = pulumi.Output.all(
            pulumi.Output.from_input([] if settings.logs.destinations is None else settings.logs.destinations),
            pulumi.Output.from_input(
                context.encryption.trusted(Circle.MONITORING) if context.encryption and to_store else ""
            ),
        )
        text = told.apply(lambda known: _agent_text(context, host, *known))
        if settings.logs.destinations is not None:
            text = pulumi.Output.secret(text)
        after = [release, context.joined[host.name]]
        if host.name in context.front_doors:
            # It makes the group with which the agent reads its log
            after.append(context.front_doors[host.name].ready)
        opts = pulumi.ResourceOptions(parent=self, depends_on=after)
        self.ready = step(host, "logs", text, seconds=SECONDS + 60, opts=opts)
        self.register_outputs({})


def _store_text(context: Context, host: Host, identity: Sequence[str]) -> str:
    settings, row = context.settings, ROLES[host.role]
    unit = store.unit(settings.logs, tls=bool(identity), data_disk=host.data_device is not None)
    files = [File(path=unit_path(store.UNIT), text=unit), *secret_files(store.IDENTITY, identity, row.user)]
    program = Program(
        name="logstore",
        release="victorialogs",
        version=settings.logs.store.version,
        unit=store.UNIT,
        user=row.user,
        folder=store.FOLDER,
        data=[store.DATA],
        url=f"{store.url('localhost', tls=bool(identity))}/health",
        identity=store.IDENTITY if identity else (),
        seconds=SECONDS,
    )
    return program.step_text(host, files)


def _agent_text(context: Context, host: Host, destinations: Sequence[Destination], authorities: str) -> str:
    settings, members = context.settings, context.members
    front_door = settings.front_door is not None
    builtin = None
    if settings.logs.to_store(monitored=members.monitored):
        url = store.url(members.reached_as(Role.MONITORING)[0], tls=bool(authorities))
        builtin = collector.Builtin(url=f"{url}/insert/opentelemetry", tls=bool(authorities))
    config = collector.agent_yaml(
        settings.cluster_id,
        host.name,
        host.role,
        front_door=front_door,
        builtin=builtin,
        destinations=destinations,
        monitored=members.monitored,
    )
    files = [
        # First: it is stopped before its files are removed
        File(path=unit_path(collector.UNIT), text=collector.unit(host.role, front_door=front_door)),
        *secret_files([collector.CONFIG], [config], collector.USER),
        *([File(path=collector.AUTHORITIES, text=authorities)] if builtin and builtin.tls else []),
    ]
    program = Program(
        name="logs",
        release="otelcol",
        version=settings.logs.agent.version,
        unit=collector.UNIT,
        user=collector.USER,
        own_user=True,
        folder=collector.FOLDER,
        loaded=[collector.FOLDER],
        valid=[collector.PROGRAM, "validate", f"--config={collector.CONFIG}"],
        url=f"http://localhost:{ports.number('log-metrics')}/metrics",
        seconds=SECONDS,
    )
    return program.step_text(host, files)


def declare(context: Context, opts: pulumi.ResourceOptions) -> Running:
    """The agents on all hosts of the cluster, and the built-in store; nothing if nothing collects logs."""
    logs, members = context.settings.logs, context.members
    if not logs.collected(monitored=members.monitored):
        return Running()
    ready: list[remote.Command] = []
    if logs.to_store(monitored=members.monitored):
        ready += [
            LogStore(naming.step(host, "log-store"), context, host, opts).ready for host in members.of(Role.MONITORING)
        ]
    ready += [Agent(naming.step(host, "log-agent"), context, host, opts).ready for host in members.hosts]
    return Running(ready=ready)

"""The monitoring host: Prometheus and Alertmanager, and on every host of the cluster the exporters that it asks."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..flink.context import Context, Running, keep
from ..flink.node import install
from ..flink.settings import ClusterSettings
from ..flink.topology import Members
from ..host import Host, Role
from ..logs.settings import LogsSettings
from ..remote import File, script_text, step
from ..roles import ROLES, unit_path
from ..templates import render
from . import alerts, declared, grafana, plots, rules, targets
from .exporter import FRONT_DOOR, Exporter, ExporterArgs, identity_of, secret_files
from .program import Program
from .settings import Grouping, MonitoringSettings, Receiver, RemoteLogin, Smtp

UNIT = "flink-prometheus"
SECONDS = 120
"""Seconds for Prometheus to be ready: it reads its newest series first; for Grafana, to make its tables."""


class Monitoring(pulumi.ComponentResource):
    """Prometheus, Alertmanager and, if it is wanted, Grafana on a host. `ready` is the step after which Prometheus and
    Alertmanager answer and read from the current targets, `shown` the one after which Grafana answers.
    """

    ready: remote.Command
    shown: remote.Command | None

    def __init__(self, name: str, context: Context, host: Host, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("monitoring", "Monitoring"), name, None, opts)
        node, settings = context.nodes[name], context.settings
        prepared = pulumi.ResourceOptions(parent=self, depends_on=node.prepared)
        program = settings.monitoring.prometheus
        release = install(host, settings, context.storage, program, "prometheus", prepared)
        # Prometheus starts with them; later it notices by itself when they change
        listed = step(host, "targets", _targets(context, host), opts=prepared)
        identity = identity_of(host, context.encryption, "prometheus", self)
        login = settings.monitoring.remote_login
        known = pulumi.Output.all(identity, pulumi.Output.from_input(None) if login is None else login)
        text = known.apply(lambda found: _text(context, host, *found))
        sender = self._alertmanager(context, host, identity, prepared)
        after = [release, listed, context.joined[name], sender]
        opts = pulumi.ResourceOptions(parent=self, depends_on=after)
        self.ready = step(host, "prometheus-service", text, seconds=SECONDS + 60, opts=opts)
        self.shown = self._grafana(context, host, identity, prepared)
        self.register_outputs({})

    def _grafana(
        self,
        context: Context,
        host: Host,
        identity: pulumi.Output[Sequence[str]],
        prepared: pulumi.ResourceOptions,
    ) -> remote.Command | None:
        """Grafana, which keeps people's own dashboards on the data volume."""
        secret = context.grafana_secret
        if secret is None:
            return None
        program, door = context.settings.monitoring.grafana, door_of(context)
        assert program and door
        logs = context.settings.logs if context.settings.logs.to_store(monitored=True) else None
        release = install(host, context.settings, context.storage, program, "bin/grafana", prepared)
        text = pulumi.Output.all(identity, secret).apply(
            lambda known: _grafana_text(host, context.settings.cluster_id, program.version, door, logs, *known)
        )
        opts = pulumi.ResourceOptions(parent=self, depends_on=[release, self.ready])
        return step(host, "grafana-service", pulumi.Output.secret(text), seconds=SECONDS + 60, opts=opts)

    def _alertmanager(
        self,
        context: Context,
        host: Host,
        identity: pulumi.Output[Sequence[str]],
        prepared: pulumi.ResourceOptions,
    ) -> remote.Command:
        """Alertmanager, which keeps silences and what it has sent on the data volume."""
        settings = context.settings.monitoring
        program = settings.alertmanager
        release = install(host, context.settings, context.storage, program, "alertmanager", prepared)
        door = door_of(context)
        told = pulumi.Output.all(
            identity if door and door.tls else pulumi.Output.from_input([]),
            pulumi.Output.from_input([]) if settings.receivers is None else settings.receivers,
            pulumi.Output.from_input(None) if settings.smtp is None else settings.smtp,
        )
        grouping = settings.grouping
        text = told.apply(lambda known: _alertmanager_text(host, program.version, door, grouping, *known))
        opts = pulumi.ResourceOptions(parent=self, depends_on=[release, context.joined[host.name]])
        return step(host, "alertmanager-service", pulumi.Output.secret(text), seconds=SECONDS + 60, opts=opts)


def _targets(context: Context, host: Host) -> str:
    found = targets.files(
        context.settings.cluster_id,
        context.members,
        doors=context.settings.front_door is not None,
        logs=_collected(context),
    )
    files = [File(path=path, text=text) for path, text in found.items()]
    return script_text(host, "files.sh", {"what": "targets", "name": "targets"}, files)


def _text(context: Context, host: Host, identity: Sequence[str], login: RemoteLogin | None) -> str:
    settings, row, door = context.settings, ROLES[host.role], door_of(context)
    config = targets.prometheus_yml(
        settings.cluster_id,
        host.name,
        tls=bool(identity),
        door=door,
        logs=_collected(context),
        remote=_remote(settings, login),
    )
    found = [File(path=f"{targets.FOLDER}/rules/{name}", text=text) for name, text in rules.files().items()]
    trusted = settings.trusted_certificates if settings.monitoring.remote_write else ""
    authorities = f"{targets.FOLDER}/authorities-{sha256(trusted.encode()).hexdigest()[:16]}" if trusted else ""
    unit = prometheus_unit(
        settings.monitoring, data_disk=host.data_device is not None, door=door, authorities=authorities
    )
    secret = (login.password or login.token) if login else ""
    files = [
        File(path=unit_path(UNIT), text=unit),
        *secret_files(targets.IDENTITY, identity, row.user),
        *_web(door, targets.WEB, targets.IDENTITY),
        *([File(path=f"{authorities}/trusted.pem", text=trusted)] if trusted else []),
        *secret_files([targets.REMOTE_SECRET] if secret else [], [secret] if secret else [], row.user),
        *found,
        File(path=f"{plots.FOLDER}/{plots.FILE}", text=_plots(context)),
        File(path=f"{targets.FOLDER}/prometheus.yml", text=config),
    ]
    return _prometheus(context, host).step_text(host, files)


def _plots(context: Context) -> str:
    settings = context.settings
    return plots.page(
        door=settings.front_door is not None,
        logs=settings.logs.to_store(monitored=context.members.monitored),
        history=settings.history is not None,
    )


def _collected(context: Context) -> bool:
    return context.settings.logs.collected(monitored=context.members.monitored)


def _declared(context: Context, host: Host) -> str:
    text = declared.text(context.settings, context.members)
    files = [File(path=f"{targets.FOLDER}/rules/{declared.FILE}", text=text)]
    return replace(_prometheus(context, host), name="declared", keeper="prometheus-service").step_text(host, files)


def _prometheus(context: Context, host: Host) -> Program:
    """Prometheus, in the step that keeps it running."""
    row, door = ROLES[host.role], door_of(context)
    return Program(
        name="prometheus",
        release="prometheus",
        version=context.settings.monitoring.prometheus.version,
        unit=UNIT,
        user=row.user,
        folder=targets.FOLDER,
        folders=[f"{targets.FOLDER}/rules", plots.FOLDER],
        data=[f"{row.data_directory}/series"],
        loaded=LOADED,
        valid=["/opt/prometheus/promtool", "check", "config", f"{targets.FOLDER}/prometheus.yml"],
        url=f"{targets.prometheus_url(door)}/-/ready",
        identity=targets.IDENTITY if door and door.tls else (),
        seconds=SECONDS,
    )


def _alertmanager_text(
    host: Host,
    version: str,
    door: targets.Door | None,
    grouping: Grouping,
    identity: Sequence[str],
    receivers: Sequence[Receiver],
    smtp: Smtp | None,
) -> str:
    row = ROLES[host.role]
    files = [
        File(path=unit_path(alerts.UNIT), text=alerts.unit(data_disk=host.data_device is not None, door=door)),
        *secret_files(alerts.IDENTITY, identity, row.user),
        *_web(door, alerts.WEB, alerts.IDENTITY),
        *secret_files([alerts.CONFIG], [alerts.alertmanager_yml(receivers, smtp, grouping)], row.user),
    ]
    program = Program(
        name="alertmanager",
        release="alertmanager",
        version=version,
        unit=alerts.UNIT,
        user=row.user,
        folder=alerts.FOLDER,
        data=[alerts.DATA],
        loaded=[alerts.CONFIG],
        valid=["/opt/alertmanager/amtool", "check-config", alerts.CONFIG],
        url=f"{targets.alertmanager_url(door)}/-/ready",
        identity=alerts.IDENTITY if identity else (),
        seconds=SECONDS,
    )
    return program.step_text(host, files)


def _grafana_text(
    host: Host,
    cluster: str,
    version: str,
    door: targets.Door,
    logs: LogsSettings | None,
    identity: Sequence[str],
    secret: str,
) -> str:
    row, ini, provisioned = ROLES[host.role], grafana.ini(cluster, door, secret), grafana.provisioned(door, logs)
    # It reads dashboards again when they change
    once = [text for path, text in provisioned.items() if path.endswith(".yaml")]
    # Not the key, which comes with another certificate
    unit = grafana.unit(data_disk=host.data_device is not None, reads=[ini, *once, *identity[::2]])
    files = [
        File(path=unit_path(grafana.UNIT), text=unit),
        *secret_files(grafana.IDENTITY, identity, row.user),
        *secret_files([grafana.CONFIG], [ini], row.user),
        *(File(path=path, text=text) for path, text in provisioned.items()),
    ]
    program = Program(
        name="grafana",
        release="grafana",
        version=version,
        unit=grafana.UNIT,
        user=row.user,
        folder=grafana.FOLDER,
        data=[grafana.DATA],
        url=f"{grafana.url('localhost', tls=door.tls)}/api/health",
        identity=grafana.IDENTITY if identity else (),
        seconds=SECONDS,
    )
    return program.step_text(host, files)


def _web(door: targets.Door | None, path: str, identity: Sequence[str]) -> list[File]:
    """What lets the front doors in, and nobody without a certificate."""
    return [File(path=path, text=render("monitoring/web.yml.j2", identity=identity))] if door and door.tls else []


def _remote(settings: ClusterSettings, login: RemoteLogin | None) -> targets.Remote | None:
    url = settings.monitoring.remote_write
    if not url:
        return None
    return targets.Remote(url=url, user=login.user if login else "", token=bool(login and login.token))


def scrape_config(settings: ClusterSettings, members: Members) -> pulumi.Output[str]:
    """For a Prometheus of yours, in a network that may read metrics in plain text."""
    found = targets.scraped(members, tls=settings.tls)
    addresses = pulumi.Output.all(**{host.name: host.address for host in members.hosts})
    return addresses.apply(
        lambda known: targets.scrape_config(
            settings.cluster_id,
            {job: [(role.value, host.name, known[host.name]) for role, host in each] for job, each in found.items()},
        )
    )


def door_of(context: Context) -> targets.Door | None:
    """How front doors reach the monitoring host; None without them."""
    settings = context.settings
    door = settings.front_door
    if door is None:
        return None
    first = context.members.of(Role.JOBMANAGER)[0]
    name = settings.front_door_names.get(first.name) or next(iter(door.names), "") or first.reached_as
    return targets.Door(tls=context.encryption is not None, url=ports.url(name, front_door=door.port))


LOADED = [f"{targets.FOLDER}/prometheus.yml", f"{targets.FOLDER}/rules"]
"""What Prometheus reads again when it is told so, without a restart."""


def prometheus_unit(
    settings: MonitoringSettings, *, data_disk: bool, door: targets.Door | None = None, authorities: str = ""
) -> str:
    """Prometheus's unit. With a `data_disk` it starts only while that is mounted. `authorities`: a folder with what it
    trusts besides what the host does.
    """
    return render(
        "monitoring/flink-prometheus.service.j2",
        flags=targets.flags(settings.retention_seconds, settings.retention_mib, door),
        loaded=LOADED,
        data_disk=data_disk,
        devices=False,
        authorities=authorities,
    )


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """Exporters on all hosts of the cluster, and Prometheus on `hosts`."""
    ready: list[remote.Command] = []
    for host in hosts:
        made = Monitoring(host.name, context, host, opts)
        keep(host, made.ready)
        ready += [made.ready, *([made.shown] if made.shown else [])]
    # Last: they show when the certificates of all others expire
    ready += [_exporter(context, host, opts).ready for host in context.members.hosts]

    def declared_now(after: Sequence[pulumi.Resource]) -> list[remote.Command]:
        """What is not there yet is not missing: the numbers that rules compare with come last."""
        later = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[*after, *ready]))
        return [step(host, "declared", _declared(context, host), seconds=SECONDS + 60, opts=later) for host in hosts]

    return Running(ready=ready, finish=declared_now)


def _exporter(context: Context, host: Host, opts: pulumi.ResourceOptions) -> Exporter:
    args = ExporterArgs(
        host=host,
        settings=context.settings,
        storage=context.storage,
        node=context.nodes[host.name],
        encryption=context.encryption,
        ends=lambda: _ends(context, host),
    )
    return Exporter(naming.step(host, "exporter"), args, opts)


def _ends(context: Context, host: Host) -> dict[str, pulumi.Output[str]]:
    """The certificates of a host, and when they expire."""
    found = dict(context.encryption.ends.get(host.name, {})) if context.encryption else {}
    if host.name in context.front_doors:
        found[FRONT_DOOR] = context.front_doors[host.name].ends
    return found

"""node_exporter on a host: its metrics, for the monitoring host alone."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..certificates import notice
from ..circles import Circle
from ..flink import proxy
from ..flink.encryption import Encryption
from ..flink.node import Node, install
from ..flink.settings import ClusterSettings
from ..frontdoor.certificates import reported_before
from ..host import Host
from ..remote import File, script_text, shipped, step
from ..roles import ROLES, unit_path
from ..sources import host_script
from ..storage import Storage
from ..templates import render
from .program import Program

UNIT = USER = "flink-exporter"
FOLDER = f"/etc/{UNIT}"
METRICS = f"{FOLDER}/metrics"
"""Files with metrics, which node_exporter reads. Each step of `up` writes one (note_run in host_scripts/lib.sh)."""
WEB = f"{FOLDER}/web.yml"
CERTIFICATES = f"{METRICS}/certificates.prom"
"""`up` makes all of these certificates, so it knows when they expire."""
STORAGE_UNIT = "flink-storage"
STORAGE = f"{FOLDER}/storage.sh"
REACHABLE = "flink_storage_reachable"
"""The metric that it writes."""
NOT_AFTER = ("flink_certificate_not_after_seconds", "When a certificate expires, in seconds since the epoch.")
WARNING = ("flink_certificate_warning_seconds", "Before it expires: from then on it should be renewed.")
"""Metrics of certificates, with what they mean: node_exporter wants it to be the same in all files."""
FRONT_DOOR = "front-door"
"""The name of its certificate in these metrics."""
IDENTITY = tuple(f"{FOLDER}/tls/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
SECONDS = 30
"""Seconds for it to answer after its start."""


@dataclass(frozen=True, kw_only=True)
class ExporterArgs:
    """Arguments of `Exporter`."""

    host: Host
    settings: ClusterSettings
    storage: Storage
    node: Node
    encryption: Encryption | None
    """None: it answers without TLS."""
    ends: Callable[[], Mapping[str, pulumi.Output[str]]]
    """The certificates of the host, by name, and when they expire, in ISO format; asked when all are known."""


class Exporter(pulumi.ComponentResource):
    """node_exporter on a host. `ready` is the step after which it answers."""

    ready: remote.Command

    def __init__(self, name: str, args: ExporterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("monitoring", "Exporter"), name, None, opts)
        host, archive = args.host, args.settings.monitoring.node_exporter
        prepared = pulumi.ResourceOptions(parent=self, depends_on=args.node.prepared)
        release = install(host, args.settings, args.storage, archive, "node_exporter", prepared)
        identity = identity_of(host, args.encryption, "exporter", self)
        told = pulumi.Output.all(identity, pulumi.Output.all(**args.ends()))
        notices = _notices(args.settings)

        def text(known: Sequence[Any]) -> str:
            return _text(host, archive.version, known[0], known[1], notices)

        opts = pulumi.ResourceOptions(parent=self, depends_on=[release])
        self.ready = step(host, "exporter", told.apply(text), seconds=SECONDS + 60, opts=opts)
        if ROLES[host.role].uses_storage and args.storage.servers:
            watched = storage_text(host, args.settings, args.storage)
            opts = pulumi.ResourceOptions(parent=self, depends_on=[self.ready])
            step(host, "storage-watch", watched, opts=opts)
        self.register_outputs({})


def identity_of(
    host: Host, encryption: Encryption | None, what: str, parent: pulumi.Resource
) -> pulumi.Output[Sequence[str]]:
    """Certificate, key and trusted authorities in the circle of monitoring, as PEM; nothing without TLS."""
    if encryption is None:
        return pulumi.Output.from_input([])
    names = pulumi.Output.from_input(host.address).apply(
        lambda address: [*dict.fromkeys([host.name, host.reached_as, address, "localhost"])]
    )
    made = encryption.client(host, what, parent, Circle.MONITORING, names)
    return pulumi.Output.secret(pulumi.Output.all(made.certificate, made.key, made.authorities))


def _notices(settings: ClusterSettings) -> Callable[[str], timedelta]:
    """How long before its end a certificate is reported, by its name."""
    usual, door = notice(settings.certificate_life), reported_before(settings)
    return lambda name: door if name == FRONT_DOOR else usual


def _text(
    host: Host, version: str, identity: Sequence[str], ends: Mapping[str, str], notices: Callable[[str], timedelta]
) -> str:
    files = [
        # First: it is stopped before its files are removed
        File(path=unit_path(UNIT), text=exporter_unit(tls=bool(identity))),
        *secret_files(IDENTITY, identity, USER),
        *([File(path=CERTIFICATES, text=certificate_metrics(ends, notices))] if ends else []),
        *([File(path=WEB, text=render("monitoring/web.yml.j2", identity=IDENTITY))] if identity else []),
    ]
    program = Program(
        name="exporter",
        release="nodeexporter",
        version=version,
        unit=UNIT,
        user=USER,
        own_user=True,
        folder=FOLDER,
        folders=[METRICS],
        url=f"{'https' if identity else 'http'}://localhost:{ports.number('node-metrics')}/metrics",
        identity=IDENTITY if identity else (),
        seconds=SECONDS,
    )
    return program.step_text(host, files)


def storage_script(urls: Sequence[str], through: Mapping[str, str], folder: str = METRICS) -> str:
    """The text of STORAGE: the probe's request, to all servers. `through`: values of the library proxy.sh."""
    told = {name: shlex.quote(value) for name, value in through.items()}
    tcp = [shlex.quote(url.removeprefix("tcp://")) for url in urls if url.startswith("tcp://")]
    asked = [shlex.quote(url) for url in urls if url.startswith("http")]
    library = host_script("proxy.sh")
    return render(
        "monitoring/storage.sh.j2", library=library, folder=folder, metric=REACHABLE, urls=asked, tcp=tcp, **told
    )


def storage_text(host: Host, settings: ClusterSettings, storage: Storage) -> str:
    """The step that keeps looking whether a host reaches the storage."""
    service = render("monitoring/flink-storage.service.j2", script=STORAGE, folder=METRICS)
    files = [
        File(path=STORAGE, text=storage_script(storage.servers, proxy.values(settings))),
        File(path=unit_path(STORAGE_UNIT), text=service),
        shipped(f"/etc/systemd/system/{STORAGE_UNIT}.timer", "config_templates/monitoring/flink-storage.timer"),
    ]
    return script_text(host, "timer.sh", {"name": "storage", "unit": STORAGE_UNIT}, files)


def certificate_metrics(ends: Mapping[str, str], notices: Callable[[str], timedelta]) -> str:
    """When certificates expire, and from when on that is reported, as metrics in Prometheus's text format; `ends`:
    name → time in ISO format.
    """
    until = {name: datetime.fromisoformat(end).timestamp() for name, end in sorted(ends.items())}
    found = {
        NOT_AFTER: until,
        WARNING: {name: notices(name).total_seconds() for name in until},
    }
    lines = []
    for (metric, means), values in found.items():
        lines += [f"# HELP {metric} {means}", f"# TYPE {metric} gauge"]
        lines += [f'{metric}{{certificate="{name}"}} {value:.0f}' for name, value in values.items()]
    return "\n".join(lines) + "\n"


def secret_files(paths: Sequence[str], texts: Sequence[str], user: str) -> list[File]:
    """Files that only a user may read."""
    return [
        File(path=path, text=text, mode="0600", owner=f"{user}:{user}")
        for path, text in zip(paths, texts, strict=bool(texts))
    ]


# By default node_exporter leaves out `overlay`, too. The root of a host may be one, as in the lab: then it is its disk;
# those of containers are below the folders here
_NO_DISKS = (
    "autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|proc|"
    "procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs"
)
# The last are the unit's own (PrivateTmp), on a disk that is there already
_NO_PLACES = "dev|proc|run|sys|var/lib/(containerd|containers|docker|kubelet|rancher)|tmp|var/tmp"


def exporter_unit(*, tls: bool) -> str:
    """The unit of node_exporter."""
    return render(
        "monitoring/flink-exporter.service.j2",
        port=ports.number("node-metrics"),
        folder=METRICS,
        # A unit's $ is doubled
        no_disks=f"^({_NO_DISKS})$$",
        no_places=f"^/({_NO_PLACES})($$|/)",
        web=WEB if tls else "",
    )

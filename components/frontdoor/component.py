"""The front door of a host with a JobManager: Caddy, its certificate and its configuration, and beside it oauth2-proxy
where people log in by OpenID Connect.

It restarts nothing of Flink, and Flink's restarts do not concern it: it asks every JobManager each second whether it
leads. A change of users, rights or certificates is loaded without closing a connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from .. import certificates, naming
from ..flink.encryption import Encryption
from ..flink.node import Node, install
from ..flink.settings import ClusterSettings
from ..host import Host
from ..monitoring.exporter import METRICS, NOT_AFTER, WARNING, identity_of
from ..remote import File, script_text, shipped, step
from ..roles import unit_path
from ..sources import host_script
from ..storage import Storage
from ..templates import render
from . import login as logins
from .caddyfile import (
    ACME_AUTHORITIES,
    CADDYFILE,
    CERTIFICATE,
    FOLDER,
    IDENTITY,
    KEY,
    MONITORING_IDENTITY,
    WAIT_SECONDS,
    caddyfile,
)
from .certificates import FrontDoorAuthority, reported_before
from .settings import PORT, FrontDoorSettings, Oidc, User

UNIT = USER = "flink-frontdoor"
SECONDS = 60
"""Seconds for the proxy to answer after its start."""
ACME_SECONDS = 180
"""Seconds for the first certificate by ACME."""
ACME_UNIT = "flink-acme"
"""What writes when that expires."""
ACME_SCRIPT = f"{FOLDER}/acme.sh"
ACME_METRIC = f"{METRICS}/acme.prom"
ACME_CERTIFICATE = "front-door-acme"
"""Its name in metrics."""


@dataclass(frozen=True, kw_only=True)
class FrontDoorArgs:
    """Arguments of `FrontDoor`."""

    host: Host
    door: FrontDoorSettings
    settings: ClusterSettings
    storage: Storage
    node: Node
    authority: FrontDoorAuthority | None
    """None: with a certificate of yours."""
    sessions: pulumi.Output[str] | None
    """The secret of sessions, the same on all hosts. None: without OpenID Connect."""
    encryption: Encryption | None
    """None: JobManagers answer without TLS."""
    jobmanagers: Sequence[str]
    """The names at which all JobManagers are reached."""
    monitoring: str = ""
    """The name at which the monitoring host is reached, if there is one."""
    keeps_logs: bool = False
    """Whether that keeps logs."""
    grafana: pulumi.Output[str] | None = None
    """The secret by which its Grafana knows front doors, if it has one."""
    balancer_networks: Sequence[str] = ()
    """CIDRs from where a load balancer connects, if there is one."""
    after: Sequence[pulumi.Resource]
    """What must have succeeded before: the host knows the names of the others."""


class FrontDoor(pulumi.ComponentResource):
    """The proxy on a host. `ready` is the step after which it answers."""

    ready: remote.Command
    ends: pulumi.Output[str]
    """When its certificate expires, in ISO format; not that by ACME, if it has one."""

    def __init__(self, name: str, args: FrontDoorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("frontdoor", "FrontDoor"), name, None, opts)
        host, door = args.host, args.door
        acme_name = door.acme.names[host.name] if door.acme else ""
        trusted = args.settings.trusted_certificates if door.acme else ""
        child = pulumi.ResourceOptions(parent=self)
        after = pulumi.ResourceOptions(parent=self, depends_on=[args.node.prepared])
        releases = [install(host, args.settings, args.storage, door.caddy, "caddy", after)]
        oidc = door.oidc
        if oidc:
            releases.append(
                install(host, args.settings, args.storage, oidc.program, "oauth2-proxy", after, script="oauth2proxy.sh")
            )
        # People reach a load balancer at its own port
        login = logins.login(oidc, PORT if args.balancer_networks else door.port) if oidc else None
        names = pulumi.Output.all(host.address, host.ssh.address).apply(
            lambda known: list(dict.fromkeys([*door.names, host.name, host.reached_as, *known, "localhost"]))
        )
        notice = certificates.notice(args.settings.certificate_life)
        own_notice = reported_before(args.settings)
        renewal = "`up` renews it"
        if args.authority is None:
            certificate, key = pulumi.Output.from_input(door.certificate), door.key or pulumi.Output.from_input("")
            ends = pulumi.Output.from_input(certificates.end(door.certificate).isoformat(timespec="seconds"))
            renewal = "replace frontDoorCertificate and frontDoorKey"
        else:
            certificate, key, ends = args.authority.certificate_of(host, names, child)
        self.ends = ends
        client = args.encryption.client(host, "front-door-client", self) if args.encryption else None
        identity = [client.certificate, client.key, client.authorities] if client else []
        watch = identity_of(host, args.encryption if args.monitoring else None, "front-door-monitoring", self)
        all_ends = [ends, client.ends] if client else [ends]
        users: pulumi.Output[Sequence[User] | None] = (
            pulumi.Output.from_input(None) if door.users is None else door.users
        )

        def text(
            certificate: str,
            key: str,
            users: Sequence[User] | None,
            identity: Sequence[str],
            watch: Sequence[str],
            grafana: str,
            secrets: Sequence[str],
            ends: Sequence[str],
        ) -> str:
            own = {"mode": "0600", "owner": f"{USER}:{USER}"}
            config = caddyfile(
                served_as=door.served_as or host.name,
                realm=f"Flink {args.settings.cluster_id}",
                port=door.port,
                users=users,
                jobmanagers=args.jobmanagers,
                tls=bool(identity),
                acme=door.acme,
                acme_name=acme_name,
                acme_trusted=bool(trusted),
                login=login,
                wait=WAIT_SECONDS,
                balancer_networks=args.balancer_networks,
                monitoring=args.monitoring,
                logs=args.settings.logs if args.keeps_logs else None,
                history=args.settings.history is not None,
                grafana=grafana,
            )
            files = [
                # First: it is stopped before its files are removed
                File(path=unit_path(UNIT), text=render("frontdoor/flink-frontdoor.service.j2", port=door.port)),
                File(path=CERTIFICATE, text=certificate),
                File(path=KEY, text=key, **own),
                *(File(path=path, text=pem, **own) for path, pem in zip(IDENTITY, identity, strict=False)),
                *(File(path=path, text=pem, **own) for path, pem in zip(MONITORING_IDENTITY, watch, strict=False)),
                *([File(path=ACME_AUTHORITIES, text=trusted)] if trusted else []),
                File(path=CADDYFILE, text=config, **own),
            ]
            values: dict[str, str | int] = {
                "user": USER,
                "unit": UNIT,
                "folder": FOLDER,
                "ends": ends[0],
                "notice_seconds": int(own_notice.total_seconds()),
                "renewal": renewal,
                "rest_ends": "".join(ends[1:]),
                "rest_notice_seconds": int(notice.total_seconds()),
                "port": door.port,
                "version": door.caddy.version,
                "seconds": SECONDS,
            }
            uses = ["program.sh", "tls/ends.sh"]
            if door.acme:
                uses.append("tls/acme.sh")
                values |= {"acme_name": acme_name, "directory": door.acme.directory, "acme_seconds": ACME_SECONDS}
                values |= {"acme_watch": ACME_UNIT if args.monitoring else "", "acme_metric": ACME_METRIC}
                files += _acme_watch(acme_name) if args.monitoring else []
            if oidc is None:
                return script_text(host, "frontdoor.sh", values, files, uses=uses)
            files += _login_files(oidc, args.settings, *secrets)
            values |= {
                "login": "true",
                "login_unit": logins.UNIT,
                "login_folder": logins.FOLDER,
                "login_socket": logins.SOCKET,
                "login_issuer": oidc.issuer,
                "login_version": oidc.program.version,
            }
            return script_text(host, "frontdoor.sh", values, files, uses=[*uses, "login.sh"])

        secrets = [oidc.secret, args.sessions] if oidc else []
        told = pulumi.Output.all(
            certificate,
            key,
            users,
            pulumi.Output.all(*identity),
            watch,
            pulumi.Output.from_input("") if args.grafana is None else args.grafana,
            pulumi.Output.all(*secrets),
            pulumi.Output.all(*all_ends),
        ).apply(lambda known: text(*known))
        opts = pulumi.ResourceOptions(parent=self, depends_on=[*releases, *args.after])
        more = (ACME_SECONDS if door.acme else 0) + (SECONDS if oidc else 0)
        self.ready = step(host, "front-door", pulumi.Output.secret(told), seconds=SECONDS + 60 + more, opts=opts)
        self.register_outputs({})


def acme_script(name: str, user: str = USER, folder: str = METRICS, file: str = ACME_METRIC) -> str:
    """The text of ACME_SCRIPT: it writes when the certificate for `name` expires."""
    return render(
        "frontdoor/acme.sh.j2",
        library=host_script("tls/acme.sh"),
        user=user,
        acme_name=name,
        folder=folder,
        file=file,
        certificate=ACME_CERTIFICATE,
        not_after=NOT_AFTER,
        warning=WARNING,
    )


def acme_unit() -> str:
    """The unit that runs ACME_SCRIPT."""
    return render("frontdoor/flink-acme.service.j2", script=ACME_SCRIPT, folder=METRICS)


def _acme_watch(name: str) -> list[File]:
    return [
        File(path=ACME_SCRIPT, text=acme_script(name)),
        File(path=unit_path(ACME_UNIT), text=acme_unit()),
        shipped(f"/etc/systemd/system/{ACME_UNIT}.timer", "config_templates/frontdoor/flink-acme.timer"),
    ]


def _login_files(oidc: Oidc, settings: ClusterSettings, secret: str, cookie_secret: str) -> list[File]:
    """The unit and the configuration of oauth2-proxy."""
    trusted = settings.trusted_certificates
    unit = render("frontdoor/flink-login.service.j2", proxy=settings.http_proxy, direct=",".join(settings.no_proxy))
    config = logins.config(
        oidc, cluster=settings.cluster_id, secret=secret, cookie_secret=cookie_secret, authorities=bool(trusted)
    )
    return [
        File(path=unit_path(logins.UNIT), text=unit),
        *([File(path=logins.AUTHORITIES, text=trusted)] if trusted else []),
        File(path=logins.CONFIG, text=config, mode="0600", owner=f"{logins.USER}:{logins.USER}"),
    ]

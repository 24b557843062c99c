"""The configuration of Caddy, as text. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .. import ports
from ..balancing import ALIVE, KEPT_SECONDS
from ..logs import store
from ..logs.settings import LogsSettings
from ..monitoring import grafana as watching
from ..monitoring import rights as monitoring_rights
from ..monitoring import targets
from ..templates import render
from . import rights
from .login import Login
from .rights import Right
from .settings import Acme, User

FOLDER = "/etc/flink-frontdoor"
CERTIFICATE, KEY, CADDYFILE = (f"{FOLDER}/{name}" for name in ("certificate.pem", "key.pem", "Caddyfile"))
IDENTITY = tuple(f"{FOLDER}/rest/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
"""With TLS inside of the cluster: what the door shows to JobManagers, and what it trusts."""
MONITORING_IDENTITY = tuple(f"{FOLDER}/monitoring-{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
"""With TLS inside of a cluster with a monitoring host: likewise, for that host, which also asks the door."""
ACME_AUTHORITIES = f"{FOLDER}/acme-authorities.pem"
"""What the door trusts of an ACME server, besides what its host knows: `trustedCertificates`."""

LEADER_METRIC = "flink_jobmanager_numRegisteredTaskManagers"
"""Only the JobManager that leads has it: its ResourceManager registers it when it becomes the leader, and removes it
afterwards (measured: docs/decisions/0029-front-door.md)."""

HISTORY_PREFIX = "/history"
"""Where people find the HistoryServer."""

_LOG_URLS = (
    ("([0-9a-f]{32})/jobmanager", 1),
    (r"([0-9a-f]{32})/taskmanagers/([0-9A-Za-z][0-9A-Za-z.-]{0,252})", 2),
)
"""What the page of a HistoryServer asks for the address of a daemon's logs, below its jobs, and how many ids are in it.
A TaskManager's is the name of its host (taskmanager/component.py)."""

WAIT_SECONDS = 30
"""Seconds for which a request waits for a JobManager that leads, before it is answered with 503."""


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A server behind the door besides the JobManagers."""

    name: str
    title: str
    """For people, if it does not answer."""
    url: str
    """Without a path."""
    read: Iterable[tuple[str, str]]
    operate: Iterable[tuple[str, str]] = ()
    """Method and regular expression of the requests of each right."""
    identity: Sequence[str] = ()
    """Certificate, key and trusted authorities; empty: it speaks no TLS."""
    served_as: str = ""
    """The name in its certificate, if it is not that in `url`."""
    strip: str = ""
    """A prefix of paths that it does not know."""
    user_header: str = ""
    role_header: str = ""
    """In which it is told who asks, if it is."""
    user: str = ""
    """Who that is: a placeholder."""


def caddyfile(
    *,
    served_as: str,
    realm: str,
    port: int,
    users: Sequence[User] | None,
    jobmanagers: Sequence[str],
    wait: int,
    tls: bool = False,
    acme: Acme | None = None,
    acme_name: str = "",
    acme_trusted: bool = False,
    login: Login | None = None,
    balancer_networks: Sequence[str] = (),
    monitoring: str = "",
    logs: LogsSettings | None = None,
    history: bool = False,
    grafana: str = "",
) -> str:
    """The Caddyfile of a host. `served_as` is one of the names in its certificate, for clients that ask for none;
    `jobmanagers` are the names at which all of them are reached; None as `users`: nobody logs in, without a `login`;
    `wait` is in seconds; `tls`: JobManagers speak TLS, and ask for a certificate. `acme`: the server that signs a
    certificate for `acme_name`; for other names it is CERTIFICATE. `acme_trusted`: ACME_AUTHORITIES is there. `login`:
    by OpenID Connect. `balancer_networks`: CIDRs from where a load balancer connects, whose
    word for the addresses of clients is taken, and nobody else's. `monitoring`: the name at which the monitoring host
    is reached, if there is one; `logs`: those that it keeps; `grafana`: the secret by which its Grafana knows the door,
    if it has one. `history`: there is a HistoryServer on the same host.
    """
    scheme = "https" if tls else "http"
    return render(
        "frontdoor/Caddyfile.j2",
        served_as=served_as,
        realm=realm,
        port=port,
        certificate=CERTIFICATE,
        key=KEY,
        users=users,
        login=login,
        # A placeholder, or a variable of the request
        role="role" if login else "{role}",
        read=rights.patterns(Right.READ),
        operate=rights.patterns(Right.OPERATE),
        jobmanagers=[f"{'https://' if tls else ''}{each}:{ports.number('rest')}" for each in jobmanagers],
        metrics_port=ports.number("prometheus"),
        metric=LEADER_METRIC,
        wait_seconds=wait,
        identity=IDENTITY if tls else (),
        acme=acme,
        acme_name=acme_name,
        acme_authorities=ACME_AUTHORITIES if acme_trusted else "",
        balancer_networks=balancer_networks,
        kept_seconds=KEPT_SECONDS,
        alive=ALIVE,
        monitoring=monitoring,
        behind=[
            *(_behind(f"{scheme}://{monitoring}", monitoring, tls=tls, logs=logs is not None) if monitoring else ()),
            *([_grafana(scheme, monitoring, grafana, anybody=users is None and not login)] if grafana else []),
            *([_history(scheme, tls=tls)] if history else []),
        ],
        log_urls=_log_urls(logs) if history and logs else [],
        role_is="{vars.role}" if login else "{role}",
        grafana_roles=watching.ROLES,
        monitoring_identity=MONITORING_IDENTITY if tls else (),
        own_metrics=f"{scheme}://:{ports.number('door-metrics')}",
    )


def _log_urls(logs: LogsSettings) -> Sequence[tuple[str, str]]:
    """Regular expressions of what a HistoryServer's page asks for addresses of logs, and the addresses. A HistoryServer
    knows only whole URLs, and people reach a door by names, addresses and tunnels. These begin where the page is.
    """
    found = []
    for asked, ids in _LOG_URLS:
        words = [f"{{http.regexp.asked.{number}}}" for number in range(1, ids + 1)]
        url = store.search(f"..{store.PREFIX}", store.of_job(*words), logs, *words)
        found.append((rf"^{HISTORY_PREFIX}/jobs/{asked}/log-url(?:\?.*)?$", url))
    return found


def _behind(host: str, name: str, *, tls: bool, logs: bool) -> Sequence[Behind]:
    """The programs on the monitoring host, with who may ask them for what."""
    programs = [
        (
            "prometheus",
            "Prometheus",
            targets.PROMETHEUS_PORT,
            targets.PREFIX,
            monitoring_rights.PROMETHEUS,
            monitoring_rights.PROMETHEUS_FILES,
        ),
        (
            "alertmanager",
            "Alertmanager",
            targets.ALERTMANAGER_PORT,
            targets.ALERTMANAGER_PREFIX,
            monitoring_rights.ALERTMANAGER,
            monitoring_rights.ALERTMANAGER_FILES,
        ),
    ]
    if logs:
        port = ports.number("log-store")
        programs.append(
            ("logs", "VictoriaLogs", port, store.PREFIX, monitoring_rights.LOGS, monitoring_rights.LOGS_FILES)
        )
    return [
        Behind(
            name=known,
            title=f"{title} on the monitoring host {name}",
            url=f"{host}:{port}",
            identity=MONITORING_IDENTITY if tls else (),
            read=rights.patterns_below(prefix, table, Right.READ, files),
            operate=rights.patterns_below(prefix, table, Right.OPERATE),
        )
        for known, title, port, prefix, table, files in programs
    ]


def _grafana(scheme: str, name: str, secret: str, *, anybody: bool) -> Behind:
    """Grafana on the monitoring host, which is told who asks. `anybody`: nobody logs in."""
    user, role = watching.headers(secret)
    prefix, table = watching.PREFIX, monitoring_rights.GRAFANA
    return Behind(
        name="grafana",
        title=f"Grafana on the monitoring host {name}",
        url=f"{scheme}://{name}:{watching.PORT}",
        identity=MONITORING_IDENTITY if scheme == "https" else (),
        user_header=user,
        role_header=role,
        user="anybody" if anybody else "{http.auth.user.id}",
        read=rights.patterns_below(prefix, table, Right.READ, monitoring_rights.GRAFANA_FILES),
        operate=rights.patterns_below(prefix, table, Right.OPERATE),
    )


def _history(scheme: str, *, tls: bool) -> Behind:
    """Flink's HistoryServer on the door's own host. It knows no prefix, and its page has relative links only."""
    return Behind(
        name="history",
        title="the HistoryServer on this host (unit flink-history)",
        url=f"{scheme}://127.0.0.1:{ports.number('history')}",
        identity=IDENTITY if tls else (),
        served_as="localhost" if tls else "",
        strip=HISTORY_PREFIX,
        read=rights.patterns_below(HISTORY_PREFIX, rights.HISTORY, Right.READ, rights.UI),
    )

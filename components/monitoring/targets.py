"""What Prometheus reads, as text: its configuration, and the lists of targets. Pure.

Each kind of target is a job of Prometheus with a list of its own in a file, which Prometheus reads again when it
changes: adding a TaskManager neither restarts nor reloads anything. A target has the labels `cluster`, `role` and
`host`, the name that the stack gives the host, so that series continue when a daemon restarts or a machine is replaced.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import ports, yaml_text
from ..flink.topology import Members
from ..host import Host, Role

FOLDER = "/etc/prometheus"
IDENTITY = tuple(f"{FOLDER}/tls/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
"""What Prometheus shows to exporters, and what it trusts."""
INTERVAL_SECONDS = 15
PROMETHEUS_PORT = ports.number("prometheus-web")
PREFIX = "/prometheus"
"""In front of all paths of Prometheus, as behind a proxy."""
ALERTMANAGER_PORT, ALERTMANAGER_PREFIX = ports.number("alertmanager-web"), "/alertmanager"
"""Likewise."""
REMOTE_SECRET = f"{FOLDER}/remote-write-secret"
"""The password or the token for the store of yours, which Prometheus reads for each request."""
WEB = f"{FOLDER}/web.yml"
"""Only behind a front door with TLS: then Prometheus and Alertmanager ask for a certificate, on the host as well."""


@dataclass(frozen=True, kw_only=True)
class Door:
    """How the front doors of a cluster reach its monitoring host."""

    tls: bool
    """With certificates of the circle `monitoring`."""
    url: str
    """Of one of the doors, without a slash at the end: links in alerts begin with it."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """Where metrics go besides, and who writes there: a user, or, if `token`, the bearer of a token; or nobody."""

    url: str
    user: str = ""
    token: bool = False


def prometheus_url(door: Door | None) -> str:
    """Where Prometheus answers on the monitoring host itself. None: without a front door."""
    return f"{_scheme(door)}://localhost:{PROMETHEUS_PORT}{PREFIX}"


def alertmanager_url(door: Door | None) -> str:
    """Where Alertmanager does."""
    return f"{_scheme(door)}://localhost:{ALERTMANAGER_PORT}{ALERTMANAGER_PREFIX}"


def listens(door: Door | None, port: int) -> str:
    """Where one of them listens: on all addresses behind a front door, otherwise on the loopback."""
    return f":{port}" if door else f"127.0.0.1:{port}"


def external(door: Door | None, port: int, prefix: str) -> str:
    """The URL of one of them for people."""
    return f"{door.url}{prefix}" if door else f"http://localhost:{port}{prefix}"


def _scheme(door: Door | None) -> str:
    return "https" if door and door.tls else "http"


_KINDS: Mapping[str, str] = {"flink": "prometheus", "node": "node-metrics", "zookeeper": "zk-metrics"}
"""Job of Prometheus → name in the table of ports."""
# Flink's own label `host` is the address of a TaskManager
_OWN_LABELS: Mapping[str, Mapping[str, Any]] = {
    "flink": {"metric_relabel_configs": [{"action": "labeldrop", "regex": "exported_host"}]}
}
_DOORS: Mapping[str, str] = {"frontdoor": "door-metrics"}
"""Likewise, with a front door."""
_LOGS: Mapping[str, str] = {"logs": "log-metrics"}
"""Likewise, where hosts have an agent of logs."""


def lists(
    cluster: str, members: Members, *, doors: bool = False, logs: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Job → its targets, in the form of Prometheus's `file_sd_configs`; `doors`: there are front doors; `logs`: hosts
    have an agent of logs.
    """
    listens = {port.name: port.listens for port in ports.table(int(doors), monitoring=True)}
    return {
        kind: [
            {
                "targets": [f"{host.reached_as}:{ports.number(name)}"],
                "labels": {"cluster": cluster, "role": role.value, "host": host.name},
            }
            for role in Role
            if role in listens[name]
            for host in members.of(role)
        ]
        for kind, name in {**_KINDS, **(_DOORS if doors else {}), **(_LOGS if logs else {})}.items()
    }


def files(cluster: str, members: Members, *, doors: bool = False, logs: bool = False) -> dict[str, str]:
    """Path → text of the lists."""
    found = lists(cluster, members, doors=doors, logs=logs)
    return {_list(kind): json.dumps(entries, indent=1) + "\n" for kind, entries in found.items()}


def _list(kind: str) -> str:
    return f"{FOLDER}/targets/{kind}.json"


def prometheus_yml(
    cluster: str,
    host: str,
    *,
    tls: bool,
    door: Door | None = None,
    logs: bool = False,
    remote: Remote | None = None,
) -> str:
    """Prometheus's configuration on the monitoring host `host`. Everything in it is known to Prometheus 2.42 and 3.x
    alike (docs/decisions/0031-monitoring.md). `tls`: exporters ask for a certificate; `door`: of clusters with front
    doors; `logs`: as in `lists`; `remote`: where metrics go besides.
    """
    certificate, key, authorities = IDENTITY
    secure = {
        "scheme": "https",
        "tls_config": {"ca_file": authorities, "cert_file": certificate, "key_file": key, "min_version": "TLS13"},
    }
    own = secure if door and door.tls else {}
    itself = {"cluster": cluster, "role": Role.MONITORING.value, "host": host}
    found = {
        "global": {
            "scrape_interval": f"{INTERVAL_SECONDS}s",
            "scrape_timeout": "10s",
            "evaluation_interval": f"{INTERVAL_SECONDS}s",
            "external_labels": {"cluster": cluster},
        },
        "rule_files": [f"{FOLDER}/rules/*.yaml"],
        "alerting": {
            "alertmanagers": [
                {
                    "path_prefix": ALERTMANAGER_PREFIX,
                    **own,
                    "static_configs": [{"targets": [f"localhost:{ALERTMANAGER_PORT}"]}],
                }
            ]
        },
        "scrape_configs": [
            _job("flink", **_OWN_LABELS["flink"]),
            _job("zookeeper"),
            _job("node", **(secure if tls else {})),
            *([_job("frontdoor", **own)] if door else []),
            *([_job("logs")] if logs else []),
            *(
                {
                    "job_name": name,
                    "metrics_path": f"{prefix}/metrics",
                    **own,
                    "static_configs": [{"targets": [f"localhost:{port}"], "labels": itself}],
                }
                for name, prefix, port in (
                    ("prometheus", PREFIX, PROMETHEUS_PORT),
                    ("alertmanager", ALERTMANAGER_PREFIX, ALERTMANAGER_PORT),
                )
            ),
        ],
    }
    if remote:
        login: dict[str, Any] = {}
        if remote.user:
            login = {"basic_auth": {"username": remote.user, "password_file": REMOTE_SECRET}}
        elif remote.token:
            login = {"authorization": {"credentials_file": REMOTE_SECRET}}
        found["remote_write"] = [{"url": remote.url, **login}]
    return "# Managed by Pulumi: changes are overwritten.\n" + yaml_text.write(found)


def scrape_config(cluster: str, found: Mapping[str, Sequence[tuple[str, str, str]]]) -> str:
    """Scrape configuration for a Prometheus elsewhere. `found`: job → role, name and address of its targets."""
    jobs = [
        {
            "job_name": f"{cluster}-{job}",
            "static_configs": [
                {
                    "targets": [f"[{address}]:{number}" if ":" in address else f"{address}:{number}"],
                    "labels": {"cluster": cluster, "role": role, "host": host, "job": job},
                }
                for role, host, address in entries
            ],
            **_OWN_LABELS.get(job, {}),
        }
        for job, entries in found.items()
        for number in (ports.number(_KINDS[job]),)
    ]
    return yaml_text.write({"scrape_configs": jobs})


def scraped(members: Members, *, tls: bool) -> dict[str, list[tuple[Role, Host]]]:
    """Job → the targets that a Prometheus elsewhere can read, without a certificate."""
    of_monitored = ("zookeeper", *(() if tls else ("node",))) if members.monitored else ()
    listens = {port.name: port.listens for port in ports.table(monitoring=members.monitored)}
    return {
        job: [(role, host) for role in Role if role in listens[_KINDS[job]] for host in members.of(role)]
        for job in ("flink", *of_monitored)
    }


def _job(name: str, **more: Any) -> dict[str, Any]:
    return {"job_name": name, "file_sd_configs": [{"files": [_list(name)]}], **more}


def flags(retention_seconds: int, retention_mib: int, door: Door | None = None) -> Sequence[str]:
    """Options of Prometheus on its command line."""
    data = "/var/lib/prometheus/data/series"
    return [
        f"--config.file={FOLDER}/prometheus.yml",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={retention_seconds}s",
        *([f"--storage.tsdb.retention.size={retention_mib}MB"] if retention_mib else []),
        f"--web.console.templates={FOLDER}/consoles",
        f"--web.listen-address={listens(door, PROMETHEUS_PORT)}",
        f"--web.external-url={external(door, PROMETHEUS_PORT, PREFIX)}",
        f"--web.route-prefix={PREFIX}",
        *([f"--web.config.file={WEB}"] if door and door.tls else []),
    ]

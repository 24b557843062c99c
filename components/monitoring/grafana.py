"""Grafana's configuration and unit, as text. Pure.

Grafana asks nobody for a certificate. So that only front doors can say who somebody is, the headers with which they do
have names that only they and Grafana know (docs/decisions/0036-grafana.md).
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from configparser import RawConfigParser
from typing import Any

import yaml

from .. import ports, yaml_text
from ..logs.settings import LogsSettings
from ..templates import TEMPLATES, render
from . import dashboards, targets

UNIT = "flink-grafana"
FOLDER = f"/etc/{UNIT}"
CONFIG = f"{FOLDER}/grafana.ini"
IDENTITY = tuple(f"{FOLDER}/tls/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
"""What it shows to front doors and to Prometheus, and what it trusts of the latter."""
DATA = "/var/lib/prometheus/data/grafana"
PORT = ports.number("grafana")
PREFIX = "/grafana"
"""In front of all its paths, as behind a proxy."""
ROLES = {"viewer": "Viewer", "operator": "Editor"}
"""Role at the front door → in Grafana. Nobody is an administrator: what it is, is declared."""
_PROVISIONING = TEMPLATES / "monitoring" / "grafana"
_DASHBOARDS = f"{FOLDER}/dashboards"


def url(host: str, *, tls: bool) -> str:
    """Where it is reached at `host`."""
    return f"{'https' if tls else 'http'}://{host}:{PORT}{PREFIX}"


def headers(secret: str) -> tuple[str, str]:
    """The names of the headers that say who somebody is, and in which of Grafana's roles. They are secrets."""
    return f"X-User-{_derived('user', secret)}", f"X-Role-{_derived('role', secret)}"


def _derived(what: str, secret: str) -> str:
    return hashlib.sha256(f"{what} {secret}".encode()).hexdigest()[:32]


def ini(cluster: str, door: targets.Door, secret: str) -> str:
    """Its configuration, with secrets: not for others to read. Every option is known to Grafana 10.1, or ignored by it
    (https://grafana.com/docs/grafana/latest/setup-grafana/configure-grafana/).
    """
    user, role = headers(secret)
    tls = {"cert_file": IDENTITY[0], "cert_key": IDENTITY[1], "min_tls_version": "TLS1.3"} if door.tls else {}
    sections: Mapping[str, Mapping[str, str]] = {
        "paths": {"data": DATA, "plugins": f"{DATA}/plugins", "provisioning": f"{FOLDER}/provisioning"},
        "server": {
            "protocol": "https" if door.tls else "http",
            "http_port": str(PORT),
            "root_url": f"{door.url}{PREFIX}/",
            "serve_from_sub_path": "true",
            **tls,
        },
        "analytics": {
            "reporting_enabled": "false",
            "check_for_updates": "false",
            "check_for_plugin_updates": "false",
            "feedback_links_enabled": "false",
        },
        "security": {
            "disable_initial_admin_creation": "true",
            "secret_key": _derived("key", secret),
            "disable_gravatar": "true",
            "cookie_secure": "true",
            "cookie_samesite": "strict",
        },
        "snapshots": {"enabled": "false"},
        "users": {"allow_sign_up": "false", "allow_org_create": "false", "auto_assign_org_role": ROLES["viewer"]},
        "auth": {"disable_login_form": "true", "disable_signout_menu": "true"},
        "auth.basic": {"enabled": "false"},
        "auth.anonymous": {"enabled": "false"},
        "auth.proxy": {
            "enabled": "true",
            "header_name": user,
            "header_property": "username",
            "headers": f"Role:{role}",
            "auto_sign_up": "true",
            # Somebody's role may have changed
            "sync_ttl": "0",
            # The door strips cookies, and says it with each request
            "enable_login_token": "false",
        },
        # Prometheus and Alertmanager have the rules
        "unified_alerting": {"enabled": "false"},
        "live": {"max_connections": "0"},
        # Since 11.3 it would download some when it starts
        "plugins": {"plugin_admin_enabled": "false", "preinstall_disabled": "true"},
        "news": {"news_feed_enabled": "false"},
        "dashboards": {"default_home_dashboard_path": f"{_DASHBOARDS}/cluster.json"},
        "log": {"mode": "console", "level": "warn"},
    }
    written = RawConfigParser()
    written.read_dict({"DEFAULT": {}, **sections})
    text = io.StringIO()
    written.write(text)
    return f"# Managed by Pulumi: changes are overwritten.\ninstance_name = {cluster}\n\n{text.getvalue().strip()}\n"


def provisioned(door: targets.Door, logs: LogsSettings | None) -> dict[str, str]:
    """Path → text of the data source and the dashboards, which link to a store of `logs`."""
    source = _read("datasources/prometheus.yaml")
    (prometheus,) = source["datasources"]
    prometheus["url"] = targets.prometheus_url(door)
    if door.tls:
        # Prometheus asks for a certificate. Grafana reads the files itself
        prometheus["jsonData"] |= {"tlsAuth": True, "tlsAuthWithCACert": True, "serverName": "localhost"}
        names = zip(("tlsClientCert", "tlsClientKey", "tlsCACert"), IDENTITY, strict=True)
        prometheus["secureJsonData"] = {name: f"$__file{{{path}}}" for name, path in names}
    found = _read("dashboards/flink.yaml")
    (provider,) = found["providers"]
    provider["options"]["path"] = _DASHBOARDS
    return {
        f"{FOLDER}/provisioning/datasources/prometheus.yaml": yaml_text.write(source),
        f"{FOLDER}/provisioning/dashboards/flink.yaml": yaml_text.write(found),
        **{f"{_DASHBOARDS}/{name}": text for name, text in dashboards.files(logs).items()},
    }


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_PROVISIONING / name).read_text())
    return found


def unit(*, data_disk: bool, reads: Sequence[str]) -> str:
    """Its unit. With a `data_disk` it starts only while that is mounted. `reads`: the texts that it reads when it
    starts: others restart it.
    """
    digest = hashlib.sha256("\0".join(reads).encode()).hexdigest()[:16]
    return render(
        "monitoring/flink-grafana.service.j2", config=CONFIG, digest=digest, data_disk=data_disk, devices=False
    )

"""Alertmanager's configuration and unit, as text. Pure."""

from collections.abc import Sequence
from typing import Any

from .. import yaml_text
from ..templates import render
from . import targets
from .settings import Grouping, Receiver, Smtp

UNIT = "flink-alertmanager"
FOLDER = f"/etc/{UNIT}"
CONFIG = f"{FOLDER}/alertmanager.yml"
WEB = f"{FOLDER}/web.yml"
IDENTITY = tuple(f"{FOLDER}/tls/{name}" for name in ("certificate.pem", "key.pem", "authorities.pem"))
"""As targets.WEB and targets.IDENTITY."""
DATA = "/var/lib/prometheus/data/alerts"
NOBODY = "nobody"
"""The receiver of alerts that go nowhere."""


def alertmanager_yml(receivers: Sequence[Receiver], smtp: Smtp | None, grouping: Grouping | None = None) -> str:
    """The configuration, with secrets: not for others to read. Known to Alertmanager 0.25 and newer alike."""
    grouped = grouping or Grouping()
    mail = {}
    if smtp:
        mail = {"smtp_smarthost": smtp.server, "smtp_from": smtp.sender}
        if smtp.user:
            mail |= {"smtp_auth_username": smtp.user, "smtp_auth_password": smtp.password}
    found: dict[str, Any] = {
        **({"global": mail} if mail else {}),
        "route": {
            "receiver": NOBODY,
            "group_by": [*grouped.by],
            "group_wait": _duration(grouped.wait),
            "group_interval": _duration(grouped.interval),
            "repeat_interval": _duration(grouped.repeat),
            "routes": [
                {
                    "receiver": each.name,
                    "matchers": [f'severity=~"{"|".join(each.severities)}"'],
                    # Others may have it as well
                    "continue": True,
                }
                for each in receivers
            ],
        },
        # What a host that is down explains
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="HostDown"'],
                "target_matchers": ['alertname=~"FlinkTaskManagerMissing|FlinkStandbyMissing|ZooKeeperServerDown"'],
                "equal": ["cluster", "host"],
            }
        ],
        "receivers": [{"name": NOBODY}, *({"name": each.name, **_kind(each)} for each in receivers)],
    }
    return "# Managed by Pulumi: changes are overwritten.\n" + yaml_text.write(found)


def _duration(seconds: int) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _kind(receiver: Receiver) -> dict[str, Any]:
    """Where it sends to; also when an alert is over."""
    over = {"send_resolved": True}
    if receiver.webhook:
        return {"webhook_configs": [{"url": receiver.webhook, **over}]}
    if receiver.slack:
        return {"slack_configs": [{"api_url": receiver.slack, **over}]}
    if receiver.pager_duty:
        return {"pagerduty_configs": [{"routing_key": receiver.pager_duty, **over}]}
    return {"email_configs": [{"to": receiver.email, **over}]}


def flags(door: targets.Door | None = None) -> Sequence[str]:
    """Options of Alertmanager on its command line. `door`: of clusters with front doors."""
    port, prefix = targets.ALERTMANAGER_PORT, targets.ALERTMANAGER_PREFIX
    return [
        f"--config.file={CONFIG}",
        f"--storage.path={DATA}",
        f"--web.listen-address={targets.listens(door, port)}",
        f"--web.external-url={targets.external(door, port, prefix)}",
        f"--web.route-prefix={prefix}",
        *([f"--web.config.file={WEB}"] if door and door.tls else []),
        # There is one
        "--cluster.listen-address=",
    ]


def unit(*, data_disk: bool, door: targets.Door | None = None) -> str:
    """Alertmanager's unit. With a `data_disk` it starts only while that is mounted."""
    return render(
        "monitoring/flink-alertmanager.service.j2",
        flags=flags(door),
        loaded=[CONFIG],
        data_disk=data_disk,
        devices=False,
    )

"""Settings of the monitoring host."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pulumi

from ..flink import releases
from ..flink.releases import Archive

RECEIVERS, SMTP = "alertReceivers", "alertSmtp"
GROUPING, GRAFANA = "alertGrouping", "grafana"
REMOTE_WRITE, REMOTE_WRITE_LOGIN = "metricsRemoteWrite", "metricsRemoteWriteLogin"
KEYS = (
    "metricsRetention",
    "metricsRetentionSize",
    RECEIVERS,
    SMTP,
    GROUPING,
    REMOTE_WRITE,
    REMOTE_WRITE_LOGIN,
    GRAFANA,
)
"""The keys of the configuration that need a monitoring host."""
SEVERITIES = ("critical", "warning", "info", "none")
"""Of alerts. `none` has the one that always fires, for a service that reports its absence."""


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Where alerts go. Exactly one of the four is not empty."""

    name: str
    severities: Sequence[str]
    """Some of SEVERITIES."""
    webhook: str = ""
    """A URL, which may have a secret in it."""
    slack: str = ""
    """The URL of an incoming webhook, a secret."""
    pager_duty: str = ""
    """An integration key, a secret."""
    email: str = ""
    """An address."""


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """The server for e-mail."""

    server: str
    """HOST:PORT."""
    sender: str
    user: str = ""
    password: str = ""
    """A secret."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which alerts are one message, and when it is sent. Times are in seconds."""

    by: Sequence[str] = ("cluster", "alertname")
    """Labels: alerts with the same values are one message."""
    wait: int = 30
    """For others, before the first message."""
    interval: int = 300
    """Before a message about more alerts."""
    repeat: int = 4 * 3600
    """Before the same message is sent again."""


@dataclass(frozen=True, kw_only=True)
class RemoteLogin:
    """Who writes to the store of yours: a user with a password, or a token."""

    user: str = ""
    password: str = ""
    """A secret."""
    token: str = ""
    """A secret, sent as `Authorization: Bearer`."""


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Settings of the monitoring host. They are not validated here, but in `settings/monitoring.py`."""

    retention_seconds: int = 15 * 86_400
    """For how long metrics are kept."""
    retention_mib: int = 0
    """Size at which the oldest ones are dropped, in MiB; 0: no limit."""
    receivers: pulumi.Output[Sequence[Receiver]] | None = None
    """A secret. None: alerts are shown, and go nowhere."""
    smtp: pulumi.Output[Smtp] | None = None
    """A secret. None: no e-mail."""
    grouping: Grouping = field(default_factory=Grouping)
    remote_write: str = ""
    """URL to which all metrics are sent besides. Empty: nowhere."""
    remote_login: pulumi.Output[RemoteLogin] | None = None
    """A secret. None: without a login."""
    grafana: Archive | None = None
    """None: there is no Grafana on the monitoring host."""
    alertmanager: Archive = field(default_factory=lambda: releases.default("alertmanager"))
    prometheus: Archive = field(default_factory=lambda: releases.default("prometheus"))
    node_exporter: Archive = field(default_factory=lambda: releases.default("nodeexporter"))

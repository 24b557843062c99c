"""Settings of logs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from ..flink import releases
from ..flink.releases import Archive

LOGS = "logs"
"""The key with destinations."""
KEYS = ("logsRetention", "logsRetentionSize", "logsStore")
"""The keys of the configuration that need a monitoring host."""
OTLP, LOKI = "otlp", "loki"
"""Destinations: a receiver of OTLP, and Loki, which receives OTLP, too."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A server that logs are sent to, by OTLP over HTTP."""

    kind: str
    """OTLP or LOKI."""
    url: str
    """Without `/v1/logs`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the server wants besides, such as Authorization: may be secrets."""


@dataclass(frozen=True, kw_only=True)
class LogsSettings:
    """Settings of logs. They are not validated here, but in `settings/logs.py`."""

    retention_seconds: int = 7 * 86_400
    """For how long the built-in store keeps logs."""
    retention_mib: int = 0
    """Size at which it drops the oldest days, in MiB; 0: no limit."""
    builtin: bool = True
    """Whether a monitoring host keeps logs."""
    destinations: pulumi.Output[Sequence[Destination]] | None = None
    """A secret. None: no others."""
    agent: Archive = field(default_factory=lambda: releases.default("otelcol"))
    store: Archive = field(default_factory=lambda: releases.default("victorialogs"))

    def to_store(self, *, monitored: bool) -> bool:
        """Whether there is a built-in store. `monitored`: there is a host for it."""
        return monitored and self.builtin

    def collected(self, *, monitored: bool) -> bool:
        """Whether hosts have an agent."""
        return self.destinations is not None or self.to_store(monitored=monitored)

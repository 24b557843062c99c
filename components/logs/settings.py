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
ELASTICSEARCH, OPENSEARCH, SPLUNK = "elasticsearch", "openSearch", "splunk"
"""Destinations: a receiver of OTLP, and Loki, which receives OTLP, too; the others by their own interfaces."""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A server that logs are sent to."""

    kind: str
    """One of the above."""
    url: str
    """Without the path that its interface has."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """With OTLP, what the server wants besides, such as Authorization: may be secrets."""
    user: str = ""
    password: str = ""
    key: str = ""
    """A token or an API key."""
    index: str = ""
    """Empty: the default of the kind."""
    source_type: str = ""
    """Splunk's."""
    authorities: str = ""
    """Who may have signed the server's certificate, in PEM. Empty: those that the host knows."""


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
    kinds: Sequence[str] = ()
    """Those of the destinations."""
    agent: Archive = field(default_factory=lambda: releases.default("otelcol"))
    store: Archive = field(default_factory=lambda: releases.default("victorialogs"))

    def to_store(self, *, monitored: bool) -> bool:
        """Whether there is a built-in store. `monitored`: there is a host for it."""
        return monitored and self.builtin

    def collected(self, *, monitored: bool) -> bool:
        """Whether hosts have an agent."""
        return self.destinations is not None or self.to_store(monitored=monitored)

    def may_lose(self, *, monitored: bool) -> bool:
        """Whether lines that cannot be sent for a while are nowhere: OpenSearch's exporter gives them up."""
        return tuple(self.kinds) == (OPENSEARCH,) and not self.to_store(monitored=monitored)

"""Settings of the monitoring host."""

from dataclasses import dataclass, field

from ..flink import releases
from ..flink.releases import Archive

KEYS = ("metricsRetention", "metricsRetentionSize")
"""The keys of the configuration that need a monitoring host."""


@dataclass(frozen=True, kw_only=True)
class MonitoringSettings:
    """Settings of the monitoring host. They are not validated here, but in `settings/monitoring.py`."""

    retention_seconds: int = 15 * 86_400
    """For how long metrics are kept."""
    retention_mib: int = 0
    """Size at which the oldest ones are dropped, in MiB; 0: no limit."""
    prometheus: Archive = field(default_factory=lambda: releases.default("prometheus"))
    node_exporter: Archive = field(default_factory=lambda: releases.default("nodeexporter"))

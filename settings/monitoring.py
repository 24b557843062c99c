"""Settings of the monitoring host. Whether there is one, the provider knows."""

from collections.abc import Mapping
from typing import Any

from components import forms
from components.flink import sizing
from components.flink.releases import Archive
from components.monitoring.settings import MonitoringSettings
from components.problems import Problems

_LEAST_MIB = 512
"""Prometheus keeps its newest two hours in files that the limit does not count."""


def monitoring(
    values: Mapping[str, Any], prometheus: Archive, node_exporter: Archive, problems: Problems
) -> MonitoringSettings:
    """The settings. What is wrong is added to `problems`."""
    retention, size = values["metricsRetention"], values["metricsRetentionSize"]
    problems.catch("metricsRetention", lambda: forms.DURATION(retention), "")
    mib = problems.catch("metricsRetentionSize", lambda: sizing.mib(size), _LEAST_MIB) if size else 0
    if size and mib < _LEAST_MIB:
        problems.add("metricsRetentionSize", f"{size} is too small: expected {_LEAST_MIB}m or more")
    return MonitoringSettings(
        retention_seconds=forms.seconds(retention) if forms.DURATION.fits(retention) else 0,
        retention_mib=mib,
        prometheus=prometheus,
        node_exporter=node_exporter,
    )

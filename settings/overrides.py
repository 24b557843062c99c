"""Validation of a stack's own settings for config.yaml and zoo.cfg."""

import re
from collections.abc import Mapping
from typing import Any

from components.problems import Problems

# Set by this program: an override would contradict the table of ports or the inventory.
OWNED_KEYS = re.compile(
    r"^(high-availability\..*|rest\.(address|bind-address|port|bind-port)|blob\.server\.port|heartbeat\..*"
    r"|metrics\.internal\.query-service\.port|metrics\.reporter\.prom\..*"
    r"|jobmanager\.(rpc\..*|bind-host|memory\.process\.size)"
    r"|taskmanager\.(rpc\..*|data\.port|host|bind-host|resource-id|memory\.process\.size|numberOfTaskSlots)"
    r"|s3\.(access-key|secret-key|endpoint|region|endpoint\.region|path-style-access|path\.style\.access)"
    r"|env\.(java\.home|java\.opts\.all|log\.dir|pid\.dir))$"
)
OWNED_ZOOKEEPER_KEYS = re.compile(
    r"^(dataDir|dataLogDir|clientPort.*|tickTime|initLimit|syncLimit|server\..*|admin\..*|4lw\..*)$"
)

# Keys that Flink 2.x ignores, or refuses alone or together with what this program sets → what to set instead.
REMOVED_KEYS = {
    "jobmanager.heap.size": "jobManagerMemory",
    "taskmanager.heap.size": "taskManagerMemory",
    "taskmanager.memory.heap.size": "taskmanager.memory.task.heap.size",
    "security.ssl.enabled": "security.ssl.internal.enabled and security.ssl.rest.enabled",
    "cluster.evenly-spread-out-slots": "taskmanager.load-balance.mode",
    "state.backend": "state.backend.type",
    "jobmanager.memory.flink.size": "jobManagerMemory, the size of the whole process",
    "taskmanager.memory.flink.size": "taskManagerMemory, the size of the whole process",
}


def overrides(key: str, values: Mapping[str, Any], owned: re.Pattern[str], problems: Problems) -> dict[str, Any]:
    """Settings for Flink or ZooKeeper, flattened to dotted keys. Keys that this program sets itself are refused."""
    flat = dict(_flatten(values[key]))
    for name, value in flat.items():
        if name in REMOVED_KEYS:
            problems.add(key, f"{name} is not supported: expected {REMOVED_KEYS[name]}")
        elif re.search(r"(?i)password|secret|access[.-]?key", name):
            problems.add(key, f"{name} would be stored in plain text in the state and on the hosts: remove it")
        elif owned.match(name):
            problems.add(key, f"{name} is set by this program (see docs/configuration.md): remove it")
        elif value is None or (isinstance(value, str) and "\n" in value):
            problems.add(key, f"{name} is null or has a line break: expected a value on one line")
    return flat


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            pairs += _flatten(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs

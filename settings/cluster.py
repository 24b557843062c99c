"""Settings of the cluster, for the components of Flink and ZooKeeper."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from components.flink import failover, releases, sizing
from components.flink.releases import Archive
from components.flink.settings import RESULT_STORES, ROLLOUTS, ClusterSettings
from components.problems import Problems
from settings.operators import operator_cidrs
from settings.overrides import OWNED_KEYS, OWNED_ZOOKEEPER_KEYS, overrides

_CLUSTER_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_CHECKSUM = re.compile(r"^(sha512:[0-9a-f]{128}|sha256:[0-9a-f]{64})$")


def cluster_settings(values: Mapping[str, Any], stack: str, problems: Problems) -> ClusterSettings:
    """Settings of the cluster. Invalid values are added to `problems`."""
    cluster_id = values["clusterId"] or stack
    if not _CLUSTER_ID.match(cluster_id):
        problems.add("clusterId", f"{cluster_id!r} is not a valid name: expected letters, digits, . _ and -, up to 100")
    if cluster_id in RESULT_STORES:
        problems.add(
            "clusterId", f"{cluster_id!r} is a folder that all clusters of a storage share: expected another name"
        )
    if not 10 <= values["readyTimeoutSeconds"] <= 3600:
        problems.add("readyTimeoutSeconds", f"{values['readyTimeoutSeconds']} is out of range: expected 10 to 3600")
    if values["rollout"] not in ROLLOUTS:
        problems.add("rollout", f"{values['rollout']!r} is unknown: expected {' or '.join(ROLLOUTS)}")
    if not 1 <= values["maxUnavailable"] <= 1000:
        problems.add("maxUnavailable", f"{values['maxUnavailable']} is out of range: expected 1 to 1000")
    if values["taskManagerSlots"] < 0:
        problems.add("taskManagerSlots", f"{values['taskManagerSlots']} is out of range: expected 0 or more")
    if re.search(r"[\n'\"\\`$%]", values["javaOptions"]):
        problems.add(
            "javaOptions",
            "contains a quote, backslash, $, % or line break, which Flink's scripts or systemd would expand: remove it",
        )

    def memory(key: str, least: int) -> int:
        size = problems.catch(key, lambda: sizing.mib(values[key]), least)
        if size < least:
            problems.add(key, f"{values[key]} is too small: expected {least}m or more")
        return size

    owned = {
        key: overrides(key, values, OWNED_KEYS, problems)
        for key in ("flinkConfig", "jobManagerConfig", "taskManagerConfig")
    }
    return ClusterSettings(
        cluster_id=cluster_id,
        operator_cidrs=operator_cidrs(values, problems),
        firewall=values["firewall"],
        timings=problems.catch(
            "failoverSeconds",
            lambda: failover.timings(values["failoverSeconds"]),
            failover.timings(failover.DEFAULT_SECONDS),
        ),
        flink=_archive("flink", values, problems),
        zookeeper=_archive("zookeeper", values, problems),
        java=_archive("java", values, problems),
        java_options=values["javaOptions"],
        jobmanager_mib=memory("jobManagerMemory", sizing.JOBMANAGER_MINIMUM_MIB),
        taskmanager_mib=memory("taskManagerMemory", sizing.TASKMANAGER_MINIMUM_MIB)
        if values["taskManagerMemory"]
        else None,
        taskmanager_slots=values["taskManagerSlots"] or None,
        zookeeper_heap_mib=memory("zookeeperHeap", 64),
        rollout=values["rollout"],
        max_unavailable=values["maxUnavailable"],
        repair=values["repair"],
        common_config=owned["flinkConfig"],
        jobmanager_config=owned["jobManagerConfig"],
        taskmanager_config=owned["taskManagerConfig"],
        zookeeper_config=overrides("zookeeperConfig", values, OWNED_ZOOKEEPER_KEYS, problems),
        ready_timeout_seconds=values["readyTimeoutSeconds"],
        keep_state=values["keepState"],
    )


def _archive(name: str, values: Mapping[str, Any], problems: Problems) -> Archive:
    """The archive `name` (java, flink, zookeeper), at its official URL unless the configuration sets another."""
    key, version, checksum = f"{name}Version", values[f"{name}Version"], values[f"{name}Checksum"]
    found = problems.catch(key, lambda: releases.official(name, version), releases.default(name))
    url = values[f"{name}Url"] or found.url
    if not re.match(r"^https?://\S+$", url):
        problems.add(f"{name}Url", f"{url!r} is not a URL: expected http:// or https://")
    if checksum and not _CHECKSUM.match(checksum):
        problems.add(
            f"{name}Checksum",
            f"{checksum[:40]!r} is not a checksum: expected sha512: or sha256: and the hex digest",
        )
    return replace(found, url=url, checksum=checksum or found.checksum.replace(found.url, url))

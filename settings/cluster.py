"""Settings of the cluster, for the components of Flink and ZooKeeper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from components import forms, yaml_text
from components.flink import failover, sizing
from components.flink.releases import configured
from components.flink.settings import RESULT_STORES, ROLLOUTS, ClusterSettings, HistorySettings
from components.problems import Problems, shown
from components.storage import Storage
from settings.front_door import front_door
from settings.jobs import job_secrets, jobs
from settings.logs import logs
from settings.monitoring import monitoring
from settings.operators import metrics_cidrs, operator_cidrs
from settings.overrides import (
    FLINK,
    FLINK_SECRETS,
    ZOOKEEPER,
    java_options,
    overrides,
    refuse_zookeeper_tls,
    suspicious,
    suspicious_zookeeper,
)
from settings.proxy import proxy_settings
from settings.python import python_settings
from settings.tls_signer import tls_signer
from settings.trusted import trusted_certificates

SECRET_OPTIONS = "flinkSecrets"
_LEAST_HISTORY_SECONDS = 3600
_MOST_HISTORY_JOBS = 2000


def cluster_settings(
    values: Mapping[str, Any], stack: str, storage: Storage, root: Path, problems: Problems
) -> ClusterSettings:
    """Settings of the cluster; paths are relative to `root`. Invalid values are added to `problems`."""
    cluster_id = values["clusterId"] or stack
    problems.catch("clusterId", lambda: forms.CLUSTER_ID(cluster_id), "")
    if cluster_id in RESULT_STORES:
        problems.add(
            "clusterId", f"{cluster_id!r} is a folder that all clusters of a storage share: expected another name"
        )
    if not 10 <= values["readyTimeoutSeconds"] <= 3600:
        problems.add(
            "readyTimeoutSeconds", f"{shown(values['readyTimeoutSeconds'])} is out of range: expected 10 to 3600"
        )
    if values["rollout"] not in ROLLOUTS:
        problems.add("rollout", f"{shown(values['rollout'])} is unknown: expected {' or '.join(ROLLOUTS)}")
    if not 1 <= values["maxUnavailable"] <= 1000:
        problems.add("maxUnavailable", f"{shown(values['maxUnavailable'])} is out of range: expected 1 to 1000")
    if not 0 <= values["taskManagerSlots"] <= 10_000:
        problems.add("taskManagerSlots", f"{shown(values['taskManagerSlots'])} is out of range: expected 0 to 10000")
    if values["archiveCopies"] and (why := storage.at(storage.uri).no_copies):
        problems.add("archiveCopies", why)
    if not 1 <= values["certificateDays"] <= 825:
        problems.add("certificateDays", f"{shown(values['certificateDays'])} is out of range: expected 1 to 825")
    if not 1 <= values["tlsAuthority"] <= 10_000:
        problems.add("tlsAuthority", f"{shown(values['tlsAuthority'])} is out of range: expected 1 to 10000")
    problems.catch("javaOptions", lambda: java_options(values["javaOptions"]), None)
    _warn_of_heap("javaOptions", "", values["javaOptions"], problems)

    def memory(key: str, least: int) -> int:
        size = problems.catch(key, lambda: sizing.mib(values[key]), least)
        if size < least:
            problems.add(key, f"{values[key]} is too small: expected {least}m or more")
        return size

    owned = {
        key: overrides(key, values, FLINK, problems) for key in ("flinkConfig", "jobManagerConfig", "taskManagerConfig")
    }
    secrets = overrides(SECRET_OPTIONS, values, FLINK_SECRETS, problems)
    for name in sorted(set(secrets) & {name for options in owned.values() for name in options}):
        problems.add(SECRET_OPTIONS, f"{name} is also in another key: expected it once")
    for key, options in {**owned, SECRET_OPTIONS: secrets}.items():
        suspicious(key, options, problems)
        for name, value in options.items():
            if name.startswith("env.java.opts"):
                _warn_of_heap(key, f"{name}: ", value, problems)
    zookeeper = overrides("zookeeperConfig", values, ZOOKEEPER, problems)
    suspicious_zookeeper("zookeeperConfig", zookeeper, problems)
    if values["tls"]:
        refuse_zookeeper_tls("zookeeperConfig", zookeeper, problems)
    declared = jobs(values, owned["flinkConfig"], root, problems)
    return ClusterSettings(
        cluster_id=cluster_id,
        operator_cidrs=operator_cidrs(values, problems),
        firewall=values["firewall"],
        timings=problems.catch(
            "failoverSeconds",
            lambda: failover.timings(values["failoverSeconds"]),
            failover.timings(failover.DEFAULT_SECONDS),
        ),
        flink=configured("flink", values, problems),
        zookeeper=configured("zookeeper", values, problems),
        java=configured("java", values, problems),
        archive_copies=values["archiveCopies"],
        java_options=values["javaOptions"],
        **proxy_settings(values, storage, problems),
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
        secret_options=tuple(sorted(secrets)),
        secret_config=pulumi.Output.secret(yaml_text.write(secrets)) if secrets else None,
        zookeeper_config=zookeeper,
        ready_timeout_seconds=values["readyTimeoutSeconds"],
        job_secrets=job_secrets(values, declared, problems),
        python=python_settings(values, root, problems),
        jobs=declared,
        tls=values["tls"],
        certificate_days=values["certificateDays"],
        tls_authority=values["tlsAuthority"],
        tls_signer=tls_signer(values, root, problems),
        front_door=front_door(
            values, configured("caddy", values, problems), configured("oauth2proxy", values, problems), problems
        ),
        monitoring=monitoring(
            values,
            configured("prometheus", values, problems),
            configured("alertmanager", values, problems),
            configured("nodeexporter", values, problems),
            configured("grafana", values, problems),
            problems,
        ),
        metrics_cidrs=metrics_cidrs(values, problems),
        logs=logs(
            values, configured("otelcol", values, problems), configured("victorialogs", values, problems), problems
        ),
        trusted_certificates=trusted_certificates(values, owned, root, problems),
        keep_state=values["keepState"],
        history=_history(values, problems),
    )


def _history(values: Mapping[str, Any], problems: Problems) -> HistorySettings | None:
    retention, jobs = values["historyRetention"], values["historyJobs"]
    default = HistorySettings()
    seconds = default.retention_seconds
    if problems.catch("historyRetention", lambda: forms.DURATION(retention), ""):
        seconds = forms.seconds(retention)
    if not values["history"]:
        for key, changed in (
            ("historyRetention", seconds != default.retention_seconds),
            ("historyJobs", jobs != default.jobs),
        ):
            if changed:
                problems.add(key, "has no effect without a HistoryServer: expected history: true, or remove it")
        return None
    if seconds < _LEAST_HISTORY_SECONDS:
        problems.add("historyRetention", f"{retention} is too short: expected 1 h or more")
    if not 1 <= jobs <= _MOST_HISTORY_JOBS:
        problems.add("historyJobs", f"{shown(jobs)} is out of range: expected 1 to {_MOST_HISTORY_JOBS}")
    return HistorySettings(retention_seconds=seconds, jobs=jobs)


def _warn_of_heap(key: str, what: str, options: Any, problems: Problems) -> None:
    if any(word.startswith(("-Xmx", "-Xms")) for word in str(options).split()):
        problems.warn(
            key,
            f"{what}-Xmx and -Xms are also set from jobManagerMemory, taskManagerMemory and zookeeperHeap: leave them "
            "out",
        )

"""A cluster's settings, apart from its hosts and storage, which come from a provider."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import failover, releases
from .releases import Archive

ROLLOUTS = ("rolling", "parallel")

RESULT_STORES = ("job-result-store", "application-result-store")
"""Folders that Flink makes beside those of the clusters, with a folder for each cluster in them
(FileSystemJobResultStore, FileSystemApplicationResultStore): a cluster of such a name would own what belongs to all."""


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """A cluster's settings. The defaults are those of Pulumi.yaml, whose descriptions say more.

    Nothing here checks them: `settings/` does for the configuration of a stack.
    """

    cluster_id: str
    """Name of its state on the storage and in ZooKeeper; two clusters with the same storage need two names, which are
    none of RESULT_STORES."""
    operator_cidrs: tuple[str, ...]
    """Networks that may reach SSH, web UI and metrics, such as `198.51.100.0/24`."""
    firewall: bool = True
    """Whether nftables on the hosts enforce the table of ports."""
    timings: failover.Timings = field(default_factory=lambda: failover.timings(failover.DEFAULT_SECONDS))
    """All timeouts, made by `failover.timings` from the seconds that a failover may take."""
    flink: Archive = field(default_factory=lambda: releases.default("flink"))
    zookeeper: Archive = field(default_factory=lambda: releases.default("zookeeper"))
    java: Archive = field(default_factory=lambda: releases.default("java"))
    java_options: str = ""
    """Further options of the daemons' JVMs, separated by blanks."""
    jobmanager_mib: int = 1600
    """MiB of a JobManager's process."""
    taskmanager_mib: int | None = None
    """MiB of a TaskManager's process; None: from the machine."""
    taskmanager_slots: int | None = None
    """None: one for each CPU of the machine."""
    zookeeper_heap_mib: int = 512
    """MiB of a ZooKeeper server's heap."""
    rollout: str = "rolling"
    """How TaskManagers restart when what they run changed, of ROLLOUTS."""
    max_unavailable: int = 1
    """How many of them may be out of service at once."""
    repair: bool = False
    """Whether every step runs again in this `up`, for what somebody changed on the hosts."""
    common_config: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of Flink's config.yaml, flat, on all hosts that run Flink."""
    jobmanager_config: Mapping[str, Any] = field(default_factory=dict)
    """The same for JobManagers alone."""
    taskmanager_config: Mapping[str, Any] = field(default_factory=dict)
    """The same for TaskManagers alone."""
    zookeeper_config: Mapping[str, Any] = field(default_factory=dict)
    """Further settings of zoo.cfg."""
    ready_timeout_seconds: int = 300
    """How long a daemon may take to be healthy, and the cluster to be complete."""
    keep_state: bool = True
    """Whether checkpoints and savepoints outlive the cluster."""

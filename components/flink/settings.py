"""Settings of a cluster, without its hosts and storage, which a provider delivers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pulumi

from .. import ports
from ..circles import Circle
from ..frontdoor.settings import FrontDoorSettings
from ..jobs.settings import JobSettings, PythonSettings
from ..logs.settings import LogsSettings
from ..monitoring.settings import MonitoringSettings
from . import failover, releases
from .releases import Archive

ROLLOUTS = ("rolling", "parallel")

RESULT_STORES = ("job-result-store", "application-result-store")
"""Folders that Flink creates next to those of the clusters, with a folder for each cluster in them
(FileSystemJobResultStore, FileSystemApplicationResultStore). A cluster with such a name would own the data of all."""


@dataclass(frozen=True, kw_only=True)
class TlsSigner:
    """A PKI of the operator's: a command that signs requests, and the authorities that hosts trust."""

    command: Sequence[str]
    """Reads a request in PEM from stdin and prints the certificate, followed by what leads to its authority."""
    authorities: Mapping[Circle, str]
    """For each circle the certificates in PEM that its hosts trust. No two circles have one in common."""
    minutes: int = 0
    """Minutes for which the certificates are valid, of a PKI that signs for less than a day. 0: `certificate_days`."""


@dataclass(frozen=True, kw_only=True)
class HistorySettings:
    """What a HistoryServer shows: jobs that have ended. What is older, or more, is deleted from the storage."""

    retention_seconds: int = 30 * 86_400
    jobs: int = 200


@dataclass(frozen=True, kw_only=True)
class ClusterSettings:
    """Settings of a cluster. Defaults are the same as in Pulumi.yaml, which has longer descriptions.

    They are not validated here: `settings/` validates the configuration of a stack.
    """

    cluster_id: str
    """Name of its state on the storage and in ZooKeeper. Clusters with the same storage need different names, none of
    which is in RESULT_STORES."""
    operator_cidrs: tuple[str, ...]
    """Networks that may connect to SSH and web UI, such as `198.51.100.0/24`."""
    firewall: bool = True
    """Whether nftables enforces the table of ports on the hosts."""
    timings: failover.Timings = field(default_factory=lambda: failover.timings(failover.DEFAULT_SECONDS))
    """All timeouts: `failover.timings` derives them from the seconds that a failover may take."""
    flink: Archive = field(default_factory=lambda: releases.default("flink"))
    zookeeper: Archive = field(default_factory=lambda: releases.default("zookeeper"))
    java: Archive = field(default_factory=lambda: releases.default("java"))
    archive_copies: bool = False
    """Whether hosts keep copies of the releases on the storage, so that only the first one downloads them."""
    http_proxy: str = ""
    """Proxy of downloads, and of the storage unless `no_proxy` names it."""
    no_proxy: tuple[str, ...] = ()
    """Host names, domains, addresses and networks that are reached without it."""
    java_options: str = ""
    """Additional JVM options of the daemons, separated by spaces."""
    jobmanager_mib: int = 1600
    """Memory of a JobManager's process in MiB."""
    taskmanager_mib: int | None = None
    """Memory of a TaskManager's process in MiB. None: derived from the machine."""
    taskmanager_slots: int | None = None
    """None: one for each CPU of the machine."""
    zookeeper_heap_mib: int = 512
    """Heap of a ZooKeeper server in MiB."""
    rollout: str = "rolling"
    """How TaskManagers restart after a change, one of ROLLOUTS."""
    max_unavailable: int = 1
    """How many TaskManagers may be unavailable at once."""
    repair: bool = False
    """Whether every step runs again in this `up`, which repairs drift on the hosts."""
    common_config: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys of config.yaml, flat, on all Flink hosts."""
    jobmanager_config: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys for JobManagers only."""
    taskmanager_config: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys for TaskManagers only."""
    secret_options: Sequence[str] = ()
    """The names of the options in `secret_config`."""
    secret_config: pulumi.Output[str] | None = None
    """Options that are secrets, as lines of config.yaml: a secret, without names that are in the other options."""
    zookeeper_config: Mapping[str, Any] = field(default_factory=dict)
    """Additional settings of zoo.cfg."""
    ready_timeout_seconds: int = 300
    """Time limit for a daemon to become healthy, and for the cluster to become complete."""
    job_secrets: pulumi.Output[Mapping[str, str]] | None = None
    """The secrets that jobs read, by name: a secret."""
    python: PythonSettings | None = None
    """The environment of jobs in Python, on all hosts with Flink."""
    jobs: Sequence[JobSettings] = ()
    """Jobs that run on the cluster."""
    tls: bool = False
    """Whether Flink's daemons encrypt what they send to each other, and prove who they are."""
    certificate_days: int = 90
    """Days for which the daemons' certificates are valid."""
    tls_authority: int = 1
    """Number of the authority that signs them; the next number is another one."""
    tls_signer: TlsSigner | None = None
    """None: authorities in the stack's state sign."""
    history: HistorySettings | None = None
    """Of the HistoryServer on each JobManager's host. None: what has ended is forgotten with the next leader."""
    front_door: FrontDoorSettings | None = None
    """The proxy through which operators reach web UI and REST API. None: they connect to the JobManagers."""
    monitoring: MonitoringSettings = field(default_factory=MonitoringSettings)
    """Of clusters with a monitoring host."""
    metrics_cidrs: tuple[str, ...] | None = None
    """Networks that may read metrics in plain text. None: operators, and nobody with TLS or a monitoring host."""
    logs: LogsSettings = field(default_factory=LogsSettings)
    trusted_certificates: str = ""
    """Certificates in PEM that hosts trust besides those that they know, such as of a private CA for the storage."""
    keep_state: bool = True
    """Whether checkpoints and savepoints outlive the cluster."""

    @property
    def certificate_life(self) -> timedelta:
        """How long the daemons' certificates are valid."""
        if self.tls_signer and self.tls_signer.minutes:
            return timedelta(minutes=self.tls_signer.minutes)
        return timedelta(days=self.certificate_days)

    @property
    def front_door_port(self) -> int:
        """Port of the front door; 0 if there is none."""
        return self.front_door.port if self.front_door else 0

    @property
    def closed(self) -> bool:
        """Whether metrics in plain text are not for operators: nobody reads along, and few slow connections keep
        others, such as the front door, which asks there who leads, from an answer.
        """
        return self.tls or self.front_door is not None

    def metrics_readers(self, *, monitoring: bool) -> Sequence[str]:
        """The networks that may read metrics in plain text. `monitoring`: there is a monitoring host."""
        return ports.readers(self.operator_cidrs, self.metrics_cidrs, closed=self.closed or monitoring)

    @property
    def front_door_names(self) -> Mapping[str, str]:
        """Names of JobManagers' hosts → the DNS names of their front doors that an ACME server signs."""
        return self.front_door.acme.names if self.front_door and self.front_door.acme else {}

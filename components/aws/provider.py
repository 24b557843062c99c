"""The provider AWS: the program creates the network, the machines and the bucket."""

import os
from collections.abc import Mapping
from dataclasses import replace

import pulumi

from .. import roles
from ..flink import composition
from ..flink.settings import ClusterSettings
from ..host import Role, Site
from ..problems import Problems
from ..providers import Loaded, Request
from ..storage import Storage
from . import declaration
from .declaration import AwsSettings
from .groups import GROUPS

KEYS = declaration.KEYS


def region(raw: Mapping[str, str]) -> str:
    """The region that Pulumi's AWS plugin uses."""
    return raw.get("aws:region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def load(request: Request) -> Loaded:
    """The settings for AWS. The hosts have no host firewall: security groups replace it, and they also cover machines
    that do not exist yet.
    """
    cluster, problems = request.cluster, request.problems
    settings = declaration.load(
        request.values,
        given=request.given,
        stack=request.stack,
        region=region(request.raw),
        operator_cidrs=cluster.operator_cidrs,
        cluster_id=cluster.cluster_id,
        root=request.root,
        problems=problems,
        default_tags=request.raw.get("aws:defaultTags", ""),
        reads=[
            (f"jobs.{it.name} initialSavepoint", it.initial_savepoint) for it in cluster.jobs if it.initial_savepoint
        ],
    )
    composition.check({role: (keys.count, settings.groups[role].count) for role, keys in GROUPS.items()}, problems)
    monitoring = GROUPS[Role.MONITORING].count, settings.groups[Role.MONITORING].count
    composition.check_monitoring(cluster, monitoring, request.given, problems)
    jobmanagers = range(settings.groups[Role.JOBMANAGER].count)
    composition.check_acme(
        cluster, [f"{roles.ROLES[Role.JOBMANAGER].prefix}-{index}" for index in jobmanagers], problems
    )
    metrics = () if cluster.metrics_cidrs is None and cluster.closed else cluster.metrics_cidrs
    settings = replace(settings, front_door=cluster.front_door_port, metrics=metrics)
    return Loaded(settings=settings, cluster=replace(cluster, firewall=False, operator_cidrs=()))


def declare(stack: str, settings: AwsSettings, storage: Storage, cluster: ClusterSettings) -> Site:
    """Query AWS, then declare the infrastructure."""
    # Imported on use: the SDK for AWS is large
    from .infrastructure import declare

    site = declare(stack, settings, storage, {role: roles.needed_mib(role, cluster) for role in Role})
    for warning in check_slots(cluster, site):
        pulumi.log.warn(warning)
    return site


def check_slots(cluster: ClusterSettings, site: Site) -> list[str]:
    """Warnings about jobs that need more slots than there are. Only AWS reports the processors of an instance type."""
    problems = Problems()
    slots = [cluster.taskmanager_slots or host.cpus or 0 for host in site.hosts if host.role is Role.TASKMANAGER]
    composition.check_parallelism(cluster, sum(slots), problems)
    composition.check_jobs(cluster.jobs, slots, problems)
    return problems.warnings

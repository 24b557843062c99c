"""AWS as a provider: network, machines and bucket that the program creates."""

import os
from collections.abc import Mapping
from dataclasses import replace

from .. import roles
from ..flink import composition
from ..flink.settings import ClusterSettings
from ..host import Role, Site
from ..providers import Loaded, Request
from ..storage import StorageSettings
from . import declaration
from .declaration import AwsSettings
from .groups import GROUPS

KEYS = declaration.KEYS


def region(raw: Mapping[str, str]) -> str:
    """The region as Pulumi's AWS plugin finds it."""
    return raw.get("aws:region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""


def load(request: Request) -> Loaded:
    """What the configuration says of AWS. Security groups do what nftables do elsewhere, and know machines that are yet
    to come: so the hosts have no firewall of the cluster's.
    """
    cluster, problems = request.cluster, request.problems
    settings = declaration.load(
        request.values,
        stack=request.stack,
        region=region(request.raw),
        operator_cidrs=cluster.operator_cidrs,
        cluster_id=cluster.cluster_id,
        root=request.root,
        problems=problems,
    )
    composition.check({role: (keys.count, settings.groups[role].count) for role, keys in GROUPS.items()}, problems)
    return Loaded(settings=settings, cluster=replace(cluster, firewall=False, operator_cidrs=()))


def declare(stack: str, settings: AwsSettings, storage: StorageSettings, cluster: ClusterSettings) -> Site:
    """Ask AWS, then declare what is to be there."""
    # Imported only where it is used: the SDK for AWS is large
    from .infrastructure import declare

    return declare(stack, settings, storage, {role: roles.needed_mib(role, cluster) for role in Role})

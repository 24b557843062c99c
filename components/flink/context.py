"""What a role's component is made from, and what comes of it: the one form that all roles' folders have.

`components/ROLE/component.py` has `declare(context, hosts, opts) -> Running`. The cluster calls it for each role that
has hosts, and knows nothing else of a role.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import pulumi
from pulumi_command import remote

from ..host import Host, Role
from ..storage import Storage
from .node import Machine, Node
from .settings import ClusterSettings
from .topology import Members


@dataclass(frozen=True, kw_only=True)
class Context:
    """A cluster whose hosts are prepared; what belongs to one of them is by its name."""

    name: str
    """The cluster's."""
    settings: ClusterSettings
    storage: Storage
    members: Members
    nodes: Mapping[str, Node]
    joined: Mapping[str, remote.Command]
    """The steps that tell each host of the others."""
    machines: Mapping[str, pulumi.Output[Machine]]
    probes: Mapping[str, list[pulumi.Resource]]
    """What must have succeeded before anything on a host is changed."""
    logins: Sequence[pulumi.Resource] = ()
    """What must have succeeded before any daemon is started: JobManagers can log in where rollouts have to."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """The hosts of a role, declared."""

    services: Mapping[str, remote.Command] = field(default_factory=dict)
    """By host, the steps that keep Flink's daemons running: their restarts are for the cluster's rollout."""
    slots: pulumi.Output[int] | None = None
    """How many slots the hosts together have when they have registered with the leader; None: they have none."""
    ready: Sequence[pulumi.Resource] = ()
    """What else has to be done before the rollout, and before the cluster is complete."""


Declare = Callable[[Context, Sequence[Host], pulumi.ResourceOptions], Running]


def declare_of(role: Role) -> Declare:
    """The function of a role's own folder."""
    declare: Declare = import_module(f"..{role.value}.component", __package__).declare
    return declare


def keep(host: Host, service: remote.Command) -> None:
    """Tell the provider of a host the step after which it is in service."""
    if host.service:
        host.service.keep(service)

"""The interface between the cluster and the folder of a role.

`components/ROLE/component.py` has `declare(context, hosts, opts) -> Running`. The cluster calls it for each role with
hosts, and uses nothing else of a role.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import pulumi
from pulumi_command import remote

from ..frontdoor.certificates import FrontDoorAuthority
from ..frontdoor.component import FrontDoor
from ..host import Host, Role
from ..storage import Storage
from .encryption import Encryption
from .node import Machine, Node
from .settings import ClusterSettings
from .topology import Members


@dataclass(frozen=True, kw_only=True)
class Context:
    """A cluster with prepared hosts. Mappings are by host name."""

    name: str
    """Name of the cluster."""
    settings: ClusterSettings
    storage: Storage
    members: Members
    nodes: Mapping[str, Node]
    joined: Mapping[str, remote.Command]
    """The steps that configure on each host the names and addresses of the others."""
    machines: Mapping[str, pulumi.Output[Machine]]
    probes: Mapping[str, list[pulumi.Resource]]
    """What must have succeeded before a host is changed."""
    encryption: Encryption | None
    """None: without TLS."""
    front_door_authority: FrontDoorAuthority | None = None
    """None: without a front door, or with a certificate of yours."""
    front_door_sessions: pulumi.Output[str] | None = None
    """The secret of sessions. None: without a login by OpenID Connect."""
    grafana_secret: pulumi.Output[str] | None = None
    """By which Grafana knows front doors. None: there is no Grafana."""
    balancer_networks: Sequence[str] = ()
    """From where the front doors' load balancer connects, if there is one."""
    front_doors: dict[str, FrontDoor] = field(default_factory=dict)
    """By host name, as the role of JobManagers declares them."""
    shared: Mapping[str, remote.Command] = field(default_factory=dict)
    """The steps that look on each host whether the storage's folders are the same ones everywhere."""
    logins: Sequence[pulumi.Resource] = ()
    """What must have succeeded before any daemon starts: the proof that JobManagers can log in for rollouts."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """The declared hosts of a role."""

    services: Mapping[str, remote.Command] = field(default_factory=dict)
    """Host name → the step that keeps Flink's daemon running. The rollout restarts these daemons."""
    slots: pulumi.Output[int] | None = None
    """Number of slots of all hosts together, when they are registered with the leader. None: no slots."""
    ready: Sequence[pulumi.Resource] = ()
    """Other resources before the rollout, without which the cluster is not complete."""
    finish: Callable[[Sequence[pulumi.Resource]], Sequence[remote.Command]] | None = None
    """Declares steps after these resources, the rollout among them, and returns them."""


Declare = Callable[[Context, Sequence[Host], pulumi.ResourceOptions], Running]


def declare_of(role: Role) -> Declare:
    """The function `declare` in the folder of a role."""
    declare: Declare = import_module(f"..{role.value}.component", __package__).declare
    return declare


def keep(host: Host, service: remote.Command) -> None:
    """Report to the provider of a host the step after which it is in service."""
    if host.service:
        host.service.keep(service)

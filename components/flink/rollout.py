"""The only step that restarts healthy Flink daemons, in an order that keeps the jobs running."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import remote

from .. import ports
from ..host import Host, Role
from ..remote import script_text, step
from ..roles import ROLES
from . import daemon
from .settings import ClusterSettings
from .topology import Members


@dataclass(frozen=True, kw_only=True)
class RolloutArgs:
    """`services`: host name → the step that keeps its daemon running."""

    settings: ClusterSettings
    members: Members
    services: dict[str, remote.Command]


def rollout(args: RolloutArgs, opts: pulumi.ResourceOptions) -> remote.Command:
    """Restart the pending daemons from the host of the first JobManager: standbys, the leader, TaskManagers. It is a
    single step for the whole cluster, because it depends on the leader and the state of the jobs, and because the first
    start of a hundred daemons needs no order.
    """
    members, settings = args.members, args.settings
    first = members.of(Role.JOBMANAGER)[0]
    hosts = [host for host in members.hosts if host.name in args.services]
    said = pulumi.Output.all(*[args.services[host.name].stdout for host in hosts])
    told = daemon.generation(list(args.services.values()), hosts)

    def text(known: Sequence[Any]) -> str:
        values = {
            "host": first.name,
            "pending": _pending(hosts, known[0]),
            "jobmanagers": members.reached_as(Role.JOBMANAGER),
            "taskmanagers": members.reached_as(Role.TASKMANAGER),
            "strategy": settings.rollout,
            "maxUnavailable": settings.max_unavailable,
            "seconds": settings.ready_timeout_seconds,
            "user": ROLES[first.role].user,
            "restPort": ports.number("rest"),
            "highAvailability": members.high_availability,
        }
        return script_text(first, "rollout.sh", {"values": json.dumps(values), "generation": known[1]})

    stdin = pulumi.Output.all(said, told).apply(text)
    return step(first, "rollout", stdin, seconds=_seconds(settings, len(hosts)), opts=opts)


def _pending(hosts: Sequence[Host], said: Sequence[str]) -> list[str]:
    return [host.reached_as for host, text in zip(hosts, said, strict=True) if text.strip() == "pending"]


def _seconds(settings: ClusterSettings, daemons: int) -> int:
    """Time limit of the whole rollout. It stops at the first daemon that takes longer than `readyTimeoutSeconds`."""
    return 3 * settings.ready_timeout_seconds * max(2, daemons)

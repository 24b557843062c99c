"""What becomes of hosts when they leave the cluster, or when all of it is destroyed: what the steps made is taken away.

One resource for each host that was there before, `HOST-clean`, and one for the storage, `NAME-purge`: commands that run
only when they are deleted (docs/decisions/0018-leaving-hosts.md). A machine that the stack made goes as a whole.
"""

from collections.abc import Sequence

import pulumi

from .. import naming
from ..host import Host, Role
from ..remote import leave, script_text
from ..roles import ROLES, Teardown
from ..storage import Storage
from .settings import RESULT_STORES, ClusterSettings
from .topology import Members

PURGE_SECONDS = 1800
"""For some hundred thousand objects."""


def declare(
    name: str, hosts: Sequence[Host], settings: ClusterSettings, storage: Storage, opts: pulumi.ResourceOptions
) -> dict[str, pulumi.Resource]:
    """The resources by host name; whatever changes a host has to depend on its own, so that what an `up` began is taken
    away even if it never ended.

    When all of it goes, it goes in the order of `Teardown`, with the storage in its place.
    """
    members = Members(tuple(host for host in hosts if host.ready is None))
    found: dict[str, pulumi.Resource] = {}
    later: list[pulumi.Resource] = []
    # What is declared first is deleted last
    for stage in sorted(Teardown, key=lambda stage: stage.value, reverse=True):
        going = [host for role in Role if ROLES[role].teardown is stage for host in members.of(role)]
        cleaned = {host.name: _clean(host, opts, later) for host in going}
        found.update(cleaned)
        later = [*cleaned.values()] or later
        what = _purged(settings, storage, ha=members.high_availability) if stage is Teardown.AFTER_STORAGE else []
        if what and going:
            later = [_purge(name, going, what, opts, later)]
    return found


def _clean(host: Host, opts: pulumi.ResourceOptions, later: list[pulumi.Resource]) -> pulumi.Resource:
    """Removes everything that the program installed on a host, before `later` is deleted."""
    row = ROLES[host.role]
    text = script_text(
        host,
        "clean.sh",
        {"user": row.user, "unit": row.unit, "releases": row.releases},
        uses=("release.sh",),
    )
    runs = f"unit {row.unit} (which runs again when the host boots), " if row.daemon else ""
    return leave(
        naming.step(host, "clean"),
        [host],
        text,
        left=f"user {row.user}, {runs}releases in /opt, and what else docs/operations.md lists under"
        " `What up changes on a host`",
        opts=_after(opts, later),
    )


def _purged(settings: ClusterSettings, storage: Storage, *, ha: bool) -> list[str]:
    """URIs of what nobody can use without the cluster's znodes, and of its state unless that is to be kept."""
    cluster, found = settings.cluster_id, []
    if ha:
        found += [f"{storage.uri}/ha/{folder}{cluster}" for folder in ("", *[f"{name}/" for name in RESULT_STORES])]
    if not settings.keep_state:
        found += [f"{storage.uri}/{folder}/{cluster}" for folder in ("checkpoints", "savepoints")]
    return found


def _purge(
    name: str,
    hosts: list[Host],
    what: list[str],
    opts: pulumi.ResourceOptions,
    later: list[pulumi.Resource],
) -> pulumi.Resource:
    """Removes objects from the first of the hosts that can be reached, once the daemons on all of them are stopped. The
    cluster's, not a host's: a JobManager that leaves alone must take nothing along.
    """
    row = ROLES[hosts[0].role]
    text = script_text(hosts[0], "purge.sh", {"what": what})
    return leave(
        f"{name}-purge",
        hosts,
        text,
        left=f"the objects at {', '.join(what)}",
        before=f"sudo -n systemctl stop {row.unit}",
        seconds=PURGE_SECONDS,
        opts=_after(opts, later),
    )


def _after(opts: pulumi.ResourceOptions, later: list[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=later))

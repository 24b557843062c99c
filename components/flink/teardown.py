"""Removes what the steps created, from hosts that leave the cluster and when the cluster is destroyed.

There is one resource for each existing host, `HOST-clean`, and one for the storage, `NAME-purge`: commands that run
only when they are deleted (docs/decisions/0018-leaving-hosts.md). A machine that the stack created is deleted instead.
"""

from collections.abc import Sequence

import pulumi

from .. import naming
from ..host import Host, Role
from ..remote import clean_text, leave, script_text
from ..roles import ROLES, Teardown
from ..storage import Storage
from ..storage.storage import mark
from .settings import RESULT_STORES, ClusterSettings
from .topology import Members

PURGE_SECONDS = 1800
"""Enough for several hundred thousand objects."""


def declare(
    name: str, hosts: Sequence[Host], settings: ClusterSettings, storage: Storage, opts: pulumi.ResourceOptions
) -> dict[str, pulumi.Resource]:
    """Host name → resource. Every change of a host has to depend on it, so that the result of an interrupted `up` is
    removed as well.

    If the whole cluster is destroyed, hosts and storage are cleaned in the order of `Teardown`.
    """
    members = Members(tuple(host for host in hosts if host.ready is None))
    found: dict[str, pulumi.Resource] = {}
    later: list[pulumi.Resource] = []
    # Resources are deleted in reverse order of declaration
    for stage in sorted(Teardown, key=lambda stage: stage.value, reverse=True):
        going = [host for role in Role if ROLES[role].teardown is stage for host in members.of(role)]
        cleaned = {host.name: _clean(host, storage, opts, later) for host in going}
        found.update(cleaned)
        later = [*cleaned.values()] or later
        what = _purged(settings, storage, ha=members.high_availability) if stage is Teardown.AFTER_STORAGE else []
        if what and going:
            later = [_purge(name, going, what, opts, later)]
    return found


def _clean(host: Host, storage: Storage, opts: pulumi.ResourceOptions, later: list[pulumi.Resource]) -> pulumi.Resource:
    """The resource that removes everything that the program installed on a host, before `later` is deleted."""
    row = ROLES[host.role]
    more = [backend.release.name for backend in storage.backends if backend.release and row.runs_flink]
    releases = [*row.releases, *more]
    text = clean_text(host, {"user": row.user, "unit": row.unit, "releases": releases, "login": host.ssh.user})
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
    """URIs of objects that are useless without the cluster's znodes, and of its state unless `keepState` is set."""
    cluster, found = settings.cluster_id, []
    if ha:
        found += [f"{storage.ha}/{folder}{cluster}" for folder in ("", *[f"{name}/" for name in RESULT_STORES])]
    if not settings.keep_state:
        found += [storage.checkpoints(cluster), storage.savepoints(cluster)]
        found += [f"{storage.uri}/{folder}/{cluster}" for folder in ("jobs", "history")]
        # Of all clusters with this storage: the next one that needs a copy makes it again
        found += [storage.copies] if settings.archive_copies else []
    # Last: daemons do not start without it
    return [*found, *(f"{storage.places[key]}/{mark(cluster)}" for key in storage.folders)]


def _purge(
    name: str,
    hosts: list[Host],
    what: list[str],
    opts: pulumi.ResourceOptions,
    later: list[pulumi.Resource],
) -> pulumi.Resource:
    """The resource that removes the objects, from the first reachable host, after the daemons on all hosts are stopped.
    It belongs to the cluster, not to a host, so that a single JobManager that leaves removes nothing.
    """
    row = ROLES[hosts[0].role]
    text = script_text(hosts[0], "purge.sh", {"what": what}, alone=True)
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

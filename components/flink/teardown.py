"""What becomes of hosts when they leave the cluster, or when all of it is destroyed: what the steps made is taken away.

One resource for each host that was there before, `HOST-clean`, and one for the storage, `NAME-purge`: commands that run
only when they are deleted (docs/decisions/0018-leaving-hosts.md). A machine that the stack made goes as a whole.
"""

from collections.abc import Sequence

import pulumi

from components import naming
from components.flink import config, node
from components.flink.config import Members
from components.host import Host, Role, Storage
from components.remote import File, host_script, leave, script_text
from settings import FlinkSettings

TOOL = File(path="/run/flink-tool/State.java", text=host_script("java/State.java"))
"""Our Java tool, where tool.sh looks for it."""

PURGE_SECONDS = 1800
"""For some hundred thousand objects."""


def declare(
    name: str, hosts: Sequence[Host], settings: FlinkSettings, storage: Storage, opts: pulumi.ResourceOptions
) -> dict[str, pulumi.Resource]:
    """The resources by host name; whatever changes a host has to depend on its own, so that what an `up` began is taken
    away even if it never ended.

    When all of it goes, it goes in this order: TaskManagers, the storage, JobManagers, ZooKeeper servers.
    """
    members = Members(tuple(host for host in hosts if host.ready is None))
    servers = {host.name: _clean(host, opts, []) for host in members.of(Role.ZOOKEEPER)}
    jobmanagers = {host.name: _clean(host, opts, [*servers.values()]) for host in members.of(Role.JOBMANAGER)}
    before: list[pulumi.Resource] = [*jobmanagers.values()]
    if members.of(Role.JOBMANAGER) and (what := _purged(settings, storage, ha=bool(servers))):
        before = [_purge(name, members.of(Role.JOBMANAGER), what, opts, before)]
    taskmanagers = {host.name: _clean(host, opts, before) for host in members.of(Role.TASKMANAGER)}
    return {**servers, **jobmanagers, **taskmanagers}


def _clean(host: Host, opts: pulumi.ResourceOptions, later: list[pulumi.Resource]) -> pulumi.Resource:
    """Takes everything of ours off a host, before `later` is deleted."""
    account = node.user(host.role)
    unit = config.DAEMONS[host.role].unit
    text = script_text(
        host,
        "clean.sh",
        {
            "role": host.role.value,
            "user": account,
            "unit": unit,
            "releases": ("java", "zookeeper" if host.role is Role.ZOOKEEPER else "flink"),
        },
        uses=("release.sh",),
    )
    return leave(
        naming.step(host, "clean"),
        [host],
        text,
        left=f"user {account}, unit {unit} (which runs again when the host boots), releases in /opt, and what else"
        " README lists under `What up changes on a host`",
        opts=_after(opts, later),
    )


def _purged(settings: FlinkSettings, storage: Storage, *, ha: bool) -> list[str]:
    """URIs of what nobody can use without the cluster's znodes, and of its state unless that is to be kept."""
    cluster, found = settings.cluster_id, []
    if ha:
        # Where Flink puts the result stores: JobResultStoreOptions, ApplicationResultStoreOptions
        for folder in ("", "job-result-store/", "application-result-store/"):
            found.append(f"{storage.uri}/ha/{folder}{cluster}")
    if not settings.keep_state:
        found += [f"{storage.uri}/{folder}/{cluster}" for folder in ("checkpoints", "savepoints")]
    return found


def _purge(
    name: str,
    jobmanagers: list[Host],
    what: list[str],
    opts: pulumi.ResourceOptions,
    later: list[pulumi.Resource],
) -> pulumi.Resource:
    """Removes objects, once all JobManagers are stopped. The cluster's, not a host's: a JobManager that leaves alone
    must take nothing along.
    """
    text = script_text(
        jobmanagers[0], "purge.sh", {"user": node.user(Role.JOBMANAGER), "what": what}, [TOOL], uses=("tool.sh",)
    )
    return leave(
        f"{name}-purge",
        jobmanagers,
        text,
        left=f"the objects at {', '.join(what)}",
        before=f"sudo -n systemctl stop {config.JOBMANAGER.unit}",
        seconds=PURGE_SECONDS,
        opts=_after(opts, later),
    )


def _after(opts: pulumi.ResourceOptions, later: list[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=later))

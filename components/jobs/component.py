"""A declared job: `up` starts it, upgrades it with its state, suspends it, and goes back if a change fails
(docs/decisions/0025-jobs.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import remote

from .. import forms, naming, ports
from ..flink import proxy
from ..flink.cluster import Cluster
from ..host import Host, Role
from ..remote import connection, leave, script_text, step
from ..roles import ROLES
from ..storage import Storage
from .settings import JobSettings, RestartSettings

JARS = "/var/lib/flink/jobs"
"""Of all jobs, on JobManagers' hosts (host_tool/submit.py)."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """Arguments of `Job`."""

    cluster: Cluster
    settings: JobSettings
    after: Sequence[pulumi.Resource] = ()
    """What must exist before the job is changed (JobWatch)."""


class Job(pulumi.ComponentResource):
    """A job on a cluster. `up` succeeds when all its tasks run and, if it checkpoints, a checkpoint has completed."""

    result: pulumi.Output[str]
    """What runs, as JSON: `state` (running or suspended), its `id`, and `from`, the state that it started from."""

    def __init__(self, name: str, args: JobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "Job"), name, None, opts)
        cluster, settings = args.cluster, args.settings
        hosts = list(cluster.members.of(Role.JOBMANAGER))
        first = hosts[0]
        declared = pulumi.Stash(name, input=_declared(cluster, settings), opts=pulumi.ResourceOptions(parent=self))
        after: list[pulumi.Resource] = [cluster.works, *args.after, declared]
        told = values(first, cluster, settings)
        leaving = leave(
            f"{name}-stop",
            hosts,
            script_text(first, "job.sh", {"values": json.dumps({**told, "remove": True})}),
            left=f"job {settings.name}, which is not stopped",
            seconds=_seconds(settings),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        after.append(leaving)
        if settings.is_local:
            after.append(_copied(first, settings, self, after))
        submitted = step(
            first,
            f"job-{settings.name}",
            script_text(
                first,
                "job.sh",
                {"values": json.dumps(told), **(_download(cluster, settings) if settings.is_on_the_web else {})},
                uses=("proxy.sh",) if settings.is_on_the_web else (),
            ),
            seconds=_seconds(settings),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self.result = submitted.stdout
        self.register_outputs({"result": self.result})


def _declared(cluster: Cluster, settings: JobSettings) -> dict[str, Any]:
    """The job as a preview shows it."""
    spec = settings.spec()
    spec["jar"] = f"{settings.jar_name} sha256:{settings.digest[:12]}"
    rest = {
        "upgradeMode": settings.upgrade_mode,
        "state": settings.state,
        "initialSavepoint": settings.initial_savepoint,
        "savepointNonce": settings.savepoint_nonce,
        "onDelete": settings.on_delete,
        "flink": cluster.settings.flink.version,
        "savepoints": _savepoints(settings),
        "restarts": _restarts(settings),
    }
    return {key: value for key, value in {**spec, **rest}.items() if value not in ("", 0, False, [], {})}


def _savepoints(settings: JobSettings) -> dict[str, Any]:
    found = settings.savepoints
    if found is None:
        return {}
    times = {"every": found.every, "maxAge": found.max_age}
    return {**{name: forms.duration(time) for name, time in times.items() if time}, "keep": found.keep}


def _restarts(settings: JobSettings) -> dict[str, Any]:
    found = settings.restarts
    if found == RestartSettings():
        return {}
    return {"attempts": found.attempts, "within": forms.duration(found.within)}


def values(host: Host, cluster: Cluster, settings: JobSettings) -> dict[str, Any]:
    """For the host tool (host_tool/declared_job.py)."""
    storage: Storage = cluster.storage
    return {
        "host": host.name,
        "cluster": cluster.settings.cluster_id,
        "name": settings.name,
        "storage": storage.uri,
        "spec": settings.spec(),
        "upgradeMode": settings.upgrade_mode,
        "state": settings.state,
        "initialSavepoint": settings.initial_savepoint,
        "savepointNonce": settings.savepoint_nonce,
        "stop": settings.on_delete,
        "seconds": settings.start_timeout_seconds,
        "stableSeconds": settings.stable_seconds,
        "jobmanagers": cluster.members.reached_as(Role.JOBMANAGER),
        "restPort": ports.number("rest"),
        # With another release the step runs again: the rollout may have stopped the job
        "release": cluster.settings.flink.version,
        "user": ROLES[Role.JOBMANAGER].user,
        "jarFile": _jar_file(host, settings),
        "remove": False,
    }


def _jar_file(host: Host, settings: JobSettings) -> str:
    """Where the host tool finds the jar."""
    if settings.is_local:
        return f"~{host.ssh.user}/{_file(settings)}"
    return f"{JARS}/.{settings.name}.download" if settings.is_on_the_web else settings.jar


def _download(cluster: Cluster, settings: JobSettings) -> dict[str, str]:
    """Values of job.sh for a jar on a web server, which is downloaded like a release."""
    place = {"copy": f"{JARS}/.{settings.name}.download", "kept": f"{JARS}/{settings.digest}.jar"}
    return {"url": settings.jar, **place, **proxy.values(cluster.settings)}


def _file(settings: JobSettings) -> str:
    return f".flink-job-{settings.name}-{settings.digest[:16]}.jar"


def _copied(
    host: Host, settings: JobSettings, parent: pulumi.Resource, after: list[pulumi.Resource]
) -> pulumi.Resource:
    """The jar in the home directory of the user who logs in."""
    return remote.CopyToRemote(
        naming.step(host, f"jar-{settings.name}"),
        connection=connection(host.ssh),
        source=pulumi.FileAsset(settings.jar),
        remote_path=_file(settings),
        triggers=[host.machine] if host.machine else [],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after), deleted_with=host.ready),
    )


def _seconds(settings: JobSettings) -> int:
    """A stop, a start, and a second start of what ran before; also of what an interrupted run has left, or of the watch
    that is starting it.
    """
    return 6 * settings.start_timeout_seconds + 2 * settings.stable_seconds + 720

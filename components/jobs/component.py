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
from ..flink import trusted
from ..flink.cluster import Cluster
from ..host import Host, Role
from ..remote import connection, leave, script_text, step
from ..roles import ROLES
from ..storage import Storage
from .settings import JobSettings, RestartSettings

FOLDER = "/var/lib/flink/jobs"
"""Files of all jobs, on JobManagers' hosts (host_tool/artifacts.py)."""


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
        own = {"name": settings.name}  # on a host only steps of the same job wait for each other
        leaving = leave(
            f"{name}-stop",
            hosts,
            script_text(first, "job.sh", {**own, "values": json.dumps({**told, "remove": True})}, alone=True),
            left=f"job {settings.name}, which is not stopped",
            seconds=_seconds(settings),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        after.append(leaving)
        ready = list(after)
        after += [
            _copied(first, settings, name, self, ready)
            for name, artifact in settings.artifacts.items()
            if artifact.is_local
        ]
        web = _downloads(settings)
        downloads = {**web, **trusted.download_values(cluster.settings)} if web else {}
        submitted = step(
            first,
            f"job-{settings.name}",
            script_text(
                first,
                "job.sh",
                {**own, "values": json.dumps(told), **downloads},
                uses=trusted.download_libraries(cluster.settings) if web else (),
            ),
            seconds=_seconds(settings),
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )
        self.result = submitted.stdout
        self.register_outputs({"result": self.result})


def _declared(cluster: Cluster, settings: JobSettings) -> dict[str, Any]:
    """The job as a preview shows it."""
    spec = _spec(cluster, settings)
    spec[settings.kind] = settings.program.shown()
    rest = {
        "dependencies": [each.shown() for each in settings.dependencies],
        "secrets": list(settings.secrets),
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


def _spec(cluster: Cluster, settings: JobSettings) -> dict[str, Any]:
    python = cluster.settings.python if settings.kind == "python" else None
    return {**settings.spec(), **({"environment": python.home} if python else {})}


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
        **apart(storage, cluster.settings.cluster_id),
        "note": f"{FOLDER}/{settings.name}.place",
        "spec": _spec(cluster, settings),
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
        "files": {name: _place(host, settings, name) for name in settings.artifacts},
        "remove": False,
    }


def apart(storage: Storage, cluster_id: str) -> dict[str, str]:
    """The folders that are not below the storage's URI."""
    return {"checkpoints": storage.checkpoints(cluster_id), "ha": storage.ha} if storage.is_apart else {}


def _place(host: Host, settings: JobSettings, name: str) -> str:
    """Where the host tool finds an artifact."""
    artifact = settings.artifacts[name]
    if artifact.is_local:
        return f"~{host.ssh.user}/{_file(settings, name)}"
    return _downloaded(settings, name) if artifact.is_on_the_web else artifact.place


def _downloads(settings: JobSettings) -> dict[str, list[str]]:
    """Values of job.sh for what is on web servers, which is downloaded like a release."""
    web = [name for name, artifact in settings.artifacts.items() if artifact.is_on_the_web]
    if not web:
        return {}
    return {
        "urls": [settings.artifacts[name].place for name in web],
        "copies": [_downloaded(settings, name) for name in web],
        "kept": [f"{FOLDER}/{name}" for name in web],
    }


def _downloaded(settings: JobSettings, name: str) -> str:
    return f"{FOLDER}/.{settings.name}.download.{name[:16]}"


def _file(settings: JobSettings, name: str) -> str:
    digest, _, suffix = name.partition(".")
    return f".flink-job-{settings.name}-{digest[:16]}.{suffix}"


def _copied(
    host: Host, settings: JobSettings, name: str, parent: pulumi.Resource, after: list[pulumi.Resource]
) -> pulumi.Resource:
    """An artifact in the home directory of the user who logs in."""
    artifact = settings.artifacts[name]
    what = f"{settings.kind}-{settings.name}"
    if artifact is not settings.program:
        what = f"dependency-{settings.name}-{artifact.digest[:12]}"
    return remote.CopyToRemote(
        naming.step(host, what),
        connection=connection(host.ssh),
        source=pulumi.FileAsset(artifact.place),
        remote_path=_file(settings, name),
        triggers=[host.machine] if host.machine else [],
        opts=pulumi.ResourceOptions(parent=parent, depends_on=after, deleted_with=host.ready),
    )


def _seconds(settings: JobSettings) -> int:
    """A stop, a start, and a second start of what ran before; also of what an interrupted run has left, or of the watch
    that is starting it.
    """
    return 6 * settings.start_timeout_seconds + 2 * settings.stable_seconds + 720

"""The watch over the declared jobs of a cluster, on the hosts of its JobManagers: it starts again what has failed for
good, and takes savepoints (host_tool/job_watch.py). Only the leader's side acts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from .. import naming
from ..flink.cluster import Cluster
from ..host import Host, Role
from ..remote import File, leave, script_text, shipped, step
from .component import values
from .settings import JobSettings

UNIT = "flink-jobs"
FACTS = "/etc/flink/jobs.json"
KNOWN = (
    "host",
    "cluster",
    "name",
    "storage",
    "checkpoints",
    "ha",
    "state",
    "seconds",
    "jobmanagers",
    "restPort",
    "user",
)


@dataclass(frozen=True, kw_only=True)
class JobWatchArgs:
    """Arguments of `JobWatch`. `jobs` are all that are declared on the cluster, at least one."""

    cluster: Cluster
    jobs: Sequence[JobSettings]


class JobWatch(pulumi.ComponentResource):
    """The watch. Without it a job that Flink gives up stays down until the next `up`."""

    ready: list[pulumi.Resource]
    """Jobs depend on these, so that the watch knows what is declared before anything of it is changed."""

    def __init__(self, name: str, args: JobWatchArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "JobWatch"), name, None, opts)
        self.ready = [self._on(host, args) for host in args.cluster.members.of(Role.JOBMANAGER)]
        self.register_outputs({})

    def _on(self, host: Host, args: JobWatchArgs) -> pulumi.Resource:
        unit = {"name": "jobs", "unit": UNIT}
        leaving = leave(
            naming.step(host, "jobs-leave"),
            [host],
            script_text(host, "jobmanager/jobs.sh", unit, alone=True),
            left=f"{UNIT}.timer, which has no jobs to look after",
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.cluster.works, deleted_with=host.ready),
        )
        files = [
            File(path=FACTS, text=facts(host, args.cluster, args.jobs)),
            *(
                shipped(f"/etc/systemd/system/{UNIT}.{kind}", f"config_templates/jobmanager/{UNIT}.{kind}")
                for kind in ("service", "timer")
            ),
        ]
        text = script_text(host, "jobmanager/jobs.sh", unit, files, uses=("timer.sh",))
        return step(host, "jobs", text, opts=pulumi.ResourceOptions(parent=self, depends_on=[leaving]))


def facts(host: Host, cluster: Cluster, jobs: Sequence[JobSettings]) -> str:
    """What the watch on a host has to know."""
    references = [it.initial_savepoint for it in jobs if it.initial_savepoint]
    found = [{**_values(host, cluster, it), **_kept(it), "references": references} for it in jobs]
    return json.dumps({"jobs": found}, indent=1) + "\n"


def _values(host: Host, cluster: Cluster, settings: JobSettings) -> dict[str, Any]:
    """What identifies the job. What runs, and starts again, is in its record on the storage: a change of the job is no
    change of the watch.
    """
    known = values(host, cluster, settings)
    return {name: known[name] for name in KNOWN if name in known}


def _kept(settings: JobSettings) -> dict[str, Any]:
    taken, again = settings.savepoints, settings.restarts
    return {
        "savepoints": {"every": taken.every, "keep": taken.keep, "maxAge": taken.max_age} if taken else None,
        "restarts": {"attempts": again.attempts, "within": again.within},
    }

"""What the program knows of a cluster, as metrics, with which rules compare what is there. Pure.

It belongs on the monitoring host once the cluster is complete and its jobs run: what is not there yet is not missing.
"""

import re
from collections.abc import Mapping

from .. import yaml_text
from ..flink.settings import ClusterSettings
from ..flink.topology import Members
from ..host import Role
from ..jobs.settings import JobSettings

FILE = "declared.yaml"
HOSTS = "flink_declared_hosts"
"""Number of hosts, with the label `role`."""
JOBS = "flink_declared_jobs"
"""Number of jobs that run without an end."""
SLOTS = "flink_declared_slots"
"""Slots that all of the running jobs need."""
INTERVAL = "flink_declared_checkpoint_interval_seconds"
"""Of jobs whose name in Flink is not known: the longest one that is declared."""
JOB_INTERVAL = "flink_declared_job_checkpoint_interval_seconds"
"""Of the job `job_name`."""

_INTERVAL = "execution.checkpointing.interval"
_DEFAULT_INTERVAL = 60.0
"""Seconds, in config_templates/config.yaml.j2."""
_MODE = "execution.runtime-mode"
# Flink's own units (org.apache.flink.util.TimeUtils); no unit is milliseconds
_UNITS = {
    **dict.fromkeys(("ns", "nano", "nanosecond"), 1e-9),
    **dict.fromkeys(("µs", "micro", "microsecond"), 1e-6),
    **dict.fromkeys(("", "ms", "milli", "millisecond"), 1e-3),
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
}
_DURATION = re.compile(r"([0-9]+)\s*([a-zµ]*)")
_UNFIT = re.compile(r"[^a-zA-Z0-9:_]")


def text(settings: ClusterSettings, members: Members) -> str:
    """The text of FILE: rules that record a constant each."""
    rules = [
        {"record": name, "expr": f"vector({value:g})", "labels": {"cluster": settings.cluster_id, **labels}}
        for name, value, labels in metrics(settings, members)
    ]
    found = {"groups": [{"name": "declared", "rules": rules}]}
    return "# Managed by Pulumi: changes are overwritten.\n" + yaml_text.write(found)


def metrics(settings: ClusterSettings, members: Members) -> list[tuple[str, float, dict[str, str]]]:
    """Name, value, and labels besides `cluster`, of all metrics."""
    jobs = [job for job in settings.jobs if job.state == "running"]
    default = _seconds(settings.common_config.get(_INTERVAL)) or _DEFAULT_INTERVAL
    own = {job.name: _seconds(job.flink_config.get(_INTERVAL)) or default for job in jobs}
    unnamed = [own[job.name] for job in jobs if not _name(job)]
    return [
        *((HOSTS, len(members.of(role)), {"role": role.value}) for role in Role if members.of(role)),
        (JOBS, len([job for job in jobs if not _ends(job, settings.common_config)]), {}),
        (SLOTS, sum(_parallelism(job, settings.common_config) for job in jobs), {}),
        (INTERVAL, max([default, *unnamed]), {}),
        *((JOB_INTERVAL, own[job.name], {"job_name": _name(job)}) for job in jobs if _name(job)),
    ]


def _name(job: JobSettings) -> str:
    """The job's name in Flink's metrics, whose reporter replaces most characters; empty for a jar, which gives itself
    a name.
    """
    name = job.flink_config.get("pipeline.name", job.name)
    return "" if job.kind == "jar" else _UNFIT.sub("_", str(name))


def _ends(job: JobSettings, common: Mapping[str, object]) -> bool:
    """Whether the job is one that finishes."""
    return str({**common, **job.flink_config}.get(_MODE, "")).upper() == "BATCH"


def _parallelism(job: JobSettings, common: Mapping[str, object]) -> int:
    """Slots that the job needs: Flink shares a slot between a subtask of each of its tasks."""
    stated = str({**common, **job.flink_config}.get("parallelism.default", "1"))
    return job.parallelism or (int(stated) if stated.isdecimal() and len(stated) < 10 else 1)


def _seconds(duration: object) -> float:
    """Seconds of a duration as Flink reads it; 0 for none, and for what is none."""
    found = _DURATION.fullmatch(str(duration or "").strip().lower())
    if not found:
        return 0
    unit = found[2] if found[2] in _UNITS else found[2].removesuffix("s")
    return int(found[1]) * _UNITS.get(unit, 0)

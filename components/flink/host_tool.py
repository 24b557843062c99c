"""The host tool and the Java classes as files for hosts (docs/decisions/0020-host-tool.md).

They are plain text, so that `doctor` can show differences, without docstrings and comments.
"""

from ..remote import File, shipped
from ..roles import Health, Row
from ..scripts import FOLDER

_EVERYWHERE = ("__init__", "clock", "commands", "connection", "health", "identity", "output", "rest", "zookeeper")
_OF_AN_ENSEMBLE = ("ensemble",)
_WITH_FLINK_DAEMON = ("daemon",)
_WHERE_THE_STORAGE_IS_USED = ("credentials", "presign", "s3_look")
_WHERE_IT_LOGS_IN_FROM = ("cluster", "hand_over", "hosts", "java", "jobs", "logins", "results", "rollout")
_WHERE_IT_LEADS = ("session", "superseded", "znodes")
_WITH_JOBS = (
    "artifacts",
    "configuration",
    "declared_job",
    "job_attempts",
    "job_commands",
    "job_lock",
    "job_record",
    "job_release",
    "job_savepoint_commands",
    "job_savepoints",
    "job_watch",
    "old_place",
    "python_trace",
    "store",
    "submit",
    "turns",
)
JAVA = (
    "Claim",
    "Ensemble",
    "Flink",
    "Folder",
    "HandOver",
    "JobCheckpoints",
    "JobJars",
    "JobPlan",
    "Leftovers",
    "Remains",
    "Results",
    "SqlJob",
    "SqlScript",
    "Store",
)


def files(row: Row) -> list[File]:
    """The files for hosts of a role: the tool, with the modules that it needs there."""
    modules = [*_EVERYWHERE]
    if row.daemon and row.daemon.health is Health.ENSEMBLE:
        modules += _OF_AN_ENSEMBLE
    if row.daemon and row.daemon.script:
        modules += _WITH_FLINK_DAEMON
    if row.uses_storage:
        modules += _WHERE_THE_STORAGE_IS_USED
    if row.logs_in:
        modules += [*_WHERE_IT_LOGS_IN_FROM, *_WHERE_IT_LEADS, *_WITH_JOBS]
    found = [shipped(f"{FOLDER}/flink-host", "host_tool/flink_host.py", mode="0755")]
    found += [module(name) for name in sorted(modules)]
    if row.logs_in:
        found += [shipped(f"{FOLDER}/java/{name}.java", f"java/{name}.java") for name in JAVA]
    return found


def module(name: str) -> File:
    """A module of the tool."""
    return shipped(f"{FOLDER}/host_tool/{name}.py", f"host_tool/{name}.py")

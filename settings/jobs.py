"""The declared jobs of a stack."""

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from components import files, forms
from components.jobs.settings import (
    STABLE_SECONDS,
    START_SECONDS,
    STATES,
    STOPS,
    UPGRADE_MODES,
    JobSettings,
    RestartSettings,
    SavepointSettings,
)
from components.problems import Problems, shown
from components.shapes import Shape, fields
from settings.overrides import FLINK, overrides, suspicious

RETENTION = "execution.checkpointing.externalized-checkpoint-retention"
_STARTS = {
    "execution.state-recovery.path": "initialSavepoint of the job",
    "execution.state-recovery.ignore-unclaimed-state": "allowNonRestoredState of the job",
    "execution.state-recovery.claim-mode": "none, because Flink must never delete what a job starts from",
}
"""Options that the submission of a job sets, and what to write instead."""
MIN_EVERY_SECONDS = 10
_MANIFEST = "META-INF/MANIFEST.MF"
_NO_RETENTION = ("NO_EXTERNALIZED_CHECKPOINTS", "DELETE_ON_CANCELLATION")


def _one_of(*allowed: str) -> AfterValidator:
    def check(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{shown(text)} is unknown: expected {', '.join(allowed)}")
        return text

    return AfterValidator(check)


def _argument(text: str) -> str:
    if not forms.one_line(text):
        raise ValueError(f"{shown(text)} is no argument: expected printable characters on a line")
    return text


class _Job(Shape):
    jar: str = Field(description="a path on this machine, or a URI with sha256")
    sha256: Annotated[str, AfterValidator(forms.SHA256)] = ""
    entry_class: Annotated[str, AfterValidator(forms.JAVA_CLASS)] = ""
    args: list[Annotated[str, AfterValidator(_argument)]] = []
    parallelism: int = Field(0, ge=1, le=32_768)
    upgrade_mode: Annotated[str, _one_of(*UPGRADE_MODES)] = "savepoint"
    state: Annotated[str, _one_of(*STATES)] = "running"
    initial_savepoint: Annotated[str, AfterValidator(forms.PLACE_URI)] = ""
    allow_non_restored_state: bool = False
    restart_nonce: Annotated[str, AfterValidator(forms.NONCE)] = ""
    savepoint_nonce: Annotated[str, AfterValidator(forms.NONCE)] = ""
    flink_config: dict[str, Any] = {}
    start_timeout_seconds: int = Field(START_SECONDS, ge=10, le=3600)
    stable_seconds: int = Field(STABLE_SECONDS, ge=0, le=86_400)
    on_delete: Annotated[str, _one_of(*STOPS)] = "savepoint"
    savepoints: dict[str, Any] = {}
    restarts: dict[str, Any] = {}


class _Savepoints(Shape):
    every: Annotated[str, AfterValidator(forms.DURATION)] = ""
    keep: int = Field(SavepointSettings.keep, ge=1, le=10_000)
    max_age: Annotated[str, AfterValidator(forms.DURATION)] = ""


class _Restarts(Shape):
    attempts: int = Field(RestartSettings.attempts, ge=0, le=100)
    within: Annotated[str, AfterValidator(forms.DURATION)] = forms.duration(RestartSettings.within)


def jobs(
    values: Mapping[str, Any], common: Mapping[str, Any], root: Path, problems: Problems
) -> tuple[JobSettings, ...]:
    """The jobs, by name; `common` is the cluster's flinkConfig. What is wrong is added to `problems`."""
    found = []
    for name, entry in sorted(values["jobs"].items()):
        where = f"jobs.{name}"
        if not forms.JOB_NAME.fits(name):
            problems.add("jobs", f"{shown(name)} is not {forms.JOB_NAME.what}: expected {forms.JOB_NAME.expected}")
            continue
        before = len(problems.found)
        job = _job(name, fields(_Job, entry, where, problems), where, problems)
        job = _with_jar(job, where, root, problems)
        retention = str({**common, **job.flink_config}.get(RETENTION, ""))
        if job.upgrade_mode == "last-state" and retention in _NO_RETENTION:
            problems.add(
                f"{where} upgradeMode",
                f"last-state needs the checkpoints of a stopped job, and {RETENTION} is {retention}: remove that",
            )
        if len(problems.found) == before:
            found.append(job)
    return tuple(found)


def _job(name: str, known: Mapping[str, Any], where: str, problems: Problems) -> JobSettings:
    key = f"{where}.flinkConfig"
    config = overrides(key, {key: known.get("flinkConfig", {})}, FLINK, problems)
    suspicious(key, config, problems)
    if "parallelism.default" in config:
        problems.add(key, "has parallelism.default: expected parallelism of the job")
    for option, expected in _STARTS.items():
        if option in config:
            problems.add(key, f"has {option}: expected {expected}")
    own = {field: known[str(shape.alias)] for field, shape in _Job.model_fields.items() if str(shape.alias) in known}
    own |= {"savepoints": _savepoints(known, where, problems), "restarts": _restarts(known, where, problems)}
    return JobSettings(**{"jar": "", **own, "name": name, "flink_config": config})


def _savepoints(known: Mapping[str, Any], where: str, problems: Problems) -> SavepointSettings | None:
    if "savepoints" not in known:
        return None
    found = fields(_Savepoints, known["savepoints"], f"{where}.savepoints", problems)
    every, age = (forms.seconds(found.get(key, "")) for key in ("every", "maxAge"))
    if 0 < every < MIN_EVERY_SECONDS:
        problems.add(f"{where}.savepoints every", f"{shown(found['every'])} is too short: expected 10 s or more")
    if 0 < age < every:
        problems.add(
            f"{where}.savepoints maxAge", f"{shown(found['maxAge'])} is shorter than every: no savepoint stays"
        )
    return SavepointSettings(every=every, keep=found.get("keep", SavepointSettings.keep), max_age=age)


def _restarts(known: Mapping[str, Any], where: str, problems: Problems) -> RestartSettings:
    found = fields(_Restarts, known.get("restarts", {}), f"{where}.restarts", problems)
    default = RestartSettings()
    within = forms.seconds(found["within"]) if "within" in found else default.within
    return RestartSettings(attempts=found.get("attempts", default.attempts), within=within)


def _with_jar(job: JobSettings, where: str, root: Path, problems: Problems) -> JobSettings:
    """The job with the jar's path on this machine; the jar has to have the class that starts the job."""
    if not job.jar:
        return job  # already reported
    if not job.is_local:
        if not job.sha256:
            problems.add(f"{where} sha256", f"is missing: expected the SHA-256 of {shown(job.jar)}")
        form = forms.DOWNLOAD_URL if job.is_on_the_web else forms.PLACE_URI
        problems.catch(f"{where} jar", lambda: form(job.jar), "")
        return job
    if job.sha256:
        problems.add(f"{where} sha256", "has no effect with a jar on this machine: remove it")
    path = problems.catch(f"{where} jar", lambda: files.located(job.jar, root), None)
    if path is None:
        return job
    problems.catch(f"{where} jar", lambda: _check_jar(path, job.entry_class), None)
    return replace(job, jar=str(path))


def _check_jar(path: Path, entry_class: str) -> None:
    """Raises ValueError unless the file is a jar with the class, or whose manifest names one."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file: expected a jar")
    try:
        with zipfile.ZipFile(path) as jar:
            names = set(jar.namelist())
            manifest = jar.read(_MANIFEST).decode(errors="replace") if _MANIFEST in names else ""
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is not a jar ({error})") from None
    if entry_class:
        if f"{entry_class.replace('.', '/')}.class" not in names:
            raise ValueError(f"{path} has no class {entry_class}: expected entryClass to name one of it")
    elif not any(line.startswith(("Main-Class:", "program-class:")) for line in manifest.splitlines()):
        raise ValueError(f"{path} names no main class in its manifest: expected entryClass")

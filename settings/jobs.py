"""The declared jobs of a stack."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components import files, forms
from components.jobs.settings import (
    KINDS,
    STABLE_SECONDS,
    START_SECONDS,
    STATES,
    STOPS,
    UPGRADE_MODES,
    Artifact,
    JobSettings,
    RestartSettings,
    SavepointSettings,
)
from components.problems import Problems, shown
from components.scripts import END_OF_FILE
from components.shapes import Shape, fields
from settings import python_files, sql_script
from settings.overrides import FLINK, overrides, suspicious

RETENTION = "execution.checkpointing.externalized-checkpoint-retention"
_STARTS = {
    "execution.state-recovery.path": "initialSavepoint of the job",
    "execution.state-recovery.ignore-unclaimed-state": "allowNonRestoredState of the job",
    "execution.state-recovery.claim-mode": "none, because Flink must never delete what a job starts from",
}
"""Options that the submission of a job sets, and what to write instead."""
JOB_SECRETS = "jobSecrets"
_ONLY_FOR = {"entryClass": ("jar",), "args": ("jar", "python"), "entryModule": ("python",)}
PYTHON = "python"
_ENVIRONMENT = {
    "python.executable": "python of the stack",
    "python.client.executable": "python of the stack",
    "python.pyflink.path": "python of the stack",
    "python.requirements": "the packages in the requirements of python",
    "python.files": "a folder as the job's program",
}
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
    jar: str = ""
    sql: str = ""
    python: str = ""
    sha256: Annotated[str, AfterValidator(forms.SHA256)] = ""
    dependencies: list[Any] = []
    entry_class: Annotated[str, AfterValidator(forms.JAVA_CLASS)] = ""
    entry_module: Annotated[str, AfterValidator(forms.PYTHON_MODULE)] = ""
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
    secrets: list[Annotated[str, AfterValidator(forms.SECRET_NAME)]] = []
    on_delete: Annotated[str, _one_of(*STOPS)] = "savepoint"
    savepoints: dict[str, Any] = {}
    restarts: dict[str, Any] = {}


class _Dependency(Shape):
    jar: str = Field(description="a path on this machine, or a URI with sha256")
    sha256: Annotated[str, AfterValidator(forms.SHA256)] = ""


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
        job = replace(job, dependencies=_dependencies(job.dependencies, where, root, problems))
        for secret in sorted(set(job.secrets) - set(values[JOB_SECRETS])):
            problems.add(f"{where} secrets", f"{shown(secret)} is not a secret in {JOB_SECRETS}")
        job = _with_program(job, entry, where, values, root, problems)
        retention = str({**common, **job.flink_config}.get(RETENTION, ""))
        if job.upgrade_mode == "last-state" and retention in _NO_RETENTION:
            problems.add(
                f"{where} upgradeMode",
                f"last-state needs the checkpoints of a stopped job, and {RETENTION} is {retention}: remove that",
            )
        if len(problems.found) == before:
            found.append(job)
    return tuple(found)


def job_secrets(
    values: Mapping[str, Any], declared: Sequence[JobSettings], problems: Problems
) -> pulumi.Output[Mapping[str, str]] | None:
    """The secrets that jobs read, by name; those that none reads stay away from hosts."""
    secrets = {}
    read = {name for job in declared for name in job.secrets}
    for name, value in sorted(values[JOB_SECRETS].items()):
        if not forms.SECRET_NAME.fits(name):
            problems.add(
                JOB_SECRETS, f"{shown(name)} is not {forms.SECRET_NAME.what}: expected {forms.SECRET_NAME.expected}"
            )
        elif not isinstance(value, str) or not value:
            problems.add(JOB_SECRETS, f"{name} has no text: expected one")
        elif END_OF_FILE in value.splitlines():
            problems.add(JOB_SECRETS, f"{name} has a line {END_OF_FILE}: expected none")
        elif name in read:
            secrets[name] = value
        else:
            problems.warn(JOB_SECRETS, f"no job reads {name}: it is not written to hosts")
    return pulumi.Output.secret(secrets) if secrets else None


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
    return JobSettings(**{**own, "name": name, "flink_config": config})


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


def _with_program(
    job: JobSettings, entry: Any, where: str, values: Mapping[str, Any], root: Path, problems: Problems
) -> JobSettings:
    """The job with the paths of its files on this machine, which have been looked at."""
    kinds = [kind for kind in KINDS if kind in entry] if isinstance(entry, Mapping) else KINDS[:1]
    if len(kinds) != 1:
        problems.add(where, f"has {' and '.join(kinds) or 'no program'}: expected one of {', '.join(KINDS)}")
        return job
    for key, allowed in _ONLY_FOR.items():
        if key in entry and kinds[0] not in allowed:
            problems.add(f"{where} {key}", f"has no effect with {kinds[0]}: remove it")
    if not job.program.place:
        return job  # already reported
    if job.kind == PYTHON:
        _check_python(job, where, values, problems)
    path = _located(job.program, f"{where}", job.kind, root, problems)
    if path is None:
        return job
    if job.kind == "sql":
        script = problems.catch(f"{where} sql", partial(files.text, path), None)
        if script is not None:
            for found in sql_script.problems(script):
                problems.add(f"{where} sql", f"{path.name} {found}")
            for secret in sorted(sql_script.secrets(script) - set(job.secrets)):
                problems.add(f"{where} sql", f"{path.name} reads the secret {shown(secret)}: expected it in secrets")
    elif job.kind == PYTHON:
        path = problems.catch(f"{where} python", partial(python_files.program, path, job.entry_module), path)
    else:
        problems.catch(f"{where} jar", lambda: _check_jar(path, job.entry_class), None)
    here = {job.kind: str(path)}
    return replace(job, **here)  # type: ignore[arg-type]


def _check_python(job: JobSettings, where: str, values: Mapping[str, Any], problems: Problems) -> None:
    if not values[PYTHON]:
        problems.add(
            where,
            f"is in Python, and hosts have no environment for it: expected {PYTHON} with version and "
            "requirements beside jobs",
        )
    for option in _ENVIRONMENT:
        if option in job.flink_config:
            problems.add(f"{where}.flinkConfig", f"has {option}: expected {_ENVIRONMENT[option]}")
    if job.program.is_local:
        return
    if not job.program.name.endswith((".py", ".zip")):
        problems.add(f"{where} python", f"{shown(job.program.name)} is no program: expected NAME.py or NAME.zip")
    elif job.program.is_module and not forms.PYTHON_MODULE.fits(job.program.name.removesuffix(".py")):
        problems.add(f"{where} python", f"{shown(job.program.name)} is not the file of a module: expected NAME.py")


def _located(artifact: Artifact, where: str, key: str, root: Path, problems: Problems) -> Path | None:
    """The path of an artifact on this machine; None if it is elsewhere, or wrong."""
    if not artifact.is_local:
        if not artifact.sha256:
            problems.add(f"{where} sha256", f"is missing: expected the SHA-256 of {shown(artifact.place)}")
        form = forms.DOWNLOAD_URL if artifact.is_on_the_web else forms.PLACE_URI
        problems.catch(f"{where} {key}", lambda: form(artifact.place), "")
        return None
    if artifact.sha256:
        problems.add(f"{where} sha256", f"has no effect with a {key} on this machine: remove it")
    return problems.catch(f"{where} {key}", lambda: files.located(artifact.place, root), None)


def _dependencies(entries: Any, where: str, root: Path, problems: Problems) -> tuple[Artifact, ...]:
    """Further jars: each a path, or a mapping with `jar` and `sha256`."""
    found: list[Artifact] = []
    for number, entry in enumerate(entries):
        key = f"{where}.dependencies[{number}]"
        known = fields(_Dependency, {"jar": entry} if isinstance(entry, str) else entry, key, problems)
        if "jar" not in known:
            continue
        artifact = Artifact(place=known["jar"], sha256=known.get("sha256", ""))
        path = _located(artifact, key, "jar", root, problems)
        if path is not None:
            problems.catch(f"{key} jar", partial(_names_in, path), None)
            artifact = Artifact(place=str(path))
        if artifact.name in [other.name for other in found]:
            problems.add(key, f"{artifact.name} is there twice: expected each jar once")
        found.append(artifact)
    return tuple(found)


def _names_in(path: Path) -> tuple[set[str], str]:
    """The names of the files in a jar, and its manifest. Raises ValueError if it is none."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file: expected a jar")
    try:
        with zipfile.ZipFile(path) as jar:
            names = set(jar.namelist())
            return names, jar.read(_MANIFEST).decode(errors="replace") if _MANIFEST in names else ""
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is not a jar ({error})") from None


def _check_jar(path: Path, entry_class: str) -> None:
    """Raises ValueError unless the file is a jar with the class, or whose manifest names one."""
    names, manifest = _names_in(path)
    if entry_class:
        if f"{entry_class.replace('.', '/')}.class" not in names:
            raise ValueError(f"{path} has no class {entry_class}: expected entryClass to name one of it")
    elif not any(line.startswith(("Main-Class:", "program-class:")) for line in manifest.splitlines()):
        raise ValueError(f"{path} names no main class in its manifest: expected entryClass")

"""Declared jobs: what is refused before anything is changed, and what is declared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

import settings
from branches.jobs import fate
from components.jobs.settings import Artifact, JobSettings, RestartSettings, SavepointSettings
from tests.host_steps import with_scripts
from tests.unit.program import Mocks, Recorded, configuration, entry, load, mocked, refused
from toolbox.paths import REPO


@pytest.fixture
def jar(folder: Path) -> str:
    with zipfile.ZipFile(folder / "job.jar", "w") as archive:
        archive.writestr("org/example/Departures.class", b"x")
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\nMain-Class: org.example.Departures\n")
    return str(folder / "job.jar")


def declared(folder: Path, **changes: Any) -> dict[str, Recorded]:
    """The resources that the program registers."""
    mocks = Mocks()
    pulumi.runtime.set_all_config(configuration(folder, **changes), [])
    mocked(lambda: entry(REPO / "__main__.py"), mocks, stack="dev", preview=False)
    return mocks.found


def loaded(folder: Path, **job: Any) -> JobSettings:
    (found,) = load(folder, jobs={"departures": job}).cluster.jobs
    return found


def test_a_jar_is_enough(folder: Path, jar: str) -> None:
    found = loaded(folder, jar=jar)
    assert found.jar == jar and len(found.program.digest) == 64
    assert found.spec()["jar"] == {"name": "job.jar", "sha256": found.program.digest}
    assert "dependencies" not in found.spec(), "what is not used is no change of jobs that run"


def test_durations_are_seconds(folder: Path, jar: str) -> None:
    found = loaded(
        folder, jar=jar, savepoints={"every": "6 h", "keep": 7, "maxAge": "30d"}, restarts={"within": "5 min"}
    )
    assert found.savepoints == SavepointSettings(every=21_600, keep=7, max_age=2_592_000)
    assert found.restarts == RestartSettings(attempts=5, within=300)
    assert loaded(folder, jar=jar).savepoints is None and loaded(folder, jar=jar).restarts == RestartSettings()


ONLY_LATER = {
    "upgrade_mode": "last-state",
    "initial_savepoint": "s3://flink/old",
    "start_timeout_seconds": 7,
    "stable_seconds": 7,
    "on_delete": "cancel",
    "savepoints": SavepointSettings(every=60, keep=1, max_age=60),
    "restarts": RestartSettings(attempts=1),
}
RESTARTS = {
    "jar": "",
    "sql": "",
    "python": "s3://flink/other.py",
    "sha256": "0" * 64,
    "dependencies": [Artifact(place="s3://flink/more.jar", sha256="1" * 64)],
    "entry_class": "org.example.Other",
    "entry_module": "other",
    "args": ["more"],
    "allow_non_restored_state": True,
    "restart_nonce": "2",
    "flink_config": {"pipeline.name": "other"},
    "secrets": ["db"],
}
ON_THEIR_OWN = {"name", "state", "parallelism", "savepoint_nonce"}
"""docs/jobs.md has a row for each."""


def test_summary_says_of_each_setting_whether_the_job_continues() -> None:
    names = {it.name for it in fields(JobSettings)}
    assert names == set(ONLY_LATER) | set(RESTARTS) | ON_THEIR_OWN
    base = JobSettings(name="a", python="s3://flink/a.py", sha256="2" * 64)
    for name, value in {**ONLY_LATER, **RESTARTS}.items():
        other = replace(base, **({"python": "", name: "s3://flink/b"} if name in ("jar", "sql") else {name: value}))
        first, *rest = name.split("_")
        key = first + "".join(map(str.title, rest))
        if name != "upgrade_mode":  # every fate depends on it
            what = fate({"upgradeMode": "savepoint"}, {"upgradeMode": "savepoint", key: "other"}).what
            assert (what == "continues to run") == (name in ONLY_LATER), name
        assert (other.spec() == base.spec()) == (name in ONLY_LATER), name


def test_everything_together(folder: Path, jar: str) -> None:
    found = loaded(
        folder, jar=jar, entryClass="org.example.Departures", args=["--window", "60"], parallelism=3,
        upgradeMode="last-state", state="suspended", initialSavepoint="s3://b/sp", allowNonRestoredState=True,
        restartNonce="1", savepointNonce="2026-12-01", startTimeoutSeconds=60, onDelete="drain",
        flinkConfig={"execution": {"checkpointing.interval": "10 s"}, "pipeline.object-reuse": True},
    )  # fmt: skip
    assert found.spec()["flinkConfig"] == {"execution.checkpointing.interval": "10 s", "pipeline.object-reuse": "true"}


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ({}, "jobs.departures: has no program: expected one of jar, sql"),
        ({"jar": "none.jar"}, "none.jar is not a file: expected a jar"),
        ({"jar": "inventory.yaml"}, "is not a jar"),
        ({"jar": "job.jar", "entryClass": "org.example.Other"}, "has no class org.example.Other"),
        ({"jar": "job.jar", "entryClass": "a b"}, "entryClass: 'a b' is not a class"),
        ({"jar": "job.jar", "sha256": "0" * 64}, "sha256: has no effect"),
        ({"jar": "https://x.example/a.jar"}, "sha256: is missing: expected the SHA-256"),
        ({"jar": "https://u:p@x.example/a.jar", "sha256": "0" * 64}, "jar: "),
        ({"jar": "s3://b/a b.jar", "sha256": "0" * 64}, "is not a path on a storage"),
        ({"jar": "job.jar", "args": "--x"}, "args: "),
        ({"jar": "job.jar", "args": [1]}, "args: "),
        ({"jar": "job.jar", "args": ["a\nb"]}, "is no argument"),
        ({"jar": "job.jar", "parallelism": 0}, "parallelism: 0 is too small"),
        ({"jar": "job.jar", "parallelism": "4"}, "parallelism: '4' has the wrong type: expected int"),
        (
            {"jar": "job.jar", "upgradeMode": "canary"},
            "upgradeMode: 'canary' is unknown: expected savepoint, last-state",
        ),
        ({"jar": "job.jar", "upgradeMode": "blue-green", "stableSeconds": -1}, "stableSeconds: -1 is too small"),
        ({"jar": "job.jar", "state": "stopped"}, "state: 'stopped' is unknown: expected running, suspended"),
        ({"jar": "job.jar", "onDelete": "kill"}, "onDelete: 'kill' is unknown"),
        ({"jar": "job.jar", "initialSavepoint": "/tmp/x"}, "initialSavepoint: "),
        ({"jar": "job.jar", "restartNonce": "$(x)"}, "restartNonce: "),
        ({"jar": "job.jar", "flinkConfig": {"my.password": "x"}}, "flinkConfig: my.password would be stored in plain"),
        ({"jar": "job.jar", "flinkConfig": {"rest.port": 1}}, "flinkConfig: rest.port is set by this program"),
        ({"jar": "job.jar", "flinkConfig": {"parallelism.default": 1}}, "expected parallelism of the job"),
        (
            {"jar": "job.jar", "flinkConfig": {"execution": {"state-recovery.claim-mode": "CLAIM"}}},
            "claim-mode: expected none, because Flink must never delete what a job starts from",
        ),
        (
            {"jar": "job.jar", "flinkConfig": {"execution.state-recovery.path": "s3://b/x"}},
            "execution.state-recovery.path: expected initialSavepoint of the job",
        ),
        ({"jar": "job.jar", "paralelism": 1}, "paralelism: is unknown: expected one of"),
        (
            {
                "jar": "job.jar",
                "upgradeMode": "last-state",
                "flinkConfig": {"execution.checkpointing.externalized-checkpoint-retention": "DELETE_ON_CANCELLATION"},
            },
            "last-state needs the checkpoints of a stopped job",
        ),
        ({"jar": "job.jar", "savepoints": "6 h"}, "savepoints: '6 h' has the wrong type: expected dict"),
        ({"jar": "job.jar", "savepoints": {"every": 6}}, "savepoints every: 6 has the wrong type: expected str"),
        ({"jar": "job.jar", "savepoints": {"every": "6 hours"}}, "savepoints every: '6 hours' is not a duration"),
        ({"jar": "job.jar", "savepoints": {"every": "1 s"}}, "savepoints every: '1 s' is too short"),
        ({"jar": "job.jar", "savepoints": {"keep": 0}}, "savepoints keep: 0 is too small"),
        ({"jar": "job.jar", "savepoints": {"every": "2 d", "maxAge": "1 d"}}, "savepoints maxAge: '1 d' is shorter"),
        ({"jar": "job.jar", "savepoints": {"evry": "2 d"}}, "savepoints evry: is unknown: expected one of every"),
        ({"jar": "job.jar", "restarts": {"attempts": -1}}, "restarts attempts: -1 is too small"),
        ({"jar": "job.jar", "restarts": {"within": "0 h"}}, "restarts within: '0 h' is not a duration"),
        ({"jar": "job.jar", "restarts": False}, "restarts: False has the wrong type: expected dict"),
        ({"jar": "job.jar", "sql": "job.sql"}, "jobs.departures: has jar and sql: expected one of jar, sql"),
        ({"jar": "job.jar", "dependencies": "x.jar"}, "dependencies: "),
        ({"jar": "job.jar", "dependencies": ["none.jar"]}, "dependencies[0] jar: "),
        ({"jar": "job.jar", "dependencies": [{}]}, "dependencies[0] jar: is missing: expected a path on this machine"),
        (
            {"jar": "job.jar", "dependencies": [{"jar": "https://x.example/a.jar"}]},
            "dependencies[0] sha256: is missing",
        ),
        ({"jar": "job.jar", "dependencies": [{"jar": "s3://b/a b", "sha256": "0" * 64}]}, "is not a path on a storage"),
        ({"jar": "job.jar", "secrets": ["nobody"]}, "secrets: 'nobody' is not a secret in jobSecrets"),
        ({"jar": "job.jar", "secrets": ["../x"]}, "secrets: '../x' is not a secret's name"),
        ({"sql": "none.sql"}, "none.sql cannot be read"),
        ({"sql": "https://x.example/a.sql"}, "sha256: is missing: expected the SHA-256"),
        ([], "is not a mapping"),
    ],
)
def test_what_cannot_run_is_refused(folder: Path, jar: str, job: Any, told: str) -> None:
    if job and job.get("jar") in ("job.jar", "inventory.yaml"):
        job = {**job, "jar": str(folder / job["jar"])}
    assert told in refused(folder, jobs={"departures": job})


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "a" * 41, "a\n", ""])
def test_names_that_are_no_names_are_refused(folder: Path, jar: str, name: str) -> None:
    assert "is not a job's name" in refused(folder, jobs={name: {"jar": jar}})


def test_all_problems_of_all_jobs_are_told_at_once(folder: Path) -> None:
    said = refused(folder, jobs={"one": {"jar": "x"}, "two": {"jar": "y"}})
    assert "jobs.one jar" in said and "jobs.two jar" in said


def test_a_job_is_a_readable_resource_and_its_jar_a_file(folder: Path, jar: str) -> None:
    found = declared(folder, jobs={"departures": {"jar": jar, "args": ["--window", "60"], "parallelism": 2}})
    shown = found["pulumi:index:Stash/job-departures"].inputs["input"]
    assert shown["jar"].startswith("job.jar sha256:") and shown["args"] == ["--window", "60"]
    assert "initialSavepoint" not in shown, "only what is set"
    assert "jm-0-jar-departures" in found and "job-departures-stop" in found
    told = found["jm-0-job-departures"].inputs
    assert "--window" in str(told["stdin"]) and "--window" not in str(told["create"])


@pytest.mark.parametrize("resource", ["jm-0-job-{}", "job-{}-stop"])
def test_steps_of_two_jobs_do_not_wait_for_each_other_on_their_host(folder: Path, jar: str, resource: str) -> None:
    """One that starts slowly would make the other's step fail: it waits a minute for an earlier run of itself."""
    found = declared(folder, jobs={"one": {"jar": jar}, "two": {"jar": jar}})
    locks = []
    for job in ("one", "two"):
        inputs = found[resource.format(job)].inputs
        texts = [inputs.get("stdin"), *inputs.get("environment", {}).values()]
        (text,) = [str(text) for text in texts if '\nmain "$@"' in str(text)]
        said = with_scripts(text).rpartition("\nmain ")[0] + '\necho "$record"\n'
        locks.append(subprocess.run(["bash"], input=said, capture_output=True, text=True, check=True).stdout)
    assert locks == ["job-one\n", "job-two\n"]


def test_the_watch_knows_all_jobs_on_each_jobmanagers_host(folder: Path, jar: str) -> None:
    job = {"jar": jar, "savepoints": {"every": "6 h"}, "restarts": {"attempts": 3, "within": "90 min"}}
    found = declared(folder, jobs={"one": job, "two": {"jar": jar, "initialSavepoint": "s3://b/sp"}})
    for host in ("jm-0", "jm-1"):
        text = str(found[f"{host}-jobs"].inputs["stdin"])
        known = json.loads(text[text.index('{\n "jobs"') : text.index("\nEND_OF_FILE")])["jobs"]
        assert [(it["host"], it["name"]) for it in known] == [(host, "one"), (host, "two")]
        assert known[0]["savepoints"] == {"every": 21_600, "keep": 10, "maxAge": 0} and known[1]["savepoints"] is None
        assert known[0]["restarts"] == {"attempts": 3, "within": 5400}
        # A change of the job itself is none of the watch, whose steps need not run
        assert "spec" not in known[0]
        # What one job may start from no other deletes
        assert known[0]["references"] == ["s3://b/sp"]
        assert f"{host}-jobs-leave" in found
    shown = found["pulumi:index:Stash/job-one"].inputs["input"]
    assert shown["savepoints"] == {"every": "6 h", "keep": 10}
    assert shown["restarts"] == {"attempts": 3, "within": "90 min"}
    assert "restarts" not in found["pulumi:index:Stash/job-two"].inputs["input"]


def test_without_jobs_nothing_of_them_is_declared(folder: Path) -> None:
    assert not [name for name in declared(folder) if "job" in name]


@pytest.mark.parametrize(
    ("parallelism", "told"),
    [(2, ""), (3, "need 3 slots together: without one TaskManager 2 are left"), (5, "need 5 slots together, and the")],
)
def test_more_parallelism_than_slots_is_a_warning(folder: Path, jar: str, parallelism: int, told: str) -> None:
    job = {"jar": jar, "parallelism": parallelism}
    warnings = load(folder, jobs={"one": job, "two": {**job, "state": "suspended"}}).warnings
    assert [told in warning for warning in warnings] == ([True] if told else []), warnings


def test_a_blue_green_job_needs_its_slots_twice_while_it_changes(folder: Path, jar: str) -> None:
    job = {"jar": jar, "parallelism": 2, "upgradeMode": "blue-green", "stableSeconds": 9}
    assert not load(folder, jobs={"one": job}).warnings
    (warning,) = load(folder, jobs={"one": job, "two": {"jar": jar, "parallelism": 1}}).warnings[-1:]
    assert "need 5 slots while a change of the largest blue-green job runs beside it" in warning


def test_a_jar_on_a_web_server_is_downloaded_like_a_release_through_the_proxy(folder: Path) -> None:
    job = {"jar": "https://x.example/a.jar", "sha256": "0" * 64}
    found = declared(folder, jobs={"departures": job}, httpProxy="http://10.0.0.2:3128")
    text = str(found["jm-0-job-departures"].inputs["stdin"])
    assert "urls=(https://x.example/a.jar)" in text and "proxy=http://10.0.0.2:3128" in text and " proxy.sh " in text
    assert f"/var/lib/flink/jobs/.departures.download.{'0' * 16}" in text
    assert "jm-0-jar-departures" not in found


SCRIPT = """
-- a comment; INSERT INTO x SELECT 1
SET 'pipeline.name' = 'it''s; INSERT';
CREATE TABLE `a;b` (n INT) WITH ('connector' = 'blackhole'); /* ; */
"""
STATEMENT_SET = "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END;"


def script(folder: Path, text: str) -> dict[str, Any]:
    (folder / "job.sql").write_text(text)
    return {"sql": str(folder / "job.sql")}


@pytest.mark.parametrize(
    "end",
    [
        "INSERT INTO x SELECT 1",
        "INSERT INTO x SELECT 1 /*+ OPTIONS('a'='b') */;",
        STATEMENT_SET,
        "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; INSERT INTO b SELECT 'END'; END;",
        "CREATE TABLE c WITH ('connector' = 'blackhole') AS SELECT 1;",
    ],
)
def test_a_script_with_one_insert_or_statement_set_is_a_job(folder: Path, end: str) -> None:
    found = loaded(folder, **script(folder, SCRIPT + end), parallelism=2)
    assert found.spec()["sql"]["name"] == "job.sql" and found.spec()["flinkConfig"] == {"pipeline.name": "departures"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "job.sql makes no job: expected one INSERT or one statement set"),
        (SCRIPT, "job.sql makes no job"),
        (
            "INSERT INTO a SELECT 1; INSERT INTO b SELECT 2;",
            "makes 2 jobs, by the statements 1, 2: expected one INSERT",
        ),
        (f"{STATEMENT_SET}{STATEMENT_SET}", "makes 2 jobs"),
        ("INSERT INTO a SELECT 1; DROP TABLE a;", "has statements after the one that makes the job, number 1"),
        ("SELECT 1; INSERT INTO a SELECT 1", "statement 1 ('SELECT 1') is a query, whose result goes nowhere"),
        ("SET a = b; INSERT INTO a SELECT 1", "statement 1 ('SET a = b') is no SET 'option' = 'value'"),
        ("SET 'parallelism.default' = '2'; INSERT INTO a SELECT 1", "expected parallelism of the job"),
        ("SET '$internal.pipeline.job-id' = '2'; INSERT INTO a SELECT 1", "which the program sets"),
        ("RESET 'x'; INSERT INTO a SELECT 1", "is not supported"),
        ("INSERT INTO a SELECT '${secret:pw}'", "job.sql reads the secret 'pw': expected it in secrets"),
    ],
)
def test_a_script_that_is_not_one_job_is_refused(folder: Path, text: str, told: str) -> None:
    assert told in refused(folder, jobs={"departures": script(folder, text)})


def test_arguments_of_a_script_are_refused(folder: Path) -> None:
    job = {**script(folder, "INSERT INTO a SELECT 1"), "args": ["x"]}
    assert "args: has no effect with sql" in refused(folder, jobs={"departures": job})


def test_dependencies_are_copied_to_the_host_and_shown_by_digest(folder: Path, jar: str) -> None:
    other = folder / "other.jar"
    other.write_bytes(Path(jar).read_bytes() + b"PK")
    job = {"jar": jar, "dependencies": [str(other), {"jar": "https://x.example/b.jar", "sha256": "0" * 64}]}
    found = declared(folder, jobs={"departures": job})
    shown = found["pulumi:index:Stash/job-departures"].inputs["input"]["dependencies"]
    assert [each.split(":")[0] for each in shown] == ["other.jar sha256", "b.jar sha256"]
    assert [name for name in found if name.startswith("jm-0-dependency-departures-")] == [
        f"jm-0-dependency-departures-{shown[0].rpartition(':')[2]}"
    ]
    assert "https://x.example/b.jar" in str(found["jm-0-job-departures"].inputs["stdin"])


def test_a_dependency_that_is_there_twice_is_refused(folder: Path, jar: str) -> None:
    assert "job.jar is there twice" in refused(folder, jobs={"a": {"jar": jar, "dependencies": [jar, jar]}})


def secretly(folder: Path, secrets: Any, **job: Any) -> settings.Settings:
    return settings.load(
        configuration(folder, jobSecrets=secrets, jobs={"departures": job}), stack="dev", secrets={"jobSecrets"}
    )


def test_secrets_of_jobs_are_files_of_the_daemons_user(folder: Path, jar: str) -> None:
    mocks = Mocks()
    job = {"departures": {"jar": jar, "secrets": ["db"]}}
    values = configuration(folder, jobs=job, jobSecrets={"db": "hush"})
    pulumi.runtime.set_all_config(values, ["flink:jobSecrets"])
    mocked(lambda: entry(REPO / "__main__.py"), mocks, stack="dev", preview=False)
    having = sorted(name for name in mocks.found if name.endswith("-job-secrets"))
    assert having == ["jm-0-job-secrets", "jm-1-job-secrets", "tm-0-job-secrets", "tm-1-job-secrets"]
    text = str(mocks.found["tm-0-job-secrets"].inputs["stdin"])
    assert "/etc/flink/job-secrets/db 0600 flink:flink" in text and "hush" in text
    for name, resource in mocks.found.items():
        assert "hush" not in str(resource.inputs) or name.endswith("-job-secrets"), name


def test_a_secret_that_no_job_reads_stays_away_from_hosts(folder: Path, jar: str) -> None:
    found = secretly(folder, {"db": "hush"}, jar=jar)
    assert found.cluster.job_secrets is None
    assert any("no job reads db" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        ({"../x": "hush"}, "jobSecrets: '../x' is not a secret's name"),
        ({"x": ""}, "jobSecrets: x has no text"),
        ({"x": ["hush"]}, "jobSecrets: x has no text"),
        ({"x": "hush\nEND_OF_FILE\nrm"}, "jobSecrets: x has a line END_OF_FILE"),
        ("hush", "jobSecrets: a secret has the wrong type"),
    ],
)
def test_secrets_that_cannot_be_files_are_refused_without_their_text(
    folder: Path, jar: str, secrets: Any, told: str
) -> None:
    with pytest.raises(settings.ConfigError, match=re.escape(told)) as error:
        secretly(folder, secrets, jar=jar)
    assert "hush" not in str(error.value)


def test_secrets_of_jobs_in_plain_text_are_refused(folder: Path, jar: str) -> None:
    assert "jobSecrets: is in plain text" in refused(folder, jobs={"a": {"jar": jar}}, jobSecrets={"db": "hush"})


# --- Python


LOCK = f"apache-flink==2.3.0 --hash=sha256:{'a' * 64}\nnumpy==2.1.3 \\\n    --hash=sha256:{'b' * 64}  # via x\n"


def python(folder: Path, **changes: Any) -> dict[str, Any]:
    """The environment, as `python` of a configuration."""
    (folder / "lock.txt").write_text(changes.pop("lock", LOCK))
    return {"version": "3.11", "requirements": str(folder / "lock.txt"), **changes}


def program(folder: Path, **files: str) -> str:
    """A folder with these modules."""
    path = folder / "sessions"
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name}.py").write_text(text)
    return str(path)


def test_a_module_in_python_is_a_job(folder: Path) -> None:
    (folder / "late.py").write_text("x = 1\n")
    values = {"python": python(folder), "jobs": {"late": {"python": str(folder / "late.py"), "args": ["-p", "9"]}}}
    (found,) = load(folder, **values).cluster.jobs
    spec = found.spec()
    assert spec["python"]["name"] == "late.py" and spec["entryModule"] == "late" and spec["args"] == ["-p", "9"]
    assert spec["flinkConfig"] == {"pipeline.name": "late"}


def test_a_folder_is_an_archive_that_changes_with_its_files_only(folder: Path) -> None:
    values: dict[str, Any] = {"python": python(folder), "jobs": {"s": {"python": program(folder, main="1", other="2")}}}
    (first,) = load(folder, **values).cluster.jobs
    (folder / "sessions/__pycache__").mkdir()
    (folder / "sessions/__pycache__/main.pyc").write_text("x")
    os.utime(folder / "sessions/main.py", (1, 1))
    (second,) = load(folder, **values).cluster.jobs
    assert first.program.name == "sessions.zip" and first.spec() == second.spec()
    with zipfile.ZipFile(second.python) as archive:
        assert archive.namelist() == ["main.py", "other.py"]
    program(folder, other="3")
    (third,) = load(folder, **values).cluster.jobs
    assert third.spec() != first.spec() and third.spec()["entryModule"] == "main"


def test_the_environment_is_on_all_hosts_with_flink_and_a_change_of_it_is_one_of_the_job(folder: Path) -> None:
    jobs = {"late": {"python": program(folder, main="")}}
    found = declared(folder, jobs=jobs, python=python(folder, index="http://mirror.example:8080/simple"))
    having = sorted(name for name in found if name.endswith("-python"))
    assert having == ["jm-0-python", "jm-1-python", "tm-0-python", "tm-1-python"]
    text = str(found["tm-0-python"].inputs["stdin"])
    assert "version=3.11\n" in text and f"numpy==2.1.3 --hash=sha256:{'b' * 64}" in text and "--hash" in text
    environment = found["pulumi:index:Stash/job-late"].inputs["input"]["environment"]
    assert re.fullmatch("/opt/pyflink-[0-9a-f]{12}", environment) and f"home={environment}\n" in text
    other = declared(folder, jobs=jobs, python=python(folder, lock=LOCK.replace("2.1.3", "2.1.4")))
    assert other["pulumi:index:Stash/job-late"].inputs["input"]["environment"] != environment


def test_without_python_nothing_of_it_is_declared(folder: Path, jar: str) -> None:
    found = declared(folder, jobs={"a": {"jar": jar}})
    assert not [name for name in found if name.endswith("-python")]
    assert "jobs_python=3" not in str(found["tm-0-probe"].inputs["stdin"])
    assert "environment" not in found["pulumi:index:Stash/job-a"].inputs["input"]


def test_what_is_wrong_with_python_is_said_at_once(folder: Path, jar: str) -> None:
    (folder / "a-b.py").write_text("")
    said = refused(
        folder,
        python={"version": "3.8", "requirements": "nowhere.txt", "index": "http://user:pw@x/", "venv": "x"},
        jobs={
            "both": {"jar": jar, "python": "x.py"},
            "missing": {"python": "nowhere.py"},
            "odd": {"python": str(folder / "a-b.py")},
            "no-main": {"python": program(folder, other=""), "entryModule": "start"},
            "class": {"python": program(folder, main=""), "entryClass": "a.B"},
            "far": {"python": "s3://b/x.tar", "sha256": "0" * 64},
            "option": {"python": program(folder, main=""), "flinkConfig": {"python.executable": "/x"}},
            "module": {"jar": jar, "entryModule": "x"},
        },
    )
    for told in (
        "python version: '3.8' is not a version of Python",
        "nowhere.txt cannot be read",
        "python index: ",
        "python venv: is unknown",
        "jobs.both: has jar and python: expected one of jar, sql, python",
        "jobs.missing python: ",
        "a-b.py is not the file of a module",
        "jobs.no-main python: sessions.zip has no start.py",
        "jobs.class entryClass: has no effect with python",
        "jobs.far python: 'x.tar' is no program: expected NAME.py or NAME.zip",
        "jobs.option.flinkConfig: has python.executable: expected python of the stack",
        "jobs.module entryModule: has no effect with jar",
    ):
        assert told in said, told


def test_a_job_in_python_needs_the_environment(folder: Path) -> None:
    said = refused(folder, jobs={"late": {"python": program(folder, main="")}})
    assert "jobs.late: is in Python, and hosts have no environment for it: expected python with version" in said


@pytest.mark.parametrize(
    ("lock", "told"),
    [
        ("", "has no apache-flink: expected apache-flink==2.3.0, as flinkVersion"),
        (LOCK.replace("2.3.0", "2.2.0"), "has apache-flink==2.2.0: expected apache-flink==2.3.0, as flinkVersion"),
        (LOCK + "pandas==2.2.3\n", "'pandas==2.2.3' is not a package of one version with its digests"),
        (LOCK + "x\n" * 7, "2 more lines are not packages either"),
    ],
)
def test_requirements_are_complete_and_fit_the_release(folder: Path, lock: str, told: str) -> None:
    assert told in refused(folder, python=python(folder, lock=lock))

"""What a declared job can be made of, on a real cluster: Flink's own example, SQL with a further jar and a secret."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from lab import flights, jar
from lab.cluster import Cluster, wait_for
from lab.errors import LabError
from settings.python import packages
from stand_ins.builds import flink_examples, python_index
from tests.lab.commands import finish
from toolbox.paths import REPO

EXAMPLE = REPO / "examples/sql-files/late-flights.sql"
PYTHON = REPO / "examples/pyflink"
TWICE = """package org.example;

/** A function of SQL, which is in a jar of its own. Programs of the host, in a pipe and with files, do the work. */
public class Twice extends org.apache.flink.table.functions.ScalarFunction {
  private static final long serialVersionUID = 1L;

  public Integer eval(Integer number) throws Exception {
    String script = "set -e; cd \\"$(mktemp -d)\\"; echo $((2 * $1)) >one; cp -p one two; tar -czf two.tgz two; rm two;"
        + " nice -n 5 tar -xzf two.tgz; cat two | tee three >/dev/null; cat three";
    Process made = new ProcessBuilder("bash", "-c", script, "twice", String.valueOf(number))
        .redirectError(ProcessBuilder.Redirect.INHERIT).start();
    return Integer.valueOf(new String(made.getInputStream().readAllBytes()).trim());
  }
}
"""
SECRET = "it's a secret"


class Programs:
    """The jobs of this module."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        # The job continues from the state of an earlier run, which knows the files that it has read
        self.prefix = f"sql-files-{uuid4().hex[:8]}/"
        self.python = folder / "late_flights"
        shutil.copytree(PYTHON / "late_flights", self.python)
        (folder / "org").mkdir()
        (folder / "org" / "Twice.java").write_text(TWICE)
        self.jobs: dict[str, Any] = {
            "machine": {
                "jar": str(flink_examples.streaming()),
                "entryClass": "org.apache.flink.streaming.examples.statemachine.StateMachineExample",
                "args": ["--error-rate", "0.0"],
                # RocksDB and Snappy are native libraries
                "flinkConfig": {
                    "execution.checkpointing.interval": "1 s",
                    "state.backend.type": "rocksdb",
                    "execution.checkpointing.snapshot-compression": True,
                },
                "parallelism": 1,
            },
            "late": {**self.script(), "dependencies": [str(jar.build("twice", folder / "org", "x", cluster.archives))]},
            "python": {
                "python": str(self.python),
                "args": [f"s3://{cluster.s3.bucket}/{self.prefix}python"],
                "parallelism": 1,
                "flinkConfig": {"execution.checkpointing.interval": "1 s"},
                "startTimeoutSeconds": 120,
            },
        }

    def script(self, **changes: str) -> dict[str, Any]:
        """The example with the lab's bucket, shorter intervals, a function from a jar, and a secret in each line."""
        text = EXAMPLE.read_text().replace("BUCKET", self.cluster.s3.bucket).replace("'5 s'", "'1 s'")
        text = text.replace("sql-files/", self.prefix)
        function = "CREATE TEMPORARY FUNCTION twice AS 'org.example.Twice';\n\nINSERT"
        text = re.sub(r"^INSERT", function, text, flags=re.MULTILINE)
        parts = {
            "SELECT carrier": "SELECT carrier || ' ${secret:word}'",
            ", minutes_late FROM": ", twice(minutes_late) FROM",
        }
        for old, new in parts.items():
            assert old in text
            text = text.replace(old, changes.get(old, new))
        path = self.folder / "late.sql"
        path.write_text(text)
        return {"sql": str(path), "parallelism": 1, "secrets": ["word"], "startTimeoutSeconds": 120}

    def up(self, **jobs: Any) -> list[str]:
        self.jobs = {**self.jobs, **jobs}
        self.cluster.overrides["flink:jobs"] = self.jobs
        self.cluster.overrides["flink:jobSecrets"] = {"word": SECRET}
        requirements = PYTHON / "requirements.txt"
        self.cluster.overrides["flink:python"] = {
            "version": "3.11",
            "requirements": str(requirements),
            "index": f"{self.cluster.lab.mirror_url}/{python_index.ensure(packages(requirements.read_text())).name}",
        }
        return self.cluster.stack.up().changed()

    def status(self) -> dict[str, str]:
        """State of each job that has not ended, by its name in Flink."""
        jobs = self.cluster.rest.get("/jobs/overview")["jobs"]
        return {job["name"]: job["state"] for job in jobs if job["state"] not in flights.ENDED}

    def bring(self, name: str, *lines: str, to: str = "flights") -> None:
        """A file for the script, or for another job."""
        body = "".join(f"{line}\n" for line in lines).encode()
        self.cluster.s3.client().put_object(
            Bucket=self.cluster.s3.bucket, Key=f"{self.prefix}{to}/{name}.csv", Body=body
        )

    def delays(self) -> list[tuple[int, str]]:
        """What the program in Python has written: flight and delay."""
        return sorted((row["flight"], row["delay"]) for row in self.rows("python/delays"))

    def late(self) -> list[tuple[str, int]]:
        """What the script has written: carrier and number."""
        return sorted((row["carrier"], row["minutes_late"]) for row in self.rows("late"))

    def rows(self, folder: str) -> list[dict[str, Any]]:
        """The lines of JSON files that are complete."""
        s3, bucket = self.cluster.s3.client(), self.cluster.s3.bucket
        found = []
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix=f"{self.prefix}{folder}/").get("Contents", []):
            text = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode()
            found += [json.loads(line) for line in text.splitlines()]
        return found


@pytest.fixture(scope="module")
def programs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    made = Programs(cluster, tmp_path_factory.mktemp("programs"))
    made.bring("first", "UA,1,EWR,SFO,61", "UA,2,EWR,SFO,60")
    made.bring("first", "UA,1,61", "UA,2,0", to="python/flights")
    try:
        made.up()
        yield made
    finally:
        cluster.overrides = {}
        cluster.stack.up()
        for host in [*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")]:
            left = cluster.lab.ssh(host, "ls -d /opt/pyflink-* /var/cache/flink-python", check=False).stdout
            assert left == "", "the environment goes with its declaration"


def test_flinks_own_example_and_a_script_run(programs: Programs) -> None:
    assert programs.status() == {"State machine job": "RUNNING", "late": "RUNNING", "python": "RUNNING"}
    wait_for("the first result", 60, lambda: programs.late() == [(f"UA {SECRET}", 122)])
    assert programs.up() == []


def test_a_program_in_python_continues_from_its_state_when_its_code_changes(programs: Programs) -> None:
    first = [(1, "1:01 h late"), (2, "on time")]
    wait_for("the first result", 60, lambda: programs.delays() == first)
    module = programs.python / "delays.py"
    module.write_text(module.read_text().replace("on time", "early"))
    assert "jm-0-python" not in programs.up(), "the environment stays"
    programs.bring("second", "AA,3,-5", to="python/flights")
    wait_for("the second result", 60, lambda: programs.delays() == [*first, (3, "early")])


@pytest.mark.exhaustive  # a script that Flink refuses goes back
def test_a_program_in_python_that_fails_goes_back_and_says_where(programs: Programs) -> None:
    module = programs.python / "delays.py"
    good = module.read_text()
    module.write_text(f"import nowhere\n{good}")
    try:
        with pytest.raises(
            LabError, match=r"delays.py line 1: ModuleNotFoundError: No module named 'nowhere'"
        ) as error:
            programs.up()
        assert "What ran before it runs again" in str(error.value)
    finally:
        # Other tests change other jobs of the same stack
        module.write_text(good)
    programs.up()
    programs.bring("third", "AA,4,-5", to="python/flights")
    wait_for("the third result", 60, lambda: programs.delays()[-2:] == [(3, "early"), (4, "early")])
    assert programs.up() == []


def test_a_script_continues_from_its_state_when_it_changes(programs: Programs) -> None:
    programs.up(late={**programs.jobs["late"], "restartNonce": "1"})
    programs.bring("second", "AA,3,JFK,LAX,100")
    wait_for("the second result", 60, lambda: programs.late() == [(f"AA {SECRET}", 200), (f"UA {SECRET}", 122)])


def test_a_script_that_flink_refuses_goes_back_and_shows_no_secret(programs: Programs) -> None:
    good = dict(programs.jobs)
    bad = programs.script(**{", minutes_late FROM": ", nothing(minutes_late, '${secret:word}') FROM"})
    try:
        with pytest.raises(
            LabError, match=r"statement 5 \(INSERT INTO late SELECT .*What ran before it runs again"
        ) as error:
            programs.up(late={**programs.jobs["late"], **bad})
        assert SECRET not in str(error.value) and SECRET.replace("'", "''") not in str(error.value)
        assert programs.status()["late"] == "RUNNING"
    finally:
        programs.jobs = {**good, "late": {**good["late"], **programs.script()}}
    programs.up()


@pytest.mark.exhaustive  # test_jobs.py has savepoints of a jar
def test_a_savepoint_is_restored(programs: Programs) -> None:
    """Of a job that writes nothing: files of a FileSink would contradict earlier state."""
    name, bucket = programs.cluster.lab.name, programs.cluster.s3.bucket
    speed = "org.apache.flink.streaming.examples.windowing.TopSpeedWindowing"
    programs.up(speed={**programs.jobs["machine"], "entryClass": speed, "args": []})
    try:
        code, found = finish(300, "savepoints", "--name", name, "take", "speed")
        assert code == 0, found
        path = found.split()[-1]
        assert path.startswith(f"s3://{bucket}/")
        code, found = finish(600, "savepoints", "--name", name, "restore", "speed", path, "--yes")
        assert code == 0, found
        key = f"{name}/jobs/{name}/speed/record.json"
        record = json.loads(programs.cluster.s3.client().get_object(Bucket=bucket, Key=key)["Body"].read())
        assert record["running"]["from"] == path
        assert programs.up() == []
    finally:
        del programs.jobs["speed"]
        programs.up()


def test_secrets_are_files_of_the_daemons_user_and_nowhere_else(programs: Programs) -> None:
    lab = programs.cluster.lab
    for host in [*programs.cluster.hosts("jobmanager"), *programs.cluster.hosts("taskmanager")]:
        path = "/etc/flink/job-secrets/word"
        shown = lab.ssh(host, f"sudo -n stat -c '%a %U' {path}; sudo -n cat {path}").stdout
        assert shown == f"600 flink\n{SECRET}\n"
        assert lab.ssh(host, f"test ! -r {path} && echo closed").stdout == "closed\n"
    before = programs.cluster.processes()
    del programs.jobs["late"]
    ran = programs.up()
    assert "tm-0-system" in ran, "the host forgets the secret, which no job reads"
    for host in [*programs.cluster.hosts("jobmanager"), *programs.cluster.hosts("taskmanager")]:
        assert lab.ssh(host, "sudo -n find /etc/flink/job-secrets -type f").stdout == ""
    assert programs.cluster.processes() == before, "no daemon restarts"

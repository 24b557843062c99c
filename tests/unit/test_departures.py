"""The streaming job of `make up`: its declaration, its build and its documents say the same."""

from __future__ import annotations

import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from lab import departures, jar, stack
from lab.storage import BUCKET
from settings import schema
from toolbox.paths import REPO


def test_the_declared_job_is_the_one_that_is_built_and_looked_at() -> None:
    jobs = stack.written()[stack.JOBS]
    (job,) = jobs.values()
    assert list(jobs) == [departures.NAME]
    assert REPO / job["jar"] == departures.JAR
    assert job["args"] == ["--output", f"s3://{BUCKET}/{departures.OUTPUT}".rstrip("/")]


def test_it_is_built_for_the_release_that_is_installed() -> None:
    (found,) = re.findall("<flink.version>(.*)</flink.version>", (departures.FOLDER / "pom.xml").read_text())
    assert found == schema()["flinkVersion"]["default"]


def test_its_readme_declares_it_as_the_lab_does() -> None:
    readme = (departures.FOLDER / "README.md").read_text()
    (block,) = re.findall("```yaml\n(.*?)```", readme, re.DOTALL)
    assert yaml.safe_load(block)["config"] == {stack.JOBS: stack.written()[stack.JOBS]}
    options = set(re.findall(r"`(--[a-z-]+)", readme))
    source = (departures.FOLDER / "src/main/java/departures/DeparturesJob.java").read_text()
    assert options == {f"--{name}" for name in re.findall(r'options\.get\w+\("([a-z-]+)"', source)}


def test_it_is_built_once_for_the_same_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    (tmp_path / "src").mkdir()
    (tmp_path / "target").mkdir()
    source = tmp_path / "src" / "A.java"
    for path in (source, tmp_path / "pom.xml"):
        path.write_text("1")
    monkeypatch.setattr(departures, "FOLDER", tmp_path)
    monkeypatch.setattr(departures, "JAR", tmp_path / "target" / "departures.jar")
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(jar, "jdk", lambda java: nullcontext(tmp_path))

    def build(argv: list[str], **_: Any) -> None:
        built.append(argv)
        departures.JAR.touch()

    monkeypatch.setattr(departures, "command", build)
    inputs: Any = SimpleNamespace(java=None)
    for _ in range(2):
        departures.build(inputs)
    assert len(built) == 1
    source.write_text("2")
    departures.build(inputs)
    departures.JAR.unlink()
    departures.build(inputs)
    assert len(built) == 3


@pytest.mark.parametrize(
    ("exists", "given", "expected"),
    [
        (True, None, "-Djavax.net.ssl.trustStore={path}"),
        (True, "-Xmx1g", "-Xmx1g -Djavax.net.ssl.trustStore={path}"),
        (True, "-Djavax.net.ssl.trustStore=/mine", "-Djavax.net.ssl.trustStore=/mine"),
        (False, None, ""),
    ],
)
def test_maven_trusts_what_the_machine_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool, given: str | None, expected: str
) -> None:
    path = tmp_path / "cacerts"
    if exists:
        path.touch()
    monkeypatch.setattr(departures, "MACHINE_CERTIFICATES", path)
    monkeypatch.delenv("MAVEN_OPTS", raising=False)
    if given is not None:
        monkeypatch.setenv("MAVEN_OPTS", given)
    found = departures._environment(Path("/jdk"))
    assert found["MAVEN_OPTS"] == expected.format(path=path) and found["JAVA_HOME"] == "/jdk"

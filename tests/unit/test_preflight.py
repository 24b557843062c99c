"""Everything that is missing is reported at once, with a remedy; registries for cached files are not queried."""

import os
import threading
from pathlib import Path

import pytest

from lab import preflight
from lab.preflight import Finding, PreflightError
from stand_ins.builds import archives, debian_packages, programs
from tests.plugin_client import BOUND
from toolbox.parallel import CommandError

PLENTY = "MemTotal: 99999999 kB\nMemAvailable: 33554432 kB\n"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with everything present and cached; only what a test removes is missing."""
    monkeypatch.setenv("FLINK_LAB_CACHE", str(tmp_path))
    (tmp_path / "images" / "debian12-abc").mkdir(parents=True)
    for name in ("_system", "_root", "_python"):
        monkeypatch.setattr(preflight, name, list)
    monkeypatch.setattr(preflight, "_memory", lambda *_: [])
    monkeypatch.setattr(preflight, "_free_gb", lambda _: 100.0)
    monkeypatch.setattr(preflight, "PROGRAMS", {})
    monkeypatch.setattr(archives, "missing", list)
    monkeypatch.setattr(programs, "missing", list)
    return tmp_path


def test_with_everything_there_nothing_is_asked(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_ask", lambda _: pytest.fail("asked a registry"))
    assert preflight.find() == []


def test_all_findings_are_reported_together_each_with_its_remedy(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_memory", lambda *_: [Finding("1 GiB is free", "close something")])
    monkeypatch.setattr(preflight, "_free_gb", lambda _: 0.5)
    with pytest.raises(PreflightError) as caught:
        preflight.check()
    message = str(caught.value)
    assert message.count("What to do:") == 2
    assert "1 GiB is free" in message
    assert "0.5 GB free" in message


def test_a_user_other_than_root_reads_so_and_which_packages_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(preflight, "PROGRAMS", {"no-such-program": "its-package"})
    problems = [finding.problem for finding in preflight.find()]
    assert any("not root" in problem for problem in problems)
    assert "not installed: its-package" in problems


def test_a_missing_package_is_installed(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(preflight, "PROGRAMS", {"no-such-program": "its-package", "sh": "dash"})
    monkeypatch.setattr(debian_packages, "install", lambda packages, _: installed.extend(packages))
    assert preflight.find() == []
    assert installed == ["its-package"]


def test_registries_are_asked_side_by_side_and_those_that_do_not_answer_are_named(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "missing", lambda: ["flink", "zookeeper", "java"])
    monkeypatch.setattr(programs, "missing", lambda: ["pulumi"])
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    meeting = threading.Barrier(4)

    def answers(*_: object) -> None:
        meeting.wait(timeout=BOUND)

    def refuses(*_: object) -> None:
        meeting.wait(timeout=BOUND)
        raise CommandError("403 Forbidden")

    for name, behaves in (("_apt", answers), ("_pip", refuses), ("_go", answers), ("_maven", refuses)):
        monkeypatch.setattr(preflight, name, behaves)
    problems = [finding.problem for finding in preflight.find()]
    assert problems == [
        "the Python registry does not answer: 403 Forbidden",
        "the Maven registry does not answer: 403 Forbidden",
    ]


@pytest.mark.parametrize(
    ("absent", "unbuilt", "present", "asked"),
    [
        (["java"], [], "", ["Debian's mirror"]),
        (["zookeeper"], [], "mvn", ["the Maven registry"]),
        (["zookeeper"], [], "", ["Debian's mirror"]),
        (["flink"], [], "mvn", ["the Python registry", "the Maven registry"]),
        ([], ["pulumi"], "go", ["the Go module registry"]),
        ([], ["versitygw"], "", ["the Python registry"]),
    ],
)
def test_only_registries_that_are_needed_are_asked(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    absent: list[str],
    unbuilt: list[str],
    present: str,
    asked: list[str],
) -> None:
    monkeypatch.setattr(archives, "missing", lambda: absent)
    monkeypatch.setattr(programs, "missing", lambda: unbuilt)
    monkeypatch.setattr("shutil.which", lambda name: name if name == present else None)
    assert [registry.name for registry in preflight.needed_registries()] == asked


def test_memory_says_what_is_found_needed_and_large_enough() -> None:
    assert preflight._memory(2, 1, PLENTY) == []
    (finding,) = preflight._memory(3, 0, "MemAvailable: 8388608 kB\n")
    assert finding.problem == "8.0 GiB of memory are free, a lab of 3 workers needs 10.2"
    assert "ask for 2 workers" in finding.remedy
    (finding,) = preflight._memory(2, 0, "MemAvailable: 1048576 kB\n")
    assert "larger machine" in finding.remedy
    (finding,) = preflight._memory(2, 1, "MemAvailable: 8388608 kB\n")
    assert "a lab of 2 workers with monitoring needs" in finding.problem
    assert "--monitoring 0" in finding.remedy


def test_a_lab_that_is_up_already_needs_no_memory_of_its_own(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_memory", lambda *_: [Finding("1 GiB is free", "close something")])
    assert preflight.find(running=True) == []


def test_directories_on_one_disk_need_the_sum(tmp_path: Path) -> None:
    needs = {tmp_path / "cache": 4.0, tmp_path / "not" / "there": 3.0}
    assert preflight._disk(needs, lambda _: 7.0) == []
    (finding,) = preflight._disk(needs, lambda _: 6.0)
    assert "6.0 GB free, 7.0 needed" in finding.problem
    assert "FLINK_LAB_CACHE" in finding.remedy


@pytest.mark.parametrize("workers", range(1, 5))
def test_more_workers_need_more_memory(workers: int) -> None:
    assert preflight.memory_gib(workers + 1) > preflight.memory_gib(workers)

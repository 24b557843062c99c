"""One lab with a cluster for all tests of this folder: created by the commands in the README, and always removed."""

from collections.abc import Generator, Iterator
from itertools import accumulate

import pytest

from lab import departures, stack
from lab.cluster import UNITS, Cluster, wait_for
from lab.lab import Lab
from stand_ins.builds import archives
from tests.lab.commands import lab_command
from toolbox.paths import REPO

NAME = "test"


@pytest.fixture(scope="package")
def printed() -> dict[str, str]:
    """The output of the commands, by name."""
    return {}


@pytest.fixture(scope="package")
def cluster(printed: dict[str, str]) -> Iterator[Cluster]:
    """A cluster created by `python -m lab up --name test --workers 2 --monitoring 0`."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        before = stack_files()
        with lab_command("up", "--name", NAME, "--workers", "2", "--monitoring", "0") as made:
            assert made.stdout
            lines = []
            for line in made.stdout:
                print(line, end="", flush=True)
                lines.append(line)
            printed["up"] = "".join(lines)
            assert made.wait(timeout=60) == 0, "python -m lab up failed"
        assert stack_files() == before, "the lab writes only below .lab"
        check_streaming_job(lab, printed["up"])
        found = Cluster(lab, archives.ensure())
        # Tests have jobs of their own
        ran = found.stack.up().changed()
        assert {"jm-0-jar-departures", "jm-0-job-departures", "job-departures-stop"} <= set(ran), ran
        assert all("job" in name or "-jar-" in name for name in ran), ran
        yield found
    finally:
        lab.down()


def check_streaming_job(lab: Lab, said: str) -> None:
    """The job that `make up` declares runs on after it: a second one changes nothing, and results grow, each once."""
    assert "job departures runs on, and adds lines to s3://flink/departures/" in said
    assert Cluster(lab, archives.ensure(), stack.declared(lab)).stack.up().changed() == []
    before = len(departures.rows(lab.s3))
    wait_for("further results", 120, lambda: len(departures.rows(lab.s3)) > before)
    for origin in ("EWR", "JFK", "LGA"):
        rows = sorted(row for row in departures.rows(lab.s3) if row[1] == origin)
        assert [int(row[4]) for row in rows] == [*accumulate(int(row[2]) for row in rows)]


def stack_files() -> dict[str, bytes]:
    """The repository's own stack files."""
    return {path.name: path.read_bytes() for path in REPO.glob("Pulumi*.yaml")}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """If a test fails, show the daemons' logs."""
    report = yield
    if report.when == "call" and report.failed and "cluster" in getattr(item, "fixturenames", ()):
        lab = Lab(NAME)
        for host in lab.hosts:
            for unit in UNITS:
                text = lab.logs(host, unit, lines=25).strip()
                if "No entries" not in text:
                    report.sections.append((f"{host.name} {unit}", text))
    return report

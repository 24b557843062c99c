"""One lab with a cluster for all tests of this folder: created by the commands in the README, and always removed."""

from collections.abc import Generator, Iterator

import pytest

from lab.cluster import UNITS, Cluster
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
    """A cluster created by `python -m lab up --name test --workers 2`."""
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        before = stack_files()
        with lab_command("up", "--name", NAME, "--workers", "2") as made:
            assert made.stdout
            lines = []
            for line in made.stdout:
                print(line, end="", flush=True)
                lines.append(line)
            printed["up"] = "".join(lines)
            assert made.wait(timeout=60) == 0, "python -m lab up failed"
        assert stack_files() == before, "the lab writes only below .lab"
        yield Cluster(lab, archives.ensure())
    finally:
        lab.down()


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

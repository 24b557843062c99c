"""Jars from Maven's registry."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from stand_ins.builds import debian_packages, fetch
from toolbox import console
from toolbox.parallel import command


def run(project: Path, *goal: str, on_line: Callable[[str], None] | None = None) -> None:
    """Run a goal of Maven's for a project (pom.xml), with Maven from Debian if there is none."""
    if shutil.which("mvn") is None:
        with console.step("archives", "installing Maven by apt-get") as step:
            debian_packages.install(["maven"], step.tell)
    with fetch.locked("maven"):  # two processes must not share its local repository
        command(["mvn", "-B", "-ntp", "-q", "-C", "-f", str(project), *goal], timeout=600, on_line=on_line)


def copied(project: Path, to: Path, what: str) -> dict[str, str]:
    """Copy what a project needs at run time to a folder; returns names and digests (SHA-256). `what`: for people."""
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={to}")
    with console.step("archives", f"downloading {what} from Maven's registry") as step:
        run(project, *goal, on_line=step.tell)
    return {jar.name: fetch.digest(jar, "sha256") for jar in to.glob("*.jar")}


def pinned(project: Path, to: Path, what: str, expected: Mapping[str, str]) -> None:
    """The same, if that is what is expected. Raises FetchError."""
    found = copied(project, to, what)
    if found != expected:
        raise fetch.FetchError(f"{what}: Maven gave {found}, expected {expected}")

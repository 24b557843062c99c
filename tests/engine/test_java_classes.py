"""The Java classes that hosts compile and run (host_scripts/java), and their JUnit tests, with Flink's jars."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.sources import SCRIPTS
from host_tool.java import FLINK, JAVA, SOURCES, Java
from host_tool.output import Failure
from stand_ins.builds import archives, fetch, maven_jars
from toolbox.parallel import command
from toolbox.paths import cache_dir

TESTS = Path(__file__).resolve().parent.parent / "java"
JUNIT = "junit-platform-console-standalone-1.13.4.jar"
JUNIT_SHA256 = "3fdfc37e29744a9a67dd5365e81467e26fbde0b7aa204e6f8bbe79eeaa7ae892"
"""Not in stand_ins/builds/pins.toml: another pin there would rebuild every lab's archives."""


def junit() -> Path:
    """JUnit with its dependencies, by Maven."""

    def get(folder: Path) -> None:
        goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
        maven_jars.run(TESTS / "junit.xml", *goal)
        assert fetch.digest(folder / JUNIT, "sha256") == JUNIT_SHA256

    folder = cache_dir() / "junit"
    fetch.cached(folder, get)
    return folder / JUNIT


@dataclass(frozen=True)
class Installed:
    """A host's /opt and its sources, below a folder."""

    root: Path

    def __post_init__(self) -> None:
        found = archives.ensure()
        for name, archive, members in (("flink", found.flink, ["*/lib/*.jar"]), ("java", found.java, ["*"])):
            home = self.root / f"opt/{name}-{archive.version}"
            home.mkdir(parents=True)
            options = ["--strip-components=1", "--no-same-owner", "--wildcards"]
            command(["tar", "-xzf", archive.path, "-C", home, *options, *members])
            self.path(f"/opt/{name}").symlink_to(home)
        self.path(SOURCES).mkdir(parents=True)
        for source in SCRIPTS.glob("java/*.java"):
            self.path(f"{SOURCES}/{source.name}").write_text(source.read_text())

    def path(self, absolute: str) -> Path:
        return self.root / absolute.removeprefix("/")

    @property
    def jars(self) -> list[Path]:
        return sorted(self.path(FLINK).glob("lib/*.jar"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    yield Installed(tmp_path_factory.mktemp("host"))


def test_they_are_compiled_once_for_each_release_of_flink(host: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = Path(Java("flink", str(host.root)).classes())
    assert classes.name.startswith(f"flink-{archives.FLINK}-")
    assert (classes / "flinkhost/Leftovers.class").exists() and (classes / "flinkhost/HandOver.class").exists()
    assert sorted(path.name for path in classes.parent.iterdir()) == [".lock", classes.name]
    made = classes.stat().st_mtime_ns
    assert Path(Java("flink", str(host.root)).classes()) == classes and classes.stat().st_mtime_ns == made


def test_with_a_java_without_a_compiler_those_that_are_there_serve(host: Installed) -> None:
    known = Java("flink", str(host.root)).classes()
    javac, source = host.path(f"{JAVA}/bin/javac"), host.path(f"{SOURCES}/Flink.java")
    text = source.read_text()
    javac.rename(javac.with_name("away"))
    try:
        assert Java("flink", str(host.root)).classes() == known
        source.write_text(text + "// another version\n")
        with pytest.raises(Failure, match="bin/javac is missing: javaUrl must be a JDK, not only a JRE"):
            Java("flink", str(host.root)).classes()
    finally:
        javac.with_name("away").rename(javac)
    source.write_text("package flinkhost; class Flink { int x = nothing; }\n")
    with pytest.raises(Failure, match="cannot compile our Java classes"):
        Java("flink", str(host.root)).classes()
    source.write_text(text)
    assert Java("flink", str(host.root)).classes() == known


def test_they_do_what_they_say(host: Installed, tmp_path: Path) -> None:
    console, home, made, tests = junit(), host.path(JAVA), tmp_path / "classes", tmp_path / "tests"
    made.mkdir()
    options = ["-proc:none", "-Xlint:all,-classfile", "-Werror"]
    path = os.pathsep.join(map(str, [made, *host.jars, console]))
    for folder, sources, more in ((made, SCRIPTS / "java", ["--release", "11"]), (tests, TESTS, [])):
        argv: list[str | Path] = [home / "bin/javac", *options, *more]
        argv += ["-classpath", path, "-d", folder, *sorted(sources.glob("*.java"))]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    argv = [home / "bin/java", "-XX:TieredStopAtLevel=1", "-jar", console, "execute", f"--class-path={tests}:{path}"]
    argv += [f"--scan-class-path={tests}", "--disable-banner", "--disable-ansi-colors", "--fail-if-no-tests"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

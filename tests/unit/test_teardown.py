"""How hosts leave: what the program on the operator's machine does with reachable and unreachable hosts."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from components import openssh
from components.openssh import Login
from components.remote import LEAVE
from tests.ssh_server import SshServer

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="there is no OpenSSH here")

OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def login(ssh: SshServer, **changes: object) -> Login:
    known = {
        "address": "127.0.0.1",
        "user": "admin",
        "port": ssh.port,
        "private_key": ssh.private_key,
        "host_key": ssh.host_key_line,
    }
    return Login(**{**known, **changes})  # type: ignore[arg-type]


def leave(
    folder: Path, logins: dict[str, Login], run: str = "cat", before: str = "", path: str = os.environ["PATH"]
) -> "subprocess.CompletedProcess[str]":
    """The end of the program, with a folder for its temporary files."""
    files = {f"LEAVE_{name.upper()}": text for name, text in openssh.files(logins).items()}
    return subprocess.run(
        ["/bin/sh", "-c", LEAVE.read_text()],
        input="the script\n",
        capture_output=True,
        text=True,
        timeout=300,
        env={
            "PATH": path,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "LEAVE_HOSTS": " ".join(logins),
            "LEAVE_BEFORE": before,
            "LEAVE_RUN": run,
            "LEAVE_LEFT": "everything",
            **files,
        },
    )


def test_the_script_runs_on_a_host_that_answers(ssh: SshServer, tmp_path: Path) -> None:
    done = leave(tmp_path, {"tm-1": login(ssh)}, "cat; echo told >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "the script\n", "told\n")
    assert list(tmp_path.iterdir()) == [], "no copy of the key is left"


def test_a_script_that_fails_fails(ssh: SshServer, tmp_path: Path) -> None:
    assert leave(tmp_path, {"tm-1": login(ssh)}, "exit 7").returncode == 7
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_host_is_reported_and_is_no_failure(ssh: SshServer, closed_port: int, tmp_path: Path) -> None:
    done = leave(tmp_path, {"tm-1": login(ssh, port=closed_port)})
    assert done.returncode == 0 and done.stdout == ""
    assert done.stderr.startswith("NOT CLEANED: tm-1: it is unreachable (ssh: connect to host 127.0.0.1 port")
    assert done.stderr.endswith("Left behind: everything\n") and done.stderr.count("\n") == 1


def test_a_host_with_another_key_is_another_machine(ssh: SshServer, tmp_path: Path) -> None:
    done = leave(tmp_path, {"tm-1": login(ssh, host_key=OTHER_KEY.export_public_key().decode().strip())})
    assert done.returncode == 0 and done.stdout == ""
    assert "NOT CLEANED: tm-1: it has another host key now" in done.stderr


def test_a_key_that_is_not_let_in_is_a_failure(ssh: SshServer, tmp_path: Path) -> None:
    done = leave(tmp_path, {"tm-1": login(ssh, private_key=OTHER_KEY.export_private_key().decode())})
    assert done.returncode == 1 and "tm-1: admin@127.0.0.1: Permission denied" in done.stderr


def test_what_one_host_is_enough_for_runs_on_the_first_that_answers(
    ssh: SshServer, closed_port: int, tmp_path: Path
) -> None:
    logins = {"jm-0": login(ssh, port=closed_port), "jm-1": login(ssh), "jm-2": login(ssh)}
    done = leave(tmp_path, logins, "cat", before=f"echo stopped >>{tmp_path}/stops")
    assert (done.returncode, done.stdout) == (0, "the script\n"), done.stderr
    assert (tmp_path / "stops").read_text() == "stopped\n" * 2
    assert done.stderr.startswith("without jm-0: it is unreachable")


def test_nothing_runs_if_not_all_could_be_made_ready(ssh: SshServer, tmp_path: Path) -> None:
    done = leave(tmp_path, {"jm-0": login(ssh), "jm-1": login(ssh)}, before="exit 5")
    assert done.returncode == 1 and done.stdout == ""


def test_a_host_behind_another_is_reached_through_it(ssh: SshServer, tmp_path: Path) -> None:
    done = leave(tmp_path, {"tm-1": login(ssh, jump=login(ssh))})
    assert (done.returncode, done.stdout) == (0, "the script\n"), done.stderr
    assert ("127.0.0.1", ssh.port) in ssh.tunnels


@pytest.fixture
def no_hangup() -> Iterator[None]:
    """SIGHUP is ignored, as nohup does, which children inherit."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("no_hangup")
@pytest.mark.parametrize("old", [False, True])
def test_under_nohup_no_process_of_the_jump_stays_to_be_waited_for(ssh: SshServer, tmp_path: Path, old: bool) -> None:
    """`old`: env knows nothing of signals, as before coreutils 8.31 and on other systems."""
    ssh.holds_tunnels = True
    programs = tmp_path / "bin"
    programs.mkdir()
    if old:
        (programs / "env").write_text("#!/bin/sh\nexit 125\n")
        (programs / "env").chmod(0o755)
    name = f"tm-{os.getpid()}"
    done = leave(programs, {name: login(ssh, jump=login(ssh))}, path=f"{programs}:{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (0, "the script\n"), done.stderr
    deadline = time.monotonic() + 60
    while left := subprocess.run(["pgrep", "-af", f"{name}-jum[p]"], capture_output=True, text=True).stdout:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)  # between two looks


def test_equal_keys_are_written_once(ssh: SshServer) -> None:
    files = openssh.files({"a": login(ssh), "b": login(ssh, private_key="another", jump=login(ssh))})
    assert sorted(files) == ["config", "key0", "key1", "known_hosts"]
    assert files["known_hosts"].splitlines()[2].startswith("b.jump ssh-ed25519 ")

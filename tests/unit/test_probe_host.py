"""What the probe says of hosts as people have them: programs that stand first on PATH answer for the host."""

import http.server
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from components.sources import SCRIPTS
from tests.serving import serving

HEAD = """\
set -euo pipefail
host=tm-0 step=probe.sh role=taskmanager needed_mib=1 declared_mib=0 user=no-such-user
releases=(java flink) homes=(java-1 flink-1)
executed=(/opt /usr/local/lib /var/lib) jump=false proxy= direct=
"""
SUITABLE = {
    "nft": "exit 0",
    "ip": "echo 2: eth0 inet 10.0.0.5/24 scope global eth0",
    "python3": "echo 3.11",
    "systemctl": "exit 3",
    "getenforce": "echo Permissive",
    "findmnt": "echo rw,relatime",
    "readlink": 'echo "${2:-$1}"',
    "df": 'echo header; echo "dev 9 9 90000 9% /"',
    "id": "echo no-such-user",
}
"""What programs do on a host that is suitable."""


def probe(
    folder: Path,
    fakes: dict[str, str],
    *,
    firewall: str = "true",
    storage: str = "",
    systemd: str = "/",
    opt: str = "/opt",
    address: str = "10.0.0.5",
    python: str = "",
    more: str = "",
) -> str:
    """What the probe says of a host; empty if it is suitable."""
    for name, text in {**SUITABLE, **fakes}.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    text = HEAD + f"firewall={firewall} storage={storage} address={address}\n{more}\n"
    text += f"jobs_python={python}\n" if python else ""
    # lib.sh puts root's own paths before PATH in main, which is not called here
    text += "\n".join((SCRIPTS / name).read_text() for name in ("lib.sh", "proxy.sh", "probe.sh"))
    text = text.replace("needs_space /opt", f"needs_space {opt}") + f"\nsystemd={systemd}\napply\n"
    env = {**os.environ, "PATH": f"{folder}:/usr/sbin:/sbin:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-s"], input=text, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == (1 if done.stderr else 0), done.stderr
    assert bool(done.stderr) is not done.stdout.startswith('{"cpus": ')
    return done.stderr


def test_a_suitable_host_has_nothing_to_report(tmp_path: Path) -> None:
    assert probe(tmp_path, {}) == ""


@pytest.mark.parametrize(
    ("fakes", "told"),
    [
        ({"getenforce": "echo Enforcing"}, ["SELinux is enforcing: expected SELINUX=permissive"]),
        ({"systemctl": "[ $3 = firewalld ]"}, ["firewalld is active", "disable --now firewalld", "firewall to false"]),
        ({"ufw": "echo Status: active"}, ["ufw is active", "`ufw disable`", "firewall to false"]),
        ({"ufw": "echo Status: inactive", "systemctl": "[ $3 = ufw ]"}, []),
        ({"findmnt": "[ $4 != /var/lib ] || echo rw,noexec"}, ["/var/lib is mounted noexec: expected exec"]),
        ({"readlink": '[ $2 = /opt ] && echo /home/opt || echo "$2"'}, ["/opt is /home/opt, which units cannot see"]),
        (
            {"df": 'echo header; [ "$2" = /opt ] && echo "dev 9 9 2047 9% /opt" || echo "dev 9 9 1024 9% /var"'},
            ["/opt (file system /opt) has 2047 MiB free: expected 2048"],
        ),
        (
            {"df": 'echo header; [ "$2" = /opt ] && echo "dev 9 9 2048 9% /opt" || echo "dev 9 9 1000 9% /var"'},
            ["/var/lib (file system /var) has 1000 MiB free: expected 1024"],
        ),
        (
            {"df": 'echo header; echo "dev 9 9 3000 9% /"'},
            ["/opt /var/lib (file system /) has 3000 MiB free: expected 3072"],
        ),
        (
            {"getent": "echo no-such-user:x:9:9::/var/lib/no-such-user:/bin/bash", "id": "echo users"},
            ["user no-such-user has the group users: expected no-such-user"],
        ),
    ],
)
def test_what_makes_a_host_unsuitable_is_reported_with_the_remedy(
    tmp_path: Path, fakes: dict[str, str], told: list[str]
) -> None:
    said = probe(tmp_path, fakes)
    assert bool(said) is bool(told)
    assert all(text in said for text in told), said


def test_a_firewall_of_others_is_theirs_where_ours_is_off(tmp_path: Path) -> None:
    active = {"systemctl": "[ $3 = firewalld ]", "ufw": "echo Status: active"}
    assert probe(tmp_path, active, firewall="false") == ""


def test_all_problems_of_a_host_are_reported_at_once(tmp_path: Path) -> None:
    said = probe(tmp_path, {"getenforce": "echo Enforcing", "ufw": "echo Status: active", "findmnt": "echo noexec"})
    for text in ("SELinux", "ufw", "/opt is mounted noexec", "/var/lib is mounted noexec"):
        assert text in said


@pytest.mark.parametrize(("address", "told"), [("10.0.0.5", True), ("fd00::5", False), ("", False)])
def test_a_host_without_ipv4_cannot_have_an_ipv4_address_in_the_inventory(
    tmp_path: Path, address: str, told: bool
) -> None:
    said = probe(tmp_path, {"ip": "exit 0"}, address=address)
    assert ("no IPv4 address: expected one, since its address in the inventory is 10.0.0.5" in said) is told


def test_a_directory_that_is_missing_needs_its_space_where_it_will_be(tmp_path: Path) -> None:
    """And hides no other problem."""
    (tmp_path / "here").mkdir()
    full = 'echo header; [ -d "$2" ] && echo "d 9 9 99 9% $2"'
    missing = tmp_path / "here/opt/there"
    said = probe(tmp_path, {"df": full, "getenforce": "echo Enforcing"}, opt=str(missing))
    assert f"{missing} (file system {tmp_path}/here) has 99 MiB free: expected 2048" in said and "SELinux" in said


def test_the_init_is_known_without_ps(tmp_path: Path) -> None:
    assert probe(tmp_path, {"ps": "exit 127"}) == ""
    assert "init is not systemd" in probe(tmp_path, {}, systemd=str(tmp_path / "none"))


@contextmanager
def storage_at(off: int) -> Iterator[str]:
    """An HTTP server whose clock is so many seconds ahead."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(403)
            self.end_headers()

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time() + off, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(("off", "told"), [(0, ""), (200, ""), (600, "s behind of the"), (-600, "s ahead of the")])
def test_a_clock_that_s3_would_refuse_is_reported(tmp_path: Path, off: int, told: str) -> None:
    with storage_at(off) as url:
        said = probe(tmp_path, {}, storage=url)
    assert (told in said) if told else said == ""


def test_a_storage_that_does_not_answer_is_not_for_the_probe_to_judge(tmp_path: Path) -> None:
    with storage_at(600) as url:
        pass
    assert probe(tmp_path, {}, storage=url) == ""


@pytest.mark.parametrize(
    ("fakes", "told"),
    [
        ({"python3.7": "case $* in *version_info*) echo 3.7 ;; esac"}, ""),
        ({"python3.7": "exit 127", "python3": "case $* in *version_info*) echo 3.7 ;; esac"}, ""),
        (
            {"python3.7": "exit 127"},
            "Python 3.7 is missing, which jobs in Python need: expected python3.7, or another version (python)",
        ),
        (
            {"python3.7": "case $* in *venv*) exit 1 ;; *) echo 3.7 ;; esac"},
            "python3.7 has no venv, which jobs in Python need: install it (Debian: apt-get install python3.7-venv)",
        ),
    ],
)
def test_jobs_in_python_need_their_interpreter(tmp_path: Path, fakes: dict[str, str], told: str) -> None:
    # What the host tool needs, 3.9, is asked of python3 in another way
    ours = {"python3": "case $* in *fcntl*) echo 3.11 ;; *) echo 3.11 ;; esac"}
    if "python3" in fakes:
        fakes = {**fakes, "python3": f"case $* in *fcntl*) echo 3.11; exit ;; esac; {fakes['python3']}"}
    said = probe(tmp_path, {**ours, **fakes}, python="3.7")
    assert told in said if told else said == ""


@pytest.mark.parametrize(
    ("authority", "has", "began", "told"),
    [
        (2, "2", 50, ""),
        (3, "2", 50, ""),
        (1, "2", 50, ""),
        (4, "2", 50, "expected 3"),
        (1, "3", 50, "expected 2"),
        # Installed after the daemon began: it runs with those before
        (4, "3", 150, "expected 3"),
        # Not noted, not of the stack, and a daemon that does not run
        (4, "", 50, ""),
        (4, "0", 50, ""),
        (4, "2", None, ""),
    ],
)
def test_an_authority_that_a_running_daemon_does_not_know_is_a_problem(
    tmp_path: Path, authority: int, has: str, began: int | None, told: str
) -> None:
    """The last certificates were installed 100 s ago, those before 200 s ago, of authority 2."""
    now = int(time())
    (tmp_path / "run").mkdir()
    (tmp_path / "valid").write_text(f"{now - 200} {now + 999} 2\n{now - 100} {now + 999} {has}\n")
    if began is not None:
        (tmp_path / "run/fingerprint").write_text("x")
        os.utime(tmp_path / "run/fingerprint", (now - began, now - began))
    said = probe(tmp_path, {}, more=f"authority={authority} unit=..{tmp_path}/run identities={tmp_path}")
    if told:
        assert f"tlsAuthority is {authority}, and " in said and told in said
    else:
        assert said == ""

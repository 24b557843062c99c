"""The probe's checks of a host: its Python, which the host tool needs, and users that this program did not create."""

import os
import subprocess
from pathlib import Path

import pytest

from components.sources import SCRIPTS

PROBE = """\
set -euo pipefail
host=tm-0 step=probe.sh role=taskmanager needed_mib=1 declared_mib=0 address=
firewall=false user=no-such-user releases=() jump=false
homes=() executed=() storage= proxy= direct=
"""


@pytest.mark.parametrize(
    ("python", "told"),
    [
        ("echo 3.9", ""),
        ("echo 3.13", ""),
        ("echo 4.0", ""),
        ("echo 3.8", "python3 is 3.8: install 3.9 or newer"),
        ("echo 3.6", "python3 is 3.6: install 3.9 or newer"),
        ("exit 1", "has no standard library: install it (Debian: apt-get install python3)"),
    ],
)
def test_a_python_that_is_too_old_or_not_whole_is_a_problem(tmp_path: Path, python: str, told: str) -> None:
    fake = tmp_path / "python3"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o755)
    text = PROBE + "\n".join((SCRIPTS / name).read_text() for name in ("lib.sh", "proxy.sh", "probe.sh")) + "\napply\n"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-s"], input=text, env=env, capture_output=True, text=True, check=False)
    if told:
        assert done.returncode == 1 and told in done.stderr
    else:
        assert "python3" not in done.stderr


@pytest.mark.parametrize(("times", "refused"), [(1.0, False), (1.1, False), (1.3, True), (1024 * 1024, True)])
def test_memory_that_a_host_does_not_have_is_a_problem(times: float, refused: bool) -> None:
    lines = Path("/proc/meminfo").read_text().splitlines()
    found = next(int(line.split()[1]) // 1024 for line in lines if line.startswith("MemTotal:"))
    text = PROBE.replace("declared_mib=0", f"declared_mib={int(found * times)}")
    text += "\n".join((SCRIPTS / name).read_text() for name in ("lib.sh", "proxy.sh", "probe.sh")) + "\napply\n"
    done = subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True, check=False)
    assert ("which the inventory has as memoryMiB" in done.stderr) == refused


@pytest.mark.parametrize(
    ("jump", "startups", "refused"),
    [("true", "5:30:100", True), ("true", "10:30:100", False), ("true", "", False), ("false", "5:30:100", False)],
)
def test_a_host_behind_a_jump_host_may_not_drop_logins_early(
    tmp_path: Path, jump: str, startups: str, refused: bool
) -> None:
    fake = tmp_path / "sshd"
    fake.write_text(f"#!/bin/sh\necho port 22\n[ -z '{startups}' ] || echo maxstartups {startups}\n")
    fake.chmod(0o755)
    text = PROBE.replace("jump=false", f"jump={jump}")
    text += "\n".join((SCRIPTS / name).read_text() for name in ("lib.sh", "probe.sh")) + "\napply\n"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-s"], input=text, env=env, capture_output=True, text=True, check=False)
    assert ("sshd drops logins from MaxStartups 5 on" in done.stderr) == refused


def test_the_program_that_asks_runs(tmp_path: Path) -> None:
    asked = (SCRIPTS / "probe.sh").read_text().split("python_facts='")[1].split("'")[0]
    done = subprocess.run(["python3", "-I", "-S", "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("3.")


@pytest.mark.parametrize(
    ("home", "ours", "refused"), [("/home/x", True, True), ("/var/lib/x", False, True), ("/var/lib/x", True, False)]
)
def test_a_user_that_is_not_ours_is_a_problem(tmp_path: Path, home: str, ours: bool, refused: bool) -> None:
    getent = tmp_path / "getent"
    getent.write_text(f"#!/bin/sh\necho x:x:999:999::{home}:/bin/bash\n")
    getent.chmod(0o755)
    text = PROBE.replace("no-such-user", "x") + "\n".join(
        (SCRIPTS / name).read_text() for name in ("lib.sh", "probe.sh")
    )
    text += f"\nid() {{ echo x; }}\nwas_ours() {{ {str(ours).lower()}; }}\napply\n"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-s"], input=text, env=env, capture_output=True, text=True, check=False)
    assert (f"user x already exists with the home {home}" in done.stderr) == refused

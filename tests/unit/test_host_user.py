"""The daemons' user and its group: what a host had before the first `up` stays (host_scripts/system.sh, clean.sh)."""

import os
import subprocess
from pathlib import Path

import pytest

from components.sources import SCRIPTS

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="users need root")


def run(root: Path, step: str, call: str) -> "subprocess.CompletedProcess[str]":
    """A function of a step; `root` has in place of the host its users and groups, and what the step records."""
    library = (SCRIPTS / "lib.sh").read_text()
    text = f"set -euo pipefail\nhost=h step={step} user=flink\n{library}\ngroup_owner={root}/group\n"
    text += (SCRIPTS / step).read_text().replace("/etc/group", f"{root}/groups")
    # With USERGROUPS_ENAB userdel removes the user's own group
    text += f"""
getent() {{
  if [ "$1" = group ]; then grep "^$2:" {root}/groups; else echo "$2:x:9:9::/var/lib/$2:"; fi
}}
id() {{ grep -q "^$1 " {root}/users; }}
groupadd() {{ echo "$2:x:9:" >>{root}/groups; }}
groupdel() {{ sed -i "/^$1:/d" {root}/groups; }}
useradd() {{ echo "${{*: -1}} $3" >>{root}/users; }}
usermod() {{ sed -i "s/^$3 .*/$3 $2/" {root}/users; }}
userdel() {{
  if [ -e {root}/usergroups ] && grep -q "^$1 $1$" {root}/users; then groupdel "$1"; fi
  sed -i "/^$1 /d" {root}/users
}}
find() {{ :; }}
remove_tree() {{ :; }}
{call}
"""
    return subprocess.run(["bash", "-s"], input=text, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("usergroups", [True, False])
@pytest.mark.parametrize("theirs", ["", "flink:x:9:somebody\n"])
def test_the_group_goes_unless_the_host_had_it_before_the_first_up(
    tmp_path: Path, theirs: str, usergroups: bool
) -> None:
    (tmp_path / "groups").write_text(f"root:x:0:\n{theirs}")
    (tmp_path / "users").touch()
    if usergroups:
        (tmp_path / "usergroups").touch()
    # The first run is killed after it has created the group
    assert run(tmp_path, "system.sh", "useradd() { kill -KILL $$; }; create_user").returncode == -9
    for _ in range(2):
        done = run(tmp_path, "system.sh", "create_user")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "users").read_text() == "flink flink\n" and "flink:" in (tmp_path / "groups").read_text()
    for _ in range(2):
        done = run(tmp_path, "clean.sh", "remove_user")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "users").read_text() == ""
    assert (tmp_path / "groups").read_text() == f"root:x:0:\n{theirs}"

"""Root follows no link of the daemons' user: what lies below a directory of that user is made as that user."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.sources import SCRIPTS
from toolbox.paths import REPO

USER = "daemon"
LIBRARY = SCRIPTS / "lib.sh"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the user's, below one of root's."""
    root = Path(tempfile.mkdtemp(dir="/var/tmp"))
    try:
        root.chmod(0o755)
        made = root / "home"
        made.mkdir()
        shutil.chown(made, USER)
        yield made
    finally:
        shutil.rmtree(root)


def run(code: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """What it prints are the files that it has written."""
    library = LIBRARY.read_text()
    script = f"set -euo pipefail\nhost=h step=s.sh\n{library}\nnote_declarations\n{code}\necho ${{changed[*]:-}}"
    return subprocess.run(["bash", "-c", script], input=text, capture_output=True, text=True, timeout=60, check=False)


def test_files_and_directories_of_a_user_are_made_by_that_user(home: Path) -> None:
    path = home / "ssh/config"
    code = f"own_directory 0700 {USER} {home}/ssh; put_file {path} 0600 {USER}:{USER}"
    assert run(code, "text").stdout == f"{path}\n"
    assert (path.read_text(), path.owner(), oct(path.stat().st_mode)) == ("text", USER, "0o100600")
    assert oct((home / "ssh").stat().st_mode) == "0o40700"
    assert run(code, "text").stdout == "\n", "nothing differs"
    os.chown(path, 0, 0)
    assert run(code, "text").stdout == f"{path}\n"
    assert path.owner() == USER


def test_what_root_owns_is_made_by_root(home: Path) -> None:
    path = home.parent / "etc/config"
    assert run(f"put_file {path} 0644 root:root", "text").stdout == f"{path}\n"
    assert path.owner() == "root"
    assert run(f"own_directory 0755 {USER} {home.parent}/log; put_file {home.parent}/log/x 0644 {USER}:{USER}").stdout
    assert (home.parent / "log/x").owner() == USER


def test_no_link_of_theirs_is_followed(home: Path) -> None:
    secret = home.parent / "roots"
    secret.mkdir(mode=0o700)
    for name in ("tmp", "ssh"):
        (home / name).symlink_to(secret)
        os.lchown(home / name, pwd.getpwnam(USER).pw_uid, -1)
    for code in (
        f"own_directory 0755 {USER} {home}/tmp",
        f"put_file {home}/ssh/config 0600 {USER}:{USER}",
        f"as_holder {home}/ssh touch {home}/ssh/x",
    ):
        assert run(code, "text").returncode != 0, code
    assert (list(secret.iterdir()), secret.owner(), oct(secret.stat().st_mode)) == ([], "root", "0o40700")


def test_a_link_of_roots_is_no_way_around(home: Path) -> None:
    """An administrator may have moved the home to another disk."""
    link = home.parent / "link"
    link.symlink_to(home)
    path = home / "x"
    assert run(f"put_file {link}/x 0644 {USER}:{USER}", "text").stdout == f"{link}/x\n"
    assert path.owner() == USER


def test_a_directory_of_somebody_else_is_named(home: Path) -> None:
    """A new disk is mounted there, for example."""
    (home / "tmp").mkdir(mode=0o755)
    done = run(f"own_directory 0755 {USER} {home}/tmp")
    assert done.returncode != 0
    assert f"h: {home}/tmp belongs to root, expected user {USER}: run `chown {USER}: {home}/tmp`" in done.stderr


def test_a_file_of_somebody_elses_is_refused_there(home: Path) -> None:
    done = run(f"put_file {home}/x 0644 root:root", "text")
    assert f"h: {home}/x is below a directory of user {USER}: expected another place for a file of root" in done.stderr
    assert not (home / "x").exists()


def test_the_tool_continues_as_the_daemons_user() -> None:
    code = f"import os; from host_tool.daemon import become; become({USER!r}); print(os.getresuid(), os.getresgid())"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    account = pwd.getpwnam(USER)
    assert done.stdout == f"{(account.pw_uid,) * 3} {(account.pw_gid,) * 3}\n"

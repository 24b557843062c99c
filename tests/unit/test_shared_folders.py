"""A folder that all hosts share as storage: what is refused, what hosts get, and how they see that it is."""

import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.remote import script_text
from tests.unit.program import load, refused
from tests.unit.test_cloud_storages import NONE_OF_S3
from tests.unit.test_program import run, stdin
from tests.unit.test_storages import text_of

SHARED: dict[str, Any] = {**NONE_OF_S3, "storageUri": "file:///mnt/flink/dev/"}
MARK = "/mnt/flink/dev/.shared-dev"


def test_every_daemons_host_looks_for_the_first_ones_token(folder: Path) -> None:
    found = run(folder, **SHARED, history=True)
    steps = {name for name in found if name.endswith("-storage-shared")}
    assert steps == {f"{host}-storage-shared" for host in ("jm-0", "jm-1", "tm-0", "tm-1")}
    first, other = stdin(found, "jm-0-storage-shared"), stdin(found, "tm-1-storage-shared")
    assert "folders=(/mnt/flink/dev)" in first and "mark=.shared-dev" in first and "\ntoken=ok" not in first
    assert "\ntoken=ok\n" in other and "first=jm-0" in other
    assert "uris=(file:///mnt/flink/dev)" in stdin(found, "tm-1-storage-access")
    for unit in ("flink-jobmanager", "flink-history"):
        step = "jm-0-service" if unit == "flink-jobmanager" else "jm-0-history"
        text = text_of(found, step, f"/etc/systemd/system/{unit}.service")
        assert "After=remote-fs.target" in text and f"[ ! -e {MARK}/token ]" in text
    config = text_of(found, "jm-0-config", "/etc/flink/config.yaml")
    assert "high-availability.storageDir: file:///mnt/flink/dev/ha" in config
    assert "jm-0-credentials" not in found


def test_places_on_other_storages_are_no_folders(folder: Path) -> None:
    found = run(folder, haUri="file:///mnt/flink/dev", savepointsUri="file:///nfs/savepoints")
    assert "folders=(/mnt/flink/dev /nfs/savepoints)" in stdin(found, "tm-0-storage-shared")
    assert "keys=(haUri savepointsUri)" in stdin(found, "tm-0-storage-shared")
    without = run(folder)
    assert not [name for name in without if name.endswith("-storage-shared")]
    assert "remote-fs" not in text_of(without, "jm-0-service", "/etc/systemd/system/flink-jobmanager.service")


@pytest.mark.parametrize("keeps", [True, False])
def test_destroy_removes_the_token_last(folder: Path, keeps: bool) -> None:
    purge = stdin(run(folder, **SHARED, keepState=keeps), "dev-purge")
    (what,) = [line for line in purge.splitlines() if line.startswith("what=")]
    assert what.endswith(" file:///mnt/flink/dev/.shared-dev)")
    assert ("/checkpoints/dev" in what) is not keeps


def test_a_folder_of_hosts_has_no_server(folder: Path) -> None:
    storage = load(folder, **SHARED).storage
    assert storage.servers == () and storage.folders == {"storageUri": "/mnt/flink/dev"}


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("file:///", "storageUri: 'file:' is on no kind of storage that is known: .*file:///mnt/flink/prod"),
        ("file://nas/flink", "storageUri: 'file://nas/flink' is not a folder that all hosts share"),
        ("file:///mnt/../etc", "storageUri: 'file:///mnt/../etc' is not a folder that all hosts share"),
        ("file:///mnt/$(x)", "is not a folder that all hosts share"),
        ("file:/mnt/flink", "storageUri: 'file:/mnt/flink' is on no kind of storage that is known: .*file:///mnt"),
        (
            "file:///tmp/flink",
            "storageUri: 'file:///tmp/flink': /tmp is hidden from Flink's daemons; expected a folder",
        ),
        ("file:///var/lib/flink/x", "/var/lib/flink is of each host's own system; expected a folder of a file system"),
    ],
)
def test_what_is_refused(folder: Path, uri: str, told: str) -> None:
    said = refused(folder, **{**SHARED, "storageUri": uri})
    assert re.search(told, said), said


def test_copies_of_releases_are_refused(folder: Path) -> None:
    assert "archiveCopies: " in refused(folder, **SHARED, archiveCopies=True)
    assert "storageEndpoint: is for S3" in refused(folder, **SHARED, storageEndpoint="http://x")


# On a host


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root, whose programs say that what is in it is mounted from a server."""
    for name, text in (
        ("runuser", 'shift 3\n[ ! -e ROOT/refuses ] || . ROOT/refuses\nexec "$@"\n'),
        ("id", "echo 998\n"),
        ("findmnt", "cat ROOT/mounts\n"),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text.replace("ROOT", str(tmp_path)))
        path.chmod(0o755)
    (tmp_path / "mounts").write_text(f"{tmp_path}/mnt nfs4 10.0.0.5:/flink\n")
    (tmp_path / "mnt").mkdir()
    return tmp_path


def shared(root: Path, host: str, place: str, mode: str = "apply", **more: Any) -> "subprocess.CompletedProcess[str]":
    """The step on a host that has the storage at `place` of `root`."""
    values = {
        "user": "flink",
        "keys": ["storageUri"],
        "folders": [f"{root}/{place}"],
        "mark": ".shared-dev",
        "first": "jm-0",
        **more,
    }
    known = SimpleNamespace(name=host, role="taskmanager")
    text = script_text(known, "storage/shared.sh", values, alone=True)  # type: ignore[arg-type]
    for folder in ("/usr/local/lib/flink", "/etc/flink", "/run/flink-steps"):
        text = re.sub(rf"(?<![\w.]){folder}\b", f"{root}{folder}", text)
    text = text.replace("PATH=/usr/local/sbin", f"PATH={root}/bin:/usr/local/sbin")
    text = text.replace("visible=10", "visible=1").replace("patience=15", "patience=1")
    return subprocess.run(["bash", "-s", "--", mode], input=text, text=True, capture_output=True, timeout=60)


def told(root: Path) -> dict[str, Any]:
    """What the first host says to the others, after it has made the folder and written there."""
    done = shared(root, "jm-0", "mnt/dev")
    assert done.returncode == 0, done.stderr
    token, *there = done.stdout.splitlines()
    assert re.fullmatch("[0-9a-f]{32}", token)
    assert (root / "mnt/dev/.shared-dev/token").read_text() == f"{token}\n"
    return {"token": token, "there": there}


def test_a_host_with_the_same_folder_is_fit(root: Path) -> None:
    known = told(root)
    assert known["there"] == [f"nfs4 of 10.0.0.5:/flink at {root}/mnt"]
    done = shared(root, "tm-0", "mnt/dev", **known)
    assert done.returncode == 0 and f"{root}/mnt/dev is the same as on jm-0" in done.stderr, done.stderr
    assert [path.name for path in (root / "mnt/dev/.shared-dev").iterdir()] == ["token"], "nothing else is left"
    for host, more in (("tm-0", known), ("jm-0", {})):
        assert shared(root, host, "mnt/dev", "check", **more).stdout == ""
    again = told(root)
    assert again["token"] != known["token"], "an old copy does not pass"


def test_a_host_with_another_folder_is_refused_by_name(root: Path) -> None:
    known = told(root)
    (root / "other/dev").mkdir(parents=True)
    for content in (None, "an old token\n"):
        if content:
            (root / "other/dev/.shared-dev").mkdir()
            (root / "other/dev/.shared-dev/token").write_text(content)
        done = shared(root, "tm-1", "other/dev", **known)
        assert done.returncode == 1
        here = f"nfs4 of 10.0.0.5:/flink at {root}/mnt"
        assert done.stderr.strip() == (
            f"tm-1: cannot use the storage at file://{root}/other/dev (storageUri): {root}/other/dev is another "
            "directory than on jm-0, which has just written .shared-dev/token there: here it is on "
            f"{here}, on jm-0 on {here}; expected the same directory of one file system on all hosts"
        )
        assert "is another directory than on jm-0" in shared(root, "tm-1", "other/dev", "check", **known).stdout


@pytest.mark.parametrize(
    ("mounts", "told"),
    [
        (
            "/ ext4 /dev/vda1",
            "nothing is mounted at ROOT/mnt/dev or above it, where only this host's own file system is",
        ),
        ("/mnt tmpfs tmpfs", "/mnt is in this host's memory (tmpfs); expected the file system that all hosts share"),
    ],
)
def test_what_is_not_mounted_is_said_and_nothing_is_written(root: Path, mounts: str, told: str) -> None:
    (root / "mounts").write_text(mounts + "\n")
    for host in ("jm-0", "tm-0"):
        done = shared(root, host, "mnt/dev", **({} if host == "jm-0" else {"token": "x"}))
        assert done.returncode == 1 and done.stderr.startswith(f"{host}: cannot use the storage at "), done.stderr
        assert told.replace("ROOT", str(root)) in done.stderr
    assert list((root / "mnt").iterdir()) == []
    assert told.replace("ROOT", str(root)) in shared(root, "jm-0", "mnt/dev", "check").stdout


@pytest.mark.parametrize("kind", ["nfs4", "ceph", "fuse.glusterfs", "unknownfs"])
def test_no_type_of_file_system_is_refused_for_its_name(root: Path, kind: str) -> None:
    """Whether hosts share it, the token says."""
    (root / "mounts").write_text(f"{root}/mnt autofs systemd-1\n{root}/mnt {kind} x:/\\x20y\n")
    assert told(root)["there"] == [f"{kind} of x:/\\x20y at {root}/mnt"]


@pytest.mark.parametrize(
    ("when", "says", "told"),
    [
        (
            "stat",
            "stat: cannot statx '/x/.': Stale file handle",
            "cannot look at {place}: Stale file handle; expected that",
        ),
        (
            "stat",
            "stat: cannot statx '/x/.': Permission denied",
            "Permission denied; expected a folder that belongs to ",
        ),
        ("stat", None, "cannot look at {place}: no answer within 1 s; expected a server that answers"),
        (
            "mkdir",
            "mkdir: cannot create: Permission denied",
            "cannot write at {place}: Permission denied; expected a f",
        ),
        ("mkdir", "sh: 1: cannot create: Read-only file system", "Read-only file system; expected a mount that can be"),
        ("mkdir", "sh: cannot create: No space left on device", "No space left on device; expected free space on the "),
        ("mkdir", "sh: cannot create: Input/output error", "Input/output error; expected a server that answers"),
    ],
)
def test_what_the_first_host_cannot_do_is_said(root: Path, when: str, says: str | None, told: str) -> None:
    (root / "mnt/dev").mkdir()
    answer = "exec sleep 30" if says is None else f'echo "{says}"; exit 1'
    # `sh` has the words as one argument, and timeout ends what it has started
    (root / "refuses").write_text(
        f'case "$*" in *{when}*) set -- timeout -k 2 1 bash -c {shlex.quote(answer)} ;; esac\n'
    )
    done = shared(root, "jm-0", "mnt/dev")
    assert done.returncode == 1
    assert told.format(place=f"{root}/mnt/dev") in done.stderr, done.stderr


def test_another_uid_of_the_user_is_said(root: Path) -> None:
    known = told(root)
    says = "sh: 1: cannot create: Permission denied"
    (root / "refuses").write_text(f'case "$*" in *"printf x"*) echo "{says}"; exit 1 ;; esac\n')
    done = shared(root, "tm-0", "mnt/dev", **known)
    assert done.returncode == 1
    uid = (root / "mnt/dev/.shared-dev").stat().st_uid
    expected = f"flink, here uid 998, may not write in what jm-0 has made there with uid {uid}; expected the same uid"
    assert expected in done.stderr, done.stderr

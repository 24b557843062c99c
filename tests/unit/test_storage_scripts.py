"""The scripts of storages' kinds, run in a folder instead of a host's root."""

import base64
import getpass
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.remote import File, script_text
from components.sources import host_script
from components.storage import Hdfs

HOST: Any = SimpleNamespace(name="tm-0", role="taskmanager")
JARS = ("hadoop-client-api", "hadoop-client-runtime", "commons-logging")
JVM = '#!/bin/sh\nprintf "%s\\n" "$@" >{root}/argv\nenv >{root}/env\n. {root}/jvm\n'
KEYTAB = b"\x05\x02" + bytes(range(60))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root, with programs that are not there."""
    for name, text in (
        ("bin/runuser", '#!/bin/sh\nshift 3\nexec "$@"\n'),
        ("bin/chown", "#!/bin/sh\n"),
        (
            "opt/java/bin/java",
            JVM.format(root=tmp_path),
        ),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    (tmp_path / "jvm").write_text("")
    return tmp_path


def run(root: Path, text: str, mode: str = "apply") -> "subprocess.CompletedProcess[str]":
    for folder in ("/usr/local/lib/flink", "/etc/flink", "/opt", "/run/flink-steps"):
        text = re.sub(rf"(?<![\w.]){folder}\b", f"{root}{folder}", text)
    text = text.replace("PATH=/usr/local/sbin", f"PATH={root}/bin:/usr/local/sbin")
    return subprocess.run(["bash", "-s", "--", mode], input=text, text=True, capture_output=True, timeout=60)


def release(root: Path, version: str) -> str:
    home = root / f"opt/hadoop-{version}"
    for name in ("client/hadoop-client-api", "client/hadoop-client-runtime", "client/hadoop-client-minicluster"):
        (home / f"share/hadoop/{name}-{version}.jar").parent.mkdir(parents=True, exist_ok=True)
        (home / f"share/hadoop/{name}-{version}.jar").touch()
    (home / "share/hadoop/common/lib").mkdir(parents=True)
    for name in ("commons-logging-1.3.0.jar", "slf4j-reload4j-1.7.36.jar"):
        (home / "share/hadoop/common/lib" / name).touch()
    return f"/opt/hadoop-{version}"


def step(home: str, version: str, files: list[File] | None = None) -> str:
    keytab = "/etc/flink/hadoop/keytab" if files else ""
    values = {"home": home, "jars": f"/usr/local/lib/flink/hadoop/{version}", "needed": JARS, "keytab": keytab}
    assert set(values) == set(Hdfs(home="/x").host_step.values)
    return script_text(HOST, "storage/hdfs.sh", values, files or [], alone=True)


def test_flink_gets_three_jars_by_names_that_stay(root: Path) -> None:
    text = step(release(root, "3.4.2"), "3.4.2")
    done = run(root, text)
    assert done.returncode == 0, done.stderr
    links = root / "usr/local/lib/flink/hadoop/3.4.2"
    assert {link.name: link.readlink().name for link in links.iterdir()} == {
        "hadoop-client-api.jar": "hadoop-client-api-3.4.2.jar",
        "hadoop-client-runtime.jar": "hadoop-client-runtime-3.4.2.jar",
        "commons-logging.jar": "commons-logging-1.3.0.jar",
    }
    # What it made it declares, too: otherwise it is left over
    assert run(root, text, "check").stdout == ""
    (links / "commons-logging.jar").unlink()
    assert "commons-logging.jar\tis missing" in run(root, text, "check").stdout


def test_links_of_an_earlier_release_stay_as_long_as_it_is_there(root: Path) -> None:
    assert run(root, step(release(root, "3.4.1"), "3.4.1")).returncode == 0
    new = step(release(root, "3.4.2"), "3.4.2")
    assert run(root, new).returncode == 0
    folder = root / "usr/local/lib/flink/hadoop"
    assert {path.name for path in folder.iterdir()} == {"3.4.1", "3.4.2"}, "a daemon may run with them"
    (root / "opt/hadoop-3.4.1").rename(root / "gone")
    assert run(root, new).returncode == 0
    assert {path.name for path in folder.iterdir()} == {"3.4.2"}


def test_a_folder_that_is_no_hadoop_is_named(root: Path) -> None:
    done = run(root, step("/opt/cloudera", "home"))
    assert done.returncode == 1
    assert (
        "tm-0: " in done.stderr and "/opt/cloudera has no share/hadoop/*/hadoop-client-api-VERSION.jar" in done.stderr
    )
    assert "(hadoopUrl, hadoopHome)" in done.stderr


def test_the_keytab_is_what_was_given_and_nobody_else_reads_it(root: Path) -> None:
    user = getpass.getuser()
    text = base64.b64encode(KEYTAB).decode()
    file = File(path="/etc/flink/hadoop/keytab.base64", text=text, mode="0600", owner=f"{user}:{user}")
    whole = step(release(root, "3.4.2"), "3.4.2", [file])
    done = run(root, whole)
    assert done.returncode == 0, done.stderr
    keytab = root / "etc/flink/hadoop/keytab"
    assert keytab.read_bytes() == KEYTAB and keytab.stat().st_mode & 0o777 == 0o600
    assert text not in done.stdout + done.stderr
    assert run(root, whole, "check").stdout == ""
    keytab.write_bytes(b"x")
    found = run(root, whole, "check").stdout
    assert "keytab\tdiffers" in found and text not in found
    assert run(root, whole).returncode == 0 and keytab.read_bytes() == KEYTAB


def access(**values: Any) -> str:
    known = {
        "user": "flink",
        "keys": ["storageUri", "haUri"],
        "uris": ["hdfs://nn:8020/a", "hdfs://nn:8020/b"],
        "options": ["-Da=b"],
        "patterns": list(Hdfs(user="etl").hints),
        "hints": list(Hdfs(user="etl").hints.values()),
        "seconds": 7,
        "generation": "x",
        **values,
    }
    file = File(path="/usr/local/lib/flink/storage/Access.java", text=host_script("storage/Access.java"))
    user = f"{os.getuid()}:{os.getgid()}"
    files = [File(path=file.path, text=file.text, owner=user)]
    return script_text(HOST, "storage/access.sh", known, files, alone=True)


def test_a_storage_that_does_all_is_said_with_its_places(root: Path) -> None:
    (root / "etc/flink").mkdir(parents=True)
    (root / "etc/flink/credentials.env").write_text("HADOOP_CLASSPATH='/j/a.jar'\nHADOOP_CONF_DIR='/c'\nSECRET='s e'\n")
    done = run(root, access())
    assert done.returncode == 0, done.stderr
    assert "tm-0: the storage: writes, lists, reads and deletes at hdfs://nn:8020/a hdfs://nn:8020/b" in done.stderr
    argv = (root / "argv").read_text().splitlines()
    assert "-Da=b" in argv and argv[-3:] == ["hdfs://nn:8020/b", "tm-0", "7"]
    assert argv[argv.index("-cp") + 1] == f"{root}/opt/flink/lib/*:/j/a.jar:/c"
    assert "SECRET=s e" in (root / "env").read_text().splitlines()
    assert "s e" not in " ".join(argv)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("cannot write: AccessControlException: Permission denied: user=x", "expected a folder that belongs to etl"),
        ("cannot write: UnknownHostException: prod", "expected a host that this one knows, or a nameservice"),
        ("cannot write: SIMPLE authentication is not enabled.", "this HDFS asks for Kerberos: expected kerberosPr"),
        (
            "cannot log in: LoginException: Cannot locate KDC",
            "expected a krb5.conf (kerberosConf) with the realm of etl",
        ),
        (
            "cannot log in: LoginException: Clock skew too great (37)",
            "this host's clock and that of the KDC or the Name",
        ),
        (
            "cannot log in: LoginException: Client not found in Kerberos database (6)",
            "expected a KDC (krb5.conf) that kn",
        ),
        ("cannot log in: LoginException: Checksum failed", "the key in kerberosKeytab is not that of etl: expected"),
        (
            "cannot log in: LoginException: Pre-authentication information was invalid (24)",
            "the key in kerberosKeytab ",
        ),
        ("cannot log in: LoginException: Connection refused", "expected a KDC that this host reaches (krb5.conf)"),
        (
            "cannot write: Server has invalid Kerberos principal: a/b@X, expecting: c/d@X",
            "expected dfs.namenode.kerberos.",
        ),
        ("cannot log in: LoginException: of another kind", "expected that the KDC of krb5.conf knows etl with the key"),
        ("cannot write: NotInMountpointException: /x", "expected a link for this path in the mount table"),
        ("cannot write: no answer within 7 s", "expected NameNodes there that this host reaches"),
        ("cannot write: ConnectException: Connection refused", "expected NameNodes there that this host reaches"),
        ("cannot write: could only be written to 0 of the 1", "expected DataNodes that this host reaches"),
        ("cannot write: SafeModeException: in safe mode", "expected an HDFS out of safe mode"),
    ],
)
def test_what_is_wrong_is_said_with_host_place_key_and_what_is_expected(root: Path, said: str, told: str) -> None:
    (root / "jvm").write_text(f'case "$*" in *8020/b*) echo "{said}"; exit 1 ;; esac\n')
    done = run(root, access())
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"tm-0: cannot use the storage at hdfs://nn:8020/b (haUri): {said}; {told}"), last


def test_a_program_that_says_nothing_is_no_success(root: Path) -> None:
    (root / "jvm").write_text("echo 'a stack' >&2; exit 1\n")
    done = run(root, access())
    assert done.returncode == 1 and "a stack" in done.stderr
    assert "cannot use the storage at hdfs://nn:8020/a (storageUri): its program has ended: see above" in done.stderr

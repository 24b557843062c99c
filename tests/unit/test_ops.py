"""How `ops` reads a stack's state, hosts' answers, and the output of the tool on a JobManager's host."""

import json
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.host import Host as ClusterHost
from components.host import Role, Ssh
from components.openssh import Login
from components.remote import File, script_text
from components.sources import SCRIPTS
from ops import __main__ as ops
from ops import doctor, gc, state
from ops.doctor import Diagnosis, Difference, Looked
from ops.errors import OpsError
from ops.state import Host, Step

SIGNATURE = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
LOGIN = Login(address="10.0.0.5", user="admin", port=22, private_key="KEY", host_key="ssh-ed25519 AAAA")
HIGH_AVAILABILITY = {
    "clusterId": "/dev",
    "storageDir": "s3://bucket/x/ha",
    "quorum": "zk-0:2181,zk-1:2181",
    "pathRoot": "/flink",
}


def cluster_host(name: str = "jm-0") -> ClusterHost:
    ssh = Ssh(address="10.0.0.5", user="admin", port=22, private_key="KEY", host_key="ssh-ed25519 AAAA")
    return ClusterHost(name=name, role=Role.JOBMANAGER, address="10.0.0.5", ssh=ssh)


def secret(value: Any) -> dict[str, Any]:
    return {**SIGNATURE, "plaintext": json.dumps(value)}


def command(name: str, stdin: Any, **more: Any) -> dict[str, Any]:
    connection = {"host": "10.0.0.5", "user": "admin", "port": 22, "hostKey": "ssh-ed25519 AAAA"}
    return {
        "urn": f"urn:pulumi:dev::flink::command:remote:Command::{name}",
        "type": "command:remote:Command",
        "inputs": {"connection": secret({**connection, "privateKey": secret("KEY")}), "stdin": stdin},
        **more,
    }


def declared(tree: dict[str, Any], name: str = "dev") -> dict[str, Any]:
    return {
        "urn": f"urn:pulumi:dev::flink::flink:flink:Cluster$pulumi:index:Stash::{name}-declared",
        "type": "pulumi:index:Stash",
        "inputs": {"input": tree},
        "outputs": {"input": tree, "output": {}},
    }


def deployment(**known: Any) -> dict[str, Any]:
    config = script_text(cluster_host(), "files.sh", {"what": "configuration"})
    hosts = {"jobmanager": ["jm-0"], "taskmanager": ["tm-2", "tm-10"]}
    keys = script_text(cluster_host(), "credentials.sh", files=[File(path="/etc/x", text="SECRET")])
    return {
        "resources": [
            {"urn": "urn:pulumi:dev::flink::pulumi:pulumi:Stack::dev", "type": "pulumi:pulumi:Stack"},
            declared({"hosts": hosts, "highAvailability": {**HIGH_AVAILABILITY, **known}}),
            {**declared({"highAvailability": HIGH_AVAILABILITY}, "old"), "delete": True},
            {
                "urn": "urn:pulumi:dev::flink::pulumi:index:Stash::dev-fit",
                "type": "pulumi:index:Stash",
                "inputs": {"input": "All hosts that are there were found fit."},
            },
            command("jm-0-config", config),
            command("jm-0-credentials", secret(keys)),
            command("jm-0-old", "# host jm-0, step files.sh\n", delete=True),
            command("tm-10-java", "# host tm-10, step archive.sh\n"),
            command("tm-2-java", "# host tm-2, step archive.sh\n"),
            {**command("jm-0-clean", "# host jm-0, step clean.sh\n"), "type": "command:local:Command"},
        ]
    }


def test_a_state_says_how_to_reach_hosts_and_what_ran_there() -> None:
    found = state.hosts(deployment())
    assert [host.name for host in found] == ["jm-0", "tm-2", "tm-10"]
    assert found[0].login == LOGIN
    assert [step.name for step in found[0].steps] == ["jm-0-config", "jm-0-credentials"]
    assert [host.name for host in state.jobmanagers(deployment())] == ["jm-0"]
    assert "SECRET" in found[0].steps[1].text


def test_a_state_says_where_a_cluster_keeps_what_its_jobmanagers_share() -> None:
    expected = state.HighAvailability("dev", "s3://bucket/x/ha", "zk-0:2181,zk-1:2181", "/flink")
    assert state.clusters(deployment()) == [expected]
    assert state.clusters({"resources": []}) == state.clusters({}) == []
    alone = {"resources": [declared({"hosts": {"jobmanager": ["jm-0"]}, "config.yaml": {"all": {}}})]}
    assert state.clusters(alone) == [], "a single JobManager has none"


def test_a_state_of_an_earlier_version_says_it_in_its_configuration() -> None:
    config = {
        "high-availability.cluster-id": "/dev",
        "high-availability.storageDir": "s3://bucket/x/ha",
        "high-availability.zookeeper.quorum": "zk-0:2181,zk-1:2181",
        "high-availability.zookeeper.path.root": "/flink",
    }
    before = {"resources": [declared({"config.yaml": {"all": config, "jobmanager": {}}})]}
    assert state.clusters(before) == state.clusters(deployment())


def test_of_a_state_that_declares_nothing_nothing_is_guessed() -> None:
    """Otherwise its objects on the storage would seem to belong to no cluster."""
    with pytest.raises(OpsError, match="does not contain the desired state"):
        state.clusters({"resources": [command("jm-0-config", "# host jm-0, step launch.sh\n")]})


def test_a_state_without_its_secrets_still_says_which_cluster_it_is() -> None:
    """This is how other stacks are read."""
    known = deployment()
    for resource in known["resources"]:
        if resource["type"].startswith("command:"):
            resource["inputs"] |= {key: {**SIGNATURE, "ciphertext": "…"} for key in ("connection", "stdin")}
    assert [found.cluster_id for found in state.clusters(known)] == ["dev"]


def run_steps(*texts: str) -> Looked:
    """doctor's result for steps that check this machine."""
    script = doctor.script([Step(f"h-{number}", text) for number, text in enumerate(texts)])
    done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, timeout=60, check=True)
    return doctor.parse("h", done.stdout)


def test_the_answer_of_a_host_is_read_step_by_step() -> None:
    looked = run_steps(
        "printf '! /etc/a\\thas other contents\\n| -a: 1\\n| +a: 2\\n'",
        "true",
        "echo something >&2; echo cannot look >&2; exit 3",
        '[ "$1" = check ] && cat',
    )
    assert looked.error == ""
    assert looked.differences == [
        Difference("h-0", "/etc/a", "has other contents", ["-a: 1", "+a: 2"]),
        Difference("h-2", "check", "did not complete: something cannot look"),
    ]


def test_an_answer_without_an_end_is_an_error() -> None:
    assert "connection" in doctor.parse("h", "@ h-0\n! /etc/a\tis missing\n").error
    assert doctor.parse("h", "").error


def test_what_somebody_wrote_into_a_file_as_a_secret_is_not_shown() -> None:
    looked = doctor.parse("h", "@ s\n! /etc/a\thas other contents\n| +s3.secret-key: abc\n@ .\n")
    assert "abc" not in json.dumps(Diagnosis("dev", [looked]).json())


def test_what_keeps_all_steps_of_a_host_from_their_checks_is_reported_once() -> None:
    """A step's script is on the host (components/scripts.py), and this machine has none."""
    steps = [Step(f"jm-0-{name}", script_text(cluster_host(), "files.sh", {"what": name})) for name in ("one", "two")]
    done = subprocess.run(["bash", "-s"], input=doctor.script(steps), capture_output=True, text=True, check=True)
    (found,) = doctor.parse("jm-0", done.stdout).differences
    assert found.step == "jm-0-one" and "expected the scripts of this step; `repair: true` for one" in found.message


def test_exit_codes_and_texts_tell_differences_from_hosts_that_are_dead() -> None:
    fine, dead = Looked("a"), Looked("b", error="No route to host")
    other = Looked("c", [Difference("c-config", "/etc/a", "is missing")])
    assert Diagnosis("dev", [fine]).exit_code == 0
    assert Diagnosis("dev", [fine, dead]).exit_code == 2
    assert Diagnosis("dev", [fine, dead, other]).exit_code == 1
    text = Diagnosis("dev", [fine, dead, other]).text("MEND")
    assert "b: could not be checked: No route to host" in text and "c: /etc/a: is missing (c-config)" in text
    assert "1 differences, 1 hosts not checked, of 3 hosts" in text and text.endswith("MEND")
    assert Diagnosis("dev", [fine]).text("MEND") == "no drift on 1 hosts of stack dev"


def look_with_library(tmp_path: Path, code: str, uses: tuple[str, ...] = ("lib.sh",)) -> str:
    """The output of a step's check; `code` defines it."""
    texts = "\n".join((SCRIPTS / name).read_text() for name in uses)
    script = f"set -euo pipefail\nhost=h\nstep=s\n{texts}\n{code}\nmain check\n"
    done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_changed_file_is_shown_as_a_difference_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one\ntwo\nthree\n")
    path.chmod(0o600)
    me = subprocess.run(["stat", "-c", "%U:%G", path], capture_output=True, text=True, check=True).stdout.strip()
    expected = f"write_files() {{ write_file {shlex.quote(str(path))} 0644 {me} <<'E'\none\n2\nthree\nE\n}}\n"
    found = look_with_library(tmp_path, expected + "check() { files_differ; }")
    assert f"! mode and owner of {path}\texpected 644:{me}, found 600:{me}\n" in found
    assert found.endswith(f"! {path}\thas other contents\n| @@ -1,3 +1,3 @@\n|  one\n| -2\n| +two\n|  three\n")
    hidden = look_with_library(tmp_path, expected + "check() { secret=true; files_differ; }")
    assert "two" not in hidden and "has other contents" in hidden
    path.unlink()
    assert look_with_library(tmp_path, expected + "check() { files_differ; }") == f"! {path}\tis missing\n"
    assert not list(tmp_path.iterdir())


def test_a_modified_release_is_reported(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "bin").mkdir(parents=True)
    (home / "conf").mkdir()
    for name in ("bin/java", "LICENSE", "conf/x"):
        (home / name).write_text("text\n")
    library = ("lib.sh", "release.sh")
    listed = look_with_library(tmp_path, "check() { list_release home; }", library)
    assert [line.split()[0] for line in listed.splitlines()] == ["LICENSE", "bin/java"]
    (home / "LICENSE").write_text("other text\n")
    (home / "bin/new").touch()
    (home / "conf/x").write_text("ours\n")
    now = look_with_library(tmp_path, "check() { list_release home; }", library)
    assert {line.split()[0] for line in set(now.splitlines()) ^ set(listed.splitlines())} == {"LICENSE", "bin/new"}


def test_old_releases_go_when_nothing_needs_them(tmp_path: Path) -> None:
    """Those in use, of a kept launch, also with TLS, that run, with somebody's jar, and that are not ours stay."""
    opt, launch = tmp_path / "opt", tmp_path / "launch/0a1b"
    launch.mkdir(parents=True)
    (launch / "release").write_text("flink-2\n")
    (launch / "java").write_text("/opt/java-17\n")
    encrypted = tmp_path / "launch/0a1c"
    encrypted.mkdir()
    (encrypted / "release").write_text("flink-7+tls\n")
    library = "\n".join((SCRIPTS / name).read_text() for name in ("lib.sh", "release.sh"))
    library = library.replace("/opt/", f"{opt}/").replace("/var/lib/flink/launch/", f"{tmp_path}/launch/")

    def run(code: str) -> str:
        script = f"set -euo pipefail\nhost=h\nstep=s\n{library}\n{code}\n"
        done = subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stderr

    for version in range(1, 8):
        home = opt / f"flink-{version}"
        (home / "lib").mkdir(parents=True)
        (home / "lib/a.jar").write_text("jar")
        if version != 6:
            run(f"list_release {home} >{home}/.installed-by-pulumi")
    (opt / "flink-4/lib/connector.jar").touch()
    (opt / "flink").symlink_to(opt / "flink-1")
    with (opt / "flink-3/lib/a.jar").open():
        assert run("forget_releases flink") == f"h: flink: removed {opt}/flink-5, which nothing needs any more\n"
    assert sorted(path.name for path in opt.iterdir()) == ["flink", *(f"flink-{it}" for it in (1, 2, 3, 4, 6, 7))]
    assert "flink-3" in run("forget_releases flink"), "it ended"


def test_what_the_tool_says_becomes_a_listing() -> None:
    said = (
        "objects\told\t3\t4096\t180000\nznode\told\t/flink/old\nznode\tbare\t/flink/bare\n"
        "objects\tstray\t1\t10\t700000\nrecent\tbusy\t60\n"
        "leader\tother\nforeign\ts3://b/ha/x/y\nremoved\ts3://b/ha/old\t3\nremoved\ts3://b/ha/none\t0\n"
    )
    found = gc.parse("s3://b/ha", said)
    assert found.garbage["old"] == gc.Garbage("old", 3, 4096, 180000, "/flink/old", own=True)
    assert found.garbage["bare"] == gc.Garbage("bare", znode="/flink/bare", own=True)
    assert found.garbage["stray"] == gc.Garbage("stray", 1, 10, 700000)
    assert (found.leaders, found.foreign, found.removed) == (["other"], ["s3://b/ha/x/y"], ["s3://b/ha/old"])
    assert found.recent == {"busy": 60}
    text = found.text()
    assert "old: 3 objects, 4,096 bytes, the last written 2 days ago; znode /flink/old" in text
    assert "stray: 1 objects, 10 bytes, the last written 8 days ago; not known to be this stack's" in text
    assert "has a live JobManager" in text and "is not Flink's" in text
    assert "kept: cluster busy wrote 60 seconds ago, and may be alive" in text


def test_the_tool_gets_its_arguments_and_no_key() -> None:
    host = Host("jm-0", LOGIN, ())
    text = gc.script(host, ["list", "s3://b/ha", "zk-0:2181", "/flink", "dev"])
    assert "arguments=(list s3://b/ha zk-0:2181 /flink dev)\n" in text and "KEY" not in text


@pytest.fixture
def fake_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `pulumi` that prints a file, or fails."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\ncase $1 in version) echo v3.259.0; exit;; esac\n"
        f'cat {tmp_path}/says 2>/dev/null || {{ echo "no stack named x" >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "says"


def test_a_stack_that_is_not_there_is_said_with_exit_code_2(
    fake_pulumi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ops.main(["doctor", "--stack", "x"]) == 2
    assert "no stack named x" in capsys.readouterr().err


def test_a_host_that_the_stack_does_not_have_is_wrong_usage(
    fake_pulumi: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_pulumi.write_text(json.dumps({"version": 3, "deployment": deployment()}))
    assert ops.main(["doctor", "--stack", "dev", "--host", "jm-7"]) == 2
    assert "has no host jm-7; it has jm-0, tm-2, tm-10" in capsys.readouterr().err


SAID = (
    "objects\told\t3\t4096\t180000\nznode\told\t/flink/old\nobjects\tstray\t1\t10\t700000\n"
    "objects\tstray-2\t1\t10\t700000\n"
)


@dataclass
class Asked:
    """What the tool was asked for."""

    calls: list[list[str]]

    @property
    def kept(self) -> list[str]:
        return self.calls[0][-1].split(",")

    @property
    def deleted(self) -> list[str]:
        return [id for call in self.calls if call[0] == "delete" for id in call[-1].split(",")]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    calls: list[list[str]] = []

    def run(hosts: object, arguments: list[str]) -> str:
        calls.append(arguments)
        if arguments[0] == "list":
            return SAID
        return "".join(f"removed\ts3://bucket/x/ha/{id}\t3\n" for id in arguments[-1].split(","))

    monkeypatch.setattr(gc, "_run", run)
    return Asked(calls)


def run_gc(*words: str, others: Sequence[dict[str, Any]] = ()) -> int:
    return ops.run_gc(deployment(), others, ops._parser().parse_args(["gc", "--stack", "d", *words]))


@pytest.mark.parametrize(
    "storage",
    [
        *("s3://bucket/x/ha", "s3a://bucket/x/ha", "s3n://bucket/x/ha", "s3p://bucket/x/ha", "S3A://bucket/x/ha"),
        *("s3://bucket/x/ha/", "s3://bucket//x//ha", "s3://bucket/./x/ha", "s3://bucket/y/../x/ha/.", "s3://bucket/%78/ha"),
        *("s3://Bucket/x/ha", "s3://bucket:443/x/ha", "s3://key@bucket:9000/x/ha", "s3://bucket./x/ha"),
    ],
)  # fmt: skip
def test_gc_spares_every_cluster_of_the_backend_with_the_same_storage(storage: str, asked: Asked) -> None:
    other, elsewhere = (
        deployment(clusterId="/other", storageDir=storage),
        deployment(clusterId="/else", storageDir="s3://bucket/X/ha"),
    )
    assert run_gc("--dry-run", others=[other, elsewhere]) == 0
    assert asked.calls == [["list", "s3://bucket/x/ha", "zk-0:2181,zk-1:2181", "/flink", "86400", "dev,other"]]


@pytest.mark.parametrize(
    "storage", ["s3://bucket/x/ha-2", "s3://bucket/ha", "s3://bucket-x/ha", "file:///bucket/x/ha", "s3://[x/ha"]
)
def test_other_storages_are_others(storage: str, asked: Asked) -> None:
    assert run_gc("--dry-run", others=[deployment(clusterId="/other", storageDir=storage)]) == 0
    assert asked.kept == ["dev"]


def test_gc_without_a_terminal_deletes_nothing_without_yes(asked: Asked) -> None:
    for words in ((), ("--json",), ("--cluster", "old")):
        with pytest.raises(OpsError, match="nothing was deleted"):
            run_gc(*words)
    assert asked.deleted == []


def test_yes_alone_deletes_only_what_this_stack_made(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_gc("--yes") == 0
    assert asked.deleted == ["old"]
    said = capsys.readouterr().out
    assert "deleted: s3://bucket/x/ha/old" in said
    assert "kept: stray, which is not known to be this stack's: to delete it, add --cluster stray" in said


def test_yes_with_ids_deletes_these_and_no_other(asked: Asked) -> None:
    assert run_gc("--yes", "--cluster", "stray") == 0
    assert asked.deleted == ["stray"]


def test_an_id_that_is_not_listed_deletes_nothing(asked: Asked) -> None:
    with pytest.raises(OpsError, match=r"no dead cluster strayy: expected old, stray, stray-2; nothing was deleted"):
        run_gc("--yes", "--cluster", "stray", "--cluster", "strayy")
    assert asked.deleted == []


@pytest.mark.parametrize(
    ("answers", "deleted"),
    [
        (["y", "stray", ""], ["old", "stray"]),
        (["n", "", "stray-2"], ["stray-2"]),
        (["", "y", "yes"], []),
        (["Y", "stray-2", "stray"], ["old"]),
    ],
)
def test_on_a_terminal_the_id_of_a_cluster_of_others_is_typed(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, answers: list[str], deleted: list[str]
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answers.pop(0))
    assert run_gc() == 0
    assert asked.deleted == deleted and answers == []

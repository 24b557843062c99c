"""`python -m ops savepoints`: what is asked on a JobManager's host, and what people see before a restore."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

import ops.__main__ as ops
from components.openssh import Login
from ops import ssh, state
from ops.errors import OpsError

OLD = "s3://b/x/jobs/c/counts/savepoints/1-periodic-1/savepoint-1"
LISTED = [
    {
        "job": "counts",
        "status": "RUNNING",
        "newest": "s3://b/x/checkpoints/c/1/chk-7",
        "savepoints": [
            {"path": OLD, "at": 1795891702.5, "kind": "periodic", "why": "periodic", "bytes": 35828, "needed": True}
        ],
    }
]


class Hosts:
    """JobManagers' hosts, with their answers to the tool's commands."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, str, str]] = {
            "list": (0, json.dumps(LISTED), ""),
            "take": (0, json.dumps([{"path": OLD, "at": 1.0, "kind": "hand", "why": "hand", "bytes": 2}]), ""),
            "restore": (0, json.dumps([{"state": "running", "id": "a", "from": OLD}]), ""),
        }
        self.down: set[str] = set()

    def run(
        self, name: str, login: Login, command: str, stdin: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        if name in self.down:
            return subprocess.CompletedProcess([], ssh.UNREACHED, "", f"ssh: {name}: No route to host")
        if command == "true":
            return subprocess.CompletedProcess([], 0, "", "")
        words = re.sub("^sudo -n /usr/local/lib/flink/flink-host (savepoints|held) ", "", command)
        self.asked.append(f"{name} {words}")
        code, out, said = self.answers[words.split()[0]]
        return subprocess.CompletedProcess([], code, out, said)


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Hosts:
    made = Hosts()
    login = Login(address="10.0.0.1", user="admin", port=22, private_key="", host_key="", jump=None)
    known = [state.Host(name, login, ()) for name in ("jm-0", "jm-1")]
    monkeypatch.setattr(state, "jobmanagers", lambda deployment: known)
    monkeypatch.setattr(ssh, "run", made.run)
    return made


def run(*words: str) -> int:
    args = ops._parser().parse_args(["savepoints", "--stack", "prod", *words])
    return ops.run_savepoints("prod", {}, args)


def test_a_list_tells_when_and_why_they_were_taken(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr().out
    assert "job counts: running, continues from s3://b/x/checkpoints/c/1/chk-7" in said
    assert "2026-11-28 18:48:22 UTC          35,828 bytes  periodic, needed\n    " + OLD in said
    assert run("list", "counts", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["savepoints"][0]["path"] == OLD
    assert hosts.asked == ["jm-0 list", "jm-0 list counts"]


def test_one_that_is_taken_is_printed(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("take", "counts") == 0
    assert capsys.readouterr().out == f"{OLD}\n"


@pytest.mark.parametrize("answer", ["y", "n"])
def test_a_restore_says_what_is_processed_again_and_asks(
    hosts: Hosts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert run("restore", "counts", OLD) == 0
    said = capsys.readouterr().out
    assert "its newest state is s3://b/x/checkpoints/c/1/chk-7" in said and "stops, with a savepoint" in said
    assert f"from {OLD}, taken 2026-11-28 18:48:22 UTC" in said and "a second time" in said
    assert (f"jm-0 restore counts {OLD}" in hosts.asked) == (answer == "y")


def test_a_restore_without_a_terminal_needs_yes(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OpsError, match="nothing was restored: expected --yes"):
        run("restore", "counts", OLD)
    assert run("restore", "counts", OLD, "--yes") == 0
    assert hosts.asked[-1] == f"jm-0 restore counts {OLD}" and f"job counts runs from {OLD}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("take",), ("restore", "counts"), ("take", "counts", OLD), ("list", "counts", OLD), ("restore",)]
)
def test_wrong_usage_reaches_no_host(hosts: Hosts, words: tuple[str, ...]) -> None:
    with pytest.raises(OpsError, match=r"expected list \[JOB\], take JOB, or restore JOB PATH"):
        run(*words)
    assert hosts.asked == []


def test_words_are_one_word_each_for_the_hosts_shell(hosts: Hosts) -> None:
    run("restore", "counts", "s3://b/$(x); y", "--yes")
    assert hosts.asked == ["jm-0 restore counts 's3://b/$(x); y'"]


def test_what_the_host_says_is_the_error(hosts: Hosts) -> None:
    hosts.answers["take"] = (1, "", "jm-0: job counts is failed: expected it running")
    with pytest.raises(OpsError, match="jm-0: job counts is failed"):
        run("take", "counts")
    hosts.answers["list"] = (2, "", "flink-host: unknown command 'savepoints'")
    with pytest.raises(OpsError, match="of another version: run `pulumi up` first"):
        run()


def test_a_host_that_is_down_is_skipped_and_one_that_is_lost_later_is_not(hosts: Hosts) -> None:
    hosts.down.add("jm-0")
    assert run("restore", "counts", OLD, "--yes") == 0 and hosts.asked == [f"jm-1 restore counts {OLD}"]
    hosts.answers["restore"] = (ssh.UNREACHED, "", "Connection to jm-1 closed")
    with pytest.raises(OpsError, match="Connection to jm-1 closed"):
        run("restore", "counts", OLD, "--yes")
    hosts.down.add("jm-1")
    with pytest.raises(OpsError, match=r"jm-0: ssh: jm-0: No route to host\njm-1: ssh"):
        run()


def test_nothing_declared(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.answers["list"] = (0, "[]", "")
    run()
    assert capsys.readouterr().out == "stack prod declares no jobs\n"
    empty: list[Any] = [{"job": "counts", "status": "NEW", "newest": "", "savepoints": []}]
    hosts.answers["list"] = (0, json.dumps(empty), "")
    run()
    assert capsys.readouterr().out == "job counts: new, continues from no state; no savepoints\n"


HELD = {
    "place": "s3://b/old",
    "folders": [{"folder": "jobs/c", "files": 12, "bytes": 12345, "newest": 1795891702500}],
    "needed": {"counts": "s3://b/old/jobs/c/counts/savepoints/1-1/savepoint-1"},
}


def at(*words: str) -> int:
    return ops.run_gc({}, [], ops._parser().parse_args(["gc", "--stack", "prod", "--at", *words]))


def test_what_is_at_an_old_place_is_listed(hosts: Hosts, capsys: pytest.CaptureFixture[str]) -> None:
    hosts.answers["s3://b/old"] = (0, json.dumps(HELD), "")
    assert at("s3://b/old") == 0
    assert hosts.asked == ["jm-0 s3://b/old"]
    assert capsys.readouterr().out.splitlines() == [
        "s3://b/old: 12 files of this cluster",
        "  jobs/c: 12 files, 12,345 bytes, the last written 2026-11-28 18:48:22 UTC",
        "needed: job counts continues from s3://b/old/jobs/c/counts/savepoints/1-1/savepoint-1",
    ]
    hosts.answers["s3://b/old"] = (0, json.dumps({**HELD, "needed": {}}), "")
    assert at("s3://b/old") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no declared job needs it"
    with pytest.raises(OpsError, match="--at deletes nothing"):
        at("s3://b/old", "--yes")
    hosts.answers["s3://b/old"] = (1, "", "jm-0: the storage cannot list s3://b/old: no plugin")
    with pytest.raises(OpsError, match="no plugin"):
        at("s3://b/old")

"""`python -m ops status`: what hosts are asked, and what people and programs are told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import ops.__main__ as ops
from components.host import Role
from components.openssh import Login
from ops import ssh, state, status

ROLES = {
    "jm-0": Role.JOBMANAGER,
    "jm-1": Role.JOBMANAGER,
    "zk-0": Role.ZOOKEEPER,
    "tm-0": Role.TASKMANAGER,
    "tm-1": Role.TASKMANAGER,
    "cl-0": Role.CLIENT,
}
UNITS = {
    Role.JOBMANAGER: "flink-jobmanager",
    Role.TASKMANAGER: "flink-taskmanager",
    Role.ZOOKEEPER: "zookeeper",
}
JOB = "a" * 32


class Cluster:
    """Hosts with their answers."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.units = dict.fromkeys(ROLES, "active running")
        self.leaders = ["jm-1"]
        self.registered = ["tm-0", "tm-1"]
        self.disk = 41
        self.declared: list[dict[str, str]] = []
        self.jobs: list[dict[str, Any]] = [self.job("counts", "RUNNING")]
        self.rest_fails = False

    def job(self, name: str, what: str) -> dict[str, Any]:
        tasks = {"total": 4, "running": 4 if what == "RUNNING" else 0}
        return {"jid": JOB, "name": name, "state": what, "start-time": 1, "duration": 7_200_000, "tasks": tasks}

    def answer(self, path: str) -> Any:
        if path == "/overview":
            return {"flink-version": "2.3.0", "slots-total": 4, "slots-available": 1}
        if path == "/taskmanagers":
            return {"taskmanagers": [{"id": name, "slotsNumber": 2, "freeSlots": 1} for name in self.registered]}
        if path == "/jobs/overview":
            return {"jobs": self.jobs}
        if path == f"/jobs/{JOB}/checkpoints":
            last = {"latest_ack_timestamp": 1_000_088_000, "end_to_end_duration": 1234, "checkpointed_size": 3_500_000}
            return {"counts": {"completed": 7, "failed": 2}, "latest": {"completed": last}}
        return [{"id": "numRestarts", "value": "3"}]

    def run(
        self, name: str, login: Login, command: str, stdin: str, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        assert command == "sudo -n bash -s"
        if name in self.down:
            return subprocess.CompletedProcess([], ssh.UNREACHED, "", f"ssh: {name}: No route to host\n")
        if stdin.startswith("jobs="):
            assert name == self.leaders[0]
            paths = [f"/jobs/{JOB}/checkpoints", f"/jobs/{JOB}/metrics?get=numRestarts"]
            return subprocess.CompletedProcess([], 0, self._told(paths), "")
        return subprocess.CompletedProcess([], 0, self._report(name), "")

    def _told(self, paths: list[str]) -> str:
        return "".join(f"rest {path}\t{json.dumps(self.answer(path))}\n" for path in paths)

    def _report(self, name: str) -> str:
        text = f"now\t1000100\nmonotonic\t7300.5\ndisk\t{self.disk}\nmemory\t63\n"
        if unit := UNITS.get(ROLES[name]):
            active, sub = self.units[name].split()
            text += f"unit\tId={unit}.service LoadState=loaded ActiveState={active} SubState={sub} NRestarts=1"
            text += " ActiveEnterTimestampMonotonic=100500000\n"
        if name in self.leaders:
            text += "leads\tyes\n"
            if self.declared:
                text += f"declared\t{json.dumps({'jobs': self.declared})}\n"
            text += (
                "failed\tno JobManager answers for a leader\n"
                if self.rest_fails
                else self._told(["/overview", "/taskmanagers", "/jobs/overview"])
            )
        return text + "end\tyes\n"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    login = Login(address="10.0.0.1", user="admin", port=22, private_key="", host_key="", jump=None)
    monkeypatch.setattr(state, "export", lambda stack, folder, secrets: {})
    monkeypatch.setattr(state, "hosts", lambda deployment: [state.Host(name, login, ()) for name in ROLES])
    monkeypatch.setattr(state, "roles", lambda deployment: ROLES)
    monkeypatch.setattr(ssh, "run", made.run)
    return made


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = ops.main(["status", "--stack", "prod", *words])
    return code, capsys.readouterr().out


def test_a_healthy_cluster_on_one_screen(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys)
    assert code == 0
    assert text.splitlines() == [
        "prod: Flink 2.3.0, jm-1 leads, 2 of 2 TaskManagers, 1 of 4 slots free",
        "  jm-0  jobmanager   running 2 h  disk 41 %, memory 63 %",
        "  jm-1  jobmanager   running 2 h  disk 41 %, memory 63 %  leads",
        "  zk-0  zookeeper    running 2 h  disk 41 %, memory 63 %",
        "  tm-0  taskmanager  running 2 h  disk 41 %, memory 63 %  1 of 2 slots free",
        "  tm-1  taskmanager  running 2 h  disk 41 %, memory 63 %  1 of 2 slots free",
        "  cl-0  client       answers      disk 41 %, memory 63 %",
        "jobs: 1",
        "  counts  RUNNING 2 h  4/4 tasks  3 restarts  checkpoint 12 s ago (1.2 s, 3.3 MiB), 2 failed",
    ]


def test_programs_get_the_same_as_json(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = told(capsys, "--json")
    found = json.loads(text)
    assert code == 0 and found["well"] is True and found["leader"] == "jm-1"
    assert found["jobs"][0]["checkpoint_age"] == 12 and found["jobs"][0]["restarts"] == 3
    assert {host["name"]: host["free"] for host in found["hosts"]}["tm-0"] == 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"leaders": []}, "no JobManager leads"),
        ({"leaders": ["jm-0", "jm-1"]}, "jm-0 and jm-1 both say that they lead"),
        (
            {"units": {**dict.fromkeys(ROLES, "active running"), "tm-1": "failed failed"}},
            "tm-1: flink-taskmanager is failed",
        ),
        ({"registered": ["tm-0"]}, "tm-1: its TaskManager runs, and the leader does not know it"),
        ({"disk": 93}, "tm-0: a disk is 93 % full"),
        ({"jobs": []}, ""),
        (
            {"jobs": [], "declared": [{"name": "counts", "state": "running"}]},
            "job counts is declared, and there is none",
        ),
        ({"jobs": [], "declared": [{"name": "counts", "state": "suspended"}]}, ""),
        ({"jobs": "RESTARTING"}, f"job counts is RESTARTING ({JOB})"),
        ({"jobs": "FAILED"}, f"job counts is FAILED ({JOB})"),
        ({"jobs": "FINISHED"}, ""),
        ({"jobs": "CANCELED"}, ""),
        ({"rest_fails": True}, "jm-1: its REST API does not answer: no JobManager answers for a leader"),
    ],
)
def test_what_is_wrong_is_said_and_is_the_exit_code(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], problem: str
) -> None:
    for name, value in changes.items():
        setattr(cluster, name, [cluster.job("counts", value)] if name == "jobs" and isinstance(value, str) else value)
    code, text = told(capsys)
    assert code == int(bool(problem)), text
    assert problem in text and ("problems:" in text) == bool(problem)


def test_a_host_that_does_not_answer_is_named_and_does_not_hide_the_others(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.down = {"tm-1", "cl-0"}
    code, text = told(capsys)
    assert code == 2
    assert "tm-1: it does not answer: ssh: tm-1: No route to host" in text
    assert "  tm-1  taskmanager  unknown" in text and "checkpoint 12 s ago" in text


def test_of_many_jobs_of_a_name_the_newest_counts(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = {**cluster.job("counts", "FAILED"), "jid": "b" * 32, "start-time": 0}
    cluster.jobs = [*cluster.jobs, earlier]
    assert told(capsys)[0] == 0


def test_it_looks_again_until_somebody_ends_it(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    code, text = told(capsys, "--watch", "7")
    assert code == 130 and waits == [7, 7]
    assert text.count("jm-1 leads") == 2 and "every 7 s, Ctrl-C ends it" in text and "\033" not in text


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "nan", "86400"])
def test_a_bad_interval_is_refused(seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        ops.main(["status", "--stack", "prod", "--watch", seconds])
    assert ended.value.code == 2


@pytest.mark.parametrize("answers", [True, False])
def test_a_leader_says_what_its_rest_api_answers_or_why_not(tmp_path: Path, answers: bool) -> None:
    """The script as a host runs it, with a host tool and a systemd of its own."""
    told = "echo '{}'" if answers else "echo 'no JobManager answers for a leader' >&2; exit 1"
    for name, text in (("flink-host", f'[ "$1" = leads ] || {{ {told}; }}'), ("systemctl", "echo Id=x.service")):
        (tmp_path / name).write_text(f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    script = status._HOST.replace("/usr/local/lib/flink/flink-host", str(tmp_path / "flink-host"))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    script = f"role=jobmanager units=x\n{script}"
    done = subprocess.run(["bash", "-s"], input=script, env=environment, capture_output=True, text=True, check=True)
    found = status._lines(done.stdout)
    assert found["leads"] == "yes" and found["end"] == "yes" and done.stderr == ""
    assert found.get("failed") == (None if answers else "no JobManager answers for a leader")
    assert ("rest /overview" in found) == answers


def test_the_scripts_are_bash() -> None:
    for script in (status._HOST, status._OF_JOBS):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def fired(name: str, severity: str, **labels: str) -> dict[str, Any]:
    """An alert as Alertmanager's API has it."""
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {"summary": f"what {name} means"},
        "startsAt": "2026-11-29T12:00:01.000Z",
    }


def test_alerts_of_the_monitoring_host_are_shown_and_are_problems(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROLES, "mon-0", Role.MONITORING)
    alerts = [fired("Watchdog", "none"), fired("Slow", "info"), fired("HostDown", "critical", host="tm-1")]
    answers = {"alerts": json.dumps(alerts)}
    alone = Cluster._report

    def report(self: Cluster, name: str) -> str:
        text = alone(self, name)
        if name == "mon-0":
            text = text.replace("end\t", f"alerts\t{answers['alerts']}\nend\t")
            for unit, state in (("flink-prometheus", "active"), ("flink-alertmanager", "failed")):
                text += f"unit\tId={unit}.service LoadState=loaded ActiveState={state} SubState=x NRestarts=0\n"
        return text

    monkeypatch.setattr(Cluster, "_report", report)
    code, text = told(capsys)
    assert code == 1
    assert text.splitlines()[-6:] == [
        "alerts: 2",
        "  HostDown  critical  tm-1  since 2026-11-29T12:00  what HostDown means",
        "  Slow      info            since 2026-11-29T12:00  what Slow means",
        "problems:",
        "  mon-0: flink-alertmanager is failed (x)",
        "  tm-1: alert HostDown (critical)",
    ]
    answers["alerts"] = ""
    assert "mon-0: its Alertmanager does not answer" in told(capsys)[1]

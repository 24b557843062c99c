"""`ops reboot`: which hosts, in which order, and when it stops."""

import json
import subprocess
from dataclasses import dataclass, field
from typing import Any

import pytest

from components.host import Host as ClusterHost
from components.host import Role, Ssh
from components.openssh import Login
from components.remote import script_text
from ops import __main__ as ops
from ops import doctor, ssh
from ops.doctor import Difference, Looked
from ops.errors import OpsError
from ops.state import Host
from tests.unit.test_ops import command, declared

ROLES = {
    "jobmanager": ["jm-0", "jm-1"],
    "taskmanager": ["tm-0", "tm-1", "tm-2"],
    "zookeeper": ["zk-0", "zk-1", "zk-2"],
    "client": ["cl-0", "cl-1"],
}
ALL = [name for names in ROLES.values() for name in names]
UNREACHED = ssh.UNREACHED


def deployment(**values: Any) -> dict[str, Any]:
    """A state with the steps that a reboot reads."""
    resources = [declared({"hosts": ROLES})]
    for role, names in ROLES.items():
        for name in names:
            login = Ssh(address="10.0.0.5", user="admin", port=22, private_key="KEY", host_key="ssh-ed25519 AAAA")
            host = ClusterHost(name=name, role=Role(role), address="10.0.0.5", ssh=login)
            health = {} if role == "client" else {"health": ["kind", "1", "it's another"]}
            resources.append(command(f"{name}-service", script_text(host, "service.sh", health)))
            if name == "zk-0":
                resources.append(command("zk-0-ensemble", script_text(host, "files.sh")))
            if name == "jm-0":
                known = {"maxUnavailable": 2, "highAvailability": True, "seconds": 0, **values}
                told = {"values": json.dumps(known), "generation": "1"}
                resources += [
                    command(f"jm-0-{it}", script_text(host, f"{it}.sh", told)) for it in ("rollout", "cluster")
                ]
    return {"resources": resources}


@dataclass
class World:
    """Hosts that are asked; `wrong` is what makes one fail."""

    waiting: dict[str, str]
    leads: set[str] = field(default_factory=lambda: {"jm-0", "zk-1"})
    jobs: list[str] = field(default_factory=lambda: ["a", "b"])
    wrong: dict[str, str] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    boots: dict[str, int] = field(default_factory=dict)

    def run(
        self, name: str, login: Login, command: str, stdin: str, seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        """What a host says."""
        assert login.address == "10.0.0.5" and seconds > 0

        def says(text: str = "", status: int = 0, told: str = "") -> "subprocess.CompletedProcess[str]":
            return subprocess.CompletedProcess([], status, text, told)

        wrong = self.wrong.get(name)
        if "systemctl reboot" in stdin:
            if wrong == "busy":
                return says(status=1, told="step java of an `up` is running on it\n")
            self.events.append(name)
            if wrong != "stays":
                self.boots[name] = self.boots.get(name, 0) + 1
            return says(status=UNREACHED, told="closed")
        for question in ("stoppable", "healthy"):
            if f"flink-host {question} --within" in stdin:
                return says(status=int(wrong == question))
        if "flink-host jobs" in stdin:
            if wrong == "jobs" and self.events:
                return says(stdin.split()[-1])
            return says("\n".join(self.jobs) if stdin.strip().endswith("jobs") else "")
        if wrong == "dead":
            return says(status=UNREACHED, told="No route to host")
        lines = [f"boot x {self.boots.get(name, 0)}"]
        if name in self.waiting and not self.boots.get(name):
            lines.append(f"waits {self.waiting[name]}")
        return says("\n".join([*lines, *(["leads"] if name in self.leads else []), ""]))

    def look(self, host: Host) -> Looked:
        """What the check of the whole cluster says."""
        assert [step.name.rpartition("-")[2] in ("ensemble", "cluster") for step in host.steps] == [True]
        wrong = self.wrong.get("cluster")
        missing = [Difference("cluster", "cluster", "expected 3 TaskManagers; found 2")] if wrong else []
        return Looked(host.name, missing)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """All hosts wait for a reboot."""
    made = World(dict.fromkeys(ALL, "linux was upgraded"))
    monkeypatch.setattr(ssh, "run", made.run)
    monkeypatch.setattr(doctor, "look", made.look)
    monkeypatch.setattr("ops.reboot.BOOT_SECONDS", 0)
    return made


def reboot(*words: str, **values: Any) -> int:
    return ops.run_reboot("d", deployment(**values), ops._parser().parse_args(["reboot", "--stack", "d", *words]))


def test_followers_and_standbys_come_before_leaders_and_taskmanagers_in_groups(world: World) -> None:
    assert reboot("--yes") == 0
    assert world.events[:5] == ["zk-0", "zk-2", "zk-1", "jm-1", "jm-0"]
    groups = [set(world.events[5:7]), set(world.events[7:8]), set(world.events[8:])]
    assert groups == [{"tm-0", "tm-1"}, {"tm-2"}, {"cl-0", "cl-1"}] or groups[0] == {"cl-0", "cl-1"}


def test_only_hosts_that_wait_reboot_and_a_second_run_does_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.waiting = {"tm-1": "linux was upgraded", "jm-0": "systemd uses an earlier libc"}
    assert reboot("--dry-run") == 1
    assert world.events == []
    assert "1. jm-0: systemd uses an earlier libc\n2. tm-1: linux was upgraded\n" in capsys.readouterr().out
    assert reboot("--yes") == 0
    assert world.events == ["jm-0", "tm-1"]
    assert "tm-1: rebooted and healthy (2 of 2)" in capsys.readouterr().out
    assert reboot("--yes") == 0
    assert reboot("--dry-run") == 0
    assert world.events == ["jm-0", "tm-1"]
    assert "no host of stack d waits for a reboot" in capsys.readouterr().out


def test_hosts_that_wait_for_nothing_reboot_only_on_request(world: World) -> None:
    world.waiting = {}
    assert reboot("--host", "zk-1", "--host", "zk-2", "--yes") == 0
    assert world.events == []
    assert reboot("--host", "zk-1", "--host", "zk-2", "--all", "--yes") == 0
    assert world.events == ["zk-2", "zk-1"]


@pytest.mark.parametrize(
    ("wrong", "rebooted", "told"),
    [
        ({"cluster": "x"}, [], r"not complete: expected 3 TaskManagers; found 2; no host was rebooted"),
        ({"tm-2": "dead"}, [], r"tm-2: No route to host\nnot all hosts could be asked; no host was rebooted"),
        ({"zk-0": "stoppable"}, [], r"zk-0: another server is missing .*; not rebooted: zk-2, zk-1"),
        ({"zk-2": "busy"}, ["zk-0"], r"zk-2: cannot reboot: step java of an `up` .*; not rebooted: zk-1, jm"),
        ({"zk-0": "stays"}, ["zk-0"], r"zk-0: has not rebooted after 0 s: it still runs .*; not rebooted: zk-2"),
        ({"jm-1": "healthy"}, ["zk-0", "zk-2", "zk-1", "jm-1"], r"jm-1: its daemon is not healthy .*: jm-0,"),
        ({"jm-0": "jobs"}, ["zk-0"], r"0 s after the reboot of zk-0: 1 of the 2 jobs that ran before do not run; not"),
    ],
)  # fmt: skip
def test_it_stops_at_the_first_host_that_is_not_healthy(
    world: World, wrong: dict[str, str], rebooted: list[str], told: str
) -> None:
    world.wrong = wrong
    with pytest.raises(OpsError, match=told):
        reboot("--yes")
    assert world.events == rebooted


def test_without_high_availability_no_running_job_is_ended(world: World) -> None:
    with pytest.raises(OpsError, match="2 jobs run, and without high availability they end with their JobManager"):
        reboot("--yes", highAvailability=False)
    assert world.events == []
    assert reboot("--host", "tm-0", "--yes", highAvailability=False) == 0
    world.jobs = []
    assert reboot("--host", "jm-0", "--yes", highAvailability=False) == 0
    assert world.events == ["tm-0", "jm-0"]


def test_nobody_is_asked_without_a_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpsError, match="nothing was rebooted: expected --yes, --dry-run, or a terminal"):
        reboot()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert reboot() == 0
    assert world.events == []


def test_a_state_without_a_cluster_or_a_name_without_a_host_is_refused(world: World) -> None:
    with pytest.raises(OpsError, match="has no complete cluster: run `pulumi up` first"):
        ops.run_reboot("d", {"resources": []}, ops._parser().parse_args(["reboot", "--stack", "d"]))
    with pytest.raises(OpsError, match=r"stack d has no host tm-9; it has cl-0, .*"):
        reboot("--host", "tm-9")
    assert world.events == []

"""The life of a declared job, on a Flink that is simulated here: what ends, what starts, and from which state, also
when a run is interrupted at any moment.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from host_tool import job_commands
from host_tool.declared_job import Job
from host_tool.job_release import Declared, moved, place
from host_tool.output import Failure
from host_tool.rest import Answer
from tests.unit.host_tool.world import FakeClock

STORAGE = "s3://bucket/x"


class Killed(BaseException):
    """The run ends here."""


@dataclass
class FakeJob:
    """A job in the simulated Flink."""

    spec: dict[str, Any]
    restored: str
    state: str = "RUNNING"
    checkpoints: int = 0
    failures: int = 0
    parallelism: int = 1
    failed: float = 0
    """When it failed the last time, and when its last checkpoint completed."""
    completed: float = 0


@dataclass
class Flink:
    """JobManagers, storage and Flink's client in one. `number` counts requests: before request `kill` the run ends."""

    clock: FakeClock = field(default_factory=FakeClock)
    jobs: dict[str, FakeJob] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    triggers: dict[str, str | None] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    """Names of jars that never become stable."""
    refused: set[str] = field(default_factory=set)
    """Names of jars that the client does not submit."""
    unfit: set[str] = field(default_factory=set)
    """Names of jars that the state does not fit: the job fails before it starts, and its result stays."""
    broken: set[str] = field(default_factory=set)
    """Names of jars that fail once, after they were stable."""
    adaptive: bool = False
    slots: int = 2
    leaderless: bool = False
    away: str = ""
    """What the URIs begin with that cannot be read."""
    number: int = 0
    kill: int = 0
    log: list[str] = field(default_factory=list)

    def _tick(self, what: str = "") -> None:
        self.number += 1
        if self.number == self.kill:
            raise Killed
        if what:
            self.log.append(what)

    # The storage

    def read(self, uri: str) -> str | None:
        self._tick()
        if self.away and uri.startswith(self.away):
            raise Failure("no plugin")
        return self.files.get(uri)

    def write(self, uri: str, text: str) -> None:
        self._tick()
        self.files[uri] = text

    def files_(self, uri: str) -> dict[str, int]:
        return {name.removeprefix(f"{uri}/"): 0 for name in self.files if name.startswith(f"{uri}/")}

    def delete(self, uri: str) -> None:
        self.files.pop(uri, None)

    # Flink's client

    def submit(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        self._tick(f"start {spec['jar']['name']} from {restore or 'nothing'}")
        if spec["jar"]["name"] in self.refused:
            return "no main class"
        if spec["jar"]["name"] in self.unfit:
            self.jobs[job] = FakeJob(spec, restore, state="FAILED", failures=1)
            self.files[f"{STORAGE}/ha/job-result-store/c/{job}_DIRTY.json"] = '{"result": {}}'
            self._tick()
            return "Cannot map state"
        assert job not in self.jobs, "Flink refuses an id that it knows"
        assert not self.running() or "/1-beside-" in restore, "two attempts at once"
        assert not restore or f"{restore}/_metadata" in self.files
        bad = spec["jar"]["name"] in self.bad
        it = self.jobs[job] = FakeJob(spec, restore, failures=9 if bad else 0, parallelism=spec["parallelism"])
        if spec["jar"]["name"] in self.broken:
            self.clock.after(20, lambda: setattr(it, "failures", it.failures + 1))
        if not bad:
            self.checkpoint(job)
        self._tick()
        return ""

    def checkpoint(self, job: str) -> None:
        it = self.jobs[job]
        it.checkpoints += 1
        self.files[f"{STORAGE}/checkpoints/c/{job}/chk-{it.checkpoints}/_metadata"] = ""

    def running(self) -> list[FakeJob]:
        return [job for job in self.jobs.values() if job.state == "RUNNING"]

    # REST

    def json(self, path: str) -> Any:
        answer = self.request("GET", path)
        return json.loads(answer.text) if answer.status == 200 else None

    def request(self, method: str, path: str, body: Any = None, seconds: float = 0) -> Answer:
        self._tick()
        self.leaderless = self.leaderless and any("_DIRTY" in name for name in self.files)
        if self.leaderless:
            return Answer(503, b"{}")
        status, found = self._answer(method, path.split("/")[1:], body)
        return Answer(status, json.dumps(found).encode())

    def _answer(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        if parts == ["overview"]:
            return 200, {"slots-available": self.slots - sum(job.parallelism for job in self.running())}
        if parts == ["jobs", "overview"]:
            return 200, {"jobs": [{"jid": id, "state": job.state} for id, job in self.jobs.items()]}
        id, _, _query = parts[1].partition("?")
        if id not in self.jobs:
            return 404, {}
        job = self.jobs[id]
        if method == "PATCH":
            self.log.append("cancel")
            job.state = "CANCELED"
            return 202, {}
        what = "/".join(parts[2:])
        if not what:
            vertex = {"status": job.state, "parallelism": job.parallelism, "id": "v"}
            return 200, {"state": job.state, "vertices": [vertex]}
        if what == "checkpoints":
            latest = {"completed": {"latest_ack_timestamp": job.completed * 1000} if job.checkpoints else None}
            return 200, {"counts": {"completed": job.checkpoints}, "latest": latest}
        if what == "checkpoints/config":
            return 200, {"interval": 1000}
        if what == "exceptions":
            entry = {"stacktrace": "Caused by: boom", "timestamp": job.failed * 1000}
            return 200, {"exceptionHistory": {"entries": [entry] * job.failures}}
        if what == "resource-requirements":
            if not self.adaptive:
                return 404, {}
            if method == "PUT":
                job.parallelism = body["v"]["parallelism"]["upperBound"]
            return 200, {"v": {}}
        if what in ("stop", "savepoints"):
            path = body.get("targetDirectory") or body["target-directory"]
            self.log.append(what)
            self.triggers[body["triggerId"]] = f"{path}/savepoint-1"
            self.files[f"{path}/savepoint-1/_metadata"] = ""
            if what == "stop":
                job.state = "FINISHED"
            return 202, {}
        if what.startswith("savepoints/"):
            found = self.triggers.get(parts[3])
            return (200, {"status": {"id": "COMPLETED"}, "operation": {"location": found}}) if found else (404, {})
        raise AssertionError(parts)

    def forget(self) -> None:
        """A new leader: it does not know what has ended, nor any trigger. With an incomplete result none starts."""
        self.leaderless = any("_DIRTY" in name for name in self.files)
        self.jobs = {id: job for id, job in self.jobs.items() if job.state == "RUNNING"}
        self.triggers.clear()


class Store:
    """The storage's part of it."""

    def __init__(self, flink: Flink) -> None:
        self.read, self.write, self.delete, self.files = flink.read, flink.write, flink.delete, flink.files_

    def claim(self, what: str, who: str) -> str:
        return ""

    def release(self) -> None:
        pass


def values(jar: str = "a.jar", /, **changes: Any) -> dict[str, Any]:
    spec = {
        "jar": {"name": jar, "sha256": f"{jar}-digest"}, "entryClass": "", "args": [], "parallelism": 1,
        "allowNonRestoredState": False, "flinkConfig": {}, "restartNonce": "",
    }  # fmt: skip
    spec.update({key: changes.pop(key) for key in list(changes) if key in spec})
    return {
        "host": "jm-0", "cluster": "c", "name": "counts", "storage": STORAGE, "spec": spec, "upgradeMode": "savepoint",
        "state": "running", "initialSavepoint": "", "savepointNonce": "", "stop": "savepoint", "seconds": 60,
        "stableSeconds": 30, **changes,
    }  # fmt: skip


def apply(flink: Flink, *args: Any, **changes: Any) -> dict[str, Any]:
    return job(flink, values(*args, **changes)).apply()


def job(flink: Flink, told: dict[str, Any]) -> Job:
    return Job(told, flink, Store(flink), flink.clock, flink.submit)  # type: ignore[arg-type]


def savepoint(attempt: int, number: int = 1) -> str:
    return f"{STORAGE}/jobs/c/counts/savepoints/{attempt}-{number}/savepoint-1"


def only(flink: Flink) -> FakeJob:
    (found,) = flink.running()
    return found


def test_a_job_starts_once() -> None:
    flink = Flink()
    first = apply(flink)
    assert apply(flink) == first and first["state"] == "running"
    assert flink.log == ["start a.jar from nothing"]


@pytest.mark.parametrize(
    ("failures", "ago", "checkpoint", "told"),
    [
        (5, 60, 300, "! job counts\thas failed 5 times in 10 minutes, and restarts: boom\n"),
        (2, 60, 300, ""),
        (5, 700, 800, ""),
        (5, 60, 30, ""),
    ],
)
def test_a_job_that_restarts_endlessly_is_reported(
    failures: int, ago: float, checkpoint: float, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one that has a checkpoint since its last failure, as after a rollout."""
    flink = Flink()
    apply(flink)
    it, now = only(flink), flink.clock.wall()
    it.failures, it.failed, it.completed = failures, now - ago, now - checkpoint
    capsys.readouterr()
    job(flink, values()).check()
    assert capsys.readouterr().out == told


def test_a_change_stops_with_a_savepoint_and_starts_from_it() -> None:
    flink = Flink()
    apply(flink)
    apply(flink, "b.jar")
    assert flink.log[1:] == ["stop", f"start b.jar from {savepoint(1)}"]


@pytest.mark.parametrize(("mode", "from_"), [("last-state", "chk-3"), ("stateless", "")])
def test_other_modes_of_upgrade(mode: str, from_: str) -> None:
    flink = Flink()
    first = apply(flink, upgradeMode=mode)["id"]
    flink.checkpoint(first)
    flink.checkpoint(first)
    apply(flink, "b.jar", upgradeMode=mode)
    assert flink.log[1] == "cancel"
    assert only(flink).restored == (f"{STORAGE}/checkpoints/c/{first}/{from_}" if from_ else "")


def test_until_a_job_has_state_of_its_own_its_initial_savepoint_can_be_corrected() -> None:
    flink = Flink(refused={"a.jar"})
    for name in ("sp", "other"):
        flink.files[f"s3://other/{name}/_metadata"] = ""
    with pytest.raises(Failure, match="no main class"):
        apply(flink, initialSavepoint="s3://other/other")
    flink.refused.clear()
    with pytest.raises(Failure, match=r"no complete savepoint or checkpoint at s3://other/typo: expected a file _met"):
        apply(flink, initialSavepoint="s3://other/typo")
    apply(flink, initialSavepoint="s3://other/sp/_metadata", state="suspended")
    apply(flink, initialSavepoint="s3://other/sp")
    assert only(flink).restored == "s3://other/sp"
    # And never again after that
    apply(flink, state="suspended")
    apply(flink, initialSavepoint="s3://other/typo")
    assert only(flink).restored == savepoint(2)


def test_a_job_that_is_not_running_is_upgraded_from_its_newest_checkpoint() -> None:
    flink = Flink()
    first = apply(flink)["id"]
    for _ in range(9):
        flink.checkpoint(first)
    flink.jobs[first].state = "FAILED"
    apply(flink, "b.jar")
    assert only(flink).restored.endswith(f"{first}/chk-10")


@pytest.mark.parametrize("why", ["bad", "refused"])
def test_what_does_not_become_stable_goes_back(why: str) -> None:
    flink = Flink()
    apply(flink)
    getattr(flink, why).add("b.jar")
    with pytest.raises(Failure, match=rf"counts did not become stable: .*runs again \(a.jar, .*from {savepoint(1)}"):
        apply(flink, "b.jar")
    assert only(flink).spec["jar"]["name"] == "a.jar" and only(flink).restored == savepoint(1)
    assert apply(flink)["state"] == "running" and flink.log[-1].startswith("start a.jar"), "it is as it was declared"
    flink.bad.clear()
    flink.refused.clear()
    apply(flink, "c.jar")
    assert only(flink).spec["jar"]["name"] == "c.jar"


def test_a_result_with_which_no_jobmanager_would_start_is_removed() -> None:
    flink = Flink(unfit={"b.jar"})
    apply(flink)
    with pytest.raises(Failure, match=r"runs again \(a.jar"):
        apply(flink, "b.jar")
    assert not any("_DIRTY" in name for name in flink.files)
    flink.forget()
    assert only(flink).spec["jar"]["name"] == "a.jar" and apply(flink)["state"] == "running"


def test_a_first_start_that_fails_leaves_nothing_running() -> None:
    flink = Flink(bad={"a.jar"})
    with pytest.raises(Failure, match=r"fails again and again: boom\. Nothing of it runs"):
        apply(flink)
    assert not flink.running()


def test_suspended_and_resumed_also_with_another_cluster() -> None:
    flink = Flink()
    apply(flink)
    assert apply(flink, state="suspended") == {"state": "suspended", "from": savepoint(1)}
    assert not flink.running()
    assert apply(flink, state="suspended")["from"] == savepoint(1)
    flink.jobs.clear()  # a new cluster on the same storage
    apply(flink)
    assert only(flink).restored == savepoint(1)


def test_a_stateless_job_takes_no_savepoint_and_keeps_no_state() -> None:
    flink = Flink()
    apply(flink, upgradeMode="stateless")
    apply(flink, upgradeMode="stateless", state="suspended")
    apply(flink, upgradeMode="stateless")
    assert flink.log == ["start a.jar from nothing", "cancel", "start a.jar from nothing"]


def test_a_job_that_is_no_longer_declared_stops_with_a_savepoint() -> None:
    flink = Flink()
    apply(flink)
    job(flink, values()).remove()
    assert flink.log[-1] == "stop" and not flink.running()
    apply(flink)
    assert only(flink).restored == savepoint(1)


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_job_that_has_ended_badly_starts_again_from_its_newest_state(state: str) -> None:
    flink = Flink()
    first = apply(flink)["id"]
    flink.checkpoint(first)
    flink.jobs[first].state = state
    flink.forget()
    apply(flink)
    assert only(flink).restored.endswith(f"{first}/chk-2")


def test_a_job_that_has_finished_never_starts_again() -> None:
    flink = Flink()
    first = apply(flink)["id"]
    flink.jobs[first].state = "FINISHED"
    apply(flink)
    # Flink removes the checkpoints of a finished job, and a new leader does not know it
    flink.files = {name: text for name, text in flink.files.items() if "/checkpoints/" not in name}
    flink.forget()
    apply(flink)
    assert flink.log == ["start a.jar from nothing"]


def test_only_the_parallelism_of_a_job_with_the_adaptive_scheduler_changes_while_it_runs() -> None:
    flink = Flink(adaptive=True)
    first = apply(flink)
    assert apply(flink, parallelism=3) == first and only(flink).parallelism == 3
    assert flink.log == ["start a.jar from nothing"]
    flink.adaptive = False
    apply(flink, parallelism=2)
    assert flink.log[1:] == ["stop", f"start a.jar from {savepoint(1)}"]


def test_another_nonce_takes_a_savepoint_once() -> None:
    flink = Flink()
    apply(flink)
    for _ in range(2):
        apply(flink, savepointNonce="before-friday")
    assert flink.log[1:] == ["savepoints"] and len(flink.running()) == 1


def test_the_first_start_can_have_a_savepoint_and_later_ones_do_not_return_to_it() -> None:
    flink = Flink(files={"s3://other/sp/_metadata": ""})
    first = apply(flink, initialSavepoint="s3://other/sp")["id"]
    assert only(flink).restored == "s3://other/sp"
    flink.jobs[first].state = "FAILED"
    apply(flink, initialSavepoint="s3://other/sp")
    assert only(flink).restored.endswith("chk-1")


def test_a_lost_record_never_makes_a_second_job_of_the_same_id() -> None:
    flink = Flink()
    first = apply(flink)["id"]
    flink.jobs[first].state = "CANCELED"
    del flink.files[f"{STORAGE}/jobs/c/counts/record.json"]
    assert apply(flink)["id"] != first


def beside(attempt: int, number: int) -> str:
    return f"{STORAGE}/jobs/c/counts/savepoints/{attempt}-beside-{number}/savepoint-1"


def test_blue_green_starts_the_new_one_beside_the_old_one_which_ends_when_it_is_stable() -> None:
    flink = Flink()
    first = apply(flink)["id"]
    began = flink.clock.now()
    second = apply(flink, "b.jar", upgradeMode="blue-green")
    assert flink.log[1:] == ["savepoints", f"start b.jar from {beside(1, 2)}", "cancel"]
    assert flink.clock.now() - began >= 30
    assert flink.jobs[first].state == "CANCELED" and flink.jobs[second["id"]].state == "RUNNING"
    assert apply(flink, "b.jar", upgradeMode="blue-green") == second


@pytest.mark.parametrize("why", ["bad", "refused", "broken"])
def test_blue_green_never_interrupts_the_old_one_if_the_new_one_is_not_stable(why: str) -> None:
    flink = Flink()
    first = apply(flink)
    getattr(flink, why).add("b.jar")
    with pytest.raises(Failure, match=r"did not become stable: .*What ran before it continues: .* not interrupted"):
        apply(flink, "b.jar", upgradeMode="blue-green")
    assert [id for id, it in flink.jobs.items() if it.state == "RUNNING"] == [first["id"]]
    assert apply(flink, upgradeMode="blue-green") == first and only(flink).restored == ""


def test_blue_green_needs_slots_for_both() -> None:
    flink = Flink(slots=3)
    apply(flink, parallelism=2)
    with pytest.raises(Failure, match="needs 2 free slots beside what runs, found 1: nothing was changed"):
        apply(flink, "b.jar", upgradeMode="blue-green", parallelism=2)
    assert flink.log == ["start a.jar from nothing"]


def test_blue_green_of_a_job_that_does_not_run_starts_from_its_newest_state() -> None:
    flink = Flink()
    first = apply(flink, upgradeMode="blue-green")["id"]
    flink.jobs[first].state = "FAILED"
    apply(flink, "b.jar", upgradeMode="blue-green")
    assert only(flink).restored.endswith(f"{first}/chk-1")


def test_blue_green_also_changes_the_parallelism_without_a_pause() -> None:
    flink = Flink(adaptive=True, slots=4)
    apply(flink)
    apply(flink, upgradeMode="blue-green", parallelism=2)
    assert flink.log[1:] == ["savepoints", f"start a.jar from {beside(1, 2)}", "cancel"]


def changes() -> list[Callable[[Flink], object]]:
    return [
        lambda flink: apply(flink, "b.jar", upgradeMode="blue-green"),
        lambda flink: apply(flink, "bad.jar", upgradeMode="blue-green"),
        lambda flink: apply(flink, "b.jar"),
        lambda flink: apply(flink, "b.jar", upgradeMode="last-state"),
        lambda flink: apply(flink, state="suspended"),
        lambda flink: apply(flink, "bad.jar"),
        lambda flink: apply(flink, "unfit.jar"),
        lambda flink: job(flink, values()).remove(),
    ]


CHANGES = ["blue-green", "blue-green-rollback", "savepoint", "last-state", "suspend", "rollback", "unfit", "remove"]


@pytest.mark.parametrize("change", changes(), ids=CHANGES)
@pytest.mark.parametrize("new_leader", [False, True])
def test_a_run_that_is_killed_at_any_moment_is_completed_by_the_next(
    change: Callable[[Flink], object], new_leader: bool
) -> None:
    def run(kill: int) -> tuple[Flink, bool]:
        flink = Flink(bad={"bad.jar"}, unfit={"unfit.jar"})
        apply(flink)
        flink.kill = flink.number + kill
        was_killed = False
        try:
            change(flink)
        except Killed:
            was_killed = True
        except Failure:
            pass
        flink.kill = 0
        if was_killed:
            if new_leader:
                flink.forget()
            with contextlib.suppress(Failure):
                change(flink)
        return flink, was_killed

    ended, _ = run(10**6)
    kill, was_killed = 1, True
    while was_killed:
        flink, was_killed = run(kill)
        now = [(it.spec["jar"]["name"], it.state) for it in flink.running()]
        assert now == [(it.spec["jar"]["name"], it.state) for it in ended.running()], kill
        # What runs continues from state, never from nothing, unless it was never interrupted
        assert all(it.restored or id.endswith("0001") for id, it in flink.jobs.items() if it.state == "RUNNING"), kill
        if not flink.running():
            apply(flink)
            assert only(flink).restored, kill
        kill += 1
    assert kill > 5


def test_another_release_stops_the_declared_jobs_that_it_refuses_and_their_steps_start_them_again() -> None:
    flink = Flink()
    first = apply(flink)["id"]
    values = {"host": "jm-0", "storage": STORAGE, "cluster": "c", "seconds": 60}
    declared = Declared(values, flink, Store(flink), flink.clock)  # type: ignore[arg-type]
    assert declared.stop([first, "other"], only_all=True) == ["other"] and flink.running()
    assert declared.stop([first, "other"], only_all=False) == ["other"] and not flink.running()
    flink.jobs.clear()
    apply(flink)
    assert only(flink).restored == savepoint(1) and only(flink).spec["jar"]["name"] == "a.jar"


def test_flinks_configuration_says_where_declared_jobs_are(tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "golden" / "jobmanager-config.yaml"
    assert place(str(golden)) == {"storage": "s3://flink/dev", "cluster": "dev"}
    random = tmp_path / "random.yaml"
    given = golden.read_text().replace("checkpoints/dev\n", "checkpoints/dev/_entropy_\n")
    random.write_text(f"{given}s3.entropy.key: _entropy_\n")
    assert place(str(random)) == place(str(golden)) and "_entropy_\n" in given
    text = golden.read_text().replace("storageDir: s3://flink/dev/ha", "storageDir: hdfs://nn/dev/ha")
    apart = tmp_path / "apart.yaml"
    apart.write_text(f"{text}flink-host.storage: s3://elsewhere/dev\n")
    assert place(str(apart)) == {
        "storage": "s3://elsewhere/dev",
        "cluster": "dev",
        "checkpoints": "s3://flink/dev/checkpoints/dev",
        "ha": "hdfs://nn/dev/ha",
    }
    other = tmp_path / "config.yaml"
    other.write_text("a: b\n")
    with pytest.raises(Failure, match="does not say where checkpoints are"):
        place(str(other))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ""),
        ({"s3://flink/dev/": "s3://flink/other/"}, "from s3://flink/dev to s3://flink/other"),
        ({"storageDir: s3://flink/dev/ha": "storageDir: hdfs://nn/ha"}, "from s3://flink/dev/ha to hdfs://nn/ha"),
        ({"checkpointing.dir: s3://flink/dev": "checkpointing.dir: s3://fast/dev"}, ""),
        ({"savepoint-dir: s3://flink": "savepoint-dir: s3://slow"}, ""),
        ({"/dev\n": "/other\n", "/dev/": "/other/"}, ""),
    ],
    ids=["nothing", "all", "HA", "checkpoints", "savepoints", "another cluster"],
)
def test_what_moves_is_known_from_the_configurations(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    golden = (Path(__file__).parents[1] / "golden" / "jobmanager-config.yaml").read_text()
    # So that only what is changed moves
    golden += "flink-host.storage: s3://flink/dev\n" if told == "" or "storageDir" in str(changes) else ""
    text = golden
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(golden)
    after.write_text(text)
    assert moved(str(before), str(after)) == told
    assert moved(str(tmp_path / "none"), str(after)) == "", "a new host"


def test_checkpoints_on_a_kind_of_storage_that_goes_are_missed(tmp_path: Path) -> None:
    golden = (Path(__file__).parents[1] / "golden" / "jobmanager-config.yaml").read_text().replace("s3://", "hdfs://")
    golden += "flink-host.storage: hdfs://flink/dev\n"
    before, after = tmp_path / "before.yaml", tmp_path / "after.yaml"
    before.write_text(golden.replace("checkpointing.dir: hdfs://", "checkpointing.dir: oss://"))
    after.write_text(golden)
    assert moved(str(before), str(after)) == "away from oss://flink/dev/checkpoints/dev, where checkpoints are"
    after.write_text(golden.replace("savepoint-dir: hdfs://", "savepoint-dir: oss://"))
    assert moved(str(before), str(after)) == "", "it is still there"


# Another storage

BEFORE = {"before": {"storage": "s3://old/x", "cluster": "c"}}
OLD = "s3://old/x/jobs/c/counts"


def moving(flink: Flink, **changes: Any) -> None:
    """A job with state at the old place, that ended there with the changes."""
    flink.files["s3://other/sp/_metadata"] = ""
    apply(flink, storage="s3://old/x", initialSavepoint="s3://other/sp")
    apply(flink, storage="s3://old/x", state="suspended", **changes)
    flink.jobs.clear()
    flink.log.clear()


def test_a_suspended_job_continues_at_another_place_from_its_savepoint() -> None:
    flink = Flink()
    moving(flink)
    assert apply(flink, state="suspended", **BEFORE)["from"] == f"{OLD}/savepoints/1-1/savepoint-1"
    apply(flink, **BEFORE)
    assert flink.log == [f"start a.jar from {OLD}/savepoints/1-1/savepoint-1"]
    assert only(flink).restored.startswith("s3://old/x/") and len(flink.jobs) == 1
    apply(flink, state="suspended", **BEFORE)
    assert job_record(flink)["state"].startswith(f"{STORAGE}/jobs/c/counts/savepoints/2-"), "its next state is here"


def job_record(flink: Flink) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flink.files[f"{STORAGE}/jobs/c/counts/record.json"])
    return found


def test_a_job_that_runs_does_not_start_a_second_time_at_another_place() -> None:
    flink = Flink()
    apply(flink, storage="s3://old/x")
    for before in (BEFORE, {}):
        with pytest.raises(Failure, match=r"attempt 1 runs, and s3://bucket/x has no record of it\. Expected the stor"):
            apply(flink, **before)
    assert len(flink.running()) == 1


def test_a_job_that_was_not_suspended_does_not_start_without_its_state() -> None:
    flink = Flink()
    apply(flink, storage="s3://old/x")
    flink.jobs.clear()  # a single JobManager has restarted
    with pytest.raises(Failure, match=r"record\.json does not say that it is suspended: nothing was started"):
        apply(flink, **BEFORE)
    assert not flink.jobs


def test_a_job_whose_old_place_cannot_be_read_needs_a_savepoint() -> None:
    flink = Flink(away="s3://old/")
    with pytest.raises(
        Failure, match=r"was at s3://old/x before, which cannot be read from here \(no plugin\): it wou"
    ):
        apply(flink, **BEFORE)
    assert not flink.jobs
    flink.files["s3://copy/sp/_metadata"] = ""
    apply(flink, initialSavepoint="s3://copy/sp", **BEFORE)
    assert only(flink).restored == "s3://copy/sp"
    flink = Flink(away="s3://old/")
    apply(flink, upgradeMode="stateless", **BEFORE)
    assert only(flink).restored == ""


@pytest.mark.parametrize("before", [{}, {"before": {"storage": "s3://old/x", "cluster": "d"}}, BEFORE])
def test_a_job_that_was_nowhere_before_starts(before: dict[str, Any]) -> None:
    flink = Flink()
    apply(flink, **before)
    assert flink.log == ["start a.jar from nothing"]


def test_a_host_notes_where_a_job_is(tmp_path: Path) -> None:
    told = values(note=str(tmp_path / "counts.place"))
    assert job_commands._noted(told) == {}
    job_commands._note(told)
    assert job_commands._noted(told) == {"storage": STORAGE, "cluster": "c"}
    job_commands._note({**told, "storage": "s3://new"})
    assert job_commands._noted(told)["storage"] == "s3://new"
    assert [path.name for path in tmp_path.iterdir()] == ["counts.place"]

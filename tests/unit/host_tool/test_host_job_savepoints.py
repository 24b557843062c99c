"""Savepoints of a running job: when they are taken, how long they stay, and that a run that is killed loses nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from host_tool.job_savepoint_commands import Person
from host_tool.job_watch import Watch
from host_tool.output import Failure
from tests.unit.host_tool.test_host_declared_job import STORAGE, Flink, Killed, apply, only, values

HOUR = 3600
FOLDER = f"{STORAGE}/jobs/c/counts"


@dataclass
class Slow(Flink):
    """Savepoints take time here, the storage knows when a file was written, and one run at a time has the lock."""

    instant: bool = True
    failing: bool = False
    """Savepoints fail, and leave files."""
    triggered: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    held: str = ""
    unrestorable: set[str] = field(default_factory=set)
    """Savepoints from which the job cannot start."""

    def submit(self, job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        if restore in self.unrestorable:
            return "No such file or directory: _tmp_"
        return super().submit(job, spec, restore, seconds)

    def _answer(self, method: str, parts: list[str], body: Any) -> tuple[int, Any]:
        if parts == ["jobs", "overview"]:
            return 200, {"jobs": [{"jid": id, "state": it.state} for id, it in self.jobs.items()]}
        if parts[2:] == ["savepoints"] and parts[1] in self.jobs and body:
            self.log.append("savepoint")
            self.triggered[body["triggerId"]] = body["target-directory"]
            self.put(f"{body['target-directory']}/savepoint-1/data")
            if self.instant:
                self.complete()
            return 202, {}
        if parts[2:3] == ["savepoints"] and parts[1] in self.jobs and parts[3] in self.triggered:
            return 200, {"status": {"id": "IN_PROGRESS"}}
        return super()._answer(method, parts, body)

    def complete(self) -> None:
        """All savepoints under way end."""
        for trigger, directory in self.triggered.items():
            if not self.failing:
                self.put(f"{directory}/savepoint-1/_metadata")
            self.triggers[trigger] = f"{directory}/savepoint-1"
        self.triggered.clear()

    def forget(self) -> None:
        super().forget()
        self.triggered.clear()

    def put(self, name: str) -> None:
        """A file on the storage."""
        self.files[name], self.times[name] = "", self.clock.now()

    def write(self, uri: str, text: str) -> None:
        super().write(uri, text)
        self.times[uri] = self.clock.now()

    def files_(self, uri: str) -> dict[str, int]:
        return {
            name.removeprefix(f"{uri}/"): int(self.times.get(name, self.clock.now()) * 1000)
            for name in self.files
            if name.startswith(f"{uri}/")
        }

    def delete(self, uri: str) -> None:
        self._tick()
        for name in [name for name in self.files if name == uri or name.startswith(f"{uri}/")]:
            del self.files[name]

    def claim(self, what: str, who: str) -> str:
        if not self.held:
            self.held = who
            return ""
        return self.held

    def release(self) -> None:
        self.held = ""

    def size(self, uri: str) -> int:
        return len(self.files_(uri))

    def savepoints(self) -> list[str]:
        """The complete ones on the storage."""
        return sorted(
            name.removesuffix("/_metadata") for name in self.files if "/savepoints/" in name and "_meta" in name
        )


class Storage:
    """The storage's part of it."""

    def __init__(self, flink: Slow) -> None:
        self.read, self.write, self.delete, self.files = flink.read, flink.write, flink.delete, flink.files_
        self.claim, self.release, self.size = flink.claim, flink.release, flink.size


def told(**changes: Any) -> dict[str, Any]:
    given = {"savepoints": {"every": HOUR, "keep": 3, "maxAge": 0}, "restarts": {"attempts": 3, "within": HOUR}}
    found = values(**{**given, "references": [], **changes})
    del found["spec"]  # the watch knows only what identifies the job
    return found


def look(flink: Slow, **changes: Any) -> float:
    """The timer runs once; when something is due next."""
    watch = Watch(told(**changes), flink, Storage(flink), flink.clock, flink.submit)  # type: ignore[arg-type]
    return watch.step()


def person(flink: Slow, **changes: Any) -> Person:
    return Person(told(**changes), flink, Storage(flink), flink.clock, flink.submit)  # type: ignore[arg-type]


def known(flink: Slow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flink.files.get(f"{FOLDER}/savepoints.json", "{}"))
    return found


@pytest.fixture
def flink() -> Slow:
    made = cluster()
    apply(made)
    return made


def cluster(**changes: Any) -> Slow:
    made = Slow(**changes)
    made.clock.time = 1_800_000_000
    return made


def hours(flink: Slow, number: int, **changes: Any) -> None:
    """So many hours pass, in which the timer runs every ten minutes."""
    for _ in range(6 * number):
        look(flink, **changes)
        flink.clock.time += 600
    for _ in range(2):  # one that is due, and its end
        look(flink, **changes)


def test_savepoints_are_taken_at_their_time_and_only_the_newest_stay(flink: Slow) -> None:
    hours(flink, 6)
    assert flink.log.count("savepoint") == 7
    assert len(flink.savepoints()) == 3
    assert [it["path"] for it in person(flink).listed()["savepoints"]] == flink.savepoints()


def test_without_the_setting_none_is_taken_and_none_deleted(flink: Slow) -> None:
    for nonce in ("1", "2", "3", "4", "5"):
        apply(flink, restartNonce=nonce)
        flink.clock.time += 10
    hours(flink, 100, savepoints=None)
    assert len(flink.savepoints()) == 5 and "savepoint" not in flink.log


def test_old_ones_go_but_never_the_last_one(flink: Slow) -> None:
    hours(flink, 3, savepoints={"every": HOUR, "keep": 100, "maxAge": 2 * HOUR})
    only = {"every": 0, "keep": 100, "maxAge": 2 * HOUR}
    assert len(flink.savepoints()) == 3
    last = flink.savepoints()[-1]
    hours(flink, 48, savepoints=only)
    assert flink.savepoints() == [last]


def test_what_a_job_started_from_stays_and_savepoints_of_stops_are_among_those_that_go(flink: Slow) -> None:
    apply(flink, restartNonce="1")
    flink.clock.time += 60
    apply(flink, restartNonce="2")
    first, started = flink.savepoints()
    hours(flink, 6)
    assert started in flink.savepoints(), "the job runs that started from it"
    assert first not in flink.savepoints()
    apply(flink, restartNonce="3")
    hours(flink, 6)
    assert started not in flink.savepoints()


def test_what_a_suspended_job_continues_from_stays(flink: Slow) -> None:
    hours(flink, 3)
    apply(flink, state="suspended")
    (state,) = [path for path in flink.savepoints() if "periodic" not in path]
    only = {"every": HOUR, "keep": 1, "maxAge": HOUR}
    hours(flink, 24, savepoints=only, state="suspended")
    assert flink.savepoints() == [state], "also the last one"


def test_what_somebody_asked_for_stays_and_so_does_what_the_configuration_names(flink: Slow) -> None:
    hours(flink, 1)
    named = flink.savepoints()[0]
    taken = person(flink).take()["path"]
    apply(flink, savepointNonce="friday")
    hours(flink, 24, references=[named.replace("s3://", "s3a://")])
    assert {named, taken} < {*flink.savepoints()} and len(flink.savepoints()) == 3 + 3
    assert {it["why"] for it in person(flink).listed()["savepoints"]} == {"periodic", "hand", "savepointNonce friday"}


def test_savepoints_elsewhere_are_never_deleted(flink: Slow) -> None:
    others = [f"{STORAGE}/savepoints/c/mine/savepoint-1", f"{STORAGE}/jobs/c/other/savepoints/1-1/savepoint-1"]
    for path in others:
        flink.put(f"{path}/_metadata")
    hours(flink, 24)
    assert {f"{path}/_metadata" for path in others} < {*flink.files}


def test_a_slow_savepoint_is_not_waited_for(flink: Slow) -> None:
    flink.instant = False
    look(flink)
    for _ in range(5):
        assert look(flink) <= flink.clock.now() and known(flink)["pending"]
        flink.clock.time += HOUR
    assert flink.log.count("savepoint") == 1
    flink.complete()
    look(flink)
    assert len(known(flink)["taken"]) == 1


@pytest.mark.parametrize("leader", ["the same", "new"])
def test_one_that_fails_leaves_nothing_and_the_next_comes_soon(flink: Slow, leader: str) -> None:
    flink.failing, flink.instant = True, False
    look(flink)
    if leader == "new":
        flink.forget()
    else:
        flink.complete()
    look(flink)
    assert known(flink)["pending"] is None
    # A TaskManager is late
    (directory,) = [it["directory"] for it in known(flink)["garbage"]]
    flink.put(f"{directory}/savepoint-1/late")
    flink.failing, flink.instant = False, True
    flink.clock.time += 1000
    look(flink)
    look(flink)
    assert not flink.files_(directory) and known(flink)["garbage"] == []
    assert len(flink.savepoints()) == 1


def test_no_savepoint_of_a_job_that_does_not_run(flink: Slow) -> None:
    next(iter(flink.jobs.values())).state = "RESTARTING"
    hours(flink, 3)
    assert "savepoint" not in flink.log


def test_what_nobody_knows_of_is_listed_if_it_is_complete_and_deleted_if_not(flink: Slow) -> None:
    flink.put(f"{FOLDER}/savepoints/9-1/savepoint-x/_metadata")
    flink.put(f"{FOLDER}/savepoints/9-2/savepoint-x/data")
    look(flink)
    assert flink.files_(f"{FOLDER}/savepoints/9-2"), "somebody may be writing it"
    flink.clock.time += 2000
    look(flink)
    assert not flink.files_(f"{FOLDER}/savepoints/9-2")
    assert f"{FOLDER}/savepoints/9-1/savepoint-x" in [it["path"] for it in known(flink)["taken"]]


@pytest.mark.parametrize("new_leader", [False, True])
def test_a_run_that_is_killed_at_any_moment_loses_nothing_and_leaves_nothing(new_leader: bool) -> None:
    kill, was_killed = 0, True
    while was_killed:
        kill += 1
        flink = cluster()
        apply(flink, restartNonce="0")
        apply(flink, restartNonce="1")
        hours(flink, 4)
        flink.clock.time += HOUR
        flink.kill, was_killed = flink.number + kill, False
        try:
            look(flink)
            look(flink)
        except Killed:
            was_killed = True
        flink.kill = 0
        before = flink.savepoints()
        if was_killed and new_leader:
            flink.forget()
        hours(flink, 5)
        assert len(flink.savepoints()) == 4, "three, and the one that the job started from"
        on_storage = {name.partition("/")[0] for name in flink.files_(f"{FOLDER}/savepoints")}
        listed = {it["path"].split("/")[-2] for it in known(flink)["taken"]}
        assert on_storage == listed and before
    assert kill > 8


def test_a_list_says_which_are_needed(flink: Slow) -> None:
    apply(flink, restartNonce="1")
    hours(flink, 1)
    found = person(flink).listed()
    assert found["status"] == "RUNNING" and "/chk-" in found["newest"]
    assert [it["needed"] for it in found["savepoints"]] == [True, False]
    assert found["savepoints"][1]["bytes"] == 2


def test_a_savepoint_can_be_taken_only_of_a_running_job(flink: Slow) -> None:
    apply(flink, state="suspended")
    with pytest.raises(Failure, match="counts is not running: expected it running, to take a savepoint"):
        person(flink).take()
    flink = cluster(failing=True)
    apply(flink)
    with pytest.raises(Failure, match="counts: the savepoint was not taken"):
        person(flink).take()


def test_one_that_takes_longer_is_listed_when_it_completes(flink: Slow) -> None:
    flink.instant = False
    with pytest.raises(Failure, match="no savepoint after 60 s; if it completes later it is listed"):
        person(flink).take()
    flink.complete()
    look(flink, savepoints=None)
    assert [it["why"] for it in person(flink).listed()["savepoints"]] == ["hand"]


def test_only_one_run_at_a_time_changes_a_job(flink: Slow) -> None:
    flink.held = "up on jm-1"
    with pytest.raises(Failure, match="job counts: up on jm-1 changes it for more than 240 s; try again"):
        person(flink).take()
    assert flink.held == "up on jm-1"


# Restore


def test_an_earlier_savepoint_is_restored_and_the_newer_state_stays(flink: Slow) -> None:
    hours(flink, 2)
    earlier = flink.savepoints()[0]
    person(flink).restore(earlier)
    assert only(flink).restored == earlier
    assert [it["why"] for it in person(flink).listed()["savepoints"]][-1] == "stop"


def test_what_cannot_start_from_it_continues_from_its_newest_state(flink: Slow) -> None:
    hours(flink, 1)
    earlier, now = flink.savepoints()[0], only(flink)
    flink.unrestorable.add(earlier)
    with pytest.raises(Failure, match=r"did not become stable: No such file.* What ran before it runs again, .*/1-1/"):
        person(flink).restore(earlier)
    assert only(flink).spec == now.spec and "/1-1/" in only(flink).restored


def test_if_nothing_starts_the_newest_state_is_kept(flink: Slow) -> None:
    hours(flink, 1)
    earlier = flink.savepoints()[0]
    flink.bad.add("a.jar")
    with pytest.raises(Failure, match=r"cannot be started either .*: it would continue from .*/1-1/"):
        person(flink).restore(earlier)
    flink.bad.clear()
    apply(flink)
    assert "/1-1/" in only(flink).restored


def test_a_job_that_is_down_keeps_its_newest_state_too(flink: Slow) -> None:
    hours(flink, 1)
    earlier = flink.savepoints()[0]
    flink.bad.add("a.jar")
    only(flink).state = "FAILED"
    look(flink)
    flink.unrestorable.add(earlier)
    with pytest.raises(Failure, match=r"Nothing of it runs; it would continue from .*/chk-1"):
        person(flink).restore(earlier)
    flink.bad.clear()
    apply(flink)
    assert only(flink).restored.endswith("/chk-1")


def test_a_suspended_job_will_start_from_it(flink: Slow) -> None:
    hours(flink, 1)
    earlier = flink.savepoints()[0]
    apply(flink, state="suspended")
    person(flink, state="suspended").restore(earlier)
    assert not flink.running()
    apply(flink)
    assert only(flink).restored == earlier


def test_one_that_never_ran_has_no_settings_to_start_with() -> None:
    flink = cluster()
    flink.put("s3://other/sp/_metadata")
    with pytest.raises(Failure, match="counts has not run here yet: expected initialSavepoint"):
        person(flink).restore("s3://other/sp")


def test_what_is_no_savepoint_is_refused(flink: Slow) -> None:
    before = only(flink)
    with pytest.raises(Failure, match="s3://bucket/x/none is no complete savepoint"):
        person(flink).restore("s3://bucket/x/none")
    assert only(flink) is before


def test_a_restore_ends_what_an_interrupted_takeover_has_left_running(flink: Slow) -> None:
    hours(flink, 1)
    earlier, before = flink.savepoints()[0], only(flink)
    apply(flink, "b.jar", upgradeMode="blue-green")
    before.state = "RUNNING"
    record = json.loads(flink.files[f"{FOLDER}/record.json"])
    record["leaving"] = {"number": 1, "spec": before.spec, "from": before.restored}
    flink.files[f"{FOLDER}/record.json"] = json.dumps(record)
    person(flink).restore(earlier)
    assert before.state == "CANCELED"
    assert only(flink).restored == earlier


def test_checkpoints_of_what_could_not_be_started_again_are_the_newest_state(
    flink: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours(flink, 1)
    earlier = flink.savepoints()[0]
    flink.bad.add("a.jar")
    submit = flink.submit

    def with_a_checkpoint(job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
        why = submit(job, spec, restore, seconds)
        if restore != earlier:
            flink.put(f"{STORAGE}/checkpoints/c/{job}/chk-1/_metadata")
        return why

    monkeypatch.setattr(flink, "submit", with_a_checkpoint)
    with pytest.raises(Failure, match=r"cannot be started either .*: it would continue from .*/chk-\d+"):
        person(flink).restore(earlier)


def test_the_same_savepoint_noted_twice_is_adopted_once(flink: Slow) -> None:
    old = f"{STORAGE}/savepoints/c/counts/1-abc/savepoint-1"
    flink.put(f"{old}/_metadata")
    record = json.loads(flink.files[f"{FOLDER}/record.json"])
    record["savepoints"] = [{"path": old, "why": "savepointNonce a"}] * 2
    flink.files[f"{FOLDER}/record.json"] = json.dumps(record)
    look(flink)
    assert [it["path"] for it in known(flink)["taken"]] == [old]

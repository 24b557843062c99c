"""The watch over declared jobs: what is started again, from which state and how often, and what is left alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tool import job_watch
from host_tool.job_watch import Seen
from host_tool.output import Failure
from tests.unit.host_tool.test_host_declared_job import FakeJob, Killed, apply, job, only, values
from tests.unit.host_tool.test_host_job_savepoints import FOLDER, HOUR, Slow, Storage, cluster, look, told

LIMIT = {"restarts": {"attempts": 3, "within": HOUR}, "savepoints": None}


@pytest.fixture
def flink() -> Slow:
    made = cluster()
    apply(made)
    return made


def newest(flink: Slow) -> FakeJob:
    return list(flink.jobs.values())[-1]


def known(flink: Slow) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(flink.files.get(f"{FOLDER}/watch.json", "{}"))
    return found


def starts(flink: Slow) -> int:
    return len([entry for entry in flink.log if entry.startswith("start")])


def declared(flink: Slow, *args: Any, **changes: Any) -> None:
    """`up`, as the tool's command does it."""
    job_watch.forget(told(), Storage(flink))  # type: ignore[arg-type]
    apply(flink, *args, **changes)


def differences(flink: Slow, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    job_watch.check(told(), Storage(flink))  # type: ignore[arg-type]
    return capsys.readouterr().out


def test_a_job_that_has_failed_for_good_starts_from_its_newest_checkpoint(flink: Slow) -> None:
    (first,) = flink.jobs
    flink.checkpoint(first)
    flink.jobs[first].state = "FAILED"
    look(flink, **LIMIT)
    assert only(flink).restored == f"s3://bucket/x/checkpoints/c/{first}/chk-2"
    look(flink, **LIMIT)
    assert starts(flink) == 2
    apply(flink)
    assert starts(flink) == 2, "for `up` it is as it was declared"


def test_one_that_the_cluster_has_lost_starts_too_if_it_stays_lost(flink: Slow) -> None:
    seen = looks(flink)
    flink.jobs.clear()
    seen()
    assert starts(flink) == 1, "a new leader may not have it yet"
    seen()
    assert starts(flink) == 2 and only(flink).restored.endswith("/chk-1")


def test_a_running_or_restarting_job_is_left_alone(flink: Slow) -> None:
    for state in ("RUNNING", "RESTARTING", "FAILING", "CREATED"):
        newest(flink).state = state
        look(flink, **LIMIT)
    assert starts(flink) == 1


@pytest.mark.parametrize("state", ["CANCELED", "FINISHED"])
def test_what_somebody_cancelled_or_what_has_finished_does_not_start_also_under_a_new_leader(
    flink: Slow, state: str
) -> None:
    flink.checkpoint(next(iter(flink.jobs)))
    newest(flink).state = state
    seen = looks(flink)
    seen()
    flink.forget()
    for _ in range(3):
        seen()
    assert starts(flink) == 1 and known(flink)["ended"]["status"] == state


def test_a_job_that_was_cancelled_and_started_again_by_up_is_looked_after_again(flink: Slow) -> None:
    newest(flink).state = "CANCELED"
    look(flink, **LIMIT)
    declared(flink)
    assert starts(flink) == 2
    newest(flink).state = "FAILED"
    look(flink, **LIMIT)
    assert starts(flink) == 3 and only(flink)


@pytest.mark.parametrize("changes", [{"state": "suspended"}, {"restarts": {"attempts": 0, "within": HOUR}}])
def test_suspended_jobs_and_those_that_shall_not_are_not_started(flink: Slow, changes: dict[str, Any]) -> None:
    newest(flink).state = "FAILED"
    look(flink, **{**LIMIT, **changes})
    assert starts(flink) == 1 and not flink.running()


def test_a_job_that_up_suspended_stays_suspended(flink: Slow) -> None:
    declared(flink, state="suspended")
    for _ in range(5):
        look(flink, **LIMIT)
    assert not flink.running()


def test_it_waits_longer_each_time_gives_up_and_says_so(flink: Slow, capsys: pytest.CaptureFixture[str]) -> None:
    state = f"s3://bucket/x/checkpoints/c/{next(iter(flink.jobs))}/chk-1"
    newest(flink).state = "FAILED"
    flink.bad.add("a.jar")
    times = []
    for _ in range(500):
        before = starts(flink)
        look(flink, **LIMIT)
        if starts(flink) > before:
            times.append(flink.clock.now())
        flink.clock.time += 15
    assert starts(flink) == 1 + 3, "no more than three"
    first, second = times[1] - times[0], times[2] - times[1]
    assert HOUR / 4 <= first < second and first + second < HOUR
    assert "is no longer started again by itself, after 3 starts: it fails again and again: boom" in differences(
        flink, capsys
    )
    assert {entry.rpartition(" ")[2] for entry in flink.log if entry.startswith("start")} == {"nothing", state}
    flink.bad.clear()
    flink.clock.time += 100 * HOUR
    look(flink, **LIMIT)
    assert not flink.running(), "only a person starts it now"
    declared(flink)
    assert only(flink).restored == state and differences(flink, capsys) == ""


def test_while_it_waits_doctor_says_what_it_is_doing(flink: Slow, capsys: pytest.CaptureFixture[str]) -> None:
    newest(flink).state = "FAILED"
    flink.bad.add("a.jar")
    look(flink, **LIMIT)
    assert "is being started again by itself, until now 1 times: it fails again" in differences(flink, capsys)
    flink.bad.clear()
    flink.clock.time += HOUR / 2
    look(flink, **LIMIT)
    look(flink, **LIMIT)
    assert only(flink) and differences(flink, capsys) == ""


def test_one_that_fails_every_few_minutes_is_given_up_and_one_that_runs_long_is_not(flink: Slow) -> None:
    for _ in range(10):  # each time it runs for two hours
        newest(flink).state = "FAILED"
        look(flink, **LIMIT)
        assert only(flink)
        flink.clock.time += 2 * HOUR
    for _ in range(40):
        newest(flink).state = "FAILED"
        look(flink, **LIMIT)
        flink.clock.time += 120
    assert not flink.running() and known(flink)["gaveUp"]


@pytest.mark.parametrize("what", ["starting", "stopping"])
def test_what_an_interrupted_up_has_left_is_left_to_the_next(flink: Slow, what: str) -> None:
    name = f"{FOLDER}/record.json"
    record = json.loads(flink.files[name])
    record[what] = {**record["running"], "number": 2, "directory": "s3://x", "how": "savepoint", "try": 1}
    flink.files[name] = json.dumps(record)
    newest(flink).state = "FAILED"
    for _ in range(3):
        look(flink, **LIMIT)
    assert starts(flink) == 1


def test_an_up_that_failed_leaves_the_job_to_its_user(flink: Slow) -> None:
    newest(flink).state = "FAILED"
    flink.bad.add("a.jar")
    look(flink, **LIMIT)
    with pytest.raises(Failure, match="did not become stable"):
        declared(flink)
    before = starts(flink)
    flink.clock.time += HOUR
    look(flink, **LIMIT)
    assert starts(flink) == before


def test_removed_while_it_is_down(flink: Slow) -> None:
    newest(flink).state = "FAILED"
    flink.bad.add("a.jar")
    look(flink, **LIMIT)
    job_watch.forget(told(), Storage(flink))  # type: ignore[arg-type]
    job(flink, values()).remove()
    flink.bad.clear()
    flink.clock.time += HOUR
    look(flink, **LIMIT)
    assert not flink.running()


@pytest.mark.parametrize("new_leader", [False, True])
@pytest.mark.parametrize("bad", [False, True])
def test_a_watch_that_is_killed_at_any_moment_is_continued_by_the_next(new_leader: bool, bad: bool) -> None:
    kill, was_killed = 0, True
    while was_killed:
        kill += 1
        flink = cluster()
        apply(flink)
        flink.checkpoint(next(iter(flink.jobs)))
        newest(flink).state = "FAILED"
        if bad:
            flink.bad.add("a.jar")
        flink.kill, was_killed = flink.number + kill, False
        try:
            look(flink, **LIMIT)
        except Killed:
            was_killed = True
        flink.kill = 0
        flink.bad.clear()
        if was_killed and new_leader:
            flink.forget()
        seen = looks(flink)
        for _ in range(10):
            seen()
            flink.clock.time += HOUR / 4
        # The fake Flink refuses two at once, and an id twice
        assert "/chk-" in only(flink).restored, kill
        assert "/chk-1" not in only(flink).restored, kill
    assert kill > 8


# When it looks


def looks(flink: Slow) -> Callable[..., None]:
    """The timer of a host, whose watch knows what it saw the last time."""
    state: dict[str, Any] = {"jobs": [], "values": {}, "next": 0.0, "missing": 0}

    def run(**changes: Any) -> None:
        @contextlib.contextmanager
        def tools() -> Iterator[Any]:
            flink.log.append("jvm")
            yield Storage(flink), flink.submit

        job_watch.look(told(**{**LIMIT, **changes}), flink, flink.clock, tools, Remembered(state))  # type: ignore[arg-type]

    return run


class Remembered:
    """Instead of a file."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state
        self.jobs, self.next, self.missing = state["jobs"], state["next"], state["missing"]
        self.values = state["values"]

    def write(self, jobs: list[list[str]], values: dict[str, Any], later: float, missing: int) -> None:
        self._state.update(jobs=jobs, values=values, next=later, missing=missing)


def test_other_settings_of_a_running_job_have_their_effect_at_once(flink: Slow) -> None:
    run = looks(flink)
    run()
    flink.clock.time += 15
    run(savepoints={"every": 10, "keep": 2, "maxAge": 0})
    assert [kind for kind in map(str, flink.log) if kind == "jvm"] == ["jvm", "jvm"]


def test_while_nothing_happens_the_storage_is_not_asked(flink: Slow) -> None:
    run = looks(flink)
    for _ in range(100):
        run()
        flink.clock.time += 15
    assert flink.log.count("jvm") == 1
    newest(flink).state = "RESTARTING"
    run()
    assert flink.log.count("jvm") == 1
    newest(flink).state = "FAILED"
    run()
    assert flink.log.count("jvm") == 2 and only(flink)


def test_it_does_nothing_while_another_run_has_the_job(flink: Slow) -> None:
    run = looks(flink)
    flink.held = "up on jm-1"
    newest(flink).state = "FAILED"
    run()
    assert starts(flink) == 1
    flink.held = ""
    run()
    assert starts(flink) == 2


def test_what_was_seen_survives_the_process_and_a_broken_file_does_no_harm(tmp_path: Path) -> None:
    Seen("counts", str(tmp_path)).write([["a", "LIVE"]], {"restarts": {"attempts": 3}}, 7.0, 3)
    found = Seen("counts", str(tmp_path))
    assert (found.jobs, found.next, found.missing) == ([["a", "LIVE"]], 7.0, 3)
    assert found.values == {"restarts": {"attempts": 3}}
    (tmp_path / "counts.json").write_text("{")
    assert Seen("counts", str(tmp_path)).next == 0

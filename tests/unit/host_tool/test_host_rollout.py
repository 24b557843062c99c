"""The rollout, with simulated hosts and JobManagers: the order of restarts, and when it ends."""

import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from host_tool.commands import exit_at_sigterm
from host_tool.hand_over import HandOver
from host_tool.hosts import Hosts, Waiting
from host_tool.output import Failure
from host_tool.rollout import Rollout
from tests.unit.host_tool.world import FakeDaemon, World, job, standing

SECONDS = 30
Start = Callable[..., Rollout]
OLD, NEW = "flink-2.2.0", "flink-2.3.0"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with standing(World(["jm-0", "jm-1"], ["tm-0", "tm-1", "tm-2"]), tmp_path, monkeypatch) as made:
        yield made


def rollout(
    world: World,
    pending: list[str],
    *answers: bool | list[str],
    declared: Sequence[str] = (),
    moved: str = "",
    **more: Any,
) -> Rollout:
    """A rollout; `answers`: whether jobs can be handed over, or which cannot, one for each call."""
    values = {
        "host": "jm-0",
        "pending": pending,
        "jobmanagers": world.jobmanagers,
        "taskmanagers": world.taskmanagers,
        "restPort": 8081,
        "strategy": "rolling",
        "maxUnavailable": 1,
        "highAvailability": True,
        "seconds": SECONDS,
        "user": "flink",
        **more,
    }
    left = list(answers)

    class Answers(HandOver):
        def _ask(self, what: str) -> list[str] | None:
            world.log.append(f"hand over: {what}")
            if what == "carry":
                running = [name for name in world.jobmanagers if not world.daemons[name].stopped]
                assert not running, f"no JobManager may run meanwhile: {running}"
            if world.log[-1] in world.happens:
                world.happens[world.log[-1]]()
            answer = left.pop(0)
            return answer if isinstance(answer, list) else [] if answer else None

        def close(self) -> None:
            if world.log[-1] == "hand over: carry" and "hand over: closed" in world.happens:
                world.happens["hand over: closed"]()

    def stop_declared(jobs: Sequence[str], *, only_all: bool) -> list[str]:
        others = [job for job in jobs if job not in declared]
        if not (only_all and others):
            world.log += [f"stop {job}" for job in jobs if job in declared]
        return others

    def forget_results() -> None:
        world.log.append("forget results")

    hand_over = Answers(lambda: pytest.fail("no Java process here"))
    return Rollout(
        values, Hosts("flink", SECONDS), world.clock, hand_over, stop_declared, forget_results, lambda: moved
    )


def done(world: World) -> list[str]:
    """The changes on hosts, without queries."""
    return [entry for entry in world.log if not re.search(r" (state|leads|tell|proves \d+|results)$", entry)]


def test_only_jobmanagers_are_asked_without_something_pending(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    rollout(world, []).apply()
    assert sorted(world.log) == ["jm-0 state", "jm-1 state"]
    assert capfd.readouterr() == ("", "jm-0: rollout: nothing to restart\n")


def test_standbys_come_first_then_the_leader_then_taskmanagers_one_by_one(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    pending = world.pending("jm-0", "jm-1", "tm-0", "tm-1", "tm-2")
    rollout(world, pending).apply()
    assert done(world) == [f"{name} switch" for name in ("jm-1", "jm-0", "tm-0", "tm-1", "tm-2")]
    assert world.log[-6:] == [f"tm-{n} {verb}" for n in range(3) for verb in ("switch", "proves 30")]
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[0] == "jm-0: rollout: jm-1 restarted and healthy (1 of 5)"
    assert said.err.splitlines()[-1] == "jm-0: rollout: restarted 5 daemons"


def test_what_runs_what_is_expected_is_not_restarted(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.pending("tm-1")
    rollout(world, ["jm-1", "tm-0", "tm-1"]).apply()
    assert done(world) == ["tm-1 switch"]
    # An earlier rollout may have ended there
    assert world.log.index("tm-0 proves 30") < world.log.index("tm-1 switch")
    assert [entry for entry in world.log if "jm-0" in entry] == ["jm-0 state"], "it was not pending"


def test_all_that_runs_what_is_expected_is_only_looked_at(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    rollout(world, ["tm-0", "jm-1"]).apply()
    assert done(world) == []
    assert capfd.readouterr().err == "jm-0: rollout: all daemons run what is expected\n"


def test_what_would_keep_jobmanagers_from_starting_is_removed_before_anything_restarts(world: World) -> None:
    """Measured with Flink 2.3: with a result without application id no JobManager survives an election."""
    rollout(world, world.pending("jm-0", "jm-1")).apply()
    assert world.log.index("forget results") < world.log.index("jm-1 switch")
    world.log.clear()
    rollout(world, ["jm-0", "jm-1"]).apply()
    assert "forget results" in world.log, "with `repair: true` nothing has to restart"
    world.log.clear()
    rollout(world, world.pending("tm-0"), highAvailability=False).apply()
    assert "forget results" not in world.log


def test_max_unavailable_and_parallel_restart_several_at_once(world: World) -> None:
    rollout(world, world.pending("tm-0", "tm-1", "tm-2"), maxUnavailable=2).apply()
    acts = [entry for entry in world.log if not entry.endswith(("state", "results"))]
    assert set(acts[:2]) == {"tm-0 switch", "tm-1 switch"}
    assert set(acts[2:4]) == {"tm-0 proves 30", "tm-1 proves 30"}
    assert acts[4:] == ["tm-2 switch", "tm-2 proves 30"]
    world.log.clear()
    rollout(world, world.pending("jm-0", "tm-0", "tm-1", "tm-2"), strategy="parallel").apply()
    acts = [entry for entry in world.log if not entry.endswith(("state", "results"))]
    assert acts[:2] == ["jm-0 switch", "jm-0 proves 30"]
    assert set(acts[2:5]) == {"tm-0 switch", "tm-1 switch", "tm-2 switch"}


def test_daemons_that_restart_together_are_proved_side_by_side(world: World) -> None:
    both = threading.Barrier(2)
    for name in ("tm-0", "tm-1"):
        world.happens[f"{name} proves 30"] = lambda: both.wait(10)
    rollout(world, world.pending("tm-0", "tm-1"), maxUnavailable=2).apply()


def test_a_login_that_was_lost_while_it_waited_is_made_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(hosts: Hosts, names: Sequence[str], *words: str) -> Waiting:
        argv = ["sh", "-c", "exit 255"]
        return Waiting({name: subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) for name in names}, SECONDS)

    monkeypatch.setattr(Hosts, "log_in", lost)
    rollout(world, world.pending("tm-0", "tm-1", "tm-2")).apply()
    assert done(world) == ["tm-0 switch", "tm-1 switch", "tm-2 switch"]


@pytest.mark.parametrize("what", ["read _; exit 1", "read _; exec sleep 60"])
def test_what_fails_or_hangs_where_it_was_told_is_not_told_again(
    what: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(hosts: Hosts, names: Sequence[str], *words: str) -> Waiting:
        argv = ["sh", "-c", what]
        return Waiting({name: subprocess.Popen(argv, stdin=subprocess.PIPE, text=True) for name in names}, 0.5)

    monkeypatch.setattr(Hosts, "log_in", fails)
    with pytest.raises(Failure, match="tm-1 cannot be restarted"):
        rollout(world, world.pending("tm-0", "tm-1", "tm-2")).apply()
    assert done(world) == ["tm-0 switch"]


def test_a_login_waits_until_it_is_told(world: World) -> None:
    waiting = Hosts("flink", SECONDS).log_in(["tm-0", "tm-1"], "switch")
    assert waiting.go(["tm-1", "tm-2"]) == {"tm-1": True}
    assert done(world) == ["tm-1 switch"]
    waiting.close()
    assert [process.wait() != 0 for process in waiting.started.values()] == [True, False]
    assert done(world) == ["tm-1 switch"]


def test_a_daemon_that_is_not_healthy_ends_it_and_the_rest_stay(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.daemons["tm-1"].heals = False
    with pytest.raises(Failure) as failure:
        rollout(world, world.pending("tm-0", "tm-1", "tm-2")).apply()
    assert str(failure.value) == (
        "rollout: tm-1 was started and is not healthy after 30 s (the end of its log is above); not restarted: tm-2."
        " Repair it, and run `up` again: the rollout continues there"
    )
    assert "the log of tm-1" in capfd.readouterr().err
    assert world.daemons["tm-2"].what == "pending"


def test_a_taskmanager_that_never_registers_ends_it(world: World) -> None:
    world.happens["tm-0 switch"] = lambda: world.registered.discard("tm-0")
    began = world.clock.time
    with pytest.raises(Failure, match=r"tm-0 was started and is not healthy .* not restarted: tm-1\."):
        rollout(world, world.pending("tm-0", "tm-1")).apply()
    assert SECONDS <= world.clock.time - began < SECONDS + 1


def test_a_taskmanager_is_waited_for_until_it_has_registered(world: World) -> None:
    def away() -> None:
        world.registered.discard("tm-0")
        world.clock.after(7, lambda: world.registered.add("tm-0"))

    world.happens["tm-0 switch"] = away
    began = world.clock.time
    rollout(world, world.pending("tm-0", "tm-1")).apply()
    assert 7 <= world.clock.time - began < 8


def test_names_in_dns_are_not_the_ids_of_taskmanagers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["tm-0.x.internal", "tm-1.x.internal"]
    with standing(World(["jm-0.x.internal"], names, leader="jm-0.x.internal"), tmp_path, monkeypatch) as world:
        rollout(world, world.pending(*names)).apply()
        assert done(world) == [f"{name} switch" for name in names]


def test_a_standby_that_is_not_reached_and_has_nothing_to_do_keeps_nobody_from_restarting(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.daemons["jm-1"].reached = False
    rollout(world, world.pending("jm-0", "tm-0")).apply()
    assert done(world) == ["jm-0 switch", "tm-0 switch"]
    assert "cannot query jm-1 over SSH as flink: it stays as it is" in capfd.readouterr().err


def test_a_host_that_cannot_be_logged_in_to_ends_it_before_anything(world: World) -> None:
    world.daemons["tm-1"].reached = False
    pending = world.pending("jm-0", "tm-0", "tm-1")
    with pytest.raises(Failure, match="cannot query tm-1 over SSH as flink; nothing was restarted"):
        rollout(world, pending).apply()
    assert done(world) == []
    with pytest.raises(Failure, match="cannot query tm-1"):
        rollout(world, pending).check()


def test_a_host_that_dies_meanwhile_ends_it_at_that_host(world: World) -> None:
    def dies() -> None:
        world.daemons["tm-1"].reached = False

    world.happens["tm-0 switch"] = dies
    with pytest.raises(Failure, match=r"tm-1 cannot be restarted \(its log cannot be shown\); not restarted: tm-2"):
        rollout(world, world.pending("tm-0", "tm-1", "tm-2")).apply()


def test_a_daemon_that_does_not_run_is_started_though_nobody_knows_who_leads(world: World) -> None:
    for name in world.jobmanagers:
        world.daemons[name].what = "down"
    rollout(world, ["jm-0", "jm-1"], seconds=SECONDS).apply()
    assert done(world) == ["jm-1 switch", "jm-0 switch"]


def test_jobs_that_ran_are_waited_for(world: World) -> None:
    world.jobs = [job(1), job(2, running=1), job(3, state="FINISHED")]

    def fails_over() -> None:
        world.jobs[0]["state"] = "RESTARTING"
        world.clock.after(12, lambda: world.jobs[0].update(state="RUNNING"))

    world.happens["tm-0 switch"] = fails_over
    began = world.clock.time
    rollout(world, world.pending("tm-0", "tm-1")).apply()
    assert 12 <= world.clock.time - began < 13, "not for the job that did not run before"


def test_jobs_that_do_not_come_back_end_it(world: World) -> None:
    world.jobs = [job(1), job(2)]
    world.happens["tm-0 switch"] = lambda: world.jobs[1].update(state="RESTARTING")
    with pytest.raises(Failure) as failure:
        rollout(world, world.pending("tm-0", "tm-1")).apply()
    assert str(failure.value) == (
        "rollout: 1 of the 2 jobs that ran before do not run 30 s after the restart of tm-0; not restarted: tm-1"
    )


@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "CANCELED"])
def test_jobs_that_end_by_themselves_are_not_waited_for(world: World, state: str) -> None:
    world.jobs = [job(1), job(2)]
    world.happens["tm-0 switch"] = lambda: world.jobs[1].update(state=state)
    began = world.clock.time
    rollout(world, world.pending("tm-0", "tm-1")).apply()
    assert world.clock.time == began


def test_a_job_that_ended_under_another_leader_is_not_known_to_the_new_one(world: World) -> None:
    world.jobs = [job(1), job(2)]
    world.happens["jm-0 switch"] = lambda: world.jobs.pop()
    rollout(world, world.pending("jm-0")).apply()


def test_the_names_of_jobs_do_not_matter(world: World) -> None:
    evil = 'a "quoted"\n name with "jid":"0" and {"state":"FINISHED"}, \\u0022 and \u2603'
    world.jobs = [job(1, name=evil), job(2, name='"tasks":{"running":0}')]
    world.happens["tm-0 switch"] = lambda: world.jobs[0].update(state="RESTARTING")
    with pytest.raises(Failure, match="1 of the 2 jobs"):
        rollout(world, world.pending("tm-0")).apply()


def test_a_jobmanager_that_answers_503_is_not_the_only_one(world: World) -> None:
    world.unavailable.add("jm-0")
    world.jobs = [job(1)]
    world.happens["tm-0 switch"] = lambda: world.jobs[0].update(state="RESTARTING")
    with pytest.raises(Failure, match="1 of the 1 jobs"):
        rollout(world, world.pending("tm-0")).apply()


def test_an_election_is_waited_for_before_the_jobs_are_remembered(world: World) -> None:
    world.jobs, world.leader = [job(1)], None
    world.clock.after(3, lambda: setattr(world, "leader", "jm-1"))
    world.happens["tm-0 switch"] = lambda: world.jobs[0].update(state="RESTARTING")
    with pytest.raises(Failure, match="1 of the 1 jobs"):
        rollout(world, world.pending("tm-0")).apply()


def test_the_leader_may_change_while_it_is_under_way(world: World) -> None:
    """Which JobManager leads is determined once, at the beginning; jobs are always read from the current leader."""
    world.jobs, world.leader = [job(1)], "jm-1"

    def elects() -> None:
        world.leader = None
        world.clock.after(5, lambda: setattr(world, "leader", "jm-0"))

    world.happens["tm-0 switch"] = elects
    rollout(world, world.pending("jm-0", "jm-1", "tm-0", "tm-1")).apply()
    assert done(world) == ["jm-0 switch", "jm-1 switch", "tm-0 switch", "tm-1 switch"]


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
)
def test_an_answer_that_is_none_is_asked_for_again(world: World, raw: bytes) -> None:
    world.jobs = [job(1)]
    world.raw["/jobs/overview"] = raw
    world.clock.after(4, world.raw.clear)
    rollout(world, world.pending("tm-0")).apply()
    assert done(world) == ["tm-0 switch"]


# Another release of Flink


def other_release(world: World, *names: str) -> list[str]:
    for name in names or [*world.jobmanagers, *world.taskmanagers]:
        world.daemons[name] = FakeDaemon(running=OLD, expected=NEW)
    return [*names] if names else [*world.jobmanagers, *world.taskmanagers]


def went_back(world: World) -> bool:
    """Whether all JobManagers were told to, and do what they did before."""
    daemons = [world.daemons[name] for name in world.jobmanagers]
    assert set(done(world)[-2:]) == {"jm-0 back", "jm-1 back"}
    return all(daemon.running == OLD and not daemon.held and not daemon.stopped for daemon in daemons)


def test_another_release_is_a_handing_over_and_then_all_at_once(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.jobs = [job(1)]
    rollout(world, other_release(world), True, True).apply()
    acts = done(world)
    assert (acts[0], acts[3:6]) == ("hand over: check", ["jm-1 switch", "jm-0 switch", "hand over: carry"])
    assert (set(acts[1:3]), set(acts[6:8])) == ({"jm-0 hold", "jm-1 hold"}, {"jm-0 go", "jm-1 go"})
    assert set(acts[8:]) == {"tm-0 switch", "tm-1 switch", "tm-2 switch"}
    proofs = [entry for entry in world.log if "proves" in entry]
    assert len(proofs) == 5 and world.log.index("jm-0 go") < world.log.index(proofs[0])
    said = capfd.readouterr().err
    assert "another release of Flink (flink-2.2.0, expected flink-2.3.0)" in said and "1 jobs continue" in said
    assert said.endswith("jm-0: rollout: restarted 5 daemons\n")


def test_jobs_that_the_other_release_refuses_leave_everything_as_it_was(world: World) -> None:
    with pytest.raises(Failure, match=r"cannot be handed over .* nothing was restarted"):
        rollout(world, other_release(world), False).apply()
    assert done(world) == ["hand over: check"]


def test_declared_jobs_that_the_other_release_refuses_stop_before_it_starts(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.jobs = [job(1), job(2)]
    ids = [each["jid"] for each in world.jobs]
    # A stored job is not removed at once after its end
    answers = (ids[:1], ids[:1], True, True)
    rollout(world, other_release(world), *answers, declared=ids).apply()
    acts = done(world)
    assert acts[:4] == ["hand over: check", f"stop {ids[0]}", "hand over: check", "hand over: check"]
    assert set(acts[4:6]) == {"jm-0 hold", "jm-1 hold"}
    assert "1 declared jobs cannot be handed over" in capfd.readouterr().err


def test_no_declared_job_stops_if_another_one_is_refused(world: World) -> None:
    with pytest.raises(Failure, match=r"cannot be handed over .* nothing was restarted"):
        rollout(world, other_release(world), ["a", "b"], declared=["a"]).apply()
    assert done(world) == ["hand over: check"]


def test_a_handing_over_that_fails_leaves_the_old_release(world: World) -> None:
    with pytest.raises(Failure, match=r"cannot be handed over .* the old one\s+continues"):
        rollout(world, other_release(world), True, False).apply()
    assert went_back(world)
    assert not any("tm-" in entry for entry in done(world))


@pytest.mark.parametrize("fails", ["jm-0 switch", "jm-1 switch"])
def test_a_jobmanager_that_cannot_be_stopped_leaves_the_old_release(world: World, fails: str) -> None:
    world.fails.add(fails)
    name = fails.split()[0]
    with pytest.raises(Failure, match=f"{name} cannot be stopped over SSH as flink, and the old release .* continues"):
        rollout(world, other_release(world), True).apply()
    assert went_back(world)
    assert "hand over: carry" not in world.log


@pytest.mark.parametrize("fails", ["jm-0 hold", "jm-1 hold"])
def test_a_jobmanager_that_cannot_be_told_to_wait_ends_it_before_one_stops(world: World, fails: str) -> None:
    world.fails.add(fails)
    name = fails.split()[0]
    with pytest.raises(Failure, match=f"cannot tell {name} over SSH as flink to wait"):
        rollout(world, other_release(world), True).apply()
    assert went_back(world)
    assert not any(entry.endswith("switch") for entry in world.log)


@pytest.fixture
def told_to_end() -> Iterator[Callable[[], None]]:
    """Does to this process what the time limit of a step does."""
    before = signal.getsignal(signal.SIGTERM)
    exit_at_sigterm("jm-0")
    yield lambda: os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("when", ["jm-1 hold", "jm-1 switch", "jm-0 switch", "hand over: carry"])
def test_whoever_ends_it_in_the_middle_has_the_jobmanagers_go_back(
    world: World, told_to_end: Callable[[], None], when: str
) -> None:
    world.happens[when] = told_to_end
    # Impatience changes nothing
    world.happens["jm-1 back"] = told_to_end
    with pytest.raises(SystemExit, match="jm-0: ended by SIGTERM"):
        rollout(world, other_release(world), True).apply()
    assert went_back(world)


def test_jobs_that_are_handed_over_are_not_given_back(world: World, told_to_end: Callable[[], None]) -> None:
    world.happens["hand over: closed"] = told_to_end
    with pytest.raises(SystemExit, match="jm-0: ended by SIGTERM"):
        rollout(world, other_release(world), True, True).apply()
    assert {"jm-0 go", "jm-1 go"} <= set(world.log) and not any("back" in each for each in world.log)


def test_what_a_host_does_when_it_is_ended_is_not_overtaken(world: World, told_to_end: Callable[[], None]) -> None:
    def slow() -> None:
        told_to_end()
        time.sleep(0.5)
        world.log.append("stopped")

    world.happens["jm-1 switch"] = slow
    with pytest.raises(SystemExit):
        rollout(world, other_release(world), True).apply()
    assert world.log.index("stopped") < world.log.index("jm-1 back")


def test_a_jobmanager_that_runs_the_other_release_already_stops_as_well(world: World) -> None:
    """It was installed by the same `up`, or an interrupted rollout has left it: it would lead meanwhile."""
    pending = other_release(world, "jm-0", "tm-0")
    rollout(world, pending, True, True).apply()
    assert world.log.index("jm-1 switch") < world.log.index("hand over: carry") < world.log.index("jm-1 go")
    assert "jm-1 proves 30" in world.log


def test_a_jobmanager_that_is_not_reached_could_run_meanwhile(world: World) -> None:
    pending = other_release(world, "jm-0", "tm-0")
    world.daemons["jm-1"].reached = False
    with pytest.raises(Failure, match="cannot query jm-1 over SSH as flink, and no JobManager may run"):
        rollout(world, pending).apply()
    assert done(world) == []


def test_an_earlier_one_that_was_interrupted_while_it_held_is_continued(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    pending = other_release(world)
    for name in world.jobmanagers:
        world.daemons[name] = FakeDaemon("current", NEW, NEW, held=True, ran=OLD, stopped=True)
    world.leader = None
    rollout(world, pending, True).apply()
    acts = done(world)
    assert acts[4] == "hand over: carry" and set(acts[5:7]) == {"jm-0 go", "jm-1 go"}
    assert set(acts[7:]) == {"tm-0 switch", "tm-1 switch", "tm-2 switch"}, "all at once: they run another release"
    assert world.log.index("jm-0 proves 30") < world.log.index("tm-0 switch")
    assert "was interrupted" in capfd.readouterr().err


def test_one_that_was_interrupted_before_a_jobmanager_stopped_begins_again(world: World) -> None:
    pending = other_release(world)
    world.daemons["jm-1"].held = True
    rollout(world, pending, True, True).apply()
    acts = done(world)
    assert acts[:2] == ["jm-1 go", "hand over: check"], "no job is carried while one leads"
    assert set(acts[2:4]) == {"jm-0 hold", "jm-1 hold"}


def test_one_that_was_interrupted_while_jobmanagers_stopped_begins_again(world: World) -> None:
    """No `carry` while the old one serves, and the one that was stopped does not start beside it with the new one."""
    pending = other_release(world)
    world.daemons["jm-1"] = FakeDaemon("current", NEW, NEW, held=True, ran=OLD, stopped=True)
    world.daemons["jm-0"].held = True
    began: list[str] = []
    world.happens["hand over: check"] = lambda: began.extend(world.daemons[name].running for name in world.jobmanagers)
    rollout(world, pending[:1] + pending[2:], True, True).apply()
    acts = done(world)
    assert set(acts[:2]) == {"jm-0 back", "jm-1 back"} and acts[2] == "hand over: check"
    assert began == [OLD, OLD]
    assert acts.index("hand over: carry") == 7


def test_one_that_was_interrupted_during_an_election_stops_nobody(world: World) -> None:
    """Both have been told to wait, were never stopped, and live."""
    for daemon in (world.daemons[name] for name in world.jobmanagers):
        daemon.held, daemon.ran = True, daemon.running
    world.leader = None
    world.clock.after(3, lambda: setattr(world, "leader", "jm-1"))
    rollout(world, ["jm-0", "jm-1"]).apply()
    assert sorted(done(world)) == ["jm-0 go", "jm-1 go"]


def test_a_hand_over_that_is_continued_and_fails_leaves_the_old_release(world: World) -> None:
    pending = other_release(world)
    for name in world.jobmanagers:
        world.daemons[name] = FakeDaemon("current", NEW, NEW, held=True, ran=OLD, stopped=True)
    world.leader = None
    with pytest.raises(Failure, match=r"the old one\s+continues"):
        rollout(world, pending, False).apply()
    assert went_back(world)


def test_a_jobmanager_that_waits_and_is_not_pending_goes(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    """With `repair: true`: its own step finds that it runs what is expected."""
    world.daemons["jm-1"].held = True
    rollout(world, []).check()
    assert capfd.readouterr().out == (
        "! jm-1\twaits 10 minutes at each start, since a rollout was interrupted: run up again\n"
    )
    rollout(world, []).apply()
    assert done(world) == ["jm-1 go"]
    assert world.log[-1] == "jm-1 proves 30"


def test_while_one_waits_none_may_be_unknown(world: World) -> None:
    world.daemons["jm-1"].held = True
    world.daemons["jm-0"].reached = False
    with pytest.raises(Failure, match="cannot query jm-0 over SSH as flink, and no JobManager may run"):
        rollout(world, ["tm-0"]).apply()
    assert done(world) == []


def test_a_standby_that_an_interrupted_one_has_left_held_only_goes(world: World) -> None:
    """The other one leads with what is expected: nobody goes back."""
    world.daemons["jm-1"] = FakeDaemon("current", NEW, NEW, held=True)
    rollout(world, ["jm-0", "jm-1"]).apply()
    assert done(world) == ["jm-1 go"]


def test_a_hand_over_that_cannot_start_goes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: HandOver, what: str) -> list[str]:
        if what == "carry":
            raise Failure("the compiler is missing")
        return []

    begun = rollout(world, other_release(world))
    monkeypatch.setattr(type(begun._stored_jobs), "_ask", fails)
    with pytest.raises(Failure, match=r"the old one\s+continues"):
        begun.apply()
    assert went_back(world)


def test_without_high_availability_there_is_nothing_to_hand_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing(World(["jm-0"], ["tm-0"]), tmp_path, monkeypatch) as world:
        world.jobs = [job(1), job(2)]
        declared = world.jobs[0]["jid"]
        world.happens["jm-0 hold"] = lambda: world.jobs.clear()
        rollout(world, other_release(world), highAvailability=False, declared=[declared]).apply()
        assert done(world) == [f"stop {declared}", "jm-0 hold", "jm-0 switch", "jm-0 go", "tm-0 switch"]


def test_check_reports_what_waits_and_changes_nothing(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    world.pending("tm-1")
    rollout(world, ["tm-0", "tm-1"]).check()
    assert capfd.readouterr().out == "! tm-1\twaits for a restart: run up again\n"
    assert done(world) == []


def test_many_hosts_are_asked_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"tm-{number}" for number in range(45)]
    with standing(World(["jm-0"], names), tmp_path, monkeypatch) as world:
        rollout(world, world.pending(*names), strategy="parallel").apply()
        assert len([entry for entry in world.log if entry.endswith("state")]) == 46
        assert len(done(world)) == 45


# The state moves

MOVED = "from s3://old/ha to s3://new/ha"


@pytest.mark.parametrize("state", ["RUNNING", "RESTARTING", "FAILING"])
def test_while_jobs_run_the_state_does_not_move(world: World, state: str) -> None:
    world.jobs = [job(1, state=state), job(2, state="FINISHED")]
    with pytest.raises(Failure) as failure:
        rollout(world, world.pending("jm-0", "jm-1", "tm-0"), moved=MOVED).apply()
    assert str(failure.value).startswith(
        f"rollout: the state moves {MOVED}, and 1 jobs run, which need what is there; nothing was restarted. Set the "
        "places back, suspend declared jobs"
    )
    assert done(world) == []


def test_without_jobs_the_state_moves(world: World) -> None:
    world.jobs = [job(1, state="FINISHED"), job(2, state="CANCELED")]
    rollout(world, world.pending("jm-0", "tm-0"), moved=MOVED).apply()
    assert done(world) == ["jm-0 switch", "tm-0 switch"]


def test_who_does_not_know_whether_jobs_run_does_not_move_the_state(world: World) -> None:
    world.leader = None
    with pytest.raises(Failure, match="no JobManager says whether jobs run; nothing was restarted"):
        rollout(world, world.pending("jm-0", "jm-1"), moved=MOVED).apply()
    assert done(world) == []


def test_taskmanagers_alone_move_nothing(world: World) -> None:
    world.jobs = [job(1)]
    rollout(world, world.pending("tm-0"), moved=MOVED).apply()
    assert done(world) == ["tm-0 switch"]

"""Restarts the daemons that do not run what is expected, from the first JobManager's host: first the standby
JobManagers, then the leader, so that there is one failover at most, then the TaskManagers. With another release of
Flink all restart at once. The next daemon restarts only when the previous one is healthy and all jobs run again. The
rollout ends at the first daemon that is not healthy, and leaves the rest as they were.
"""

from __future__ import annotations

from .jobs import ENDED, OVERVIEW, missing, running
from .output import Failure, differs, say
from .rest import JobManagers, short, taskmanager_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from .clock import Clock
    from .hand_over import HandOver
    from .hosts import Hosts, Waiting

    class StopDeclared(Protocol):
        """Stops declared jobs with savepoints (job_release.py)."""

        def __call__(self, jobs: Sequence[str], *, only_all: bool) -> list[str]:
            """The ids of those that are not declared; with `only_all` none stops if there are such."""


ANSWER_SECONDS = 10.0
"""After a leader has failed, the cluster may not answer for a moment."""
GRACE_SECONDS = 120
"""Time for a command on a host, in addition to that for becoming healthy: a login, and ending a daemon that hangs."""
STOP_FIRST = "Stop each job that is refused with a savepoint, run `up` again, and start it from the savepoint"


class State:
    """A host's report on its daemon: `current`, `pending` or `down`; the releases; whether its next start is held."""

    def __init__(self, answer: str) -> None:
        self.what, self.running, self.expected, held = answer.split()
        self.held = held == "held"

    @property
    def is_of_another_release(self) -> bool:
        """Whether what it runs, or starts with when it is held, is of another release than what is expected."""
        return self.running != self.expected


class Rollout:
    """One rollout.

    `values`: host (this one's name), pending (hosts whose daemons may have to be restarted), jobmanagers, taskmanagers
    (all of the cluster's), restPort, strategy (rolling or parallel), maxUnavailable, highAvailability, seconds (within
    which a daemon, and then the jobs, have to be healthy), user. `forget_results` removes stored results of jobs with
    which no JobManager would start (results.py). `moved` says from where to where the state moves with what is expected
    (job_release.py); empty if it stays.
    """

    def __init__(
        self,
        values: dict[str, Any],
        hosts: Hosts,
        clock: Clock,
        hand_over: HandOver,
        stop_declared: StopDeclared,
        forget_results: Callable[[], None],
        moved: Callable[[], str],
    ) -> None:
        self._values = values
        self._pending: list[str] = values["pending"]
        self._jobmanagers: list[str] = values["jobmanagers"]
        self._taskmanagers: list[str] = values["taskmanagers"]
        self._seconds: int = values["seconds"]
        self._user: str = values["user"]
        self._rest = JobManagers(self._jobmanagers, values["restPort"])
        self._hosts, self._clock, self._stored_jobs = hosts, clock, hand_over
        self._stop_declared, self._forget_results, self._moved = stop_declared, forget_results, moved
        self._states: dict[str, State] = {}
        self._left: list[str] = []
        self._jobs: list[str] = []
        self._restarted = self._total = 0

    def apply(self) -> None:
        """Restart the pending daemons. Raises Failure at the first daemon or job that is not healthy afterwards."""
        self._look()
        held = [name for name in self._jobmanagers if name in self._states and self._states[name].held]
        if not self._pending and not held:
            self._say("nothing to restart")
            return
        if self._values["highAvailability"]:
            self._forget_results()
        resumed = self._resume(held) if held else []
        jobmanagers = self._standbys_first([name for name in self._jobmanagers if self._waits(name)])
        taskmanagers = [name for name in self._taskmanagers if self._waits(name)]
        self._left = [*jobmanagers, *taskmanagers]
        self._total = len(self._left)
        if jobmanagers:
            self._stay_or_have_no_jobs()
        if self._other_release(jobmanagers):
            self._change_release(taskmanagers)
            return
        # An earlier rollout may have ended at these: nothing else restarts before they are healthy
        started = dict.fromkeys([*self._pending, *resumed])
        self._prove([name for name in started if self._states[name].what == "current"])
        if not self._total:
            self._say("all daemons run what is expected")
            return
        self._remember_jobs()
        for name in jobmanagers:
            self._restart([name])
        self._roll(taskmanagers)
        self._say(f"restarted {self._restarted} daemons")

    def check(self) -> None:
        """Report the daemons that wait for a restart, and JobManagers that an interrupted rollout has left waiting.
        Raises Failure if the host of one that was pending is unreachable.
        """
        self._look()
        for name, state in self._states.items():
            if name in self._pending and state.what == "pending":
                differs(name, "waits for a restart: run up again")
            elif state.held:
                differs(name, "waits 10 minutes at each start, since a rollout was interrupted: run up again")

    def _stay_or_have_no_jobs(self) -> None:
        """Raise Failure if the state moves while jobs run: what ZooKeeper and declared jobs know of them refers to the
        old place.
        """
        where = self._moved()
        if not where or not self._may_live():
            return
        overview = self._overview(ANSWER_SECONDS)
        jobs = [job for job in overview["jobs"] if job["state"] not in ENDED] if overview else None
        if jobs == []:
            return
        found = f"{len(jobs)} jobs run, which need what is there" if jobs else "no JobManager says whether jobs run"
        raise Failure(
            f"rollout: the state moves {where}, and {found}; nothing was restarted. Set the places back, suspend"
            " declared jobs, stop others with savepoints, and change the places then (docs/storage.md, Moving)"
        )

    # Order

    def _change_release(self, taskmanagers: Sequence[str]) -> None:
        """Two releases of Flink do not work together, and a new one cannot run the jobs that the old one stored. So the
        JobManagers stop, the new release converts the stored jobs, and all daemons start with it. If it cannot, the old
        release continues; for the TaskManagers this is a failover. Declared jobs that it refuses stop with savepoints
        before: their own steps, after the rollout, start them again.
        """
        self._know_all_jobmanagers()
        self._remember_jobs()
        state = next(state for state in self._states.values() if state.is_of_another_release)
        self._say(
            f"{_what_differs(state)} ({state.running}, expected {state.expected}): all daemons restart at once, and"
            f" {len(self._jobs)} jobs continue from their last checkpoint"
        )
        self._stop_refused()
        self._hand_over()
        self._left, self._total = list(taskmanagers), len(self._jobmanagers) + len(taskmanagers)
        self._switch(taskmanagers)
        self._finish([*self._jobmanagers, *taskmanagers])
        self._say(f"restarted {self._restarted} daemons")

    def _stop_refused(self) -> None:
        """Stop the declared jobs that the other release refuses; all declared ones of a cluster that keeps no jobs.
        Raises Failure if it refuses others.
        """
        lasting = self._values["highAvailability"]
        refused = self._stored_jobs.check() if lasting else self._jobs
        others = self._stop_declared(refused, only_all=lasting) if refused else []
        if refused is None or (lasting and others):
            raise Failure(
                "rollout: the jobs cannot be handed over to the other release of Flink (reasons above); nothing was"
                f" restarted. {STOP_FIRST}"
            )
        stopped = [job for job in refused if job not in others]
        if not stopped:
            return
        self._jobs = [job for job in self._jobs if job not in stopped]
        self._say(
            f"{len(stopped)} declared jobs cannot be handed over: they were stopped with savepoints, and start again"
            " from these after the rollout. If you go back to the earlier release before that, run `up` with repair:"
            " true"
        )
        # A JobManager removes a stored job shortly after its end
        if lasting and not self._clock.until(self._seconds, lambda: self._stored_jobs.check() == []):
            raise Failure("rollout: stopped jobs are still stored; nothing was restarted. Run `up` again")

    def _resume(self, held: Sequence[str]) -> Sequence[str]:
        """Let JobManagers start that an interrupted rollout has left waiting. Returns those that start."""
        self._say("an earlier rollout was interrupted while it changed the release of Flink; continuing it")
        self._know_all_jobmanagers()
        states = [self._states[name] for name in self._jobmanagers]
        serves = self._overview(ANSWER_SECONDS) is not None
        if serves and len({state.running for state in states}) == 1:
            # None was stopped, or the jobs are handed over
            self._let_start(held, "go")
        elif not any(state.is_of_another_release for state in states):
            # All were stopped
            self._hand_over()
            return self._jobmanagers
        else:
            # No jobs were handed over: the change begins again
            self._let_start(held, "back")
            self._look()
        return held

    def _hand_over(self) -> None:
        """Hand over the jobs while no JobManager runs. Whatever fails meanwhile, or ends this program, all JobManagers
        start again with what they ran before.
        """
        way = "back"
        try:
            self._stop_jobmanagers()
            refused = self._carry()
            if refused == []:
                way = "go"
            # Its JVM has no part in what follows
            self._stored_jobs.close()
            if refused != []:
                raise Failure(
                    "rollout: the jobs cannot be handed over to the other release of Flink (reasons above), and the old"
                    f" one continues. {STOP_FIRST}"
                )
        finally:
            self._let_start(self._jobmanagers, way)

    def _stop_jobmanagers(self) -> None:
        """Stop all of them, also those that run what is expected: none may lead while jobs are handed over."""
        jobmanagers = self._standbys_first(self._jobmanagers)
        # One that does not wait would start at once
        deaf = self._deaf(jobmanagers, "hold")
        if deaf:
            raise Failure(
                f"rollout: cannot tell {deaf} over SSH as {self._user} to wait for the jobs; the old release of Flink"
                " continues. Repair the login there, and run `up` again"
            )
        for name in jobmanagers:
            if not self._hosts.does(name, "switch"):
                raise Failure(
                    f"rollout: {short(name)} cannot be stopped over SSH as {self._user}, and the old release of Flink"
                    " continues. Repair the host, and run `up` again"
                )

    def _let_start(self, names: Sequence[str], way: str) -> None:
        """`way`: `go`, with what is expected; or `back`, with what they ran before. One login each, side by side: who
        ends a step that takes too long kills it after 10 s more (components/remote.py).
        """
        deaf = self._deaf(names, way)
        if deaf:
            self._say(
                f"cannot tell {deaf} over SSH as {self._user} to start: they do after 10 minutes at most. Repair the"
                " login there, and run `up` again at once"
            )

    def _carry(self) -> list[str] | None:
        """As in `HandOver`. JobManagers wait for it: whatever fails is said, and they go back."""
        try:
            return self._stored_jobs.carry() if self._values["highAvailability"] else []
        except (Failure, OSError) as error:
            self._say(str(error))
            return None

    def _roll(self, taskmanagers: Sequence[str]) -> None:
        # The second condition: an interrupted change of release
        together = self._values["strategy"] == "parallel" or self._other_release(taskmanagers[:1])
        at_once = len(taskmanagers) if together else self._values["maxUnavailable"]
        ready: Waiting | None = None
        for first in range(0, len(taskmanagers), max(1, at_once)):
            following = taskmanagers[first + at_once : first + 2 * at_once]
            ready = self._restart(taskmanagers[first : first + at_once], ready, following)

    def _restart(self, names: Sequence[str], ready: Waiting | None = None, following: Sequence[str] = ()) -> Waiting:
        """Restart all of them at once, and wait until each is healthy and the jobs run again. `ready` are logins for
        that; returns those to the `following` ones, which are made while the daemons start.
        """
        self._switch(names, ready)
        ready = self._hosts.log_in(following, "switch")
        try:
            self._finish(names)
        except Failure:
            ready.close()
            raise
        return ready

    def _switch(self, names: Sequence[str], ready: Waiting | None = None) -> None:
        """Have all of them restart. `ready` are logins for that."""
        self._left = [name for name in self._left if name not in names]
        ran = ready.go(names) if ready else {}
        asked = self._hosts.ask_all([name for name in names if name not in ran], "switch")
        for name in names:
            if not ran.get(name, asked.get(name) is not None):
                self._end(name, "cannot be restarted")

    def _finish(self, names: Sequence[str]) -> None:
        """Wait until each is healthy and the jobs run again."""
        self._prove(names)
        for name in names:
            self._restarted += 1
            self._say(f"{short(name)} restarted and healthy ({self._restarted} of {self._total})")
        if not self._clock.until(self._seconds, self._jobs_run):
            raise Failure(
                f"rollout: {self._missing_jobs()} of the {len(self._jobs)} jobs that ran before do not run"
                f" {self._seconds} s after the restart of {', '.join(map(short, names))}; {self._untouched()}"
            )

    def _prove(self, names: Sequence[str]) -> None:
        """Wait until all of them are healthy. One login after the other would add a third to a rollout of many."""
        proved = self._hosts.ask_all(names, "proves", str(self._seconds))
        missing = [name for name in names if proved[name] is None]
        if not missing:
            taskmanagers = [name for name in names if name in self._taskmanagers]

            def all_registered() -> bool:
                registered = self._registered() if taskmanagers else set()
                missing[:] = [name for name in taskmanagers if short(name) not in registered]
                return not missing

            self._clock.until(self._seconds, all_registered)
        if missing:
            self._end(missing[0], f"was started and is not healthy after {self._seconds} s")

    def _end(self, name: str, what: str) -> None:
        told = self._hosts.show(name, "tell")
        log = "the end of its log is above" if told else "its log cannot be shown"
        raise Failure(
            f"rollout: {short(name)} {what} ({log}); {self._untouched()}. Repair it, and run `up` again: the rollout"
            " continues there"
        )

    def _untouched(self) -> str:
        return f"not restarted: {', '.join(map(short, self._left)) or 'none'}"

    # What runs where

    def _look(self) -> None:
        """Ask all daemons that may have to restart, and all JobManagers: an interrupted rollout may have left some
        waiting.
        """
        self._states = {}
        names = list(dict.fromkeys([*self._pending, *self._jobmanagers]))
        for name, answer in self._hosts.ask_all(names, "state").items():
            if answer:
                self._states[name] = State(answer)
            elif name in self._pending:
                raise Failure(f"rollout: cannot query {name} over SSH as {self._user}; nothing was restarted")
            else:
                self._say(f"cannot query {name} over SSH as {self._user}: it stays as it is")

    def _know_all_jobmanagers(self) -> None:
        """Raise Failure if one was not reached: it may run while jobs are handed over."""
        unknown = [name for name in self._jobmanagers if name not in self._states]
        if unknown:
            raise Failure(
                f"rollout: cannot query {', '.join(unknown)} over SSH as {self._user}, and no JobManager may run while"
                " the release of Flink changes; nothing was restarted. Repair the host or its login, and run `up` again"
            )

    def _waits(self, name: str) -> bool:
        """Whether the daemon is pending, and does not run, or does not run what is expected."""
        return name in self._pending and self._states[name].what != "current"

    def _may_live(self) -> bool:
        """Whether a JobManager may live: whoever was not reached may."""
        return any(name not in self._states or self._states[name].what != "down" for name in self._jobmanagers)

    def _standbys_first(self, jobmanagers: Sequence[str]) -> list[str]:
        """In their order, the leader last."""
        if len(jobmanagers) < 2:
            return list(jobmanagers)
        return sorted(jobmanagers, key=lambda name: self._hosts.does(name, "leads"))

    def _deaf(self, names: Sequence[str], word: str) -> str:
        """Tell all of them a command side by side. Returns the names of those where it failed."""
        told = self._hosts.ask_all(names, word)
        return ", ".join(short(name) for name in names if told[name] is None)

    def _other_release(self, names: Sequence[str]) -> bool:
        return any(self._states[name].is_of_another_release for name in names)

    def _overview(self, seconds: float) -> Any:
        """All jobs, as soon as a JobManager answers; None if none does within the given seconds."""
        overview = None

        def answered() -> bool:
            nonlocal overview
            overview = self._rest.json(OVERVIEW)
            return overview is not None

        self._clock.until(seconds, answered)
        return overview

    def _registered(self) -> set[str]:
        return taskmanager_ids(self._rest.json("/taskmanagers"))

    # Jobs

    def _remember_jobs(self) -> None:
        """Remember the running jobs, to wait for them after each restart."""
        self._jobs = running(self._overview(ANSWER_SECONDS if self._may_live() else 0))

    def _jobs_run(self) -> bool:
        """Whether the jobs that ran before run again, or have ended."""
        return not self._jobs or not self._missing_jobs()

    def _missing_jobs(self) -> int:
        return len(missing(self._rest, self._jobs))

    def _say(self, text: str) -> None:
        say(self._values["host"], f"rollout: {text}")


def _what_differs(state: State) -> str:
    """Daemons of different releases, or with and without TLS (`RELEASE+tls`), do not work together."""
    same = state.running.partition("+")[0] == state.expected.partition("+")[0]
    return "TLS is switched on or off" if same else "another release of Flink"

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
        self._rest = JobManagers(self._jobmanagers, values["restPort"])
        self._hosts, self._clock, self._stored_jobs = hosts, clock, hand_over
        self._stop_declared, self._forget_results, self._moved = stop_declared, forget_results, moved
        self._states: dict[str, State] = {}
        self._held: list[str] = []
        self._left: list[str] = []
        self._jobs: list[str] = []
        self._restarted = self._total = 0

    def apply(self) -> None:
        """Restart the pending daemons. Raises Failure at the first daemon or job that is not healthy afterwards."""
        if not self._pending:
            self._say("nothing to restart")
            return
        self._look()
        if self._values["highAvailability"]:
            self._forget_results()
        self._held = [name for name in self._pending if self._states[name].held]
        if self._held:
            self._say("an earlier rollout was interrupted while it changed the release of Flink; continuing it")
            self._continue()
        jobmanagers = [name for name in self._jobmanagers if self._waits(name)]
        if len(jobmanagers) > 1:  # standbys first, in their order
            jobmanagers.sort(key=lambda name: self._hosts.does(name, "leads"))
        taskmanagers = [name for name in self._taskmanagers if self._waits(name)]
        self._left = [*jobmanagers, *taskmanagers]
        self._total = len(self._left)
        if jobmanagers:
            self._stay_or_have_no_jobs()
        if self._other_release(jobmanagers):
            self._change_release(jobmanagers)
            return
        # An earlier rollout may have ended at these: nothing else restarts before they are healthy
        self._prove([name for name in self._pending if self._states[name].what == "current"])
        if not self._total:
            self._say("all daemons run what is expected")
            return
        self._remember_jobs()
        for name in jobmanagers:
            self._restart([name])
        self._roll(taskmanagers)
        self._say(f"restarted {self._restarted} daemons")

    def check(self) -> None:
        """Report the daemons that wait for a restart. Raises Failure if a host is unreachable."""
        self._look()
        for name in self._pending:
            if self._states[name].what == "pending":
                differs(name, "waits for a restart: run up again")

    def _stay_or_have_no_jobs(self) -> None:
        """Raise Failure if the state moves while jobs run: what ZooKeeper and declared jobs know of them refers to the
        old place.
        """
        where = self._moved()
        if not where or all(self._states[name].what == "down" for name in self._jobmanagers if name in self._states):
            return
        overview = None

        def answered() -> bool:
            nonlocal overview
            overview = self._rest.json(OVERVIEW)
            return overview is not None

        self._clock.until(ANSWER_SECONDS, answered)
        jobs = [job for job in overview["jobs"] if job["state"] not in ENDED] if overview else None
        if jobs == []:
            return
        found = f"{len(jobs)} jobs run, which need what is there" if jobs else "no JobManager says whether jobs run"
        raise Failure(
            f"rollout: the state moves {where}, and {found}; nothing was restarted. Set the places back, suspend"
            " declared jobs, stop others with savepoints, and change the places then (docs/storage.md, Moving)"
        )

    # Order

    def _change_release(self, jobmanagers: Sequence[str]) -> None:
        """Two releases of Flink do not work together, and a new one cannot run the jobs that the old one stored. So the
        JobManagers stop, the new release converts the stored jobs, and all daemons start with it. If it cannot, the old
        release continues; for the TaskManagers this is a failover. Declared jobs that it refuses stop with savepoints
        before: their own steps, after the rollout, start them again.
        """
        self._remember_jobs()
        state = self._states[jobmanagers[0]]
        self._say(
            f"{_what_differs(state)} ({state.running}, expected {state.expected}): all daemons restart at once, and"
            f" {len(self._jobs)} jobs continue from their last checkpoint"
        )
        self._stop_refused()
        for name in jobmanagers:
            if self._hosts.does(name, "hold"):
                self._held.append(name)
        for name in jobmanagers:
            if not self._hosts.does(name, "switch"):
                self._end(name, "cannot be restarted")
        self._hand_over()
        self._restart(self._left)
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

    def _continue(self) -> None:
        """If a JobManager serves, none was stopped yet, or the jobs are handed over: what it runs says what is next."""
        if self._rest.json(OVERVIEW) is None:
            self._hand_over()
            return
        self._go()
        self._held = []

    def _carry(self) -> list[str] | None:
        """As in `HandOver`. JobManagers wait for it: whatever fails is said, and they go back."""
        try:
            return self._stored_jobs.carry() if self._values["highAvailability"] else []
        except (Failure, OSError) as error:
            self._say(str(error))
            return None
        finally:
            # Its JVM has no part in what follows
            self._stored_jobs.close()

    def _hand_over(self) -> None:
        if self._carry() != []:
            for name in self._held:
                if self._hosts.does(name, "back"):
                    self._hosts.does(name, "go")
            raise Failure(
                "rollout: the jobs cannot be handed over to the other release of Flink (reasons above), and the old one"
                f" continues. {STOP_FIRST}"
            )
        self._go()

    def _go(self) -> None:
        for name in self._held:
            self._hosts.does(name, "go")

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
        # In a change of release, some are already switched
        switching = [name for name in names if name not in self._held]
        self._left = [name for name in self._left if name not in names]
        ran = ready.go(switching) if ready else {}
        asked = self._hosts.ask_all([name for name in switching if name not in ran], "switch")
        for name in switching:
            if not ran.get(name, asked.get(name) is not None):
                self._end(name, "cannot be restarted")
        ready = self._hosts.log_in(following, "switch")
        try:
            self._finish(names)
        except Failure:
            ready.close()
            raise
        return ready

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
        for name, answer in self._hosts.ask_all(self._pending, "state").items():
            if not answer:
                user = self._values["user"]
                raise Failure(f"rollout: cannot query {name} over SSH as {user}; nothing was restarted")
            self._states[name] = State(answer)

    def _waits(self, name: str) -> bool:
        """Whether the daemon does not run, or does not run what is expected."""
        return name in self._states and self._states[name].what != "current"

    def _other_release(self, names: Sequence[str]) -> bool:
        return any(self._states[name].running != self._states[name].expected for name in names)

    def _registered(self) -> set[str]:
        return taskmanager_ids(self._rest.json("/taskmanagers"))

    # Jobs

    def _remember_jobs(self) -> None:
        """Remember the running jobs, to wait for them after each restart."""
        overview = None

        def answered() -> bool:
            nonlocal overview
            overview = self._rest.json("/jobs/overview")
            return overview is not None

        lives = any(name not in self._states or self._states[name].what != "down" for name in self._jobmanagers)
        self._clock.until(ANSWER_SECONDS if lives else 0, answered)
        self._jobs = running(overview)

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

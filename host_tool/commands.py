"""The tool's commands. Commands with many values read them as JSON from stdin."""

from __future__ import annotations

import sys

from .clock import Clock
from .output import Failure, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .daemon import Daemon
    from .results import Results

USAGE = """\
usage: flink-host COMMAND

this host's Flink daemon (/etc/flink/daemon.json):
  state                    current, pending or down; the running release and the expected one; held or go
  switch                   end it; systemd restarts it with what is expected
  hold, go                 hold the next start until `go` or `back`, for 10 minutes at most
  back                     let it start with what it ran at `hold`; if it was switched since, it ends for that
  proves SECONDS           wait until it runs what is expected and is healthy
  leads                    succeed if it is the leading JobManager
  tell                     print the end of its log
  relinquish               after a JobManager has ended: delete what it left in ZooKeeper, so that another one leads
  superseded               one look of a timer, which ends a JobManager that has lost its place to another one

the cluster, on a JobManager's host:
  jobs [ID...]             print the ids of those that run; or of these, that do not run and have not ended
  rest PATH                print the answer of Flink's REST API to GET PATH, such as /overview

declared jobs, on a JobManager's host (/etc/flink/jobs.json):
  watch                    on the leader's: start again what has failed for good, and take savepoints that are due
  savepoints list [JOB]    as JSON
  savepoints take JOB      and wait until it is complete
  savepoints restore JOB PATH    start it from an earlier savepoint

this host's daemon, by KIND (rest, registered or zookeeper), PORT and the other HOSTs that its health depends on:
  healthy|serves|stoppable|joins [--within SECONDS] KIND PORT [HOST...]

the storage, as this host's daemon will use it; values as JSON on stdin (host_tool/s3_look.py):
  storage [--check]        write, list, read and delete an object below each place on S3

this host's ZooKeeper server:
  mode PORT                print leader, follower or observer; fail if it does not serve

the whole cluster, on the first host of a role; values as JSON on stdin (host_tool/rollout.py, cluster.py, ensemble.py,
logins.py):
  rollout [--check]        restart the Flink daemons that do not run what is expected
  cluster [--check]        wait until Flink is complete, and print its /overview
  ensemble [--check]       wait until ZooKeeper is complete
  logins [--check]         prove that the daemons' user can log in to all hosts with Flink daemons

  job [--check]            bring a declared job to its declared state (host_tool/declared_job.py)

what clusters have left on the storage and in ZooKeeper, on a JobManager's host:
  leftovers purge URI...
  leftovers list STORAGE QUORUM ROOT QUIET_SECONDS KEEP
  leftovers delete STORAGE QUORUM ROOT QUIET_SECONDS IDS
  leftovers jobs STORAGE QUORUM ROOT QUIET_SECONDS IDS    list checkpoints of ended jobs; delete those of IDS
  leftovers mark           renew the mark that this cluster is alive, at which `list` and `delete` look
  held URI                 what this cluster has there, and which declared jobs need it, as JSON
  leftovers results [remove]    list, or remove, results of ended jobs with which no JobManager of this cluster starts

exit status: 0 yes, or done; 1 no, or failed; 2 wrong usage
"""


class Usage(Exception):
    """Wrong usage; the message states what is expected."""


def main(words: Sequence[str]) -> int:
    """Run one command; returns its exit status."""
    if not words or words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0 if words else 2
    name, rest, who = words[0], list(words[1:]), "flink-host"
    try:
        if name in CLUSTER_COMMANDS:
            values = _values(name, rest)
            who = values["host"]
            CLUSTER_COMMANDS[name](values, bool(rest))
            return 0
        if name not in HOST_COMMANDS:
            raise Usage(f"unknown command {name!r}")
        return HOST_COMMANDS[name](name, rest)
    except Usage as error:
        say(who, f"{error}; see flink-host --help")
        return 2
    except Failure as error:
        say(who, str(error))
    except OSError as error:
        say(who, f"{name}: {error}")
    except ModuleNotFoundError as error:
        say(who, f"{name} does not work on hosts of this role: {error}")
    return 1


def _daemon(name: str, words: list[str]) -> int:
    from .daemon import of_this_host

    return ask_daemon(of_this_host(), name, words)


def ask_daemon(daemon: Daemon, name: str, words: list[str]) -> int:
    """Run a command on the daemon."""
    if name == "proves":
        return _status(daemon.proves(_seconds(words)))
    if words:
        raise Usage(f"{name} takes no argument, found {' '.join(words)}")
    if name == "leads":
        return _status(daemon.leads())
    if name == "state":
        print(daemon.state())
    else:
        getattr(daemon, name)()
    return 0


def _health(question: str, words: list[str]) -> int:
    from .health import KINDS

    seconds = 0.0
    if words[:1] == ["--within"]:
        seconds = _seconds(words[1:2])
        words = words[2:]
    if len(words) < 2 or words[0] not in KINDS or not words[1].isdigit():
        raise Usage(f"{question}: expected {', '.join(KINDS)} and a port, found {' '.join(words) or 'nothing'}")
    health = KINDS[words[0]](int(words[1]), words[2:])
    return _status(Clock().until(seconds, getattr(health, question)))


def _mode(name: str, words: list[str]) -> int:
    from . import zookeeper
    from .health import HERE

    if len(words) != 1 or not words[0].isdigit():
        raise Usage(f"{name}: expected a port, found {' '.join(words) or 'nothing'}")
    found = zookeeper.mode(HERE, int(words[0]))
    if found:
        print(found)
    return _status(bool(found))


def _session(name: str, words: list[str]) -> int:
    if words:
        raise Usage(f"{name} takes no argument, found {' '.join(words)}")
    if name == "relinquish":
        from .session import relinquish

        relinquish()
    else:
        from .superseded import watch

        watch()
    return 0


def _rollout(values: dict[str, Any], only_look: bool) -> None:
    from contextlib import closing

    from .hand_over import HandOver
    from .hosts import Hosts
    from .java import Java
    from .rollout import GRACE_SECONDS, Rollout

    exit_at_sigterm(values["host"])
    hosts = Hosts(values["user"], values["seconds"] + GRACE_SECONDS)

    def stop_declared(jobs: Sequence[str], *, only_all: bool) -> list[str]:
        from .job_commands import stop_declared

        return stop_declared(values, jobs, only_all=only_all)

    with closing(HandOver(lambda: Java(values["user"]).start("HandOver"))) as hand_over:
        rollout = Rollout(values, hosts, Clock(), hand_over, stop_declared, _results(values).forget, _moved)
        if only_look:
            rollout.check()
        else:
            rollout.apply()


def exit_at_sigterm(who: str) -> None:
    """Have SIGTERM, which a step's time limit sends, end this program by an exception, so that it leaves nothing half
    done. Only once: nothing interrupts what happens then.
    """
    import signal

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SystemExit(f"{who}: ended by SIGTERM: run `up` again at once, which continues")

    signal.signal(signal.SIGTERM, end)


def _moved() -> str:
    from .java import LAUNCHES
    from .job_release import moved

    return moved(*(f"{LAUNCHES}/{name}/conf/config.yaml" for name in ("current", "expected")))


def _cluster(values: dict[str, Any], only_look: bool) -> None:
    from .cluster import LOG_SECONDS, Cluster
    from .hosts import Hosts

    cluster = Cluster(values, Hosts(values["user"], LOG_SECONDS), Clock(), _results(values))
    if only_look:
        cluster.check()
    else:
        print(cluster.apply())


def _results(values: dict[str, Any]) -> Results:
    from .java import Java
    from .results import Results

    return Results(values["host"], Java(values["user"]).lines)


def _ensemble(values: dict[str, Any], only_look: bool) -> None:
    from .ensemble import Ensemble

    ensemble = Ensemble(values, Clock())
    if only_look:
        ensemble.check()
    else:
        ensemble.apply()


def _logins(values: dict[str, Any], only_look: bool) -> None:
    from .hosts import Hosts
    from .logins import LOGIN_SECONDS, Logins

    logins = Logins(values, Hosts(values["user"], LOGIN_SECONDS), Clock())
    if only_look:
        logins.check()
    else:
        logins.apply()


def _job(values: dict[str, Any], only_look: bool) -> None:
    from .job_commands import apply, check

    if only_look:
        check(values)
    else:
        apply(values)


def _storage(values: dict[str, Any], only_look: bool) -> None:
    from .s3_look import of

    look = of(values, Clock())
    if only_look:
        look.check()
    else:
        look.apply()


def _watch(name: str, words: list[str]) -> int:
    from .daemon import Daemon, facts
    from .job_commands import watch

    if words:
        raise Usage(f"{name} takes no argument, found {' '.join(words)}")
    # Only the leader's side acts
    return _status(not Daemon(facts(), Clock()).leads() or watch())


def _savepoints(name: str, words: list[str]) -> int:
    import json

    from .job_commands import savepoints

    numbers = {"list": (1, 2), "take": (2,), "restore": (3,)}
    if not words or len(words) not in numbers.get(words[0], ()):
        raise Usage(f"{name}: expected list [JOB], take JOB, or restore JOB PATH, found {' '.join(words) or 'nothing'}")
    print(json.dumps(savepoints(words[0], *words[1:])))
    return 0


def _leftovers(name: str, words: list[str]) -> int:
    from .daemon import facts
    from .java import Java

    numbers = {"purge": len(words) > 1, "list": len(words) == 6, "delete": len(words) == 6, "mark": len(words) == 1}
    numbers["jobs"] = len(words) == 6
    numbers["results"] = words[1:] in ([], ["remove"])
    if not words or not numbers.get(words[0]):
        raise Usage(
            f"{name}: expected purge URI..., mark, results [remove], or list, delete or jobs with five arguments"
        )
    if words[0] in ("list", "delete", "jobs"):
        _seconds(words[4:5])
    return _status(Java(facts()["user"]).run("Leftovers", *words))


def _held(name: str, words: list[str]) -> int:
    import json

    from .job_commands import held

    if len(words) != 1 or "://" not in words[0]:
        raise Usage(f"{name}: expected a place such as s3://bucket/prefix, found {' '.join(words) or 'nothing'}")
    print(json.dumps(held(words[0])))
    return 0


def _jobs(name: str, words: list[str]) -> int:
    from .daemon import facts
    from .jobs import OVERVIEW, missing, running
    from .rest import JobManagers

    known = facts()
    if known["health"] != "rest":
        raise Usage(f"{name} works on a JobManager's host only")
    rest = JobManagers(["localhost", *known.get("others", ())], known["port"])
    overview = None if words else rest.json(OVERVIEW)
    if not words and overview is None:
        raise Failure("no JobManager answers for a leader")
    for job in missing(rest, words) if words else running(overview):
        print(job)
    return 0


def _rest(name: str, words: list[str]) -> int:
    from .daemon import facts
    from .rest import OK, JobManagers

    known = facts()
    if known["health"] != "rest":
        raise Usage(f"{name} works on a JobManager's host only")
    if len(words) != 1 or not words[0].startswith("/"):
        raise Usage(f"{name}: expected a path such as /overview, found {' '.join(words) or 'nothing'}")
    answer = JobManagers(["localhost", *known.get("others", ())], known["port"]).request("GET", words[0])
    if answer is None:
        raise Failure("no JobManager answers for a leader")
    print(answer.text)
    return _status(answer.status == OK)


def _values(name: str, words: list[str]) -> dict[str, Any]:
    """The values from stdin."""
    import json

    if words not in ([], ["--check"]):
        raise Usage(f"{name} takes only --check, found {' '.join(words)}")
    try:
        found: dict[str, Any] = json.load(sys.stdin)
    except ValueError as error:
        raise Usage(f"{name} expects its values as JSON on stdin: {error}") from error
    return found


def _seconds(words: list[str]) -> float:
    if len(words) != 1 or not words[0].isdigit():
        raise Usage(f"expected a number of seconds, found {' '.join(words) or 'nothing'}")
    return float(words[0])


def _status(holds: bool) -> int:
    return 0 if holds else 1


HOST_COMMANDS: dict[str, Callable[[str, list[str]], int]] = {
    **dict.fromkeys(("state", "switch", "hold", "go", "back", "proves", "leads", "tell"), _daemon),
    **dict.fromkeys(("healthy", "serves", "stoppable", "joins"), _health),
    "mode": _mode,
    "jobs": _jobs,
    "rest": _rest,
    "watch": _watch,
    "savepoints": _savepoints,
    "leftovers": _leftovers,
    "held": _held,
    "relinquish": _session,
    "superseded": _session,
}

CLUSTER_COMMANDS: dict[str, Callable[[dict[str, Any], bool], None]] = {
    "rollout": _rollout,
    "cluster": _cluster,
    "ensemble": _ensemble,
    "logins": _logins,
    "job": _job,
    "storage": _storage,
}

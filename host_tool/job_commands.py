"""Declared jobs, for the tool's commands: what each needs of the storage, of Flink's client and of the others."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from . import job_watch, old_place
from .artifacts import Artifacts
from .clock import Clock
from .daemon import facts
from .declared_job import Job
from .java import Java
from .job_lock import locked, waits
from .job_record import folder
from .job_release import Declared, place
from .job_savepoint_commands import Person
from .output import Failure, say
from .rest import JobManagers
from .store import Store
from .submit import Submitter
from .turns import CLIENTS, TURNS, Turns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .declared_job import Submit


@contextlib.contextmanager
def _tools(values: dict[str, Any]) -> Iterator[tuple[Store, Submitter]]:
    """The storage, whose process ends with this, and Flink's client."""
    java = Java(values["user"])
    with _store(java) as store:
        yield store, Submitter(values["user"], _kept(values, store), java.environment(), java.classes)


def _store(java: Java) -> contextlib.closing[Store]:
    return contextlib.closing(Store(lambda: java.start("Store")))


def _kept(values: dict[str, Any], store: Store) -> Artifacts:
    return Artifacts(values["user"], store, folder(values))


def _rest(values: dict[str, Any]) -> JobManagers:
    return JobManagers(values["jobmanagers"], values["restPort"])


def apply(values: dict[str, Any]) -> None:
    """Bring a job to its declared state, or end it, and print what runs then; `values` as in `Job`."""
    clock = Clock()
    turns = Turns(TURNS, CLIENTS, clock)
    with _tools(values) as (store, submitter), locked(values, store, clock, "up", waits(values)):

        def submit(job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
            with turns.one(seconds):
                return submitter(job, spec, restore, seconds)

        job_watch.forget(values, store)
        job = Job({**values, "before": _noted(values)}, _rest(values), store, clock, submit)
        if values["remove"]:
            job.remove()
        else:
            _kept(values, store).keep(values["spec"], values["files"])
            print(json.dumps(job.apply()))
            _note(values)


def _noted(values: dict[str, Any]) -> dict[str, str]:
    """Where the job was when this host changed it the last time; empty if it never has."""
    try:
        with open(values["note"]) as file:
            found: dict[str, str] = json.load(file)
    except FileNotFoundError:
        return {}
    return found


def _note(values: dict[str, Any]) -> None:
    """Note where the job is: at another place nothing would say that it has state."""
    # The daemons' user owns the folder, and could put a link in place of a name that is known
    new = f"{values['note']}.{secrets.token_hex(8)}"
    with open(new, "x") as file:
        json.dump({name: values[name] for name in ("storage", "cluster")}, file)
    os.replace(new, values["note"])


def check(values: dict[str, Any]) -> None:
    """Report how a job differs from what is declared."""
    with _tools(values) as (store, submitter):
        Job(values, _rest(values), store, Clock(), submitter).check()
        job_watch.check(values, store)


def stop_declared(values: dict[str, Any], jobs: Sequence[str], *, only_all: bool) -> list[str]:
    """Stop declared jobs for another release of Flink, as `Declared.stop`; `values` as in `Rollout`."""
    told = {**place(), "host": values["host"], "seconds": values["seconds"]}
    with _store(Java(values["user"])) as store:
        return Declared(told, _rest(values), store, Clock()).stop(jobs, only_all=only_all)


def watch() -> bool:
    """Look at all declared jobs of this host's cluster; whether that could be done."""
    clock, one_by_one = Clock(), Lock()

    @contextlib.contextmanager
    def tools(values: dict[str, Any]) -> Iterator[tuple[Store, Submit]]:
        with _tools(values) as (store, submitter):

            def submit(job: str, spec: dict[str, Any], restore: str, seconds: int) -> str:
                # Each is a JVM here, and two jobs may have the same jar
                with one_by_one:
                    return submitter(job, spec, restore, seconds)

            yield store, submit

    def look(values: dict[str, Any]) -> bool:
        try:
            job_watch.look(values, _rest(values), clock, lambda: tools(values), job_watch.Seen(values["name"]))
        except (Failure, OSError) as error:
            say(values["host"], f"job {values['name']}: {error}")
            return False
        return True

    with ThreadPoolExecutor(job_watch.AT_ONCE) as pool:
        return all([*pool.map(look, job_watch.declared())])


def held(uri: str) -> dict[str, Any]:
    """What this host's cluster has at a place."""
    with _store(Java(facts()["user"])) as store:
        return old_place.held(uri, place()["cluster"], job_watch.declared(), store)


def savepoints(what: str, job: str = "", path: str = "") -> list[dict[str, Any]]:
    """List, take, or restore from; of all jobs without a name."""
    known = {values["name"]: values for values in job_watch.declared()}
    if job and job not in known:
        raise Failure(f"no job {job} is declared: expected {', '.join(known) or 'none'}")
    found = []
    for values in [known[job]] if job else known.values():
        with _tools(values) as (store, submitter):
            person = Person(values, _rest(values), store, Clock(), submitter)
            if what == "list":
                found.append(person.listed())
            else:
                found.append(person.take() if what == "take" else person.restore(path))
    return found

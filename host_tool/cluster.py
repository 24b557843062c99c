"""Waits until the cluster is complete: every JobManager answers for a leader, and every TaskManager has registered with
all its slots. Otherwise it reports which ones are missing, and shows the end of their logs. A TaskManager that is
leaving may still be registered: Pulumi removes it later.
"""

from __future__ import annotations

from .output import Failure, differs, say, show_log
from .rest import JobManager, short, taskmanager_ids

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock
    from .hosts import Hosts
    from .results import Results

LOG_SECONDS = 15
LEADER_SECONDS = 30.0
"""Somebody leads by then if results do not prevent it. To ask for these costs a JVM, the first time also a compiler,
while daemons start.
"""
LOGS_SHOWN = 5
"""Enough to find the cause; each host that is down costs a timeout."""


class Cluster:
    """A cluster, as seen from the first JobManager's host.

    `values`: host (this one's name), jobmanagers, taskmanagers, restPort, slots, version (Flink's), seconds.
    """

    def __init__(self, values: dict[str, Any], hosts: Hosts, clock: Clock, results: Results) -> None:
        self._values = values
        self._here = JobManager("localhost", values["restPort"])
        self._jobmanagers = [JobManager(name, values["restPort"]) for name in values["jobmanagers"]]
        self._hosts, self._clock, self._results = hosts, clock, results
        self._overview: str | None = None
        self._found: dict[str, Any] = {}
        self._registered: set[str] = set()

    def apply(self) -> str:
        """Wait until the cluster is complete, and return Flink's /overview. Raises Failure if it is not in time."""
        values = self._values
        end = self._clock.now() + values["seconds"]
        if not self._clock.until(min(LEADER_SECONDS, values["seconds"]), self._has_leader):
            self._results.forget()
        if not self._clock.until(end - self._clock.now(), self._complete):
            self._explain()
            raise Failure(
                f"the cluster is not complete after {values['seconds']} s: {self._expected()}; found {self._summary()}"
            )
        say(
            values["host"],
            f"cluster: Flink {values['version']}, {len(values['taskmanagers'])} TaskManagers, {values['slots']} slots",
        )
        return self._overview or ""

    def check(self) -> None:
        """Report drift if it is not complete, or if its JobManagers will not start again."""
        if not self._complete():
            differs("cluster", f"{self._expected()}; found {self._summary()}")
        self._results.check()

    def _complete(self) -> bool:
        self._overview = self._here.text("/overview")
        self._found = _object(self._overview)
        if self._found.get("flink-version") != self._values["version"]:
            return False
        if self._found.get("slots-total", 0) < self._values["slots"]:
            return False
        self._registered = taskmanager_ids(self._here.json("/taskmanagers"))
        # A standby that does not answer cannot take over
        return not self._missing() and all(server.answers("/overview") for server in self._jobmanagers)

    def _has_leader(self) -> bool:
        return self._complete() or "flink-version" in self._found

    def _missing(self) -> list[str]:
        """TaskManagers that have not registered."""
        return [name for name in self._values["taskmanagers"] if short(name) not in self._registered]

    def _expected(self) -> str:
        values = self._values
        return (
            f"expected Flink {values['version']} with {len(values['taskmanagers'])} TaskManagers and {values['slots']}"
            " slots, and every JobManager answering"
        )

    def _summary(self) -> str:
        found = self._found
        if "flink-version" not in found:
            return "no JobManager that answers for a leader"
        text = f"Flink {found['flink-version']} with {found.get('taskmanagers')} and {found.get('slots-total')}"
        silent = [server.host for server in self._jobmanagers if not server.answers("/overview")]
        return f"{text}; no answer from JobManager {', '.join(silent)}" if silent else text

    def _explain(self) -> None:
        host = self._values["host"]
        log = ["journalctl", "-u", "flink-jobmanager", "-n", "25", "--no-pager", "-o", "cat"]
        show_log(f"{host}: end of the JobManager's log", log, LOG_SECONDS)
        self._registered = taskmanager_ids(self._here.json("/taskmanagers"))
        others = [server.host for server in self._jobmanagers if short(server.host) != host]
        for name in [*others, *self._missing()][:LOGS_SHOWN]:
            say(name, "end of its log ---")
            if not self._hosts.show(name, "tell"):
                say(name, "its log cannot be shown")


def _object(text: str | None) -> dict[str, Any]:
    import json

    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""Stored results of ended jobs with which no JobManager of Flink 2.3 starts (host_scripts/java/Results.java). Those of
declared jobs are removed with their attempt (declared_job.py); others only by a rollout, a repair and people.
"""

from __future__ import annotations

from .output import differs, say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Lines = Callable[..., tuple[int, list[str]]]

WHAT_HAPPENS = (
    "the result of a job that failed before it started, which Flink cannot recover: at the next election every"
    " JobManager that leads exits, and no job runs"
)
REMOVE = (
    "Nothing needs it; a rollout and `repair: true` remove it, or on this host: sudo /usr/local/lib/flink/flink-host"
    " leftovers results remove"
)
STORED = "Its job is still in ZooKeeper, and would start again without it: cancel or restore that job first"


class Results:
    """Those of this host's cluster. `lines` as in `Java`."""

    def __init__(self, host: str, lines: Lines) -> None:
        self._host, self._lines = host, lines

    def check(self) -> None:
        """Report them."""
        for what, uri in self._ask():
            differs(uri, f"{WHAT_HAPPENS}. {STORED if what == 'stored' else REMOVE}")

    def forget(self) -> None:
        """Remove them, so that a JobManager can lead."""
        for what, uri in self._ask("remove"):
            if what == "removed":
                say(self._host, f"removed {uri}, {WHAT_HAPPENS}")
            else:
                say(self._host, f"{uri} stays, {WHAT_HAPPENS}. {STORED}")

    def _ask(self, *words: str) -> list[tuple[str, str]]:
        code, lines = self._lines("Leftovers", "results", *words)
        if code:
            say(self._host, "the storage or ZooKeeper does not say whether there are results that Flink cannot recover")
        return [(what, uri) for what, uri, *_ in (line.split("\t") for line in lines)]

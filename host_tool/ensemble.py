"""Waits until every server of ZooKeeper's ensemble serves, and one of them leads."""

from __future__ import annotations

from . import zookeeper
from .output import Failure, differs, say, show_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .clock import Clock


class Ensemble:
    """An ensemble. `values`: host (this one's name), servers, port, seconds."""

    def __init__(self, values: dict[str, Any], clock: Clock) -> None:
        self._values = values
        self._clock = clock
        self._modes: dict[str, str] = {}

    def apply(self) -> None:
        """Wait until the ensemble is complete. Raises Failure if it is not in time."""
        values = self._values
        if not self._clock.until(values["seconds"], self._complete):
            host = values["host"]
            log = ["journalctl", "-u", "zookeeper", "-n", "20", "--no-pager", "-o", "cat"]
            show_log(f"{host}: end of this server's log", log, 15)
            raise Failure(
                f"the ensemble is not complete after {values['seconds']} s: {self._expected()}; found {self._found()}"
            )
        say(values["host"], f"zookeeper: {len(values['servers'])} servers serve, one leads")

    def check(self) -> None:
        """Report drift if it is not complete."""
        if not self._complete():
            differs("zookeeper", f"{self._expected()}; found {self._found()}")

    def _complete(self) -> bool:
        self._modes = {server: zookeeper.mode(server, self._values["port"]) for server in self._values["servers"]}
        return all(self._modes.values()) and list(self._modes.values()).count("leader") == 1

    def _expected(self) -> str:
        return f"expected {len(self._values['servers'])} servers that serve, one of which leads"

    def _found(self) -> str:
        return ", ".join(f"{server} {mode or 'does not serve'}" for server, mode in self._modes.items())

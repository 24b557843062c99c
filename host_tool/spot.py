"""Watches for AWS's notices to this spot instance, and stops the TaskManager before AWS takes the machine back.

A TaskManager that systemd stops deregisters from the JobManagers at once: its jobs restart on free slots within
seconds, instead of after the heartbeat timeout.

- Interruption: the machine ends in two minutes. The TaskManager stops, and stays stopped.
  https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
- Rebalance recommendation: the machine may end soon, or never. Only with `rebalance`, and only if the other
  TaskManagers have free slots for its tasks, the TaskManager stops; if no interruption follows, it starts again.
  The number of free slots is a metric of the JobManager that leads: the REST API, by which anyone runs code, is closed
  to TaskManagers.
  https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys

from .clock import Clock
from .rest import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

FACTS = "/etc/flink/spot.json"
METADATA = ("169.254.169.254", 80)
TOKEN_SECONDS = 21600
"""Lifetime of a token of the metadata service, the longest that it grants."""
LOOK_SECONDS = 5
"""AWS recommends to look every 5 seconds."""
ANSWER_SECONDS = 2
FREE_SLOTS = "flink_jobmanager_taskSlotsAvailable"
"""The leading JobManager's number of free slots on all TaskManagers. A standby does not have it.
https://nightlies.apache.org/flink/flink-docs-stable/docs/ops/metrics/#cluster"""
METRICS = f"/metrics?name%5B%5D={FREE_SLOTS}"
RETURN_SECONDS = 900
"""If no interruption follows a rebalance recommendation for this long, the TaskManager starts again."""
DRAINED = "/run/flink-spot/drained"
"""When the TaskManager was stopped because of a recommendation. The file stays after it has started again, because AWS
keeps a recommendation until the machine ends."""


class Metadata:
    """The instance metadata service, version 2."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._token = ""

    def text(self, path: str) -> str | None:
        """The content of a path below `/latest/meta-data/`; None if there is none. Raises OSError without an answer."""
        for _ in range(2):
            if not self._token:
                self._token = self._ask("PUT", "/latest/api/token", "-ttl-seconds", str(TOKEN_SECONDS))[1]
            status, body = self._ask("GET", f"/latest/meta-data/{path}", "", self._token)
            if status == http.client.OK:
                return body
            if status == http.client.NOT_FOUND:
                return None
            self._token = ""  # it has expired
        raise OSError(f"the metadata service answers {status} to {path}")

    def _ask(self, method: str, path: str, header: str, value: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self._place, timeout=ANSWER_SECONDS)
        try:
            connection.request(method, path, headers={f"X-aws-ec2-metadata-token{header}": value})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as error:
            raise OSError(f"the metadata service does not answer HTTP: {error}") from None
        finally:
            connection.close()


class Watch:
    """What happens after a notice. `facts`: unit, slots (of the TaskManager), jobmanagers, metricsPort, rebalance."""

    def __init__(
        self,
        facts: dict[str, Any],
        metadata: Metadata,
        clock: Clock,
        systemctl: Callable[..., bool],
        drained: str = DRAINED,
    ) -> None:
        self._unit: str = facts["unit"]
        self._slots: int = facts["slots"]
        self._on_rebalance: bool = facts["rebalance"]
        self._jobmanagers = [Server(name, facts["metricsPort"]) for name in facts["jobmanagers"]]
        self._metadata = metadata
        self._clock = clock
        self._systemctl = systemctl
        self._drained = drained
        self._told: set[str] = set()

    def look(self) -> None:
        """Look once, and act. Raises OSError if the metadata service does not answer."""
        interruption = self._metadata.text("spot/instance-action")
        if interruption:
            self._say(f"AWS takes this machine back ({interruption.strip()}): {self._unit} is stopped")
            self._stop()
            return
        if self._since() is not None:
            self._return()
        elif self._metadata.text("events/recommendations/rebalance"):
            self._rebalance()

    def _rebalance(self) -> None:
        if not self._on_rebalance:
            self._say("AWS recommends a rebalance: this machine may end soon")
        elif self._room():
            self._say(f"AWS recommends a rebalance, and there are free slots: {self._unit} is stopped")
            with open(self._drained, "w") as file:
                file.write(str(self._clock.now()))
            self._stop()
        else:
            self._say(f"AWS recommends a rebalance, but no other slots are free: {self._unit} continues")

    def _return(self) -> None:
        """Start it again after a recommendation without an interruption."""
        since = self._since()
        if since and self._clock.now() - since >= RETURN_SECONDS:
            self._say(f"no interruption has followed the recommendation: {self._unit} is started again")
            self._systemctl("start", "--no-block", self._unit)
            with open(self._drained, "w") as file:
                file.write("0")

    def _since(self) -> float | None:
        """When it was stopped because of a recommendation; 0 if it has started again, None if it never was."""
        if not os.path.exists(self._drained):
            return None
        with open(self._drained) as file:
            return float(file.read() or 0)

    def _room(self) -> bool:
        """Whether the other TaskManagers have at least as many free slots as this one uses: then at least as many slots
        are free, with its own, as it has.
        """
        free = [number for server in self._jobmanagers for number in _numbers(server.text(METRICS) or "")]
        return bool(free) and max(free) >= self._slots

    def _stop(self) -> None:
        # Also if it has been started again, by an `up` for example
        if self._systemctl("is-active", "-q", self._unit):
            self._systemctl("stop", self._unit)

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            print(text, file=sys.stderr, flush=True)


def _numbers(metrics: str) -> list[float]:
    """The numbers of free slots in Prometheus's text format: one, or none."""
    return [float(line.split()[-1]) for line in metrics.splitlines() if line.startswith(FREE_SLOTS)]


def _systemctl(*words: str) -> bool:
    return subprocess.run(["systemctl", *words], stdin=subprocess.DEVNULL, check=False).returncode == 0


def main() -> None:
    """Watch until systemd stops it."""
    with open(FACTS) as file:
        facts = json.load(file)
    clock, told = Clock(), ""
    watch = Watch(facts, Metadata(*METADATA), clock, _systemctl)
    while True:
        try:
            watch.look()
            told = ""
        except OSError as error:
            if str(error) != told:
                told = str(error)
                print(f"no answer from the metadata service: {told}", file=sys.stderr, flush=True)
        clock.pause(LOOK_SECONDS)


if __name__ == "__main__":
    main()

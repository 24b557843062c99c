"""Alerts fire when their cause is there, and resolve without it: on a lab of its own with TLS, a front door and a
monitoring host, whose alerts go to a receiver here. Times of rules are shortened by one factor (`alarms.shortened`).

HostCpuBusy and HostMemoryLow may fire at any time: hosts of a lab show memory and CPUs of their machine.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.monitoring import targets
from lab import front_door, jar
from lab.cluster import Cluster, wait_for
from lab.lab import Lab
from ops import units
from stand_ins.builds import archives
from tests.hosts.alarms import ALERTS, WATCHDOG, Alert, Receiver, receiving, shortened
from tests.lab.commands import traces
from tests.measured import Measured

NAME = "test-monitored"
CAUSED = 0.05
"""The factor."""
BOUND = 300
"""Seconds for alerts to fire, and to resolve; the measured times are printed."""
SLOTS = 6
"""Of a TaskManager. The declared job needs one more, so that both are needed."""
OUR_MACHINE = {"HostCpuBusy", "HostMemoryLow"}

Cause = Callable[["Monitored"], AbstractContextManager[list[Alert]]]


@dataclass
class Monitored:
    """The lab. `factor`: what times are multiplied with, 0 before the first `up`."""

    cluster: Cluster
    receiver: Receiver
    factor: float = 0

    @property
    def lab(self) -> Lab:
        """Its hosts."""
        return self.cluster.lab

    def timed(self, factor: float) -> None:
        """Make the lab one with this factor."""
        if self.factor != factor:
            with shortened(factor):
                self.cluster.stack.up()
            self.factor = factor
            self.wait_until_whole()

    def wait_until_whole(self) -> None:
        """Wait for all slots, and for a job that runs."""
        wait_for("the complete cluster", BOUND, self._is_whole)

    def _is_whole(self) -> bool:
        overview = self.cluster.rest.get("/overview")
        return bool(overview["slots-total"] == 2 * SLOTS and overview["jobs-running"] >= 1)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Prometheus's answer, on its host."""
        url = f"{targets.prometheus_url(None)}/api/v1/query"
        script = f"{units.ASK}\nask -sS --get --data-urlencode {shlex.quote(f'query={expression}')} {url}"
        done = self.lab.ssh("mon-0", 'sudo -n bash -c "$(cat)"', script)
        found: list[dict[str, Any]] = json.loads(done.stdout)["data"]["result"]
        return found

    def alerts(self, state: str) -> set[str]:
        """Names of the alerts that are `pending` or `firing` by Prometheus, without those of this machine."""
        found = {each["metric"]["alertname"] for each in self.ask(f'ALERTS{{alertstate="{state}"}}')}
        return found - OUR_MACHINE - {"Watchdog"}

    def run(self, trouble: str, parallelism: int = 1) -> str:
        """Start a job with a trouble; returns its id."""
        return self.cluster.rest.run_jar(_jar(self.cluster), [trouble], parallelism)

    def cancel(self, job: str) -> None:
        """Cancel a job, and wait for its end."""
        self.cluster.rest.cancel(job)
        wait_for(f"the end of job {job}", BOUND, lambda: self.cluster.rest.get(f"/jobs/{job}")["state"] == "CANCELED")


def _jar(cluster: Cluster) -> Path:
    return jar.build("trouble", Path(__file__).parent / "jobs/trouble/src", "trouble.Trouble", cluster.archives)


@pytest.fixture(scope="module")
def monitored() -> Iterator[Monitored]:
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=2, jobmanagers=2, zookeepers=3, monitoring=1)
        front_door.switch(lab, on=True)
        with receiving(lab.gateway) as (url, receiver):
            cluster = Cluster(lab, archives.ensure())
            cluster.overrides.update(_configuration(cluster, url))
            yield Monitored(cluster, receiver)
    finally:
        lab.down()
    assert traces(lab.id) == []


def _configuration(cluster: Cluster, url: str) -> dict[str, Any]:
    return {
        "flink:workers": 2,
        "flink:taskManagerSlots": SLOTS,
        # Which jobs of this module take for their checkpoints, too
        "flink:flinkConfig": {"execution.checkpointing.interval": "5 s"},
        "flink:jobs": {"idle": {"jar": str(_jar(cluster)), "args": ["idle"], "parallelism": SLOTS + 1}},
        "flink:alertReceivers": {
            "team": {"webhook": url + ALERTS, "severities": ["critical", "warning", "info"]},
            "switch": {"webhook": url + WATCHDOG, "severities": ["none"]},
        },
        "flink:alertGrouping": {"wait": "1 s", "interval": "1 s", "repeat": "10 s"},
    }


# Causes: each is there until the end of its block


@contextmanager
def job(monitored: Monitored, trouble: str, parallelism: int = 1) -> Iterator[None]:
    """A job with a trouble runs."""
    started = monitored.run(trouble, parallelism)
    try:
        yield
    finally:
        monitored.cancel(started)


@contextmanager
def job_fails_in_a_loop(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "fails"):
        yield [Alert("FlinkJobRestarting", {"job_name": "fails"})]


@contextmanager
def checkpoints_fail(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "unsaved"):
        yield [Alert("FlinkCheckpointsFailing", {"job_name": "unsaved"})]


@contextmanager
def job_is_slow(monitored: Monitored) -> Iterator[list[Alert]]:
    """Event time stands, one task waits for the other, and checkpoints take longer than their interval."""
    with job(monitored, "late"):
        yield [
            Alert("FlinkWatermarkLag", {"job_name": "late"}),
            Alert("FlinkBackpressure", {"job_name": "late"}),
            Alert("FlinkCheckpointsSlow", {"job_name": "late"}),
        ]


@contextmanager
def heap_is_full(monitored: Monitored) -> Iterator[list[Alert]]:
    with job(monitored, "fills"):
        yield [Alert("FlinkHeapFull"), Alert("FlinkGarbageCollection")]


ROUNDS: dict[str, list[Cause]] = {
    "jobs": [job_fails_in_a_loop, checkpoints_fail, job_is_slow, heap_is_full],
}
"""What is caused at the same time."""


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ROUNDS)
def test_alerts_fire_by_their_cause_and_resolve_without_it(monitored: Monitored, name: str, measured: Measured) -> None:
    monitored.timed(CAUSED)
    since = time.monotonic()
    with ExitStack() as causes:
        expected = [alert for cause in ROUNDS[name] for alert in causes.enter_context(cause(monitored))]
        caused = time.monotonic()
        told(monitored, expected, "firing", since)
        fired = time.monotonic()
    monitored.wait_until_whole()
    ended = time.monotonic()
    told(monitored, expected, "resolved", since)
    took = f"fired after {fired - caused:.0f} s, resolved after {time.monotonic() - ended:.0f} s"
    measured(f"alerts of {name}: {', '.join(sorted({alert.name for alert in expected}))}: {took}")
    wait_for("the end of all alerts", BOUND, lambda: not monitored.alerts("pending") | monitored.alerts("firing"))


def told(monitored: Monitored, expected: list[Alert], state: str, since: float) -> None:
    """Wait until the receiver was told so of all of these."""
    end = time.monotonic() + BOUND
    while missing := [alert for alert in expected if monitored.receiver.state(alert, since) != state]:
        assert time.monotonic() < end, (
            f"not {state}: {', '.join(map(str, missing))}; told: {sorted(monitored.receiver.names(since))}; "
            f"pending: {sorted(monitored.alerts('pending'))}, firing: {sorted(monitored.alerts('firing'))}"
        )
        time.sleep(0.5)  # between two looks

"""Who is told of alerts in tests on hosts: a receiver of webhooks on a lab's gateway, and how times are shortened."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

from components.monitoring import rules, targets
from tests.serving import serving

ALERTS, WATCHDOG, SECOND, LOGS = "/alerts", "/watchdog", "/second", "/otlp/v1/logs"
"""Paths: of all alerts, of the one that always fires, of a second receiver of it, of logs."""
SCRAPES = 5
"""Seconds between two requests for metrics, instead of 15, and for an answer."""


@dataclass(frozen=True)
class Alert:
    """An alert by its name and some of its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels is this one."""
        return labels["alertname"] == self.name and self.labels.items() <= labels.items()

    def __str__(self) -> str:
        return " ".join([self.name, *self.labels.values()])


@dataclass
class Receiver:
    """What was told, by the time. `refused`: paths that answer 400."""

    told: list[tuple[float, str, Mapping[str, str], str]] = field(default_factory=list)
    """Time, path, labels, and `firing` or `resolved`."""
    refused: set[str] = field(default_factory=set)

    def receive(self, path: str, message: Mapping[str, Any]) -> None:
        """Keep what a message of Alertmanager says."""
        self.told += [(time.monotonic(), path, each["labels"], each["status"]) for each in message["alerts"]]

    def state(self, alert: Alert, since: float) -> str:
        """The last that was told of an alert: `firing`, `resolved`, or nothing since then. One of several that fit is
        firing as long as one of them does.
        """
        last = {
            tuple(sorted(labels.items())): status
            for when, path, labels, status in [*self.told]
            if when >= since and path == ALERTS and alert.fits(labels)
        }
        return "firing" if "firing" in last.values() else "resolved" if last else ""

    def names(self, since: float) -> set[str]:
        """Names of the alerts that anybody was told of since then."""
        return {labels["alertname"] for when, path, labels, _ in [*self.told] if when >= since and path == ALERTS}

    def last(self, path: str) -> float:
        """When a message last came to a path that said of an alert that it fires."""
        return max([when for when, to, _, status in [*self.told] if to == path and status == "firing"], default=0)


@contextmanager
def receiving(address: str) -> Iterator[tuple[str, Receiver]]:
    """A server for webhooks and logs at an address of this machine: its URL, and what it is told."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path in receiver.refused:
                self.send_response(400)
            else:
                if self.path != LOGS:
                    receiver.receive(self.path, json.loads(body))
                self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(ThreadingHTTPServer((address, 0), Handler)) as server:
        yield f"http://{address}:{server.server_port}", receiver


@contextmanager
def shortened(factor: float) -> Iterator[None]:
    """All times of rules, and how long Prometheus's word of an alert holds, multiplied; and shorter intervals, in what
    the program declares meanwhile.
    """
    config, flags = targets.prometheus_yml, targets.flags

    def often(*args: Any, **options: Any) -> str:
        text = config(*args, **options)
        for name in ("scrape_interval", "evaluation_interval"):
            assert f"{name}: {targets.INTERVAL_SECONDS}s" in text
            text = text.replace(f"{name}: {targets.INTERVAL_SECONDS}s", f"{name}: {SCRAPES}s")
        return text.replace("scrape_timeout: 10s", f"scrape_timeout: {SCRAPES}s")

    def repeating(*args: Any) -> Sequence[str]:
        # By default a minute; an alert of which nothing was heard for four times that is over
        return [*flags(*args), f"--rules.alert.resend-delay={round(60 * factor)}s"]

    with (
        patch.object(rules, "files", partial(rules.files, factor)),
        patch.object(targets, "prometheus_yml", often),
        patch.object(targets, "flags", repeating),
    ):
        yield

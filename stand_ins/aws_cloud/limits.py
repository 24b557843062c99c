"""What AWS refuses although the request is right: capacity, quotas, and the rate of requests. A test sets it by a `PUT`
of `Limits.set`'s argument to `/lab/limits`; there is no limit at first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SPOT = "spot"

MESSAGES = {
    "InsufficientInstanceCapacity": (
        "We currently do not have sufficient {type} capacity in the Availability Zone you requested ({zone}). Our "
        "system will be working on provisioning additional capacity."
    ),
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
    "SpotMaxPriceTooLow": (
        "Your Spot request price of 0.01 is lower than the minimum required Spot request fulfillment price of 0.02."
    ),
    "Unsupported": (
        "Your requested instance type ({type}) is not supported in your requested Availability Zone ({zone}). Please "
        "retry your request by not specifying an Availability Zone or choosing another one."
    ),
    "VcpuLimitExceeded": (
        "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request "
        "an adjustment to this limit."
    ),
}
"""AWS's errors of RunInstances, with their texts:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
"""
NO_SPOT = "There is no Spot capacity available that matches your request."
SERVER_ERRORS = ("InsufficientInstanceCapacity",)
"""These have the HTTP status 500, so clients repeat the request; the others have 400."""


@dataclass(frozen=True)
class Refusal:
    """Machines that cannot be had. An empty `type`, `zone` or `market` (`spot`, `on-demand`) means any."""

    code: str
    type: str = ""
    zone: str = ""
    market: str = ""

    def message(self, type: str, zone: str, market: str) -> str | None:
        """AWS's message for a machine; None if this refusal does not apply to it."""
        asked = ((self.type, type), (self.zone, zone), (self.market, market))
        if any(own not in ("", other) for own, other in asked):
            return None
        if self.code in SERVER_ERRORS and market == SPOT:
            return NO_SPOT
        return MESSAGES[self.code].format(type=type, zone=zone)


class Limits:
    """The limits of an account. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []
        self.set({})

    def set(self, given: Mapping[str, Any]) -> None:
        """`machines`: refusals; `route53PerSecond`: requests to Route 53, 0 for no limit; `endingSeconds`: for how long
        a machine that was terminated is shown as `shutting-down`, at most until other limits are set; `newestImage`:
        the image that Debian's parameter for amd64 names, instead of the only one at first.
        """
        ends, self._ends = self._ends, []
        for end in ends:
            end()
        with self._lock:
            self.machines = tuple(Refusal(**each) for each in given.get("machines", ()))
            self.ending_seconds = float(given.get("endingSeconds", 0))
            self.newest_image = str(given.get("newestImage", ""))
            self._rate = float(given.get("route53PerSecond", 0))
            self._tokens, self._at = self._rate, time.monotonic()
            self.throttled = 0
            self.answered = 0

    def later(self, end: Callable[[], object]) -> None:
        """Call `end`, which may be called twice, after `endingSeconds`, and before other limits are set."""
        self._ends.append(end)
        timer = threading.Timer(self.ending_seconds, end)
        timer.daemon = True
        timer.start()

    def refusal(self, type: str, zone: str, market: str) -> tuple[str, str] | None:
        """The error's code and message for a new machine, if it is refused."""
        for each in self.machines:
            if message := each.message(type, zone, market):
                return each.code, message
        return None

    def throttles(self) -> bool:
        """Whether Route 53 refuses a request now: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/
        DNSLimitations.html, "five requests per second per AWS account".
        """
        with self._lock:
            if not self._rate:
                return False
            now = time.monotonic()
            self._tokens = min(self._rate, self._tokens + (now - self._at) * self._rate)
            self._at = now
            if self._tokens < 1:
                self.throttled += 1
                return True
            self._tokens -= 1
            self.answered += 1
            return False


LIMITS = Limits()
"""Of this process, which has one account."""

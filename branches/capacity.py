"""`up` of a stack for which AWS lacks machines: each of these is added to `noCapacity`, for this run only, and
`up` continues with the next one that the configuration allows. And `up` while AWS still shows a lost machine: it waits
for its end.
"""

import re
from collections.abc import Callable, Mapping
from time import sleep
from typing import Any

from pulumi import automation as auto

from automation.stack import Stack
from automation.steps import Recorder
from components.aws import capacity
from components.aws.capacity import SPOT, Lack, Offer

PAUSE_SECONDS, WAIT_SECONDS = 15, 600
"""Between two looks at a machine that is shutting down; for all of them. It usually takes a minute."""

_NONE = re.compile(r"\b(InsufficientInstanceCapacity|SpotMaxPriceTooLow|Unsupported)\b")
"""Errors of RunInstances about a type, in a zone and a market:
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html."""
_ENDING = re.compile(r"Shutting down: (.+?)\. ")
"""In the program's refusal (components/aws/facts.py)."""
_NO_SPOT = "MaxSpotInstanceCountExceeded"
"""The account may have no more spot instances."""


class Refused:
    """The machines that AWS refused in an operation, from the engine's events."""

    def __init__(self) -> None:
        self._launched: dict[str, Offer] = {}
        self.lacks: list[Lack] = []
        self.ending = ""
        """The machines that are shutting down."""

    def event(self, event: auto.EngineEvent) -> None:
        """Process one event."""
        diagnostic = event.diagnostic_event
        if diagnostic is None:
            return
        if diagnostic.severity != "error":
            self._launched |= capacity.announced(diagnostic.message)
            return
        if found := _ENDING.search(diagnostic.message):
            self.ending = found[1]
        offer = self._launched.get((diagnostic.urn or "").rpartition("::")[2])
        if offer is None:
            return
        if _NO_SPOT in diagnostic.message:
            self._add(Lack(market=SPOT))
        elif _NONE.search(diagnostic.message):
            self._add(Lack(market=offer.market, type=offer.type, zone=offer.zone))

    def _add(self, lack: Lack) -> None:
        if lack not in self.lacks:
            self.lacks.append(lack)


def up(
    stack: Stack,
    content: Mapping[str, Any],
    refused: Refused,
    say: Callable[[str], object],
    recorder: Recorder,
    **options: Any,
) -> None:
    """`up` with these `options`, again for each machine that AWS lacks, and while one is shutting down. `content` is
    that of the stack's file; `recorder` passes on the events of all attempts to `refused`. Raises auto.CommandError of
    the last attempt: the program refuses a configuration that allows no other machine.
    """
    known = len((content.get("config") or {}).get("flink:noCapacity") or [])
    tried = waited = 0
    while True:
        refused.ending = ""
        try:
            stack.up(recorder, **options)
            return
        except auto.CommandError:
            if refused.ending and waited < WAIT_SECONDS:
                say(f"{stack.name}: waiting for AWS to end {refused.ending}")
                sleep(PAUSE_SECONDS)
                waited += PAUSE_SECONDS
                # Otherwise the machine would stay in the state, and nothing be created
                options["refresh"] = True
                recorder.found.errors.clear()
                continue
            if len(refused.lacks) == tried:
                raise
        for lack in refused.lacks[tried:]:
            say(f"{stack.name}: AWS has no machine: {lack}. Trying the next one")
            stack.pulumi("config", "set", "--path", f"flink:noCapacity[{known + tried}]", str(lack))
            tried += 1

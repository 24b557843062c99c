"""Which machines a host may have: types in the order of preference, markets and zones, without those that AWS lacks.

AWS has no request that shows capacity: only a launch does. So what it lacks is part of the configuration
(`noCapacity`), and a preview shows what `up` launches. docs/decisions/0026-capacity.md has the reasons.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..problems import shown

SPOT, ON_DEMAND = "spot", "on-demand"
TYPE = r"[a-z0-9-]+\.[a-z0-9-]+"
_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9][a-z]")
_TYPE = re.compile(TYPE)
_ANNOUNCED = re.compile(rf"new machines ([a-z0-9, -]+): ({SPOT}|{ON_DEMAND}) ({TYPE}) ([a-z0-9-]+)")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A machine that a host may have."""

    market: str
    type: str
    zone: str

    def __str__(self) -> str:
        return f"{self.market} {self.type} {self.zone}"


@dataclass(frozen=True, kw_only=True)
class Lack:
    """Machines that AWS does not have. What is empty means any."""

    market: str = ""
    type: str = ""
    zone: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.market, self.type, self.zone)))

    def covers(self, offer: Offer) -> bool:
        """Whether AWS does not have this one."""
        asked = ((self.market, offer.market), (self.type, offer.type), (self.zone, offer.zone))
        return all(own in ("", other) for own, other in asked)


def lack(text: str) -> Lack:
    """From words such as `spot m6i.large eu-central-1a`. Raises ValueError."""
    found: dict[str, str] = {}
    for word in text.split(" "):
        kinds = {"market": word in (SPOT, ON_DEMAND), "type": _TYPE.fullmatch(word), "zone": _ZONE.fullmatch(word)}
        kind = next((name for name, fits in kinds.items() if fits), "")
        if not kind or kind in found:
            raise ValueError(
                f"{shown(text)} does not name machines: expected a market (spot or on-demand), an instance type and a "
                "zone, or some of them, such as m6i.large eu-central-1a"
            )
        found[kind] = word
    return Lack(**found)


def offers(markets: Sequence[str], types: Sequence[str], zones: Sequence[str], index: int) -> Iterator[Offer]:
    """The machines that host number `index` of a role may have, the best first. Its own zone comes first, and spot in
    another zone before on-demand in its own.
    """
    for market in markets:
        for number in range(len(zones)):
            for name in types:
                yield Offer(market=market, type=name, zone=zones[(index + number) % len(zones)])


def announcement(hosts: Sequence[str], offer: Offer) -> str:
    """The line about new machines in the diagnostics of `up`. AWS's error for a spot machine has neither type nor zone;
    what follows the colon is an entry for `noCapacity`.
    """
    return f"new machines {', '.join(hosts)}: {offer}"


def announced(line: str) -> Mapping[str, Offer]:
    """Host → machine from such a line; empty for another line."""
    # The engine may add colors
    found = _ANNOUNCED.search(line)
    if not found:
        return {}
    offer = Offer(market=found[2], type=found[3], zone=found[4])
    return dict.fromkeys(found[1].split(", "), offer)

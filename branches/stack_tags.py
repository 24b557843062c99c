"""The tags of a branch's stack in Pulumi's backend, by which the tool finds it. Pure functions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from branches.errors import BranchesError, UsageError

EPHEMERAL, BRANCH, COMMIT, EXPIRES = "flink:ephemeral", "flink:branch", "flink:commit", "flink:expires"

TTL = "8h"
LONGEST_TTL = timedelta(days=30)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Mark:
    """The branch of a stack, its commit, and when it expires."""

    branch: str
    """As returned by `names.label`."""
    commit: str
    """Empty if unknown."""
    expires: datetime

    def tags(self) -> dict[str, str]:
        """In the order in which to set them: a stack with the tag that `ours` checks has all of them."""
        return {
            EXPIRES: written(self.expires),
            # No backend guarantees to store an empty value
            COMMIT: self.commit or _UNKNOWN,
            BRANCH: self.branch,
            EPHEMERAL: "true",
        }


def ours(tags: Mapping[str, str]) -> bool:
    """Whether `up` created the stack with these tags."""
    return tags.get(EPHEMERAL) == "true"


def read(stack: str, tags: Mapping[str, str]) -> Mark:
    """The tags of a stack that is `ours`. Raises BranchesError if they are unreadable."""
    text = tags.get(EXPIRES, "")
    try:
        found = datetime.fromisoformat(text)
        # Not every time of another zone has one in UTC: years end at 9999
        expires = found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        expires = None
    if expires is None or not tags.get(BRANCH):
        raise BranchesError(
            f"stack {stack}: its tags {EXPIRES}={text!r}, {BRANCH}={tags.get(BRANCH, '')!r} cannot be read: expected a "
            f"time such as 2030-01-31T18:00:00Z, and a branch. Run `up` or `down` of its branch, or "
            f"`pulumi stack tag set {EXPIRES} TIME --stack {stack}`"
        )
    commit = tags.get(COMMIT, _UNKNOWN)
    return Mark(tags[BRANCH], "" if commit == _UNKNOWN else commit, expires)


def ttl(text: str) -> timedelta:
    """Duration of `90s`, `30m`, `8h`, `3d`. Raises UsageError."""
    match = re.fullmatch(r"([1-9]\d{0,8})([smhd])", text)
    if not match or (found := timedelta(**{_UNITS[match[2]]: int(match[1])})) > LONGEST_TTL:
        raise UsageError(
            f"--ttl {text!r} is not a valid lifetime: expected a number with s, m, h or d, such as 90s, 30m, "
            f"{TTL} or 3d, at most {LONGEST_TTL.days}d"
        )
    return found


def written(time: datetime) -> str:
    """RFC 3339, in UTC, without fractions of a second."""
    return time.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def duration(span: timedelta) -> str:
    """In the two largest units, such as `7 h 59 min`; with a `-` in front if negative."""
    seconds = abs(int(span.total_seconds()))
    found = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        found.append((number, name))
    while len(found) > 1 and not found[0][0]:
        found.pop(0)
    text = " ".join(f"{number} {name}" for number, name in found[:2] if number) or "0 s"
    return f"-{text}" if span <= timedelta(seconds=-1) else text

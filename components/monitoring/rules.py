"""The rules for alerts and recordings, as text. Pure."""

import re
from collections.abc import Mapping

from ..templates import TEMPLATES

FOLDER = TEMPLATES / "monitoring" / "rules"
SHORTEST_RANGE = 20.0
"""Seconds: a rate needs two samples, also if one is missing, so this is for an interval of 5 s at most."""
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_FOR = re.compile(r"(\n +(?:for|keep_firing_for): )([0-9]+)([smh])(?=\n)")
_RANGE = re.compile(r"(\[)([0-9]+)([smh])(?=[\]:])")
_OFFSET = re.compile(r"( offset )([0-9]+)([smh])\b")
_HORIZON = re.compile(r"(predict_linear\(.*, )([0-9]+) \* 3600\)")


def files(factor: float = 1) -> Mapping[str, str]:
    """Name → text of the files with rules. `factor` multiplies all their times, the ranges of queries included: tests
    shorten them. A fifth leaves half a minute for a failover. Raises ValueError for a factor that is not above zero.
    """
    return {path.name: scaled(path.read_text(), factor) for path in sorted(FOLDER.glob("*.yaml"))}


def scaled(text: str, factor: float) -> str:
    """The text of a file with all times multiplied; ranges are not shorter than SHORTEST_RANGE then."""
    if factor <= 0:
        raise ValueError(f"{factor} shortens no times: expected a number above 0")
    if factor == 1:
        return text
    for times in (_FOR, _OFFSET):
        text = times.sub(lambda found: _times(found, factor, 0), text)
    text = _HORIZON.sub(lambda found: f"{found[1]}{int(found[2]) * 3600 * factor:g})", text)
    return _RANGE.sub(lambda found: _times(found, factor, SHORTEST_RANGE), text)


def _times(found: re.Match[str], factor: float, least: float) -> str:
    seconds = int(found[2]) * _SECONDS[found[3]]
    # Prometheus has no fractions
    return f"{found[1]}{round(max(seconds * factor, min(seconds, least)) * 1000)}ms"

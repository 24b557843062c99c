"""Collects the problems of a configuration, so that all of them are reported at once."""

import re
import reprlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST = 600
"""Characters of a problem: what was found may be a file that somebody took for another."""


class _Short(reprlib.Repr):
    def repr_str(self, x: str, level: int) -> str:
        # Before it is cut: the rest of a password has no @ after it
        return super().repr_str(re.sub(r"://\S*@", "://…@", x), level)

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write numbers of thousands of digits
        return super().repr_int(x, level) if x.bit_length() < 1024 else f"a number of {x.bit_length()} bits"


_short = _Short()
_short.maxstring = _short.maxother = 80
_short.maxlong = 40
_short.maxlevel = 3


def shown(value: object) -> str:
    """The value as a problem shows it: like `repr`, on a line, cut where it is long."""
    text = _short.repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def _line(key: str, what: str) -> str:
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in f"{key}: {what}"[: LONGEST + 1])
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class Problems:
    """Problems found so far, each with its key."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.warnings: list[str] = []

    def add(self, key: str, what: str) -> None:
        """Record a problem of `key`: what was found and what is expected."""
        self.found.append(_line(key, what))

    def warn(self, key: str, what: str) -> None:
        """Record a warning: the value of `key` is probably a mistake, but it is used."""
        if _line(key, what) not in self.warnings:
            self.warnings.append(_line(key, what))

    def catch(self, key: str, convert: Callable[[], T], fallback: T) -> T:
        """The result of `convert()`. If it raises ValueError, the fallback, and the error is recorded for `key`."""
        try:
            return convert()
        except ValueError as error:
            self.add(key, str(error))
            return fallback

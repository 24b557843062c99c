"""Collects the problems of a configuration, so that all of them are reported at once."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Problems:
    """Problems found so far, each with its key."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, key: str, what: str) -> None:
        """Record a problem of `key`: what was found and what is expected."""
        self.found.append(f"{key}: {what}")

    def catch(self, key: str, convert: Callable[[], T], fallback: T) -> T:
        """The result of `convert()`. If it raises ValueError, the fallback, and the error is recorded for `key`."""
        try:
            return convert()
        except ValueError as error:
            self.add(key, str(error))
            return fallback

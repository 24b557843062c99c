"""Collecting what is wrong with a configuration, so that it is all said at once."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Problems:
    """Problems found so far, each with the key that it is about."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, key: str, what: str) -> None:
        """Note that the value of `key` is wrong: what was found and what is expected."""
        self.found.append(f"{key}: {what}")

    def catch(self, key: str, convert: Callable[[], T], fallback: T) -> T:
        """`convert()`, or the fallback with its ValueError noted as a problem of `key`."""
        try:
            return convert()
        except ValueError as error:
            self.add(key, str(error))
            return fallback

"""Creates of several steps: what is there after a failed one must not be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.aws.plugin.aws import describe
from tests.aws.plugin.resource import HalfMade


@contextmanager
def half_made(id: str) -> Iterator[None]:
    """The steps after the one that made what has this id: if one fails, the engine hears of the id all the same."""
    try:
        yield
    except Exception as error:
        raise HalfMade(describe(error) or str(error), id, {}) from error

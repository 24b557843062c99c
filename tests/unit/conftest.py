"""What every unit test has."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """An event loop of its own, which Pulumi's values need; gone afterwards with all that still waits in it.

    Left to the garbage collector, loops of a whole run hold more files open than a shell's usual limit of 1024.
    """
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield

"""Fixtures of all unit tests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.program import write_inventory


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    """A separate event loop, which Pulumi's values need; closed afterwards, with all of its pending tasks.

    Without this, the loops of a whole run hold more files open than a shell's usual limit of 1024.
    """
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        yield


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an inventory of seven hosts."""
    write_inventory(tmp_path)
    return tmp_path

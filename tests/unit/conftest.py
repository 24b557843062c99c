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


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program asks AWS itself for the account's plan: never with the credentials of whoever runs the tests."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an inventory of seven hosts."""
    write_inventory(tmp_path)
    return tmp_path

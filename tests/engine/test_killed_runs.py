"""`kill -9` of the engine at random moments, on existing hosts: the same command continues, and nothing is left behind.

The program, the engine and the connections are real; the hosts answer over SSH as real ones, and only remember what was
run on them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.stack import Stack
from tests import engines
from tests.engine.existing_hosts import ExistingHosts, stack_on

CREATE, CHANGE, DESTROY = 4, 3, 3
"""How often each operation is killed."""


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[ExistingHosts]:
    found = ExistingHosts()
    found.start()
    try:
        yield found
    finally:
        found.stop()


def killed(hosts: ExistingHosts, number: int, operation: Callable[[], object]) -> None:
    """Run an operation whose engine is killed during the command `number` on the hosts, if it gets that far."""
    hosts.on_command(number, engines.kill)
    try:
        operation()
    except LabError:
        if not hosts.happened:
            raise
    finally:
        hosts.on_command(0, engines.kill)


def pending(stack: Stack) -> list[Any]:
    return list(stack.exported(secrets=False).get("pending_operations") or [])


def test_a_run_that_was_killed_at_any_moment_is_completed_by_the_same_command(
    hosts: ExistingHosts, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    chance, said = random.Random(seed), ""
    print(f"kills: KILL_SEED={seed}")

    def until_completed(stack: Stack, operation: Callable[[], Any], kills: int, commands: int) -> Any:
        nonlocal said
        left_pending = 0
        for _ in range(kills):
            killed(hosts, chance.randint(1, max(1, commands // kills)), operation)
            left_pending += bool(pending(stack))
        said += capfd.readouterr().out
        steps = operation()
        printed = capfd.readouterr().out
        print(said, printed)
        assert left_pending, "no kill has left anything pending: the test does not test what it should"
        assert "Attempting to deploy or update resources" not in printed
        assert not [text for text in steps.warnings if "pending operations" in text]
        assert pending(stack) == []
        return steps

    stack = stack_on(hosts, tmp_path, {})
    until_completed(stack, stack.up, CREATE, 70)
    assert hosts.installed == hosts.expected(stack.state())
    assert stack.up().changes() == {}

    stack = stack_on(hosts, tmp_path, {"flink:flinkConfig": {"web.refresh-interval": "700 ms"}})
    until_completed(stack, stack.up, CHANGE, 20)
    assert hosts.installed == hosts.expected(stack.state())
    assert any("700 ms" in text for text in hosts.installed.values())
    assert stack.up().changes() == {}

    until_completed(stack, stack.destroy, DESTROY, len(hosts.names))
    assert hosts.installed == {}
    assert not stack.exported(secrets=False).get("resources")

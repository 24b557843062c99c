"""Turns: a bound on what runs at once on a host."""

from __future__ import annotations

from pathlib import Path

from host_tool.turns import Turns
from tests.unit.host_tool.world import FakeClock


def test_the_next_one_waits_until_a_turn_is_free(tmp_path: Path) -> None:
    folder, clock = str(tmp_path / "locks"), FakeClock()
    first, second = Turns(folder, 2, clock).one(10), Turns(folder, 2, clock).one(10)
    with first:
        second.__enter__()
        clock.after(4, lambda: second.__exit__(None, None, None))
        began = clock.now()
        with Turns(folder, 2, clock).one(10):
            assert 4 <= clock.now() - began < 5


def test_nobody_waits_forever(tmp_path: Path) -> None:
    clock = FakeClock()
    with Turns(str(tmp_path), 1, clock).one(10), Turns(str(tmp_path), 1, clock).one(10):
        assert clock.now() >= 1010

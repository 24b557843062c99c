"""A stack of a hundred machines: the cost of its preview, and that an `up` without changes changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.measured import Measured
from toolbox.paths import REPO

pytestmark = pytest.mark.root

SIZES = (10, 30, 100)
CREATED = (10, *(pytest.param(number, marks=pytest.mark.exhaustive) for number in (30, 100)))
BUDGET_SECONDS, BUDGET_MIB = 10, 600
"""For the preview of 100 (DESIGN.md)."""

MOST_MIB = 800
"""With slack: Python's and Go's memory depend on the machine."""


def scale(sizes: Sequence[int], create: int = 0) -> dict[str, Any]:
    """The measurements of tests/aws/scale.py."""
    argv = [sys.executable, "-m", "tests.aws.scale", "--sizes", *map(str, sizes), "--create", str(create)]
    done = subprocess.run(argv, cwd=REPO, stdout=subprocess.PIPE, text=True, timeout=1500)
    print(done.stdout.rpartition("\n{")[0])
    assert done.returncode == 0
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.exhaustive  # two minutes of measuring
def test_the_preview_grows_with_the_machines_and_not_faster(measured: Measured) -> None:
    found = scale(SIZES)
    small, middle, large = found["curve"]
    assert [point["workers"] for point in found["curve"]] == list(SIZES)
    usage = large["usage"]
    measured(
        f"preview of {SIZES[-1]}: {large['seconds']:.1f} s (budget {BUDGET_SECONDS}), {usage['peak_mib']:.0f} MiB"
        f" (budget {BUDGET_MIB}), {large['resources']} resources, load {os.getloadavg()[0]:.1f}"
    )
    assert 100 < usage["peak_mib"] <= MOST_MIB
    # CPU time: a busy machine does not stretch it, as it does wall time. What every stack needs is shared by more
    # workers, so each costs less in a larger stack, unless something grows faster than they do. Not the difference of
    # two measurements: on a busy machine it varies by a factor
    small_cost, cost, large_cost = (
        sum(point["usage"]["cpu"].values()) / point["workers"] for point in (small, middle, large)
    )
    print(f"CPU seconds per worker: {small_cost:.3f}, {cost:.3f}, {large_cost:.3f}")
    assert large_cost < cost < small_cost, "a worker costs more in a larger stack"
    by_worker = (large["resources"] - small["resources"]) / (SIZES[-1] - SIZES[0])
    assert by_worker == int(by_worker), "each worker has the same number of resources"


@pytest.mark.parametrize("workers", CREATED)
def test_an_up_without_a_change_makes_no_connection(workers: int) -> None:
    created = scale((), workers)["created"]
    assert created["steps"] > 0
    assert created["connections"] >= created["steps"]
    # In bytes. With the scripts in every step it was 400,000 for each worker
    assert created["state_bytes"] < 700_000 + 100_000 * workers
    assert created["changed"] == []
    assert created["connections_of_second"] == 0
    # The new one, and those with lists of workers
    assert created["grown_hosts"] == ["jm-0", "jm-1", f"tm-{workers}"]

"""The check that no resource depends on itself (components/dependency_cycles.py)."""

import pulumi
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import resource, resource_cycle_breaker, rpc

from components import dependency_cycles, sdk_performance
from tests.unit.program import Mocks, mocked


class Thing:
    """Has attributes, as a resource has."""


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=60))
def test_it_finds_the_cycles_that_the_sdk_finds(edges: list[tuple[int, int]]) -> None:
    ours, theirs = [Thing() for _ in range(10)], [Thing() for _ in range(10)]
    for begin, end in edges:
        found = dependency_cycles.declare(ours[begin], ours[end])
        assert found is resource_cycle_breaker.declare_dependency(theirs[begin], theirs[end])  # type: ignore[arg-type]


def test_it_takes_the_place_of_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of functions that later releases of the SDK may not have."""
    # Raises if there is none; and sets it back after the test
    monkeypatch.setattr(rpc, "declare_dependency", None)
    monkeypatch.setattr(resource, "_get_stack_trace", None)
    sdk_performance.prepare()
    assert vars(rpc)["declare_dependency"] is dependency_cycles.declare

    def program() -> None:
        one = pulumi.ComponentResource("test:index:One", "one")
        pulumi.Stash("two", input="x", opts=pulumi.ResourceOptions(parent=one, depends_on=[one]))

    with pytest.raises(Exception, match="circular dependency"):
        mocked(program, Mocks(), stack="dev", preview=False)

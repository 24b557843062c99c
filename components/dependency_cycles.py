"""The check of Pulumi's SDK that no resource depends on itself, for large programs.

For each dependency of each resource, the SDK looks at all that the dependency depends on, directly or not. Every step
depends on the probes of all hosts, so that this grows with the square of their number: with 100 hosts a quarter of the
program's time.
"""

from collections.abc import Iterator
from typing import Any

_NEEDS, _NEEDED_BY = "_flink_needs", "_flink_needed_by"
"""Attributes of resources: those that they directly depend on, and that depend on them."""


def declare(resource: Any, needed: Any) -> bool:
    """Note that `resource` depends on `needed`. Returns False, and notes nothing, if that closes a cycle."""
    if resource is needed or _depends(needed, resource):
        return False
    _of(resource, _NEEDS)[id(needed)] = needed
    _of(needed, _NEEDED_BY)[id(resource)] = resource
    return True


def _depends(resource: Any, needed: Any) -> bool:
    """Whether `resource` depends on `needed`, directly or not. Searches from both ends by turns, and ends with the
    shorter search: few resources depend on a step, and a probe depends on few.
    """
    seen, seen_back = {id(resource)}, {id(needed)}
    forth, back = _search(resource, _NEEDS, seen), _search(needed, _NEEDED_BY, seen_back)
    while True:
        found = next(forth, None)
        if found is None or id(found) in seen_back:
            return found is not None
        found = next(back, None)
        if found is None or id(found) in seen:
            return found is not None


def _search(begin: Any, by: str, seen: set[int]) -> Iterator[Any]:
    todo = [begin]
    while todo:
        for found in [*_of(todo.pop(), by).values()]:
            if id(found) not in seen:
                seen.add(id(found))
                todo.append(found)
                yield found


def _of(resource: Any, name: str) -> dict[int, Any]:
    found: dict[int, Any] = resource.__dict__.setdefault(name, {})
    return found

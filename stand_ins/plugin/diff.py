"""The differences between the old and the new inputs of a resource, by property."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from pulumi.runtime.proto import provider_pb2

from stand_ins.plugin.values import Object, Value, is_archive, is_asset

Change = Literal["add", "delete", "update"]
_KINDS = {
    "add": (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    "delete": (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    "update": (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


def changes(old: Object, new: Object) -> dict[str, Change]:
    """The changed properties by path, as deep as objects and lists go; a secret counts as one value."""
    found: dict[str, Change] = {}
    _compare_objects(old, new, "", found)
    return found


def response(changes: dict[str, Change], replaces: Callable[[str], bool]) -> provider_pb2.DiffResponse:
    """The answer to Diff, given the changed paths that replace the resource."""
    message = provider_pb2.DiffResponse(hasDetailedDiff=True)
    message.changes = message.DIFF_SOME if changes else message.DIFF_NONE
    for path, change in changes.items():
        replacing = replaces(path)
        message.detailedDiff[path].kind = _KINDS[change][replacing]
        message.diffs.append(path)
        if replacing:
            message.replaces.append(path)
    return message


def top(path: str) -> str:
    """The first property of a path: `tags` of `tags["a b"]`."""
    return re.split(r"[.\[]", path, maxsplit=1)[0]


def with_ignored(new: Object, state: Object, ignored: Iterable[str]) -> Object:
    """The new inputs, with the ignored ones as in the state."""
    return {**new, **{name: state[name] for name in ignored if name in state}}


def _compare_objects(old: Object, new: Object, prefix: str, found: dict[str, Change]) -> None:
    for name in sorted(old.keys() | new.keys()):
        path = _join(prefix, name)
        if name not in old:
            found[path] = "add"
        elif name not in new:
            found[path] = "delete"
        else:
            _compare(old[name], new[name], path, found)


def _compare(old: Value, new: Value, path: str, found: dict[str, Change]) -> None:
    if _is_content(old) and _is_content(new):
        # Only the content matters, not its location: moving a file is no change.
        if old.get("hash") != new.get("hash") or "hash" not in old:
            found[path] = "update"
    elif isinstance(old, dict) and isinstance(new, dict):
        _compare_objects(old, new, path, found)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            item = f"{path}[{index}]"
            if index >= len(old):
                found[item] = "add"
            elif index >= len(new):
                found[item] = "delete"
            else:
                _compare(old[index], new[index], item, found)
    elif old != new:
        found[path] = "update"


def _is_content(value: Value) -> bool:
    return is_asset(value) or is_archive(value)


def _join(prefix: str, name: str) -> str:
    if not name.replace("_", "a").replace("-", "a").isalnum():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'{prefix}["{escaped}"]'
    return f"{prefix}.{name}" if prefix else name

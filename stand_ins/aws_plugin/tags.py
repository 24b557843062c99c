"""Tags: as in the engine (an object) and as in AWS's APIs (a list of keys and values)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stand_ins.aws_plugin.resource import is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object

_KEY_LENGTH, _VALUE_LENGTH, _COUNT = 128, 256, 50
"""https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""


def as_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    """For a call."""
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]


def as_object(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """From a response, without AWS's own tags."""
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith("aws:")}


def changes(old: Object, new: Object) -> tuple[list[dict[str, str]], list[str]]:
    """The tags to set and the keys to remove, to get from the tags of one state to those of another."""
    before, after = old.get("tags") or {}, new.get("tags") or {}
    changed = {key: value for key, value in after.items() if before.get(key) != value}
    return as_list(changed), sorted(before.keys() - after.keys())


def failures(inputs: Object) -> list[Failure]:
    """The tags that AWS refuses."""
    tags = inputs.get("tags")
    if not isinstance(tags, dict):
        return []
    found = [] if len(tags) <= _COUNT else [Failure("tags", f"{len(tags)} tags, AWS takes {_COUNT} on a resource")]
    for key, value in tags.items():
        path = f"tags.{key}"
        if key.lower().startswith("aws:"):
            found.append(Failure(path, "the prefix aws: is reserved for AWS's own tags"))
        if not 1 <= len(key) <= _KEY_LENGTH:
            found.append(Failure(path, f"a tag's key has 1 to {_KEY_LENGTH} characters, this one has {len(key)}"))
        if isinstance(value, str) and not is_unknown(value) and len(value) > _VALUE_LENGTH:
            found.append(Failure(path, f"a tag's value has at most {_VALUE_LENGTH} characters, got {len(value)}"))
    return found

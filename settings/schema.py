"""The keys of the configuration, as `config` in Pulumi.yaml declares them, and their typed values."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from components.naming import PROJECT
from components.problems import Problems, shown

ROOT = Path(__file__).resolve().parent.parent

_TYPES = {"integer": int, "boolean": bool, "array": list, "object": dict}


@cache
def schema() -> dict[str, dict[str, Any]]:
    """The keys of the configuration as Pulumi.yaml declares them: type, default, description."""
    declared: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    return declared


def values(raw: Mapping[str, str], problems: Problems, secrets: Collection[str] = ()) -> dict[str, Any]:
    """A value of the declared type for every key. Unknown keys and wrong types are added to `problems`, without the
    values of `secrets`.
    """
    declared = schema()
    given = {key.removeprefix(f"{PROJECT}:"): text for key, text in raw.items() if key.startswith(f"{PROJECT}:")}
    for key in sorted(set(given) - set(declared)):
        near = [known for known in declared if known.lower() == key.lower()]
        problems.add(key, f"is not a key of this program{f': expected {near[0]}' if near else ''}")
    return {key: _typed(key, entry, given, key in secrets, problems) for key, entry in declared.items()}


def _typed(key: str, entry: Mapping[str, Any], given: Mapping[str, str], secret: bool, problems: Problems) -> Any:
    if key not in given or entry["type"] == "string":
        return given.get(key, entry["default"])
    try:
        value = json.loads(given[key])
    except (ValueError, RecursionError):
        value = given[key]
    if type(value) is not _TYPES[entry["type"]]:
        found = "a secret" if secret else shown(given[key])
        problems.add(key, f"{found} has the wrong type: expected {entry['type']}")
        return entry["default"]
    return value

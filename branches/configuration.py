"""The configuration of a branch's stack: Pulumi.ephemeral.yaml, and what `up` adds. Pure functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from branches.errors import BranchesError, UsageError

FILE = "Pulumi.ephemeral.yaml"
ENCRYPTION = ("secretsprovider", "encryptedkey", "encryptionsalt")
"""Keys of a stack's file that determine how its secrets are encrypted."""

STACK = "{stack}"
"""Placeholder for the stack's name in any value of the file."""

_OWN = (
    *("flink:clusterId", "flink:storageUri", "flink:haUri", "flink:checkpointsUri", "flink:savepointsUri"),
    *("flink:bucketName", "flink:inventory"),
)
"""Keys that would give two branches access to each other's state or hosts if they had the same values."""

_KEPT = {"flink:expires": "`--ttl` sets it", "flink:ephemeral": "a branch's stack is always ephemeral"}
_SECRET = re.compile(r"(?i)secret|password|passphrase|token|private")


def of_stack(
    content: Mapping[str, Any],
    *,
    stack: str,
    expires: str,
    changes: Sequence[str],
    schema: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The content of the file of `stack`: that of FILE, with the stack's name for STACK, the expiry and the `changes`.

    `changes` are texts such as `flink:workers=2`; `schema` has the keys of this program with their types. Raises
    UsageError for a change, and BranchesError for a file, that would leave the stack without an expiry, or let two
    branches share what each must have for itself.
    """
    written = {_named(key): value for key, value in dict(content.get("config") or {}).items()}
    config = {key: _filled(value, stack) for key, value in written.items()}
    for key, why in _KEPT.items():
        # `pulumi config set` writes the other values of a file as texts
        if key in config and not (key == "flink:ephemeral" and config[key] in (True, "true")):
            raise BranchesError(f"{FILE}: {key} is {config[key]!r}: {why}; remove this key")
    given = dict(_change(text, stack, schema) for text in changes)
    for where, values, texts in ((FILE, config, written), ("--set", given, dict(_split(text) for text in changes))):
        for key in _OWN:
            if key in values and STACK not in str(texts[key]):
                raise (BranchesError if where == FILE else UsageError)(
                    f"{where}: {key} is {values[key]!r} for every branch, but no two branches may share it: expected "
                    f"{STACK} in the value, which stands for the stack's name, or no such key"
                )
    whole = {**config, **given, "flink:expires": expires}
    if whole.get("flink:provider") == "aws":
        whole["flink:ephemeral"] = True
    else:
        # Such a stack has no resource with tags, and the program refuses keys without effect
        del whole["flink:expires"]
    return {**{key: value for key, value in content.items() if key != "config"}, "config": whole}


def without_encryption(content: Mapping[str, Any]) -> dict[str, Any]:
    """For a stack with a state, which records how its secrets are encrypted. Unchanged if FILE contains secrets, which
    only the method in FILE can decrypt.
    """
    if _secure(content.get("config")):
        return dict(content)
    return {key: value for key, value in content.items() if key not in ENCRYPTION}


def _secure(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"secure"} or any(_secure(item) for item in value.values())
    return isinstance(value, list) and any(_secure(item) for item in value)


def _filled(value: Any, stack: str) -> Any:
    if isinstance(value, str):
        return value.replace(STACK, stack)
    if isinstance(value, Mapping):
        return {key: _filled(item, stack) for key, item in value.items()}
    return [_filled(item, stack) for item in value] if isinstance(value, list) else value


def _split(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"([A-Za-z][\w-]*:)?[A-Za-z][\w.-]*", key):
        raise UsageError(f"--set {text.partition('=')[0]!r}: expected KEY=VALUE, such as flink:workers=2")
    return _named(key), value


def _named(key: str) -> str:
    """With its namespace, which Pulumi makes optional for keys of the project."""
    return key if ":" in key else f"flink:{key}"


def _change(text: str, stack: str, schema: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    key, value = _split(text)
    if key in _KEPT:
        raise UsageError(f"--set {key}: {_KEPT[key]}")
    if _SECRET.search(key):
        # The message does not contain the value: it may be a secret
        raise UsageError(
            f"--set {key}: every user of this machine can read a command's arguments; encrypt the value in {FILE} "
            "(docs/branches.md, Secrets)"
        )
    declared = schema.get(key.removeprefix("flink:")) if key.startswith("flink:") else None
    if key.startswith("flink:") and declared is None:
        raise UsageError(f"--set {key}: not a key of this program; docs/configuration.md lists them")
    if declared is None or declared["type"] == "string":
        return key, value.replace(STACK, stack)
    try:
        return key, _filled(yaml.safe_load(value), stack)
    except yaml.YAMLError:
        raise UsageError(f"--set {key}: {value!r} is unreadable: expected {declared['type']}, as in YAML") from None

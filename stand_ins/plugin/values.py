"""Property values as the engine sends them: plain JSON with marks for secrets, unknowns, assets and archives.

The marks are fixed by Pulumi's wire protocol (sdk/go/common/resource: `sig` and `plugin.UnknownStringValue`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from google.protobuf import struct_pb2

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""The placeholder for a value that is unknown in a preview."""

Value: TypeAlias = Any
"""None, bool, float, str, list, dict (an object, asset or archive) or `Secret`."""
Object: TypeAlias = dict[str, Value]


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in the state and masks in its output."""

    value: Value


def from_struct(struct: struct_pb2.Struct) -> Object:
    """The properties in a message, without null ones, which the engine treats as absent."""
    return {key: _from_value(value) for key, value in struct.fields.items() if not value.HasField("null_value")}


def _from_value(value: struct_pb2.Value) -> Value:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "struct_value":
            obj = from_struct(value.struct_value)
            return Secret(obj.get("value")) if obj.get(SIGNATURE) == SECRET else obj
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "number_value":
            return value.number_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def to_struct(obj: Object) -> struct_pb2.Struct:
    """The message for some properties."""
    struct = struct_pb2.Struct()
    for key, item in obj.items():
        _fill(struct.fields[key], item)
    return struct


def _fill(target: struct_pb2.Value, value: Value) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, Secret):
        _fill(target, {SIGNATURE: SECRET, "value": value.value})
    elif isinstance(value, dict):
        fields = target.struct_value.fields
        target.struct_value.SetInParent()
        for key, item in value.items():
            _fill(fields[key], item)
    else:
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)


def reveal(value: Value) -> Value:
    """The same value without the marks of secrets: for internal use, never for an answer to the engine."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def is_asset(value: Value) -> bool:
    """Whether this is an asset: a file, a text or the content of a URI."""
    return isinstance(value, dict) and value.get(SIGNATURE) == ASSET


def is_archive(value: Value) -> bool:
    """Whether this is an archive: a directory, an archive file or a collection of assets."""
    return isinstance(value, dict) and value.get(SIGNATURE) == ARCHIVE


def keep(obj: Object, names: Iterable[str]) -> Object:
    """Only the properties with these names."""
    return {name: obj[name] for name in names if name in obj}

"""The inputs of each resource type: names, types, defaults, secrets. Check applies them to a program's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from lab.plugin.values import UNKNOWN, Object, Secret, Value, is_archive, is_asset

Kind = Literal["string", "number", "boolean", "strings", "string map", "list", "object", "asset or archive"]


@dataclass(frozen=True)
class Field:
    """One input: its type, and whether it must be there, is always secret, or has a default."""

    kind: Kind = "string"
    required: bool = False
    secret: bool = False
    default: Value = None
    shape: Shape | None = None


@dataclass(frozen=True)
class Shape:
    """The fields of an object, under the name that the official plugin has for it."""

    name: str
    fields: Mapping[str, Field]


@dataclass(frozen=True)
class Failure:
    """Why an input is refused: `path` as the user would write it."""

    path: str
    reason: str


_ENDPOINT = {
    "host": Field(required=True),
    "user": Field(default="root"),
    "port": Field("number", default=22),
    "password": Field(secret=True),
    "privateKey": Field(secret=True),
    "privateKeyPassword": Field(secret=True),
    "agentSocketPath": Field(),
    "dialErrorLimit": Field("number", default=10),
    "perDialTimeout": Field("number", default=15),
    "hostKey": Field(),
}
_PROXY = Shape("remote.ProxyConnection", _ENDPOINT)
_CONNECTION = Shape("remote.Connection", {**_ENDPOINT, "proxy": Field("object", shape=_PROXY)})
_COMMAND = {
    "create": Field(),
    "update": Field(),
    "delete": Field(),
    "triggers": Field("list"),
    "stdin": Field(),
    "logging": Field(),
    "environment": Field("string map"),
    "addPreviousOutputInEnv": Field("boolean"),
}

REMOTE_COMMAND = Shape(
    "remote.CommandInputs",
    {"connection": Field("object", required=True, secret=True, shape=_CONNECTION), **_COMMAND},
)
LOCAL_COMMAND = Shape(
    "local.CommandInputs",
    {
        **_COMMAND,
        "interpreter": Field("strings"),
        "dir": Field(),
        "assetPaths": Field("strings"),
        "archivePaths": Field("strings"),
    },
)
COPY_TO_REMOTE = Shape(
    "remote.CopyToRemoteInputs",
    {
        "connection": Field("object", required=True, secret=True, shape=_CONNECTION),
        "triggers": Field("list"),
        "source": Field("asset or archive", required=True),
        "remotePath": Field(required=True),
    },
)


def check(shape: Shape, inputs: Object) -> tuple[Object, list[Failure]]:
    """The inputs with defaults and secrets applied, and every reason why they are refused."""
    failures: list[Failure] = []
    return _check_object(shape, inputs, "", failures), failures


def _check_object(shape: Shape, obj: Object, prefix: str, failures: list[Failure]) -> Object:
    checked: Object = {}
    for name, field in shape.fields.items():
        value = obj.get(name)
        if value is None:
            value = field.default
        if value is None:
            if field.required:
                failures.append(Failure(prefix + name, f"Missing required field '{name}' on '{shape.name}'"))
            continue
        plain = value.value if isinstance(value, Secret) else value
        if plain != UNKNOWN:
            plain = _check_value(shape, name, field, plain, prefix, failures)
        checked[name] = Secret(plain) if field.secret or isinstance(value, Secret) else plain
    for name in obj.keys() - shape.fields.keys():
        failures.append(Failure(prefix + name, f"Unrecognized field '{name}' on '{shape.name}'"))
    return checked


def _check_value(shape: Shape, name: str, field: Field, value: Value, prefix: str, failures: list[Failure]) -> Value:
    if field.shape is not None and isinstance(value, dict):
        return _check_object(field.shape, value, f"{prefix}{name}.", failures)
    if not _fits(field.kind, value):
        reason = f"Field '{name}' on '{shape.name}' must be a {field.kind}; got {_kind_of(value)} instead"
        failures.append(Failure(prefix + name, reason))
    elif field.kind == "asset or archive":
        failures.extend(_check_source(value))
    return value


def _fits(kind: Kind, value: Value) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "strings":
            return isinstance(value, list) and all(_is_text(item) for item in value)
        case "string map":
            return isinstance(value, dict) and all(_is_text(item) for item in value.values())
        case "asset or archive":
            return is_asset(value) or is_archive(value)
        case "object":
            return False


def _is_text(value: Value) -> bool:
    return isinstance(value.value if isinstance(value, Secret) else value, str)


def _kind_of(value: Value) -> str:
    names: dict[type, str] = {bool: "a boolean", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")


def _check_source(value: Value) -> Iterator[Failure]:
    """What the official plugin refuses to copy: content behind a URI, and archives made of assets."""
    if is_asset(value) and "uri" in value:
        yield Failure("asset", "asset must be a path-based file asset or a text asset")
    if is_archive(value) and "path" not in value:
        yield Failure("archive", "archive must be a path to a file or directory")

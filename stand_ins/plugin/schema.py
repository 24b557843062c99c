"""The inputs of each resource type: names, types, defaults, secrets. Check applies them to a program's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from stand_ins.plugin.values import UNKNOWN, Object, Secret, Value, is_archive, is_asset

_Simple = Literal["string", "number", "boolean", "any", "asset or archive"]
_Composed = Literal["strings", "numbers", "string map", "list", "object", "objects"]
Kind: TypeAlias = _Simple | _Composed


@dataclass(frozen=True)
class Field:
    """One input: its type, and whether it is required, is always secret, or has a default.

    `shape` is for objects and lists of them; `verify` returns further problems of a value with the right type.
    """

    kind: Kind = "string"
    required: bool = False
    secret: bool = False
    default: Value = None
    shape: Shape | None = None
    verify: Callable[[Value], Iterable[Failure]] | None = None


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
    if field.shape is not None and isinstance(value, dict) and field.kind == "object":
        return _check_object(field.shape, value, f"{prefix}{name}.", failures)
    if field.shape is not None and isinstance(value, list) and field.kind == "objects":
        return [_check_item(field, item, f"{prefix}{name}[{n}]", failures) for n, item in enumerate(value)]
    if not _fits(field.kind, value):
        reason = f"Field '{name}' on '{shape.name}' must be a {field.kind}; got {_kind_of(value)} instead"
        failures.append(Failure(prefix + name, reason))
    elif field.verify is not None:
        failures.extend(field.verify(value))
    return value


def _check_item(field: Field, item: Value, path: str, failures: list[Failure]) -> Value:
    plain = item.value if isinstance(item, Secret) else item
    if plain == UNKNOWN:
        return item
    if field.shape is None or not isinstance(plain, dict):
        failures.append(Failure(path, f"{path} must be an object; got {_kind_of(plain)} instead"))
        return item
    checked = _check_object(field.shape, plain, f"{path}.", failures)
    return Secret(checked) if isinstance(item, Secret) else checked


def _fits(kind: Kind, value: Value) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "number":
            return _is_number(value)
        case "any":
            return True
        case "boolean":
            return isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "strings":
            return isinstance(value, list) and all(_is_text(item) for item in value)
        case "numbers":
            return isinstance(value, list) and all(_is_number(item) for item in value)
        case "string map":
            return isinstance(value, dict) and all(_is_text(item) for item in value.values())
        case "asset or archive":
            return is_asset(value) or is_archive(value)
        case "object" | "objects":
            return False


def _is_text(value: Value) -> bool:
    return isinstance(value.value if isinstance(value, Secret) else value, str)


def _is_number(value: Value) -> bool:
    plain = value.value if isinstance(value, Secret) else value
    return plain == UNKNOWN or (isinstance(plain, int | float) and not isinstance(plain, bool))


def _kind_of(value: Value) -> str:
    names: dict[type, str] = {bool: "a boolean", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")

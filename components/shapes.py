"""Shapes of what operators write: pydantic checks types, unknown fields and ranges, and its errors become problems
here, in the words of all other problems (docs/decisions/0021-pydantic-for-shapes.md).
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from .problems import Problems, shown

_TYPES = {"string_type": "str", "int_type": "int", "dict_type": "dict", "list_type": "list"}


class Shape(BaseModel):
    """A mapping of known fields, none of which is converted. A field's description says what is expected."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, alias_generator=to_camel)


def fields(
    shape: type[Shape], entry: Any, where: str, problems: Problems, *, may_be_missing: Collection[str] = ()
) -> dict[str, Any]:
    """The fields of the entry that are as the shape has them, by the names in the file; the rest are problems."""
    if not isinstance(entry, Mapping):
        problems.add(where, f"{shown(entry)} is not a mapping: expected `key: value` pairs")
        return {}
    # pydantic says of a key that is no text only that there is one
    odd = [name for name in entry if not (isinstance(name, str) and name.isprintable())]
    for name in odd:
        problems.add(f"{where} {shown(name)}", f"is unknown: expected one of {', '.join(sorted(names(shape)))}")
    known: dict[str, Any] = {name: value for name, value in entry.items() if name not in odd}
    try:
        shape.model_validate(known)
    except ValidationError as error:
        wrong = {found["loc"][0]: found for found in error.errors(include_url=False)}
    else:
        return known
    for name, found in wrong.items():
        if found["type"] != "missing" or name not in may_be_missing:
            problems.add(f"{where} {name}", _what(shape, str(name), found))
    return {name: value for name, value in known.items() if name not in wrong}


def names(shape: type[Shape]) -> dict[str, str]:
    """The fields of a shape by their names in the file, with what is expected of them."""
    return {str(field.alias): field.description or "" for field in shape.model_fields.values()}


def _what(shape: type[Shape], name: str, error: ErrorDetails) -> str:
    """What was found and what is expected."""
    kind, found, context = error["type"], shown(error["input"]), error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"is unknown: expected one of {', '.join(sorted(names(shape)))}"
    if kind == "missing":
        return f"is missing: expected {names(shape)[name]}"
    if kind in _TYPES:
        return f"{found} has the wrong type: expected {_TYPES[kind]}"
    if kind == "greater_than_equal":
        return f"{found} is too small: expected {context['ge']} or more"
    if kind == "less_than_equal":
        return f"{found} is out of range: expected {context['le']} or less"
    # A form's own words, or a test's
    return str(context.get("error", error["msg"]))

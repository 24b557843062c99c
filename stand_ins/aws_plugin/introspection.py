"""The inputs of each type and the arguments of each function, as the official SDK's classes define them."""

from __future__ import annotations

import importlib
import inspect
import re
import types
import typing
from collections import abc
from functools import cache
from typing import Any

from pulumi import Archive, Asset, Output
from pulumi._types import input_type_py_to_pulumi_names, is_input_type

from stand_ins.plugin.schema import Field, Kind, Shape

_SIMPLE: dict[Any, Kind] = {str: "string", int: "number", float: "number", bool: "boolean"}
_LISTS: dict[Kind, Kind] = {"string": "strings", "number": "numbers", "object": "objects"}


@cache
def resource_shape(token: str, args: str = "") -> Shape:
    """The inputs of a type, by the token or by `module:Class`: importing it takes the SDK about 0.3 s."""
    if not args:
        package, path, kind = token.split(":")
        module = path.replace("index/", "").replace("/", ".")
        args = f"pulumi_{package}.{_snake(module)}:{kind}Args"
    return _shape(_load(args))


@cache
def invoke_shape(token: str) -> Shape:
    """The arguments of a function."""
    package, path, _ = token.split(":")
    module = _snake(path.replace("index/", "").replace("/", "."))
    function = _load(f"pulumi_{package}.{module}:{module.split('.')[-1]}")
    hints = typing.get_type_hints(function, _names_of(function))
    parameters = inspect.signature(function).parameters.values()
    fields = {
        _camel(p.name): _field(hints[p.name], required=p.default is inspect.Parameter.empty)
        for p in parameters
        if p.name != "opts"
    }
    return Shape(token, fields)


@cache
def _shape(cls: type) -> Shape:
    constructor = inspect.getattr_static(cls, "__init__")
    hints = typing.get_type_hints(constructor, _names_of(cls))
    parameters = inspect.signature(constructor).parameters
    fields = {
        name: _field(hints[python_name], required=parameters[python_name].default is inspect.Parameter.empty)
        for python_name, name in input_type_py_to_pulumi_names(cls).items()
    }
    return Shape(cls.__name__.removesuffix("Args"), fields)


def _field(hint: Any, required: bool) -> Field:
    kind, cls = _kind(hint)
    return Field(kind, required=required, shape=_shape(cls) if cls else None)


def _kind(hint: Any) -> tuple[Kind, type | None]:
    """The types that a hint such as `Input[Optional[Sequence[Input['XArgs']]]]` allows, and its objects' class."""
    for option in _options(hint):
        origin, arguments = typing.get_origin(option), typing.get_args(option)
        if option in _SIMPLE:
            return _SIMPLE[option], None
        if origin in (list, abc.Sequence):
            kind, cls = _kind(arguments[0])
            return _LISTS.get(kind, "list"), cls
        if origin in (dict, abc.Mapping):
            return ("string map" if _kind(arguments[1])[0] == "string" else "any"), None
        if inspect.isclass(option) and issubclass(option, Asset | Archive):
            return "asset or archive", None
        if inspect.isclass(option) and is_input_type(option):
            return "object", option
    return "any", None


def _options(hint: Any) -> list[Any]:
    """The members of a union without the wrappers for values that are known later, or absent."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return [hint]
    later = (abc.Awaitable, Output)
    found = [option for option in typing.get_args(hint) if typing.get_origin(option) not in later]
    return [option for option in found if option is not type(None)]


def _names_of(thing: Any) -> dict[str, Any]:
    """The names that a hint may use: those of its module, of the nested classes beside it, and of `Input` itself."""
    module = importlib.import_module(thing.__module__)
    return {"Output": Output, "T": Any, **vars(module), **vars(getattr(module, "_inputs", module))}


def _load(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(module), name)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _camel(name: str) -> str:
    first, *more = name.split("_")
    return first + "".join(part.title() for part in more)

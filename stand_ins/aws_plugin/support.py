"""What several types need: creates of several steps, and inputs that the stand-in does not support."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stand_ins.aws_plugin.aws import describe
from stand_ins.aws_plugin.resource import HalfMade
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object


@contextmanager
def half_made(id: str) -> Iterator[None]:
    """The steps after the one that created the object with this id: if one fails, the engine still gets the id."""
    try:
        yield
    except Exception as error:
        raise HalfMade(describe(error) or str(error), id, {}) from error


def unsupported(inputs: Object, *names: str) -> list[Failure]:
    """Failures for inputs that the official plugin supports and the stand-in would ignore."""
    return [Failure(name, f"the stand-in does not do {name}") for name in names if inputs.get(name) is not None]


def unsupported_but(inputs: Object, *known: str) -> list[Failure]:
    """Failures for all inputs except these."""
    return unsupported(inputs, *sorted(inputs.keys() - set(known)))

"""`python -m lab gc` looks at the stacks of all labs, which come and go beside it."""

from typing import Any

import pytest

from lab import __main__ as commands
from lab import stack
from ops.errors import OpsError


def test_a_lab_that_is_removed_meanwhile_is_no_error_and_one_that_cannot_be_read_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there: list[bool] = []

    def refuses(name: str, *, secrets: bool) -> dict[str, Any]:
        raise OpsError("cannot be read")

    monkeypatch.setattr(commands, "_has_stack", lambda name: there.pop(0))
    monkeypatch.setattr(commands, "_deployment", refuses)
    there[:] = [True, False]
    assert commands._other("gone") is None
    there[:] = [True, True]
    with pytest.raises(OpsError, match="cannot be read"):
        commands._other("living")


def test_a_lab_whose_folder_vanishes_before_the_engine_starts_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [True, True, False]  # asked by `_other`, by `_deployment`, and by `_other` after the engine's error

    def starts_in_no_folder(self: stack.Stack, *, secrets: bool) -> dict[str, Any]:
        raise FileNotFoundError(2, "No such file or directory", str(self.project))

    monkeypatch.setattr(commands, "_has_stack", lambda name: there.pop(0))
    monkeypatch.setattr(stack.Stack, "exported", starts_in_no_folder)
    assert commands._other("gone") is None
    assert not there

"""What the benchmarks that store their figures have in common."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def write(found: "DataclassInstance", file: Path) -> None:
    """Store figures as JSON."""
    file.write_text(json.dumps(asdict(found), indent=1) + "\n")


def turns(rounds: int) -> Iterator[tuple[int, bool]]:
    """Number of the round, and whether what is measured is on: without and with it, in turns. The second of a round is
    the first of the next one, so that each is as often after the other.
    """
    for number in range(rounds):
        for on in (False, True) if number % 2 == 0 else (True, False):
            yield number, on


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]

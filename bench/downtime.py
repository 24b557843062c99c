"""Seconds of downtime by fault, from what `python -m drill --json` and such have written."""

import json
from pathlib import Path
from typing import Any

_NOT_MEASURED = "not measured"


def lines(after: Path, before: Path | None = None) -> list[str]:
    """A table in Markdown: a row for each fault that `after` has, beside what it was `before`, with load averages."""
    new, old = _rows(after), _rows(before) if before else {}
    heads = ["", *(["before", "load"] if before else []), "after" if before else "downtime", "load"]
    table = [heads, ["---"] * len(heads)]
    for name, row in new.items():
        measured = [*(_cells(old.get(name)) if before else []), *_cells(row)]
        table.append([row["title"], *measured])
    return [f"| {' | '.join(cells)} |" for cells in table]


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    return {row["fault"]: row for row in json.loads(file.read_text())["rows"]}


def _cells(row: dict[str, Any] | None) -> list[str]:
    """Seconds and load average."""
    if row is None or row["seconds"] is None:
        return [_NOT_MEASURED, ""]
    failed = " (failed)" if row["problem"] else ""
    return [f"{row['seconds']:.1f} s{failed}", f"{row['load']:.1f}"]

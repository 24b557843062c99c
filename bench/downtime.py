"""Seconds of downtime by fault, from the files of `python -m drill --json`."""

import json
from pathlib import Path
from typing import Any

_NOT_MEASURED = "not measured"


def lines(after: Path, before: Path | None = None) -> list[str]:
    """A table in Markdown with load averages: a row for each fault in `after`, compared with `before`."""
    new, old = _rows(after), _rows(before) if before else {}
    heads = ["runs again", "stood still", "load"]
    if before:
        heads = [*(f"before: {head}" for head in heads), *(f"after: {head}" for head in heads)]
    table = [["", *heads], ["---"] * (len(heads) + 1)]
    for name, row in new.items():
        table.append([row["title"], *(_cells(old.get(name)) if before else []), *_cells(row)])
    return [f"| {' | '.join(cells)} |" for cells in table]


def _rows(file: Path) -> dict[str, dict[str, Any]]:
    return {row["fault"]: row for row in json.loads(file.read_text())["rows"]}


def _cells(row: dict[str, Any] | None) -> list[str]:
    """Seconds until the job ran again, seconds without a new record, and the load average."""
    if row is None or row["seconds"] is None:
        return [_NOT_MEASURED, "", ""]
    again = f"{row['seconds']:.1f} s" if row["interruptions"] else "not interrupted"
    still = "" if row["still"] is None else f"{row['still']:.1f} s"
    return [f"{again} (failed)" if row["problem"] else again, still, f"{row['load']:.1f}"]

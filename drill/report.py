"""The results of a drill: a table for people, JSON for programs (`python -m bench --downtime`)."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from drill import faults
from drill.runner import Row

_COLUMNS = ("fault", "runs again", "after its end", "times", "stood still", "lost", "duplicated", "load")


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _cells(row: Row) -> list[str]:
    interrupted = "not interrupted" if row.seconds == 0 and not row.interruptions else _seconds(row.seconds)
    counts = ["?" if value is None else str(value) for value in (row.lost, row.doubled)]
    times = [str(row.interruptions), _seconds(row.still)]
    return [row.title, interrupted, _seconds(row.after_end), *times, *counts, f"{row.load:.1f}"]


def summary(row: Row) -> str:
    """A row as one line."""
    if row.problem:
        return f"FAILED: {row.problem}"
    again = f"the job runs again after {row.seconds:.1f} s" if row.interruptions else "the job is not interrupted"
    return f"{again}; {row.lost} records lost, {row.doubled} duplicated"


def table(rows: Sequence[Row]) -> list[str]:
    """The table as lines of Markdown, then the notes on single rows."""
    cells = [list(_COLUMNS), *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    shown = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in cells]
    lines = [f"| {line} |" for line in shown]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    said = [f"- {row.title}: {note}" for row in rows for note in row.notes]
    said += [f"- FAILED: {row.title}: {row.problem}" for row in rows if row.problem]
    return [*lines, "", *said] if said else lines


def write(path: Path, rows: Sequence[Row], flink: str, failover_seconds: int) -> None:
    """Write the rows as JSON; the file keeps the rows of other faults, so that several drills can fill it."""
    head = {"date": time.strftime("%Y-%m-%d"), "flink": flink, "failoverSeconds": failover_seconds}
    found = {row.fault: row for row in [*(read(path) if path.exists() else []), *rows]}
    order = [fault.name for fault in (*faults.ALL, *faults.CHANGES)]
    kept = sorted(found.values(), key=lambda row: order.index(row.fault))
    path.write_text(json.dumps({**head, "rows": [asdict(row) for row in kept]}, indent=2) + "\n")


def read(path: Path) -> list[Row]:
    """The rows of such a file."""
    return [Row(**{**row, "notes": tuple(row["notes"])}) for row in json.loads(path.read_text())["rows"]]

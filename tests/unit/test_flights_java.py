"""The job's pure Java classes, called directly: its rules for rows are DuckDB's, and ranges lose no line."""

import contextlib
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

from lab import flights, jar
from lab.flights_data import input_csv, reference_rows
from stand_ins.builds import archives

HERE = Path(__file__).parent
PURE = ("BadRowException", "Flight", "LineReader", "Tally")
SOURCES = [*(flights.SOURCES / "flights" / f"{name}.java" for name in PURE), HERE / "java/flights/Probe.java"]

DELAYS = (
    *("0", "-0", "7", "007", "-7", "99999", "-99999", "NA", ""),
    *("100000", "+7", " 7", "7 ", "7.0", "1e2", "--7", "-", "na", "NaN", "NULL", "null", "\t7", "0x7", "7_0"),
    *("\u0667", "\u22127", '"7"', '"NA"', "seven", "1_301", "''"),
)
HOURS = ("0", "5", "05", "23", "24", "99", "-1", "005", "", "NA", " 5", "5 ", "5.0", '"5"', "\u0665", "+5")
ORIGINS = ("JFK", "ZZZ", "", "NA", "jfk", "JFKX", "JF", " JFK", '"JFK"', "ÉWR", "J1K")


def row(origin: str = "JFK", hour: str = "5", delay: str = "3") -> str:
    return f"2013,1,1,517,515,{delay},830,819,11,UA,1545,N14228,{origin},IAH,227,1400,{hour},15,2013-01-01T10:00:00Z"


NASTY = [
    *(row(delay=delay) for delay in DELAYS),
    *(row(hour=hour) for hour in HOURS),
    *(row(origin=origin) for origin in ORIGINS),
    row() + ",more",
    row().rsplit(",", 1)[0],
    row().replace("N14228", '"N1,4228"'),
    row().replace("N14228", 'N1"4228'),
    row().replace("N14228", "Ñ14228"),
    row().replace(",", ";"),
    ",,,,,,,,,,,,JFK,,,,5,,",
    "JFK",
]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A function that runs the Probe: arguments and input to the lines of its output."""
    classes = tmp_path_factory.mktemp("classes")
    with contextlib.ExitStack() as stack:
        javac: str | Path | None = shutil.which("javac")
        java: str | Path | None = shutil.which("java")
        if not (javac and java):
            if "java" in archives.missing():  # `make check` builds no archives; `make test` has built them before this
                pytest.skip("no JDK here, and none in the lab's cache yet: make test runs this")
            home = stack.enter_context(jar.jdk(archives.ensure().java))
            javac, java = home / "bin" / "javac", home / "bin" / "java"
        jar.compile_java(Path(javac), SOURCES, classes)

        def ask(*arguments: str, text: str) -> list[str]:
            command = [java, "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-cp", classes, "flights.Probe"]
            done = subprocess.run([*command, *arguments], input=text.encode(), capture_output=True, check=False)
            assert done.returncode == 0, done.stderr.decode()
            return done.stdout.decode().splitlines()

        yield ask


@pytest.fixture(scope="module")
def header() -> str:
    with input_csv().open() as file:
        return file.readline().rstrip("\n")


def duckdb_says(lines: str, header: str, scratch: Path) -> str:
    scratch.write_text(f"{header}\n{lines}\n")
    try:
        rows = reference_rows(scratch)
    except duckdb.Error:
        return "refused"
    return ",".join(rows[0].cells()) if rows else "refused"


def test_java_and_duckdb_agree_on_every_nasty_row(probe, header, tmp_path):
    answers = probe("rows", text="\n".join(NASTY))
    expected = [duckdb_says(line, header, tmp_path / "one.csv") for line in NASTY]
    assert dict(zip(NASTY, answers, strict=True)) == dict(zip(NASTY, expected, strict=True))
    assert 10 < answers.count("refused") < len(NASTY) - 10, "the test needs rows of both kinds"


@pytest.mark.parametrize(
    ("delays", "mean"),
    [
        ([1, *[0] * 7], "0.13"),  # 0.125: halves are rounded away from zero
        ([-1, *[0] * 7], "-0.13"),
        ([-1, *[0] * 300], "0.00"),  # never -0.00
        ([1, 1, 0], "0.67"),
        ([-1, -1, 0], "-0.67"),
        ([99999, 99999, "NA"], "99999.00"),
        (["NA", ""], ""),
    ],
)
def test_java_and_duckdb_round_alike(probe, header, tmp_path, delays, mean):
    lines = "\n".join(row(delay=str(delay)) for delay in delays)
    (answer,) = probe("tally", text=lines)
    assert answer == duckdb_says(lines, header, tmp_path / "some.csv")
    assert answer.split(",")[3] == mean


def test_an_empty_column_too_many_is_refused_though_duckdb_overlooks_it(probe):
    assert probe("rows", text=row() + ",") == ["refused"]


@pytest.mark.parametrize(
    "text", ["a\nbb\nccc\n", "a\nbb\nccc", "\n\na\n\n", "one line without an end", "\n", "é\nü\n", "a\n" * 20]
)
def test_every_cut_of_a_file_reads_each_line_once_also_when_resumed_after_each(probe, text):
    size = len(text.encode())
    answers = probe("ranges", *map(str, range(1, size + 1)), text=text)
    assert answers == ["|".join(text.removesuffix("\n").split("\n"))] * size


def test_lines_that_are_longer_than_the_read_buffer_are_read_whole(probe):
    lines = ["x" * 65_536, "y" * 200_000, "z" * 65_535, "short"]
    lengths = ("65535", "65536", "65537", "131072", "1000000")
    assert probe("ranges", *lengths, text="\n".join(lines) + "\n") == ["|".join(lines)] * len(lengths)

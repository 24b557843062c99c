"""Flights with what is said of their delay, from CSV files to JSON files below the folder that is the argument."""

import sys

from delays import said
from pyflink.table import EnvironmentSettings, TableEnvironment

FLIGHTS = """CREATE TABLE flights (carrier STRING, flight INT, minutes_late INT) WITH (
  'connector' = 'filesystem', 'path' = '{folder}/flights/', 'format' = 'csv', 'source.monitor-interval' = '1 s'
)"""
DELAYS = """CREATE TABLE delays (carrier STRING, flight INT, delay STRING) WITH (
  'connector' = 'filesystem', 'path' = '{folder}/delays/', 'format' = 'json',
  'sink.rolling-policy.rollover-interval' = '5 s', 'sink.rolling-policy.check-interval' = '1 s'
)"""


def main() -> None:
    """Declare the job; the last statement submits it, and does not wait for its end."""
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.create_temporary_function("said", said)
    for table in (FLIGHTS, DELAYS):
        tables.execute_sql(table.format(folder=sys.argv[1]))
    tables.execute_sql("INSERT INTO delays SELECT carrier, flight, said(minutes_late) FROM flights")


if __name__ == "__main__":
    main()

"""Errors of programs in Python, as Flink's client and its REST API tell them (recorded with Flink 2.3.0)."""

import pytest

from host_tool.job_attempts import innermost

PLACE = "/tmp/pyflink/6adf/6606/late.zip"
CLIENT = """org.apache.flink.client.program.ProgramAbortException: java.lang.RuntimeException: \
Python process exits with code: 1
\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:140)
Caused by: java.lang.RuntimeException: Python process exits with code: 1
\tat org.apache.flink.client.python.PythonDriver.main(PythonDriver.java:130)
\t... 15 more
"""
SYNTAX = f"""Traceback (most recent call last):
  File "<frozen runpy>", line 189, in _run_module_as_main
  File "<frozen importlib._bootstrap>", line 241, in _call_with_frames_removed
  File "{PLACE}/main.py", line 2
    def f(:
          ^
SyntaxError: invalid syntax
{CLIENT}"""
MODULE = f"""a line that the program has printed
Traceback (most recent call last):
  File "<frozen runpy>", line 88, in _run_code
  File "{PLACE}/main.py", line 2, in <module>
    import nowhere
ModuleNotFoundError: No module named 'nowhere'
{CLIENT}"""
SQL = f"""Traceback (most recent call last):
  File "{PLACE}/main.py", line 5, in <module>
    t.execute_sql("INSERT INTO p SELECT n FROM s")
  File "/opt/pyflink-0/lib/python3.11/site-packages/pyflink/table/table_environment.py", line 853, in execute_sql
    return TableResult(self._j_tenv.executeSql(stmt))
                       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
py4j.protocol.Py4JJavaError: An error occurred while calling o8.executeSql.
: org.apache.flink.table.api.ValidationException: Unable to create a source for reading table 's'.

Table options are:

'connector'='nowhere'
\tat org.apache.flink.table.factories.FactoryUtil.createDynamicTableSource(FactoryUtil.java:227)
Caused by: org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'nowhere'.

Available factory identifiers are:

blackhole
\t... 36 more

{CLIENT}"""
WITHOUT_CAUSE = (
    """Traceback (most recent call last):
  File "/x/main.py", line 7, in <module>
    t.execute_sql("INSERT INTO p SELECT n FROM")
py4j.protocol.Py4JJavaError: An error occurred while calling o8.executeSql.
: org.apache.flink.table.api.SqlParserException: SQL parse failed. Encountered "<EOF>"
\tat org.apache.flink.table.planner.parse.CalciteParser.parseSqlList(CalciteParser.java:82)

"""
    + CLIENT
)
HARNESS = f"""\
Error received from SDK harness for \
instruction 1: Traceback (most recent call last):
  File "/opt/pyflink-0/lib/python3.11/site-packages/apache_beam/runners/worker/sdk_worker.py", line 311, in _execute
    response = task()
  File "{PLACE}/delays.py", line 8, in said
    raise KeyError("boo")
KeyError: 'boo'
"""
FUNCTION = f"""org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.failover.ExecutionFailureHandler.handleFailure(X.java:219)
Caused by: java.lang.RuntimeException: Failed to close remote bundle
\tat org.apache.flink.streaming.api.runners.python.beam.BeamPythonFunctionRunner.finishBundle(B.java:423)
Caused by: java.util.concurrent.ExecutionException: java.lang.RuntimeException: {HARNESS}
\tat java.base/java.util.concurrent.CompletableFuture.reportGet(CompletableFuture.java:396)
Caused by: java.lang.RuntimeException: {HARNESS}
\tat org.apache.beam.runners.fnexecution.control.FnApiControlClient$ResponseStreamObserver.onNext(F.java:180)
\t... 7 more
"""


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (SYNTAX, "main.py line 2: SyntaxError: invalid syntax"),
        (MODULE, "main.py line 2: ModuleNotFoundError: No module named 'nowhere'"),
        (
            SQL,
            "main.py line 5: org.apache.flink.table.api.ValidationException: Could not find any factory for"
            " identifier 'nowhere'",
        ),
        (
            WITHOUT_CAUSE,
            'main.py line 7: org.apache.flink.table.api.SqlParserException: SQL parse failed. Encountered "<EOF>"',
        ),
        (FUNCTION, "delays.py line 8: KeyError: 'boo'"),
        ("Traceback (most recent call last):", "it has failed"),
        ("java.lang.Exception: x\nCaused by: java.io.IOException: y.", "java.io.IOException: y"),
    ],
)
def test_the_root_error_of_a_program_is_one_line_with_its_place(said: str, told: str) -> None:
    assert innermost(said) == told

"""The REST client with small servers on loopback that behave like JobManagers, including dead ones."""

import json
import socket
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from lab.flights import JobFailedError, wait
from lab.rest import Rest, RestError, innermost
from tests.serving import serving

NOT_FOUND = (404, {"errors": ["Not found."]})


class JobManager(ThreadingHTTPServer):
    """Answers (method, path or its folder) with (status, body), or dies if that is None; records the requests."""

    def __init__(self, answers):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = answers
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: JobManager

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, body))
        folder = (self.command, self.path.rpartition("/")[0])
        answers = self.server.answers
        answer = answers.get((self.command, self.path), answers.get(folder, NOT_FOUND))
        if answer is None:  # died before it answered
            self.close_connection = True
            return
        status, content = answer
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_):
        pass


@contextmanager
def jobmanager(answers):
    with serving(JobManager(answers)) as server:
        yield server


@pytest.fixture
def dead_url():
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


UPLOADED = (200, {"filename": "/tmp/flink-web/flink-web-upload/abc_flights.jar"})
RUN, KEPT = "/jars/abc_flights.jar/run", "/jars/abc_flights.jar"


@pytest.fixture
def some_jar(tmp_path):
    path = tmp_path / "flights.jar"
    path.write_bytes(b"PK\x00\r\n--bytes")
    return path


def test_the_next_jobmanager_is_asked_if_one_is_dead_or_has_no_leader(dead_url):
    leaderless = {("GET", "/overview"): (503, {"errors": ["Service temporarily unavailable"]})}
    with jobmanager(leaderless) as first, jobmanager({("GET", "/overview"): (200, {"slots-total": 4})}) as second:
        rest = Rest([dead_url, first.url, second.url])
        assert rest.get("/overview") == {"slots-total": 4}
        rest.get("/overview")
        assert len(first.asked) == 1, "the one that answered is tried first from then on"


def test_if_none_answers_each_is_named(dead_url):
    with pytest.raises(RestError, match=f"{dead_url}: .*refused") as error:
        Rest([dead_url]).get("/overview")
    assert error.value.status is None


def test_an_error_of_the_cluster_is_shown_without_its_stack_trace():
    trace = "org.apache.flink.A: outer\n\tat x.y(Z.java:1)\nCaused by: org.apache.flink.util.BException: inner\n\tat w"
    with jobmanager({("GET", "/jobs/x"): (500, {"errors": ["Internal server error.", trace]})}) as server:
        with pytest.raises(RestError, match=r"HTTP 500: BException: inner$") as error:
            Rest([server.url]).get("/jobs/x")
        assert error.value.status == 500


def test_a_jar_is_sent_whole_run_with_its_arguments_and_removed(some_jar):
    answers = {("POST", "/jars/upload"): UPLOADED, ("POST", RUN): (200, {}), ("DELETE", KEPT): (200, {})}
    with jobmanager(answers) as server:
        job_id = Rest([server.url]).run_jar(some_jar, ["--input", "a b"], 3)
        (_, _, upload), (_, _, request), (method, path, _) = server.asked
    assert b'filename="flights.jar"' in upload
    assert b"\r\n\r\n" + some_jar.read_bytes() + b"\r\n--" in upload
    assert json.loads(request) == {"jobId": job_id, "parallelism": 3, "programArgsList": ["--input", "a b"]}
    assert (method, path) == ("DELETE", KEPT)


def test_a_job_is_not_run_twice_if_the_jobmanager_dies_before_it_says_that_it_runs(some_jar):
    dying = {("POST", "/jars/upload"): UPLOADED, ("POST", KEPT): None, ("GET", "/jobs"): None}
    with jobmanager(dying) as first, jobmanager({("GET", "/jobs"): (200, {"state": "RUNNING"})}) as standby:
        job_id = Rest([first.url, standby.url]).run_jar(some_jar, [], 1)
        assert {path for _, path, _ in standby.asked} == {f"/jobs/{job_id}"}


def test_a_job_goes_to_the_other_jobmanager_if_the_first_is_dead(some_jar, dead_url):
    answers = {("POST", "/jars/upload"): UPLOADED, ("POST", RUN): (200, {}), ("DELETE", KEPT): (200, {})}
    with jobmanager(answers) as alive:
        Rest([dead_url, alive.url]).run_jar(some_jar, [], 1)
        assert ("POST", RUN) in [(method, path) for method, path, _ in alive.asked]


def test_a_program_that_refuses_its_arguments_is_not_tried_again(some_jar):
    refused = (400, {"errors": ["java.lang.IllegalArgumentException: unknown options [x]"]})
    with jobmanager({("POST", "/jars/upload"): UPLOADED, ("POST", RUN): refused}) as server:
        with pytest.raises(RestError, match="IllegalArgumentException: unknown options"):
            Rest([server.url, server.url]).run_jar(some_jar, [], 1)
        assert len(server.asked) == 2


def job(state, read=7):
    vertices = [{"name": "Source: read -> parse", "metrics": {"write-records": read}}]
    counts = {"counts": {"completed": 3, "restored": 0}}
    return {
        ("GET", "/jobs/j"): (200, {"state": state, "vertices": vertices}),
        ("GET", "/jobs/j/checkpoints"): (200, counts),
    }


def test_waiting_ends_when_the_job_is_finished(dead_url):
    with jobmanager(job("FINISHED")) as server:
        end = wait([dead_url, server.url], "j", timeout=60)
    assert (end.read, end.checkpoints) == (7, 3)


def test_a_failed_job_ends_the_wait_with_its_root_cause():
    history = {"exceptionHistory": {"entries": [{"stacktrace": "a.B: x\nCaused by: flights.BadRowException: hour"}]}}
    answers = {**job("FAILED"), ("GET", "/jobs/j/exceptions"): (200, history)}
    with jobmanager(answers) as server, pytest.raises(JobFailedError, match="j FAILED: BadRowException: hour"):
        wait([server.url], "j", timeout=60)


def test_a_job_that_does_not_end_in_time_is_an_error_that_says_how_far_it_was():
    history: dict[str, Any] = {"exceptionHistory": {"entries": []}}
    answers = {**job("RUNNING"), ("GET", "/jobs/j/exceptions"): (200, history)}
    how_far = "not complete within 0 s: running, 7 flights read, 3 checkpoints"
    with jobmanager(answers) as server, pytest.raises(JobFailedError, match=how_far):
        wait([server.url], "j", timeout=0)


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        ("", "no reason given"),
        ("plain text", "plain text"),
        ("java.lang.Error: a\n\tat b\n", "Error: a"),
        ("x.A: a\nCaused by: x.B: b\nCaused by: x.y.C$D: d\n\t... 5 more", "C$D: d"),
    ],
)
def test_the_innermost_cause_is_what_a_person_reads(trace, line):
    assert innermost(trace) == line

"""The drill's own logic: the count of records, the table of results, a proxy that refuses every second request."""

import json
import urllib.error
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import downtime
from drill import faults, records, report, s3
from drill.records import KEYS, count
from drill.runner import Row
from lab.errors import LabError
from tests.serving import serving


def lines(numbers, start=1_000_000, step=10):
    """Lines as the job writes them: each number's count within its key, and a time."""
    seen: dict[int, int] = {}
    for i, number in enumerate(numbers):
        seen[number % KEYS] = seen.get(number % KEYS, 0) + 1
        yield f"{number},{seen[number % KEYS]},{start + i * step}"


def test_every_record_once_is_exact():
    found = count(lines(range(2500)), 2500)
    assert found.exact
    assert found.still == ()


def test_the_order_does_not_matter():
    assert count(reversed(list(lines(range(2500)))), 2500).exact


def test_lost_and_doubled_records_are_counted():
    written = list(lines(range(2500)))
    found = count(written[:100] + written[103:] + written[200:205], 2500)
    assert (found.lost, found.doubled) == (3, 5)
    assert not found.exact


def test_a_lost_and_a_doubled_one_do_not_make_up_for_each_other():
    written = list(lines(range(2500)))
    found = count([*written[1:], written[7]], 2500)
    assert (found.lost, found.doubled) == (1, 1)


def test_state_that_was_set_back_is_seen_though_every_record_occurs_once():
    written = list(lines(range(2500)))
    number, _, time = written[-1].split(",")
    found = count([*written[:-1], f"{number},1,{time}"], 2500)
    assert (found.lost, found.doubled, found.miscounted) == (0, 0, 1)
    assert not found.exact


@pytest.mark.parametrize("line", ["", "1,1", "2500,1,5", "-1,1,5", "1,1,5 ", "a,b,c"])
def test_a_line_that_the_job_cannot_have_made_is_an_error(line):
    with pytest.raises(LabError, match="cannot have written"):
        count([line], 2500)


def test_when_the_job_stood_still_is_read_from_the_records():
    written = [*lines(range(100)), *(f"{n},1,{1_005_000 + n}" for n in range(100, 200))]
    (gap,) = count(written, 200).still
    assert gap == pytest.approx((1000.99, 1005.1))


def test_the_job_and_the_counting_agree_on_the_number_of_keys():
    assert f"long KEYS = {KEYS};" in (records.SOURCES / "records/RecordsJob.java").read_text()


def test_faults_have_names_of_their_own_and_say_what_they_do():
    assert len({fault.name for fault in faults.ALL}) == len(faults.ALL)
    assert all(fault.what for fault in faults.ALL)
    assert sum(fault.quick for fault in faults.ALL) == 4


def test_faults_are_chosen_by_name():
    assert [fault.name for fault in faults.chosen("s3-away, kill-jobmanager", False)] == ["s3-away", "kill-jobmanager"]
    assert len(faults.chosen(None, True)) == 4
    assert faults.chosen(None, False) == list(faults.ALL)
    with pytest.raises(LabError, match="unknown fault nonsense"):
        faults.chosen("kill-jobmanager,nonsense", False)


KILLED = Row("kill-jobmanager", "kill -9", 11.2, None, 1, 12.0, 0, 0, 0, 5.0)
AWAY = Row("s3-away", "S3 away", 33.0, 3.0, 2, 33.5, 0, 0, 0, 6.0, notes=("a note",))
UNHURT = Row("kill-zookeeper", "kill -9 of ZooKeeper", 0.0, None, 0, 0.0, 0, 0, 0, 4.0)
BROKEN = Row("no-quorum", "no quorum", problem="it did not come back")


def test_the_table_says_what_became_of_the_job():
    text = "\n".join(report.table([KILLED, AWAY, UNHURT, BROKEN]))
    assert "| kill -9 " in text
    assert "11.2 s" in text
    assert "not interrupted" in text
    assert "S3 away: a note" in text
    assert "FAILED: no quorum: it did not come back" in text
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1


def test_a_file_of_results_is_filled_bit_by_bit(tmp_path: Path):
    path = tmp_path / "found.json"
    report.write(path, [UNHURT, KILLED], "2.3.0", 15)
    again = Row("kill-jobmanager", "kill -9", 9.0, None, 1, 9.5, 0, 0, 0, 3.0)
    report.write(path, [again, AWAY], "2.3.0", 15)
    assert report.read(path) == [again, UNHURT, AWAY]


def test_bench_compares_two_drills(tmp_path: Path):
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    report.write(before, [KILLED, UNHURT], "2.3.0", 15)
    report.write(after, [Row("kill-jobmanager", "kill -9", 9.0, None, 1, 9.5, 0, 0, 0, 3.0), AWAY], "2.3.0", 15)
    assert json.loads(before.read_text())["failoverSeconds"] == 15
    shown = downtime.lines(after, before)
    killed = next(line for line in shown if "kill -9 " in line)
    assert "11.2" in killed and "9.0" in killed and "5.0" in killed and "3.0" in killed
    assert any("S3 away" in line and "not measured" in line for line in shown)


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = f"{self.path} {self.headers['Host']} {self.headers['X-Signed']} {body.decode()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "12345")
        self.end_headers()

    def log_message(self, format, *args):
        pass


def test_the_proxy_passes_on_what_it_gets_and_refuses_every_second_request():
    with ExitStack() as undo:
        server = undo.enter_context(serving(ThreadingHTTPServer(("127.0.0.1", 0), Server)))
        proxy = undo.enter_context(s3.proxy("127.0.0.1", f"http://127.0.0.1:{server.server_port}"))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        results = []
        for _ in range(6):
            url = f"http://127.0.0.1:{proxy.server_port}/flink/a%20b%2Fc?x=%2F&y"
            request = urllib.request.Request(url, b"body", {"Host": "s3.example:7480", "X-Signed": "yes"}, method="PUT")
            try:
                with opener.open(request, timeout=5) as answer:
                    results.append(answer.read().decode())
            except urllib.error.HTTPError as error:
                results.append(str(error.code))
                assert b"SlowDown" in error.read()
        assert results == ["/flink/a%20b%2Fc?x=%2F&y s3.example:7480 yes body", "503"] * 3
        head = urllib.request.Request(f"http://127.0.0.1:{proxy.server_port}/x", method="HEAD")
        with opener.open(head, timeout=5) as answer:
            assert answer.headers["Content-Length"] == "12345"
        assert (proxy.asked, proxy.refused) == (7, 3)

"""Whether a host reaches the storage: what the script says of servers that answer, refuse, or are not there."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.monitoring.exporter import storage_script
from tests.serving import serving


@contextmanager
def answering(status: int) -> Iterator[str]:
    """A server that answers all requests with this status: its URL."""

    class Server(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Server)) as server:
        yield f"http://127.0.0.1:{server.server_port}"


def reachable(folder: Path, *urls: str, proxy: str = "") -> str:
    text = storage_script(urls, {"proxy": proxy, "direct": ""}, str(folder))
    subprocess.run(["bash"], input=text, text=True, check=True, timeout=60)
    (found,) = folder.iterdir()
    assert found.name == "storage.prom" and found.stat().st_mode & 0o777 == 0o644
    return found.read_text().splitlines()[-1]


@pytest.mark.parametrize(("status", "expected"), [(200, 1), (307, 1), (403, 1), (405, 1), (500, 0), (503, 0)])
def test_any_answer_of_the_server_itself_counts(tmp_path: Path, status: int, expected: int) -> None:
    with answering(status) as url:
        assert reachable(tmp_path, url) == f"flink_storage_reachable {expected}"
    # Nobody listens any more
    assert reachable(tmp_path, url) == "flink_storage_reachable 0"


def test_a_storage_behind_a_proxy_is_asked_through_it(tmp_path: Path) -> None:
    with answering(403) as proxy:
        assert reachable(tmp_path, "http://storage.invalid", proxy=proxy) == "flink_storage_reachable 1"
    with answering(502) as proxy:
        assert reachable(tmp_path, "http://storage.invalid", proxy=proxy) == "flink_storage_reachable 0"


def test_all_servers_have_to_answer(tmp_path: Path) -> None:
    with answering(403) as one, answering(200) as other, answering(503) as ill:
        assert reachable(tmp_path, one, other) == "flink_storage_reachable 1"
        assert reachable(tmp_path, one, ill) == "flink_storage_reachable 0"
        assert reachable(tmp_path, ill, one) == "flink_storage_reachable 0"

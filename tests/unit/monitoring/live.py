"""A real Prometheus that asks targets which show the recordings, for tests."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from stand_ins.builds import promtool
from tests.serving import serving
from tests.unit.monitoring.recorded import EXPOSITIONS, TARGETS

SECONDS = 60
"""Until Prometheus answers, or has what is expected."""
_COUNTS = re.compile(r"^(\w+_(?:sum|count|total)(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


class _Exposer(http.server.BaseHTTPRequestHandler):
    """Shows EXPOSITIONS/NAME.prom at /NAME. Counters count requests, because what stands still has no rate."""

    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        text = (EXPOSITIONS / f"{self.path.strip('/')}.prom").read_text()
        body = _COUNTS.sub(lambda found: f"{found[1]} {float(found[2]) + self.requests}", text).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _configuration(port: int) -> dict[str, Any]:
    def scrape(job: str) -> dict[str, Any]:
        found = [
            {
                "targets": [target.instance],
                "labels": {**target.labels, "__metrics_path__": f"/{target.recording}"},
            }
            for target in TARGETS
            if target.job == job
        ]
        # All are this process; their names stay in `instance`
        here = [
            {"source_labels": ["__address__"], "target_label": "instance"},
            {"target_label": "__address__", "replacement": f"127.0.0.1:{port}"},
        ]
        return {"job_name": job, "static_configs": found, "relabel_configs": here}

    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["*.yaml"],
        "scrape_configs": [scrape(job) for job in sorted({target.job for target in TARGETS})],
    }


class Prometheus:
    """A running one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series of a query. `AssertionError` if Prometheus cannot read it."""
        answer = self._get("/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _get(self, path: str) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(self._url + path, timeout=10) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        assert isinstance(found, dict)
        return found


@contextmanager
def prometheus(folder: Path, rules: Mapping[str, str]) -> Iterator[Prometheus]:
    """Prometheus with its data in `folder`, and the rules NAME → text."""
    for name, text in rules.items():
        (folder / name).write_text(text)
    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Exposer)) as server:
        (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(server.server_address[1])))
        with (folder / "log").open("w") as log:
            argv = [
                str(promtool.folder() / "prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ]
            process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            running = Prometheus(f"http://127.0.0.1:{_port(process, folder / 'log')}")
            wait(running.ready, "Prometheus is ready")
            yield running
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """The port that the process was given, which it logs without its number: the kernel knows it."""
    found: list[int] = []

    def listens() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        links = Path(f"/proc/{process.pid}/fd").iterdir()
        sockets = {name[8:-1] for link in links if (name := _target(link)).startswith("socket:[")}
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        found[:] = [int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in sockets]
        return bool(found)

    wait(listens, "Prometheus listens")
    return found[0]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition` is true. `AssertionError` if it is not within SECONDS."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.2)

"""What Prometheus needs to read the metrics of 100 TaskManagers: its memory and CPU with the configuration and rules of
a monitoring host. One process plays the TaskManagers, on addresses of the loopback; each shows what a real one has
shown with a job, with other values at each time.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from components.monitoring import rules, targets
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError
from toolbox.paths import REPO

COUNTS = (1, 100)
WARM_SECONDS, SECONDS = 60, 240
CLUSTER = "bench"
RECORDED = REPO / "tests/unit/monitoring/expositions/tm-0.prom"
"""Of a TaskManager with a job: what rules and dashboards use of it."""
_SAMPLE = re.compile(r"^([a-zA-Z_:][^ ]*(?:\{.*\})?) ([-+0-9.eE]+)$")


@dataclass
class Endpoints:
    """One entry for each number of TaskManagers."""

    counts: list[int] = field(default_factory=list)
    series: list[int] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    """Its largest resident memory."""
    cores: list[float] = field(default_factory=list)
    """CPU seconds for each second."""
    disk_mib_an_hour: list[float] = field(default_factory=list)
    """What it writes in advance of its blocks, which are smaller."""
    loads: list[float] = field(default_factory=list)


def measure() -> Endpoints:
    """Measure."""
    found = Endpoints()
    recorded = RECORDED.read_text()
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(archives.prometheus().path) as release:
            release.extractall(place, filter="data")
        program = next(Path(place).glob("prometheus-*/prometheus"))
        for count in COUNTS:
            home = Path(place) / str(count)
            home.mkdir()
            with console.step("bench", f"Prometheus with {count} TaskManagers (load {os.getloadavg()[0]:.1f})") as step:
                found.loads.append(round(os.getloadavg()[0], 1))
                _one(found, program, home, count, recorded)
                step.result = f"{found.memory_mib[-1]:.0f} MiB, {found.cores[-1]:.3f} cores"
    return found


def _one(found: Endpoints, program: Path, home: Path, count: int, recorded: str) -> None:
    addresses = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(count)]
    with _taskmanagers(addresses, recorded) as port:
        web = _free_port()
        words = _prepared(program, home, addresses, port, web)
        with (home / "log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
            try:
                time.sleep(WARM_SECONDS)
                began, before = time.monotonic(), _cpu(process.pid)
                time.sleep(SECONDS)
                cpu = (_cpu(process.pid) - before) / (time.monotonic() - began)
                metrics = _metrics(web)
                up = _value(metrics, "prometheus_sd_discovered_targets", 'config="flink"')
                if up != count:
                    raise ToolError(f"Prometheus has {up:.0f} TaskManagers: expected {count}")
                found.counts.append(count)
                found.series.append(int(_value(metrics, "prometheus_tsdb_head_series")))
                found.memory_mib.append(round(_largest_kib(process.pid) / 1024, 1))
                found.cores.append(round(cpu, 4))
                written = sum(path.stat().st_size for path in (home / "data/wal").rglob("*") if path.is_file())
                found.disk_mib_an_hour.append(round(written / 2**20 * 3600 / (WARM_SECONDS + SECONDS), 1))
            finally:
                process.terminate()


def _prepared(program: Path, home: Path, addresses: list[str], port: int, web: int) -> list[str]:
    """The command, with the files of a monitoring host below `home`."""
    for name in ("targets", "rules"):
        (home / name).mkdir()

    def here(text: str) -> str:
        text = text.replace(targets.FOLDER, str(home)).replace("/var/lib/prometheus/data/series", f"{home}/data")
        return text.replace(str(targets.PROMETHEUS_PORT), str(web))

    (home / "prometheus.yml").write_text(here(targets.prometheus_yml(CLUSTER, "mon-0", tls=False)))
    for name, text in rules.files().items():
        (home / "rules" / name).write_text(text)
    for job in ("flink", "zookeeper", "node"):
        entries = [
            {
                "targets": [f"{address}:{port}"],
                "labels": {"cluster": CLUSTER, "role": "taskmanager", "host": f"tm-{number}"},
            }
            for number, address in enumerate(addresses if job == "flink" else [])
        ]
        (home / "targets" / f"{job}.json").write_text(json.dumps(entries))
    return [str(program), *map(here, targets.flags(7 * 86_400, 0))]


@contextlib.contextmanager
def _taskmanagers(addresses: list[str], recorded: str) -> Iterator[int]:
    """Their port."""
    port, loop = _free_port(), asyncio.new_event_loop()
    began, samples = time.monotonic(), [_SAMPLE.match(line) or line for line in recorded.splitlines()]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                passed = time.monotonic() - began
                body = "".join(
                    f"{each}\n" if isinstance(each, str) else f"{each[1]} {float(each[2]) + passed * (number % 7)}\n"
                    for number, each in enumerate(samples)
                ).encode()
                head = (
                    f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n\r\n"
                )
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = loop.run_until_complete(asyncio.start_server(answer, addresses, port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{targets.PREFIX}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def _value(metrics: str, name: str, labels: str = "") -> float:
    lines = [line for line in metrics.splitlines() if re.match(rf"{name}[{{ ]", line) and labels in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _largest_kib(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found, "the kernel shows no VmHWM"
    return int(found[1])


def lines(file: Path) -> list[str]:
    """A table in Markdown."""
    found = json.loads(file.read_text())
    few, many = (f"{count} TaskManager{'s' if count > 1 else ''}" for count in found["counts"])
    series = found["series"][1] - found["series"][0]
    table = [f"|  | {few} | {many} | each further series |", "| --- | --- | --- | --- |"]
    table.append(f"| series | {found['series'][0]:,} | {found['series'][1]:,} |  |")
    for key, title, unit, factor, shown in (
        ("memory_mib", "memory at most", "MiB", 1024, "KiB"),
        ("cores", "CPU", "cores", 1e6, "millionths of a core"),
        ("disk_mib_an_hour", "written in advance, an hour", "MiB", 1024, "KiB"),
    ):
        first, second = found[key]
        each = (second - first) / series * factor
        table.append(f"| {title} | {first:g} {unit} | {second:g} {unit} | {each:.1f} {shown} |")
    return table

"""A real Prometheus and a real node_exporter with the configuration that hosts get: certificates of both sides, and a
list of targets that changes while Prometheus runs.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from components import ports
from components.existing.hosts import _host
from components.flink.topology import Members
from components.monitoring import alerts, declared, exporter, plots, rules, targets
from components.monitoring.settings import Receiver
from components.templates import render
from stand_ins.builds import archives
from tests.engine.test_acme import free_port
from tests.engine.test_front_door import until as within
from tests.serving import serving
from tests.unit.conftest import loop  # noqa: F401
from tests.unit.program import SEVEN, host, load, write_inventory
from tests.unit.test_tls_signer import Pki

NODE = ports.number("node-metrics")


def until(condition: Callable[[], object]) -> None:
    within(condition, 90)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The releases as hosts have them in /opt."""
    folder = tmp_path_factory.mktemp("opt")
    for archive in (archives.prometheus(), archives.alertmanager(), archives.nodeexporter()):
        with tarfile.open(archive.path) as release:
            release.extractall(folder, filter="data")
    return folder


def identity(folder: Path, pki: Pki, name: str) -> tuple[Path, Path, Path]:
    """Certificate, key and authorities as files."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = pki.sign(subject, key.public_key(), x509.SubjectAlternativeName([x509.DNSName(name)]))
    found = folder / "certificate.pem", folder / "key.pem", folder / "authorities.pem"
    found[0].write_bytes(made.public_bytes(Encoding.PEM))
    found[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    found[2].write_text(pki.pem)
    return found


@dataclass
class Monitoring:
    """A running Prometheus, whose files are below `folder` instead of /etc/prometheus."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    context: ssl.SSLContext | None = None
    """With which it is asked; None: without TLS."""

    def open(self, path: str) -> http.client.HTTPResponse:
        """The answer to a request for a path below its prefix."""
        url = f"http{'s' if self.context else ''}://localhost:{self.port}{targets.PREFIX}{path}"
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=10, context=self.context)
        return answer

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The result of a query."""
        with self.open(f"/api/v1/query?query={urllib.parse.quote(query)}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
            return found

    def values(self, query: str) -> dict[str, str]:
        """The value of each host."""
        return {each["metric"]["host"]: each["value"][1] for each in self.ask(query)}

    def list(self, job: str, **hosts: int) -> None:
        """Write the list of a job's targets, as the step does: host → port."""
        entries = [
            {"targets": [f"localhost:{port}"], "labels": {"cluster": "dev", "role": "taskmanager", "host": name}}
            for name, port in hosts.items()
        ]
        new = self.folder / "targets" / f"{job}.json.new"
        new.write_text(json.dumps(entries))
        new.rename(self.folder / "targets" / f"{job}.json")

    def is_ready(self) -> bool:
        try:
            with self.open("/-/ready"):
                return True
        except OSError:
            return False


@contextmanager
def started(words: list[str], log: Path, at: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as to:
        process = subprocess.Popen(words, stdout=to, stderr=to, cwd=at)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def prometheus(
    programs: Path,
    folder: Path,
    *,
    tls: bool,
    alertmanager: int = 1,
    door: targets.Door | None = None,
    **more: Any,
) -> Iterator[Monitoring]:
    """Prometheus with the configuration and the flags of hosts, which asks more often. With a `door` it asks for a
    certificate; `more`: of its configuration.
    """
    found = Monitoring(folder, free_port())
    if door and door.tls:
        found.context = ssl.create_default_context(cafile=folder / "tls/authorities.pem")
        found.context.load_cert_chain(folder / "tls/certificate.pem", folder / "tls/key.pem")
    for name in ("targets", "rules", "data"):
        (folder / name).mkdir(exist_ok=True)
    for job in ("flink", "zookeeper", "node", *(["frontdoor"] if door else [])):
        found.list(job)

    def here(text: str) -> str:
        text = text.replace(targets.FOLDER, str(folder)).replace("/var/lib/prometheus/data/series", f"{folder}/data")
        text = text.replace(str(targets.ALERTMANAGER_PORT), str(alertmanager))
        return text.replace(str(targets.PROMETHEUS_PORT), str(found.port))

    (folder / "consoles").mkdir(exist_ok=True)
    (folder / "consoles" / plots.FILE).write_text(plots.page(door=True, logs=True, history=True))
    (folder / "web.yml").write_text(here(render("monitoring/web.yml.j2", identity=targets.IDENTITY)))
    config = here(targets.prometheus_yml("dev", "mon-0", tls=tls, door=door, **more))
    seconds = f"{targets.INTERVAL_SECONDS}s"
    (folder / "prometheus.yml").write_text(config.replace(seconds, "1s").replace("timeout: 10s", "timeout: 1s"))
    home = next(programs.glob("prometheus-*"))
    check = [str(home / "promtool"), "check", "config", str(folder / "prometheus.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    words = [str(home / "prometheus"), *map(here, targets.flags(86_400, 512, door))]
    with started(words, folder / "log") as found.process:
        until(found.is_ready)
        yield found


@contextmanager
def node_exporter(programs: Path, folder: Path, own: tuple[Path, Path, Path] | None) -> Iterator[int]:
    """node_exporter with the command line of its unit."""
    unit = exporter.exporter_unit(tls=own is not None)
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    port = free_port()
    home = next(programs.glob("node_exporter-*"))
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    words = (
        line.removeprefix("ExecStart=")
        .replace("/opt/nodeexporter", str(home))
        .replace(exporter.FOLDER, str(folder))
        .replace("$$", "$")
    )
    if own:
        (folder / "web.yml").write_text(render("monitoring/web.yml.j2", identity=own))
    with started(words.replace(str(NODE), str(port)).split(), folder / "log"):
        yield port


def test_a_host_that_joins_is_seen_without_a_restart_and_one_that_leaves_is_gone(
    programs: Path, tmp_path: Path
) -> None:
    with node_exporter(programs, tmp_path / "tm-0", None) as port, prometheus(programs, tmp_path, tls=False) as asked:
        until(lambda: asked.values("up{job='prometheus'}") == {"mon-0": "1"})
        began = asked.values("process_start_time_seconds{job='prometheus'}")
        asked.list("node", **{"tm-0": port})
        until(lambda: asked.values("up{job='node'}") == {"tm-0": "1"})
        asked.list("node", **{"tm-0": port, "tm-1": free_port()})
        until(lambda: asked.values("up{job='node'}") == {"tm-0": "1", "tm-1": "0"})
        # What rules ask for: how far the clock is off
        assert set(asked.values("node_timex_offset_seconds")) == {"tm-0"}
        asked.list("node", **{"tm-0": port})
        until(lambda: asked.values("up{job='node'}") == {"tm-0": "1"})
        assert asked.values("process_start_time_seconds{job='prometheus'}") == began


def test_both_sides_prove_who_they_are(programs: Path, tmp_path: Path) -> None:
    pki = Pki()
    identity(tmp_path / "tls", pki, "mon-0")
    own = identity(tmp_path / "tm-0" / "tls", pki, "localhost")
    of_another_host = identity(tmp_path / "tm-1" / "tls", pki, "tm-1")
    with (
        node_exporter(programs, tmp_path / "tm-0", own) as port,
        node_exporter(programs, tmp_path / "tm-1", of_another_host) as other,
        prometheus(programs, tmp_path, tls=True) as asked,
    ):
        asked.list("node", **{"tm-0": port, "tm-1": other})
        # The second shows a certificate that is not of the name at which it was asked
        until(lambda: asked.values("up{job='node'}") == {"tm-0": "1", "tm-1": "0"})
        for client in (None, identity(tmp_path / "stranger", Pki(), "mon-0")):
            context = ssl.create_default_context(cafile=str(own[2]))
            if client:
                context.load_cert_chain(client[0], client[1])
            with pytest.raises(OSError):
                urllib.request.urlopen(f"https://localhost:{port}/metrics", context=context, timeout=10).read()
        # A new certificate is used without a restart
        before = own[0].read_bytes()
        identity(tmp_path / "tm-0" / "tls", pki, "localhost")
        assert own[0].read_bytes() != before
        until(lambda: ssl_certificate(port, tmp_path / "tls") == own[0].read_text().strip())
        until(lambda: asked.values("up{job='node'}").get("tm-0") == "1")


def ssl_certificate(port: int, folder: Path) -> str:
    """The certificate that a server shows."""
    context = ssl.create_default_context(cafile=str(folder / "authorities.pem"))
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    with (
        socket.create_connection(("localhost", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
    assert shown
    return ssl.DER_cert_to_PEM_cert(shown).strip()


@contextmanager
def receiving() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of webhooks: its URL, and what it was told."""
    told: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Hook)) as server:
        yield f"http://127.0.0.1:{server.server_port}/", told


@contextmanager
def alertmanager(programs: Path, folder: Path, url: str, door: targets.Door | None = None) -> Iterator[int]:
    """Alertmanager with the configuration and the flags of hosts, which waits less."""
    port, home = free_port(), next(programs.glob("alertmanager-*"))
    config = folder / "alertmanager.yml"
    receiver = Receiver(name="team", severities=("warning",), webhook=url)
    text = alerts.alertmanager_yml([receiver], None)
    config.write_text(
        text.replace("group_wait: 30s", "group_wait: 0s").replace("group_interval: 5m", "group_interval: 1s")
    )
    done = subprocess.run([home / "amtool", "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The lab's program looks for its templates where hosts have it: here, where it is started
    program = folder / "alertmanager"
    place = b"/opt/alertmanager".ljust(34, b"/")
    program.write_bytes((home / "alertmanager").read_bytes().replace(place, b".".ljust(34, b"/")))
    program.chmod(0o755)
    (folder / "web-alerts.yml").write_text(
        render("monitoring/web.yml.j2", identity=targets.IDENTITY).replace(targets.FOLDER, str(folder))
    )
    words = " ".join([str(program), *alerts.flags(door)]).replace(alerts.CONFIG, str(config))
    words = words.replace(alerts.WEB, str(folder / "web-alerts.yml"))
    words = words.replace(alerts.DATA, str(folder / "alerts")).replace(str(targets.ALERTMANAGER_PORT), str(port))
    with started(words.split(), folder / "alertmanager.log", home):
        yield port


def test_an_alert_reaches_its_receiver_and_ends_there(programs: Path, tmp_path: Path) -> None:
    rule = {"alert": "Down", "expr": "up{job='node'} == 0", "labels": {"severity": "warning"}}
    other = {"alert": "Shown", "expr": "vector(1)", "labels": {"severity": "info"}}
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "own.yaml").write_text(json.dumps({"groups": [{"name": "own", "rules": [rule, other]}]}))
    with (
        receiving() as (url, told),
        alertmanager(programs, tmp_path, url) as port,
        prometheus(programs, tmp_path, tls=False, alertmanager=port) as asked,
    ):
        here = free_port()
        asked.list("node", **{"tm-0": here})
        until(lambda: any(each["status"] == "firing" for each in told))
        labels = told[0]["commonLabels"]
        assert (labels["alertname"], labels["host"], labels["cluster"]) == ("Down", "tm-0", "dev")
        asked.list("node")
        until(lambda: told[-1]["status"] == "resolved")
        # Without a receiver for their severity others go nowhere, and are shown
        assert {each["commonLabels"]["alertname"] for each in told} == {"Down"}
        assert asked.ask("ALERTS{alertname='Shown',alertstate='firing'}")
        assert asked.values("up{job='alertmanager'}") == {"mon-0": "1"}


def test_all_rules_are_evaluated_and_what_is_declared_is_loaded_without_a_restart(
    programs: Path, tmp_path: Path
) -> None:
    write_inventory(tmp_path, *map(host, (*SEVEN, "mon-0")))
    loaded = load(tmp_path)
    (tmp_path / "rules").mkdir()
    for name, text in rules.files().items():
        (tmp_path / "rules" / name).write_text(text)
    with prometheus(programs, tmp_path, tls=False) as asked:
        until(lambda: asked.ask("up"))
        assert asked.ask("flink_declared_hosts") == []
        members = Members(tuple(map(_host, loaded.site.hosts)))
        (tmp_path / "rules" / declared.FILE).write_text(declared.text(loaded.cluster, members))
        assert asked.process
        asked.process.send_signal(signal.SIGHUP)
        until(lambda: len(asked.ask("flink_declared_hosts")) == 4)
        with asked.open("/api/v1/rules") as answer:
            known = [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]
        assert len(known) > 30
        assert [rule for rule in known if rule["health"] == "err"] == []

"""The monitoring host behind the front door: Caddy, Prometheus and Alertmanager with the configuration that hosts get
and certificates of both sides, asked by a stranger, a viewer and an operator.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import subprocess
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from components import ports
from components.frontdoor import login as logins
from components.frontdoor.caddyfile import IDENTITY, MONITORING_IDENTITY, caddyfile
from components.frontdoor.rights import Endpoint, Right
from components.frontdoor.settings import Acme, Oidc
from components.logs import store
from components.logs.settings import LogsSettings
from components.monitoring import dashboards, grafana, plots, rights, targets
from stand_ins.builds import archives
from tests.engine.test_acme import free_port
from tests.engine.test_front_door import REST, Door, JobManager, login, serving, until, users
from tests.engine.test_monitoring import Monitoring, alertmanager, identity, programs, prometheus, receiving, started
from tests.unit.test_tls_signer import Pki

__all__ = ["programs"]

SECRET = "of the doors and Grafana"
QUERY = "/prometheus/api/v1/query?query=up"
SILENCES = "/alertmanager/api/v2/silences"


@dataclass
class Watched:
    """A front door with the monitoring host behind it."""

    door: Door
    prometheus: Monitoring
    alertmanager: int
    metrics: int
    """The port of the door's own metrics."""
    history: JobManager
    """In place of a HistoryServer."""
    grafana: JobManager
    """In place of Grafana, which no registry has."""
    pki: Pki

    def asked(self, who: str, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        text = None if body is None else json.dumps(body).encode()
        if body is not None:
            headers["Content_Type"] = "application/json"
        status, answer, _ = self.door.ask(who, method, target, text, **headers)
        return status, answer


def without_tls(text: str, theirs: str, ours: str) -> str:
    """The Caddyfile with another server, which speaks no TLS, in place of this one."""
    before, found, after = text.partition(f"reverse_proxy {theirs} ")
    assert found
    block, end, rest = after.partition("\n}\n")
    kept = [line for line in block.splitlines() if "tls_" not in line]
    return before + f"reverse_proxy {ours} " + "\n".join(kept) + end + rest


@pytest.fixture(scope="module")
def watched(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, pki, metrics, stored = tmp_path_factory.mktemp("watched"), Pki(), free_port(), free_port()
    others: list[JobManager] = []
    on_host = targets.Door(tls=True, url="https://flink.example.com")
    identity(folder / "tls", pki, "localhost")
    with contextlib.ExitStack() as stack:
        url, _ = stack.enter_context(receiving())
        alerting = stack.enter_context(alertmanager(programs, folder, url, on_host))
        asked = stack.enter_context(prometheus(programs, folder, tls=True, alertmanager=alerting, door=on_host))

        def prepare(door: Door) -> None:
            for made, place in zip(identity(folder / "door", pki, "localhost"), MONITORING_IDENTITY, strict=True):
                (door.folder / Path(place).name).write_text(made.read_text())
            kept = LogsSettings(retention_seconds=86_400)
            door.write(users(), tls=True, monitoring="localhost", logs=kept, history=True, grafana=SECRET)
            others.extend(JobManager(f"{door.first.address.rpartition('.')[0]}.{number}") for number in (3, 4))
            path = door.folder / "Caddyfile"
            text = path.read_text()
            # The JobManagers of these tests have no TLS
            for one in (door.first, door.second):
                text = text.replace(f"https://{one.address}", one.address)
            rest = str(door.folder / Path(IDENTITY[0]).parent.name)
            text = "".join(
                line for line in text.splitlines(True) if not any(word in line for word in (rest, "tls_except_ports"))
            )
            history, shown = others
            text = without_tls(text, f"https://127.0.0.1:{ports.number('history')}", f"http://{history.address}:{REST}")
            text = without_tls(text, f"https://localhost:{grafana.PORT}", f"http://{shown.address}:{REST}")
            for ours, theirs in (
                (ports.number("door-metrics"), metrics),
                (targets.PROMETHEUS_PORT, asked.port),
                (targets.ALERTMANAGER_PORT, alerting),
                (ports.number("log-store"), stored),
            ):
                text = text.replace(f":{ours}", f":{theirs}")
            path.write_text(text)

        own = tuple(folder / "tls" / f"{each}.pem" for each in ("certificate", "key", "authorities"))
        flags = store.flags(LogsSettings(), tls=True, data=str(folder / "logs"), identity=[*map(str, own)])
        words = [each.replace(str(ports.number("log-store")), str(stored)) for each in flags]
        with tarfile.open(archives.victorialogs().path) as release:
            release.extractall(folder / "store", filter="data")
        stack.enter_context(started([str(folder / "store" / "victoria-logs-prod"), *words], folder / "store.log"))
        door = stack.enter_context(serving(tmp_path_factory.mktemp("door"), prepare))
        for one in others:
            stack.callback(one.stop)
            one.start()
        asked.list("frontdoor", **{"jm-0": metrics})
        yield Watched(door, asked, alerting, metrics, others[0], others[1], pki)


@pytest.fixture
def fresh(watched: Watched) -> Watched:
    """It, whose JobManagers have seen nothing yet."""
    for one in (watched.door.first, watched.door.second, watched.history, watched.grafana):
        one.requests.clear()
    return watched


def silence() -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "matchers": [{"name": "alertname", "value": "X", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "anna",
        "comment": "x",
    }


def test_a_viewer_reads_metrics_and_alerts_and_an_operator_silences_them(fresh: Watched) -> None:
    for who in ("vic", "anna"):
        status, text = fresh.asked(who, "GET", QUERY)
        assert status == 200 and json.loads(text)["status"] == "success"
        connection = fresh.door.connection()
        connection.request(
            "POST",
            "/prometheus/api/v1/query",
            "query=up",
            {"Authorization": login(who), "Content-Type": "application/x-www-form-urlencoded"},
        )
        assert connection.getresponse().status == 200, "a query may be long"
        connection.close()
        assert json.loads(fresh.asked(who, "GET", "/alertmanager/api/v2/alerts")[1]) is not None
    assert fresh.asked("vic", "POST", SILENCES, silence())[0] == 403
    status, text = fresh.asked("anna", "POST", SILENCES, silence())
    assert status == 200, text
    found = json.loads(text)["silenceID"]
    assert fresh.asked("vic", "GET", f"/alertmanager/api/v2/silence/{found}")[0] == 200
    assert fresh.asked("vic", "DELETE", f"/alertmanager/api/v2/silence/{found}")[0] == 403
    assert fresh.asked("anna", "DELETE", f"/alertmanager/api/v2/silence/{found}")[0] == 200
    assert not fresh.door.arrived(), "JobManagers see nothing of it"
    told = {(it["user_id"], it["request"]["method"], it["status"]) for it in fresh.door.audit()}
    assert {("vic", "POST", 403), ("anna", "POST", 200), ("vic", "DELETE", 403), ("anna", "DELETE", 200)} <= told
    assert not [it for it in fresh.door.audit() if "/query" in it["request"]["uri"]], "what only reads is not in it"


def lines(page: str) -> list[str]:
    """Of a page, without the comments of scripts, which Prometheus leaves out."""
    return [line for each in page.splitlines() if (line := each.strip()) and not line.startswith("//")]


def test_everyone_searches_in_logs_and_nobody_does_more(fresh: Watched) -> None:
    for who in ("vic", "anna"):
        until(lambda who=who: fresh.asked(who, "GET", "/logs/health")[0] == 200, 60)  # type: ignore[misc]
        assert b"<!doctype html>" in fresh.asked(who, "GET", "/logs/select/vmui/")[1].lower()
        assert fresh.asked(who, "GET", "/logs/select/vmui/config.json")[0] == 200
        assert fresh.asked(who, "GET", "/logs/select/logsql/query?query=*")[0] == 200
        connection = fresh.door.connection()
        headers = {"Authorization": login(who), "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/logs/select/logsql/query", "query=*", headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()
        for method, target in (
            *(("POST", f"/logs/insert/{name}") for name in ("jsonline", "opentelemetry/v1/logs", "loki/api/v1/push")),
            *((method, f"/logs/delete/run_task?filter=*&x={method}") for method in ("GET", "POST")),
            *(("GET", f"/logs/{name}") for name in ("internal/force_flush", "debug/pprof/heap", "metrics", "flags")),
            *(("GET", "/logs/select/vmui/../../insert/jsonline"), ("GET", "/logs/select/%6cogsql/query?query=*")),
            *(("PUT", "/logs/select/logsql/query"), ("GET", "/logs//select/logsql/query"), ("GET", "/insert/jsonline")),
        ):
            assert fresh.asked(who, method, target)[0] in (400, 403), (who, method, target)
    assert fresh.asked("", "GET", "/logs/select/logsql/query?query=*")[0] == 401
    assert not fresh.door.arrived()


def test_everyone_sees_jobs_that_have_ended(fresh: Watched) -> None:
    job = "0123456789abcdef0123456789abcdef"
    read = ("/", "/main.js", "/config", "/jobs/overview", f"/jobs/{job}", f"/jobs/{job}/exceptions?maxExceptions=9")
    for who in ("vic", "anna"):
        for target in read:
            assert fresh.asked(who, "GET", f"/history{target}")[0] == 200, target
        for method, target in (
            *(("GET", f"/history{name}") for name in ("/jars", "/jobmanager/logs", "/../jars", "//jobs/overview")),
            *((method, f"/history/jobs/{job}") for method in ("PATCH", "DELETE", "PUT")),
            *(("POST", "/history/jobs/overview"), ("GET", f"/history/jobs/{job}/yarn-cancel"), ("GET", "/historyjobs")),
        ):
            assert fresh.asked(who, method, target)[0] in (400, 403), (method, target)
    assert [(each[0], each[1]) for each in fresh.history.requests] == [("GET", target) for target in (*read, *read)]
    assert not [each for each in fresh.history.requests if "Authorization" in each[2]]
    assert fresh.asked("", "GET", "/history/jobs/overview")[0] == 401


def put(fresh: Watched, *lines: dict[str, str]) -> None:
    """Lines into the store itself, as agents do."""
    behind = (fresh.door.folder / "Caddyfile").read_text().partition("&(logs)")[2]
    url = re.search(r"reverse_proxy (https://localhost:\d+) ", behind)
    assert url
    body = "".join(json.dumps(each) + "\n" for each in lines).encode()
    kind = {"Content-Type": "application/stream+json"}
    sent = urllib.request.Request(f"{url[1]}/logs/insert/jsonline?_stream_fields=host,role", body, kind, method="POST")
    urllib.request.urlopen(sent, context=fresh.prometheus.context, timeout=10).read()


def found_lines(fresh: Watched, query: str) -> int:
    status, text = fresh.asked("vic", "GET", query)
    assert status == 200, text
    return len(text.splitlines())


def test_from_a_job_that_has_ended_to_its_logs(fresh: Watched) -> None:
    """Flink's page asks for an address, whatever name it was reached by itself; the store's page asks what is in it."""
    job = "0123456789abcdef0123456789abcdef"
    line = {"_msg": "it ended", "job_id": job, "host": "tm-0.example.com", "_time": datetime.now(UTC).isoformat()}
    others = [line | {"job_id": "f" * 32}, line | {"host": "tm-1"}]
    put(fresh, line, *others)
    for who in ("vic", "anna"):
        for asked, lines in (("jobmanager", 2), ("taskmanagers/tm-0.example.com", 1)):
            status, text, headers = fresh.door.ask(who, "GET", f"/history/jobs/{job}/{asked}/log-url")
            assert (status, headers["Content-Type"]) == (200, "application/json"), text
            found = urllib.parse.urlsplit(urllib.parse.urljoin("/history/", json.loads(text)["url"]))
            assert found.path == "/logs/select/vmui/"
            values = dict(urllib.parse.parse_qsl(found.fragment.removeprefix("/?"), strict_parsing=True))
            assert values["g0.relative_time"] == "last_24_hours"
            query = "/logs/select/logsql/query?" + urllib.parse.urlencode({"query": values["query"]})
            until(lambda query=query, lines=lines: found_lines(fresh, query) == lines, 30)  # type: ignore[misc]
        for target in (
            f"{job[1:]}/jobmanager",
            f"{job}/taskmanagers/tm-0%22%20or%20%22",
            f"{job}/taskmanagers/../jobmanager",
            f"{job}/taskmanagers/" + '"or"',
            f"{job.upper()}/jobmanager",
        ):
            assert fresh.asked(who, "GET", f"/history/jobs/{target}/log-url")[0] in (400, 403), target
        assert fresh.asked(who, "POST", f"/history/jobs/{job}/jobmanager/log-url")[0] == 403
    assert fresh.asked("", "GET", f"/history/jobs/{job}/jobmanager/log-url")[0] == 401
    assert fresh.history.requests == []


def test_links_of_dashboards_lead_to_lines_in_the_time_that_is_shown(fresh: Watched) -> None:
    job, now = "abcdef0123456789abcdef0123456789", datetime.now(UTC)
    line = {"_msg": "shown", "job_id": job, "host": "tm-7", "role": "taskmanager", "level": "WARN"}
    put(fresh, *(line | {"_time": (now - timedelta(minutes=ago)).isoformat()} for ago in (5, 10, 50)))
    put(fresh, line | {"role": "zookeeper", "host": "zk-7", "_time": (now - timedelta(minutes=5)).isoformat()})
    shown = [(now - timedelta(minutes=ago)).isoformat().replace("+00:00", "Z") for ago in (30, 0)]
    chosen = {"${job_id:csv}": f"{'0' * 32},{job}", "${host:pipe}": "tm-1|tm-7"}
    values = {**dict(zip(("${__from:date:iso}", "${__to:date:iso}"), shown, strict=True)), **chosen}
    for page in dashboards.DASHBOARDS:
        links = dashboards.document(page, LogsSettings())["links"][1:]
        assert len(links) == int(bool(page.logs))
        for link in links:
            url = link["url"]
            for word, value in values.items():
                url = url.replace(word, value)
            # From the dashboard, from the first page, and from a folder
            for place in (f"d/flink-{page.name}/x", "", "dashboards/f/abc/def"):
                found = urllib.parse.urlsplit(urllib.parse.urljoin(f"https://flink/grafana/{place}", url))
                assert found.path == "/logs/select/vmui/"
            query = dict(urllib.parse.parse_qsl(found.fragment.removeprefix("/?"), strict_parsing=True))["query"]
            asked = "/logs/select/logsql/query?" + urllib.parse.urlencode({"query": f"{query} shown"})
            expected = {"cluster": 3, "job": 3, "zookeeper": 1}.get(page.name, 2)
            until(lambda asked=asked, expected=expected: found_lines(fresh, asked) == expected, 30)  # type: ignore[misc]


def test_grafana_is_told_who_asks_and_nobody_else_can_say_it(fresh: Watched) -> None:
    user, role = grafana.headers(SECRET)
    asks = [
        ("vic", "GET", "/grafana/d/flink-job/job?var-job=x"),
        ("vic", "GET", "/grafana/"),
        ("vic", "GET", "/grafana/public/build/app.1a2b.js"),
        ("vic", "POST", "/grafana/api/ds/query?ds_type=prometheus"),
        ("vic", "POST", "/grafana/api/datasources/uid/prometheus/resources/api/v1/labels"),
        ("anna", "GET", "/grafana/"),
        ("anna", "POST", "/grafana/api/dashboards/db"),
        ("anna", "DELETE", "/grafana/api/dashboards/uid/abc"),
        ("anna", "PUT", "/grafana/apis/dashboard.grafana.app/v1beta1/namespaces/default/dashboards/x"),
    ]
    for who, method, target in asks:
        said = {user: "admin", role: "Admin", "X-WEBAUTH-USER": "admin"}
        status, _, _ = fresh.door.ask(who, method, target, b"{}" if method != "GET" else None, **said)
        assert status == 200, target
    found = [(each[0], each[1]) for each in fresh.grafana.requests]
    assert found == [(method, target) for _, method, target in asks]
    for (who, *_), (_, _, headers, _) in zip(asks, fresh.grafana.requests, strict=True):
        told = {name.lower(): value for name, value in headers.items()}
        assert (told[user.lower()], told[role.lower()]) == (who, {"vic": "Viewer", "anna": "Editor"}[who])
        assert not told.keys() & {"authorization", "cookie"}
        # It compares Origin with it
        assert told["host"] == f"localhost:{fresh.door.port}"


def test_a_viewer_changes_nothing_in_grafana_and_a_stranger_sees_nothing(fresh: Watched) -> None:
    for method, target in (
        ("POST", "/grafana/api/dashboards/db"),
        ("DELETE", "/grafana/api/dashboards/uid/abc"),
        ("PATCH", "/grafana/apis/x/y"),
        ("POST", "/grafana/login"),
        ("POST", "/grafana/api/datasources/uid/prometheus/resources/../../../admin/users"),
        ("GET", "/grafana"),
        ("GET", "/grafanaapi"),
    ):
        assert fresh.asked("vic", method, target, {} if method != "GET" else None)[0] == 403, target
    assert fresh.asked("anna", "POST", "/grafana/login", {})[0] == 403
    other = {"Origin": "https://elsewhere.example.com"}
    assert fresh.asked("anna", "POST", "/grafana/api/dashboards/db", {}, **other)[0] == 403
    assert fresh.asked("", "GET", "/grafana/")[0] == 401
    assert fresh.grafana.requests == []
    assert not fresh.door.arrived()


def test_pages_are_shown(fresh: Watched) -> None:
    status, _, headers = fresh.door.ask("vic", "GET", "/prometheus/")
    # Where its pages are differs between releases
    assert (status, headers["Location"]) in ((302, "/prometheus/classic/graph"), (302, "/prometheus/query"))
    # Debian's looks for them where hosts have it, so this one says what it says at its own port
    assert b"errors" not in fresh.asked("vic", "GET", headers["Location"])[1]
    status, page, headers = fresh.door.ask("vic", "GET", "/prometheus/consoles/plots")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8"), page
    # Prometheus, which takes it for a template, has changed no query, and no script
    made = plots.page(door=True, logs=True, history=True)
    assert lines(page.decode()) == lines(made)
    # Debian's Alertmanager has none
    assert b"errors" not in fresh.asked("vic", "GET", "/alertmanager/")[1]


@pytest.mark.parametrize("who", ["", "vic", "anna"])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(("POST", f"/prometheus/-/{name}") for name in ("reload", "quit")),
        *(("PUT", f"/prometheus/-/{name}") for name in ("reload", "quit")),
        *(("POST", f"/prometheus/api/v1/admin/tsdb/{name}") for name in ("delete_series", "snapshot")),
        *(("DELETE", "/prometheus/api/v1/series"), ("POST", "/prometheus/api/v1/write")),
        *(("POST", "/prometheus/api/v1/read"), ("POST", "/prometheus/api/v1/otlp/v1/metrics")),
        *(("GET", "/prometheus/debug/pprof/profile"), ("GET", "/prometheus/debug/pprof/heap")),
        *(("POST", "/alertmanager/api/v2/alerts"), ("POST", "/alertmanager/-/reload")),
        *(("GET", "/alertmanager/api/v2/status"), ("GET", "/alertmanager/debug/pprof/heap")),
        *(("GET", "/alertmanager/api/v1/status"), ("PUT", SILENCES), ("DELETE", SILENCES), ("PATCH", SILENCES)),
        # Written in another way
        *(("GET", target) for target in ("//prometheus/api/v1/query", "/prometheus//api/v1/query", "/PROMETHEUS/")),
        *(("GET", target) for target in ("/prometheus/../jars", "/prometheus/%2e%2e/jars", "/prometheus/./graph")),
        *(
            ("GET", target)
            for target in ("/prometheus%2Fapi/v1/query", "/prometheus/api/v1/%71uery", "/v1/prometheus/")
        ),
        *(("GET", target) for target in ("/prometheus/static/../../jars", "/prometheus/static/%2e%2e/x.js")),
        *(("GET", target) for target in ("/prometheus;a/graph", "/prometheus/graph/", "/x/../prometheus/graph")),
        *(("POST", "/prometheus/api/v1/query/../admin/tsdb/snapshot"), ("POST", "/prometheus/static/-/reload")),
        *(
            ("POST", "/prometheus/api/v1/query%2f..%2fadmin%2ftsdb%2fsnapshot"),
            ("POST", "/alertmanager//api/v2/silences"),
        ),
        *(("POST", "/alertmanager/api/v2/silences/"), ("POST", "/alertmanager/api/v2/%73ilences")),
        *(("DELETE", "/alertmanager/api/v2/silence/../silences"), ("GET", "/alertmanager/../prometheus/-/x")),
    ],
)
def test_nobody_gets_further(fresh: Watched, who: str, method: str, target: str) -> None:
    expected = (400, 403) if who else (400, 401)
    assert fresh.asked(who, method, target)[0] in expected
    assert not fresh.door.arrived()


def test_headers_and_other_sites_help_nobody(fresh: Watched) -> None:
    for name in ("X_Forwarded_User", "X_WEBAUTH_USER", "Remote_User", "X_Forwarded_For", "X_Original_URL"):
        assert fresh.asked("", "GET", QUERY, **{name: "anna"})[0] == 401
        assert fresh.asked("vic", "POST", SILENCES, silence(), **{name: "anna"})[0] == 403
    for name in ("X_HTTP_Method_Override", "X_HTTP_Method"):
        assert fresh.asked("vic", "GET", SILENCES, **{name: "POST"})[0] == 200
    assert json.loads(fresh.asked("vic", "GET", SILENCES + "?_method=POST")[1]) is not None
    for headers in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        assert fresh.asked("anna", "POST", SILENCES, silence(), **headers)[0] == 403
    _, _, answered = fresh.door.ask("anna", "GET", QUERY, Origin="https://evil.example")
    assert answered["Access-Control-Allow-Origin"] is None, "Prometheus lets every site read"
    hidden = b"POST /alertmanager/api/v2/silences HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for line in (
        b"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 0\r\nContent-Length: 44\r\n",
    ):
        head = f"GET {QUERY} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {login('vic')}\r\nConnection: close\r\n"
        answer = fresh.door.raw(head.encode() + line + b"\r\n0\r\n\r\n" + hidden)
        assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 200", b"HTTP/1.1 501", b"")
    assert json.loads(fresh.asked("vic", "GET", SILENCES)[1]) is not None


def test_nobody_gets_past_the_door_without_a_certificate(fresh: Watched, tmp_path: Path) -> None:
    known = fresh.prometheus.folder / "tls/authorities.pem"
    stranger = identity(tmp_path, Pki(), "localhost")
    for port in (fresh.prometheus.port, fresh.alertmanager, fresh.metrics):
        for client in (None, stranger):
            context = ssl.create_default_context(cafile=known)
            if client:
                context.load_cert_chain(client[0], client[1])
            with pytest.raises(OSError):
                urllib.request.urlopen(f"https://localhost:{port}/metrics", context=context, timeout=10).read()
        plain = http.client.HTTPConnection("localhost", port, timeout=10)
        plain.request("GET", "/metrics")
        assert plain.getresponse().status == 400, port
        plain.close()


def test_the_doors_metrics_are_scraped_and_not_shown_to_people(fresh: Watched) -> None:
    until(lambda: fresh.prometheus.values("up{job='frontdoor'}") == {"jm-0": "1"}, 90)
    until(lambda: fresh.prometheus.ask("caddy_http_requests_total"), 90)
    until(lambda: fresh.prometheus.values("up{job='alertmanager'}") == {"mon-0": "1"}, 90)
    until(lambda: fresh.prometheus.ask("prometheus_notifications_alertmanagers_discovered == 1"), 90)
    context = fresh.prometheus.context
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"https://localhost:{fresh.metrics}/overview", context=context, timeout=10)
    assert refused.value.code == 404


def test_a_door_says_when_the_monitoring_host_does_not_answer(fresh: Watched) -> None:
    assert fresh.prometheus.process
    path = fresh.door.folder / "Caddyfile"
    before = path.read_text()
    try:
        path.write_text(before.replace(f"localhost:{fresh.prometheus.port}", f"localhost:{free_port()}"))
        fresh.door.reload()
        status, text = fresh.asked("vic", "GET", QUERY)
        assert status == 502 and b"Prometheus on the monitoring host localhost does not answer" in text
    finally:
        path.write_text(before)
        fresh.door.reload()


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("by_issuer", [False, True])
@pytest.mark.parametrize("by_acme", [False, True])
def test_caddy_takes_it_with_every_login_and_certificate(
    fresh: Watched, tmp_path: Path, tls: bool, by_issuer: bool, by_acme: bool
) -> None:
    oidc = Oidc(issuer="https://i.example.com", client_id="flink", secret="x", names=["f.example.com"], operators=["o"])
    text = caddyfile(
        served_as="jm-0",
        realm="Flink",
        port=443,
        users=users(),
        jobmanagers=["jm-0"],
        wait=2,
        tls=tls,
        acme=Acme(directory="https://ca.example.com/d", names={"jm-0": "f.example.com"}) if by_acme else None,
        acme_name="f.example.com" if by_acme else "",
        login=logins.login(oidc, 443) if by_issuer else None,
        monitoring="mon-0",
        logs=LogsSettings(),
        history=True,
    )
    (tmp_path / "Caddyfile").write_text(text)
    words = [str(fresh.door.caddy), "adapt", "--adapter", "caddyfile", "--config", str(tmp_path / "Caddyfile")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    servers = json.loads(done.stdout)["apps"]["http"]["servers"].values()
    (own,) = [each for each in servers if each["listen"] == [":9180"]]
    assert bool(own.get("tls_connection_policies")) is tls
    assert not tls or own["tls_connection_policies"][0]["client_authentication"]["mode"] == "require_and_verify"


@pytest.mark.parametrize(
    ("prefix", "table"), [(targets.PREFIX, rights.PROMETHEUS), (targets.ALERTMANAGER_PREFIX, rights.ALERTMANAGER)]
)
def test_the_tables_know_all_methods_of_the_programs_paths(
    fresh: Watched, prefix: str, table: tuple[Endpoint, ...]
) -> None:
    """What a program allows on a path of the table, it says when it is asked with a method that it does not know."""
    port = fresh.prometheus.port if prefix == targets.PREFIX else fresh.alertmanager
    known = 0
    for path in sorted({each.path for each in table}):
        connection = http.client.HTTPSConnection("localhost", port, context=fresh.prometheus.context, timeout=10)
        connection.request("PATCH", prefix + re.sub(":[a-z]+", "a", path))
        answer = connection.getresponse()
        allowed = {word.strip() for word in str(answer.headers["Allow"] or "").split(",")} - {"", "OPTIONS", "HEAD"}
        connection.close()
        mine = {each.method for each in table if each.path == path}
        if answer.status == 405 and not path.startswith("/debug"):
            assert allowed <= mine, path
            known += 1
    assert known >= len({each.path for each in table}) // 3
    assert [each for each in table if each.right is Right.OPERATE and each.method == "GET"] == []

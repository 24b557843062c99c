"""Logs: what a stack without them has not, what hosts get with them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from components.host import Role
from components.logs import collector
from components.logs.settings import KEYS, Destination
from tests.host_steps import with_files, with_scripts
from tests.unit.program import SEVEN, configuration, host, refused, write_inventory
from tests.unit.test_monitoring import commands, monitored
from tests.unit.test_program import run, stdin
from tests.unit.test_tls_signer import Pki

OTLP = {"otlp": {"url": "https://logs.example.com:4318", "headers": {"Authorization": "Bearer planted-$-secret"}}}


AUTHORITY = Pki().pem
OTHERS = {
    "elasticsearch": {"url": "https://e.example.com:9200/", "apiKey": "planted-key", "authorities": AUTHORITY},
    "openSearch": {"url": "https://o.example.com:9200", "user": "flink", "password": "planted", "index": "logs-flink"},
    "splunk": {"url": "https://s.example.com:8088", "token": "planted-token", "index": "flink"},
}
KNOWN = {
    "elasticsearch": {"endpoint", "tls", "user", "password", "api_key", "logs_index", "retry", "sending_queue"},
    "opensearch": {"http", "timeout", "logs_index", "retry_on_failure", "sending_queue"},
    "splunk_hec": {
        *("endpoint", "tls", "token", "index", "sourcetype", "otel_attrs_to_hec_metadata"),
        *("retry_on_failure", "sending_queue"),
    },
}
"""Settings that otelcol-contrib's documents have (exporter/*/config.schema.yaml), of those that we may write."""


def agent(text: str) -> dict[str, Any]:
    """The agent's configuration in a step."""
    begun = text.partition(f"write_file {collector.CONFIG} 0600 flink-logs:flink-logs <<")[2].partition("\n")[2]
    found: dict[str, Any] = yaml.safe_load(begun.partition("\nEND_OF_FILE\n")[0])
    return found


@pytest.mark.parametrize("tls", [False, True])
def test_a_stack_without_them_has_nothing_of_them(folder: Path, tls: bool) -> None:
    found = run(folder, tls=tls)
    assert not [name for name in found if "log" in name and "login" not in name]
    assert "%X{flink-job-id}" not in stdin(found, "tm-0-config")
    assert "%thread" not in stdin(found, "zk-0-config")
    off = monitored(folder, tls=tls, logsStore=False)
    assert not [name for name in off if "log" in name and "login" not in name]
    assert stdin(off, "tm-0-config") == stdin(found, "tm-0-config")


@pytest.mark.parametrize("tls", [False, True])
def test_every_host_sends_to_the_monitoring_host(folder: Path, tls: bool) -> None:
    found = monitored(folder, "cl-0", tls=tls)
    for name in (*SEVEN, "cl-0", "mon-0"):
        config = agent(stdin(found, f"{name}-logs"))
        (exporter,) = config["exporters"].values()
        scheme = "https" if tls else "http"
        assert exporter["endpoint"] == f"{scheme}://mon-0:9428/logs/insert/opentelemetry"
        assert ("tls" in exporter) == tls
        files = ["file_log/flink"] if name[:2] in ("jm", "tm") else []
        assert config["service"]["pipelines"]["logs"]["receivers"] == [*files, "journald"]
        assert config["receivers"]["journald"]["resource"]["host"] == name
    assert "mon-0-logs-store" in found and "tm-0-logs-store" not in found
    store = stdin(found, "mon-0-logs-store")
    assert "-retentionPeriod=604800s" in store and ("-tls " in store) == tls
    assert ("tls/key.pem 0600 prometheus:prometheus <<" in store) == tls


def test_lines_have_job_and_thread_and_nothing_else_of_a_daemon_changes(folder: Path) -> None:
    before, after = commands(monitored(folder, logsStore=False)), commands(monitored(folder))
    daemons = {name for name in before if before[name] != after[name] and name[:2] in ("jm", "tm", "zk")}
    assert {name.split("-", 2)[2] for name in daemons} <= {"config", "system", "service", "restart"}
    config = [with_files(with_scripts(found["tm-0-config"])).splitlines() for found in (before, after)]
    changed = {line for line in config[1] if " = " in line} - set(config[0])
    assert [line.split(" = ")[0] for line in changed] == ["appender.rolling.layout.pattern"]
    changed = set(after["zk-0-config"].splitlines()) - set(before["zk-0-config"].splitlines())
    assert [line.strip().partition(">")[0] for line in changed] == ["<pattern"]


def test_a_front_door_has_its_audit_sent_where_it_is(folder: Path) -> None:
    users = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
    found = monitored(folder, tls=True, frontDoor=True, frontDoorUsers=users)
    assert "file_log/audit" in agent(stdin(found, "jm-0-logs"))["receivers"]
    assert "SupplementaryGroups=systemd-journal flink flink-frontdoor\n" in stdin(found, "jm-0-logs")
    assert "file_log/audit" not in agent(stdin(found, "tm-0-logs"))["receivers"]


@pytest.mark.parametrize("tls", [False, True])
def test_destinations_need_no_monitoring_host(folder: Path, tls: bool) -> None:
    write_inventory(folder, *map(host, SEVEN))
    found = run(folder, tls=tls, logs=OTLP)
    config = agent(stdin(found, "tm-0-logs"))
    assert list(config["exporters"]) == ["otlp_http/otlp"]
    # The agent replaces what begins with one $
    assert config["exporters"]["otlp_http/otlp"]["headers"] == {"Authorization": "Bearer planted-$$-secret"}
    metrics = config["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]
    assert metrics["host"] == "127.0.0.1"
    assert "8888" not in stdin(found, "tm-0-members")
    both = agent(stdin(monitored(folder, tls=tls, logs=OTLP), "tm-0-logs"))
    assert list(both["exporters"]) == ["otlp_http/builtin", "otlp_http/otlp"]


def test_other_stores_get_what_their_exporters_know(folder: Path) -> None:
    write_inventory(folder, *map(host, SEVEN))
    config = agent(stdin(run(folder, logs=OTHERS), "tm-0-logs"))
    found = config["exporters"]
    assert config["service"]["pipelines"]["logs"]["exporters"] == [*found]
    for name, entry in found.items():
        assert set(entry) <= KNOWN[name.partition("/")[0]], name
        # Nothing is given up, and what waits is on the disk
        assert entry["sending_queue"]["storage"] == "file_storage/queue" and entry["sending_queue"]["block_on_overflow"]
    elastic, open_search, splunk = (
        found[name] for name in ("elasticsearch/elasticsearch", "opensearch/openSearch", "splunk_hec/splunk")
    )
    assert elastic["endpoint"] == "https://e.example.com:9200" and elastic["api_key"] == "planted-key"
    assert elastic["tls"] == {"ca_pem": AUTHORITY} and elastic["logs_index"] == "logs-flink.otel-default"
    assert 503 in elastic["retry"]["retry_on_status"]
    assert open_search["http"] == {
        "endpoint": "https://o.example.com:9200",
        "headers": {"Authorization": "Basic Zmxpbms6cGxhbnRlZA=="},
    }
    assert open_search["logs_index"] == "logs-flink"
    assert open_search["retry_on_failure"]["max_elapsed_time"] == splunk["retry_on_failure"]["max_elapsed_time"] == "0s"
    assert splunk["endpoint"] == "https://s.example.com:8088/services/collector"
    assert (splunk["token"], splunk["index"], splunk["sourcetype"]) == ("planted-token", "flink", "flink")


def test_opensearch_alone_is_warned_of(folder: Path) -> None:
    """Its exporter gives up what it cannot send."""

    def warned(logs: Any, **more: Any) -> bool:
        known = settings.load(configuration(folder, logs=logs, **more), stack="dev", secrets={"logs"}, root=folder)
        return any("lines that cannot be sent while it is away" in warning for warning in known.warnings)

    alone = {"openSearch": OTHERS["openSearch"]}
    write_inventory(folder, *map(host, SEVEN))
    assert warned(alone) and not warned({**alone, **OTLP})
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    assert not warned(alone) and warned(alone, logsStore=False)


def test_secrets_are_in_one_file_and_a_secret_of_the_state(folder: Path) -> None:
    write_inventory(folder, *map(host, SEVEN))
    found = run(folder, logs={**OTLP, **OTHERS})
    secrets = ("planted", "Zmxpbms6cGxhbnRlZA==")
    where = [name for name, one in found.items() if any(each in str(one.inputs) for each in secrets)]
    assert where and all(name.endswith("-logs") for name in where)


def test_what_makes_no_sense_is_refused(folder: Path) -> None:
    def said(given: Any) -> str:
        keys = ("flink:logs",)
        known = configuration(folder, logs=given)
        with pytest.raises(settings.ConfigError) as error:
            settings.load(known, stack="dev", secrets={key.removeprefix("flink:") for key in keys}, root=folder)
        assert "hidden" not in str(error.value)
        return str(error.value)

    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    assert "logs: has an unknown destination: expected some of elasticsearch, loki" in said({"hidden": {}})
    assert "logs.otlp: is not a mapping: expected some of url, headers, authorities" in said({"otlp": "hidden"})
    assert "logs.otlp url: is missing" in said({"otlp": {}})
    assert "logs.loki url: is not a URL" in said({"loki": {"url": "hidden"}})
    assert "logs.loki url: is not a URL" in said({"loki": {"url": "https://a.example.com/x?hidden=1"}})
    assert "logs.otlp headers: have a name" in said({"otlp": {"url": "https://a", "headers": {"a hidden": "x"}}})
    assert "logs.otlp headers: have a X that is no value" in said(
        {"otlp": {"url": "https://a", "headers": {"X": "hidden\n"}}}
    )
    url = {"url": "https://a"}
    for kind, given, expected in (
        ("splunk", url, "token: is missing: expected a token of the HTTP Event Collector"),
        ("splunk", {**url, "token": "hidden and blank"}, "token: does not fit"),
        ("splunk", {**url, "token": "hidden", "headers": {}}, "headers: is unknown: expected one of"),
        ("splunk", {**url, "token": "hidden", "sourceType": "a b"}, "sourceType: does not fit"),
        ("openSearch", {**url, "user": "a"}, "password: is missing: expected both user and password, or neither"),
        ("openSearch", {**url, "password": "hidden"}, "user: is missing: expected both password and user, or neither"),
        ("openSearch", {**url, "user": "hidden:hidden", "password": "x"}, "user: does not fit"),
        ("openSearch", {**url, "user": "a", "password": 5}, "password: does not fit: expected printable ASCII"),
        ("openSearch", {**url, "apiKey": "hidden"}, "apiKey: is unknown"),
        ("elasticsearch", {**url, "index": "Logs"}, "index: does not fit: expected small letters"),
        ("elasticsearch", {**url, "apiKey": "hidden\n"}, "apiKey: does not fit"),
        ("elasticsearch", {**url, "user": "a", "password": "b", "apiKey": "hidden"}, "apiKey: is a second login"),
        ("elasticsearch", {**url, "authorities": "hidden"}, "authorities: has no certificates that can be read"),
        ("otlp", {"url": "http://a", "authorities": ""}, "authorities: has no certificates"),
        ("otlp", {"url": "http://a", "authorities": AUTHORITY}, "authorities: has no effect without TLS"),
    ):
        assert f"logs.{kind} {expected}" in said({kind: given})
    assert "logs: is in plain text" in refused(folder, logs=OTLP)
    assert "logsRetention: 5 h is too short: expected 1 d or more" in refused(folder, logsRetention="5 h")
    assert "logsRetention: " in refused(folder, logsRetention="long")
    assert "logsRetentionSize: 10m is too small: expected 512m" in refused(folder, logsRetentionSize="10m")
    assert "otelcolVersion: '0.100.0' is not supported" in refused(folder, otelcolVersion="0.100.0")
    write_inventory(folder, *map(host, SEVEN))
    for key, value in zip(KEYS, ("3 d", "1g", False), strict=True):
        assert f"{key}: has no effect without a monitoring host" in refused(folder, **{key: value})


def test_the_agent_itself_is_not_collected() -> None:
    """What it says when it cannot send would be more to send."""
    text = collector.agent_yaml(
        "dev",
        "tm-0",
        Role.TASKMANAGER,
        front_door=False,
        builtin=None,
        destinations=[Destination(kind="otlp", url="https://a")],
        monitored=False,
    )
    assert f"{collector.UNIT}.service" not in text

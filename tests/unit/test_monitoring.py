"""The monitoring host: what is refused, what it changes for a cluster, what it does not, and what changes with it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import settings
from components.circles import Circle
from components.existing.hosts import _host
from components.flink.releases import default, official
from components.flink.topology import Members
from components.monitoring import alerts, targets
from stand_ins.builds import promtool
from tests.unit.program import SEVEN, Recorded, configuration, host, load, refused, write_inventory
from tests.unit.test_front_door import made
from tests.unit.test_program import run, stdin

FLINK = ("config", "service", "rest-certificate", "tls-request", "tls")
"""Steps of Flink's daemons: if one changes, they restart."""


def monitored(folder: Path, *more: str, **changes: Any) -> dict[str, Recorded]:
    write_inventory(folder, *map(host, (*SEVEN, *more, "mon-0")))
    return run(folder, **changes)


def commands(found: dict[str, Recorded]) -> dict[str, str]:
    return {name: stdin(found, name) for name, one in found.items() if one.type == "command:remote:Command"}


@pytest.mark.parametrize("tls", [False, True])
def test_a_cluster_without_one_has_nothing_of_it(folder: Path, tls: bool) -> None:
    found = run(folder, tls=tls)
    assert not [name for name in found if "exporter" in name or "prometheus" in name or "monitoring" in name]
    assert "metricsProvider" not in stdin(found, "zk-0-config")


@pytest.mark.parametrize("tls", [False, True])
def test_one_restarts_no_daemon_of_flink(folder: Path, tls: bool) -> None:
    before = commands(run(folder, tls=tls))
    # With logs in it a rollout gives job and thread to their lines (test_logs.py)
    after = commands(monitored(folder, tls=tls, logsStore=False))
    assert set(before) <= set(after)
    for name, text in before.items():
        if name[:2] in ("jm", "tm") and name[5:] in FLINK:
            assert after[name] == text, name
    assert "metricsProvider.httpPort=7000" in after["zk-0-config"]
    changed = {
        name.split("-", 2)[2] for name, text in before.items() if after[name] != text and name[:2] in ("jm", "tm")
    }
    # Names, ports, and what is no longer absent; then checks, which change nothing
    assert changed <= {"members", "system", "logins", "cluster"}


def test_every_host_shows_its_metrics_and_scaling_changes_a_list_alone(folder: Path) -> None:
    before = monitored(folder)
    for name in (*SEVEN, "mon-0"):
        assert f"{name}-nodeexporter" in before and f"{name}-exporter" in before
    after = monitored(folder, "tm-2")
    on_host = {name: text for name, text in commands(after).items() if name.startswith("mon-0-")}
    changed = {name for name, text in on_host.items() if text != stdin(before, name)}
    assert changed == {"mon-0-targets", "mon-0-members", "mon-0-declared"}
    assert "tm-2:9249" in on_host["mon-0-targets"]
    # The files with rules that rules compare are loaded without a restart, after the rollout
    assert "/etc/prometheus/rules/declared.yaml" in on_host["mon-0-declared"]
    assert "- alert: " in on_host["mon-0-prometheus-service"]


def test_hosts_that_use_the_storage_look_whether_they_reach_it_and_stop_without_a_monitoring_host(folder: Path) -> None:
    found = monitored(folder)
    watching = {name.removesuffix("-storage-watch") for name in found if name.endswith("-storage-watch")}
    assert watching == {"jm-0", "jm-1", "tm-0", "tm-1"}
    assert "/etc/systemd/system/flink-storage.timer" in stdin(found, "tm-0-storage-watch")
    assert "timer-storage" not in stdin(found, "tm-0-system")
    write_inventory(folder, *map(host, SEVEN))
    assert "timer-storage" in stdin(run(folder), "tm-0-system")


def test_targets_have_the_names_of_hosts_and_are_what_each_role_has(folder: Path) -> None:
    write_inventory(folder, *map(host, (*SEVEN, "cl-0", "mon-0")))
    found = targets.lists("dev", Members(tuple(map(_host, load(folder).site.hosts))))
    names = {job: [entry["labels"]["host"] for entry in entries] for job, entries in found.items()}
    assert names["flink"] == ["jm-0", "jm-1", "tm-0", "tm-1"]
    assert names["zookeeper"] == ["zk-0", "zk-1", "zk-2"]
    assert sorted(names["node"]) == sorted((*SEVEN, "cl-0", "mon-0"))
    assert found["flink"][2] == {
        "targets": ["tm-0:9249"],
        "labels": {"cluster": "dev", "role": "taskmanager", "host": "tm-0"},
    }


def test_with_tls_exporters_have_identities_of_a_circle_of_their_own(folder: Path) -> None:
    found = monitored(folder, tls=True)
    assert "tls:index/selfSignedCert:SelfSignedCert/dev-monitoring-authority-1" in found
    request = found["tls:index/certRequest:CertRequest/tm-0-exporter-request"].inputs
    assert request["dnsNames"] == ["tm-0", "localhost"] and request["ipAddresses"] == ["10.9.9.100"]
    for name, user in (("tm-0-exporter", "flink-exporter"), ("mon-0-prometheus-service", "prometheus")):
        text = stdin(found, name)
        assert f"tls/key.pem 0600 {user}:{user} <<" in text
    assert "client_auth_type: RequireAndVerifyClientCert" in stdin(found, "tm-0-exporter")
    assert "scheme: https" in stdin(found, "mon-0-prometheus-service")
    # Nothing in it needs a JDK
    assert "mon-0-java" not in found and "tm-0-java" in found


def test_each_host_shows_when_its_certificates_expire(folder: Path) -> None:
    users = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
    found = monitored(folder, tls=True, frontDoor=True, frontDoorUsers=users)
    expected = {
        "jm-0": {
            *("exporter", "front-door", "front-door-client", "front-door-monitoring"),
            *("internal", "rest", "zookeeper"),
        },
        "tm-0": {"exporter", "internal", "zookeeper"},
        "zk-0": {"exporter", "zookeeper"},
        "mon-0": {"exporter", "prometheus"},
    }
    for name, certificates in expected.items():
        text = stdin(found, f"{name}-exporter")
        shown = dict(re.findall(r'^flink_certificate_not_after_seconds{certificate="(.+)"} (\d+)$', text, re.MULTILINE))
        assert set(shown) == certificates, name
        # What the mocks say: 2036-01-01
        assert set(shown.values()) == {"2082758400"}
        assert set(_warnings(text)) == certificates and set(_warnings(text).values()) == {str(30 * 86_400)}
    assert "flink_certificate" not in stdin(monitored(folder), "tm-0-exporter")


def test_the_alert_about_your_certificate_for_the_front_door_follows_its_own_life(folder: Path) -> None:
    users = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
    # It has been valid for 9 days
    certificate, key = made(["flink.example.com"], days=6)
    yours: dict[str, Any] = {"frontDoorCertificate": certificate, "frontDoorKey": key}
    found = monitored(folder, tls=True, frontDoor=True, frontDoorUsers=users, certificateDays=3, **yours)
    shown = _warnings(stdin(found, "jm-0-exporter"))
    assert shown == {**dict.fromkeys(shown, str(86_400)), "front-door": str(5 * 86_400)}


def _warnings(text: str) -> dict[str, str]:
    return dict(re.findall(r'^flink_certificate_warning_seconds{certificate="(.+)"} (\d+)$', text, re.MULTILINE))


def test_what_has_no_effect_or_too_many_is_refused(folder: Path) -> None:
    assert "metricsRetention: has no effect without a monitoring host" in refused(folder, metricsRetention="30 d")
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    assert load(folder, metricsRetention="30 d").cluster.monitoring.retention_seconds == 30 * 86_400
    assert load(folder, metricsRetentionSize="8g").cluster.monitoring.retention_mib == 8192
    assert "metricsRetention: 'long' is not a duration" in refused(folder, metricsRetention="long")
    assert "metricsRetentionSize: 100m is too small: expected 512m" in refused(folder, metricsRetentionSize="100m")
    assert "prometheusVersion: '2.30.0' is not supported" in refused(folder, prometheusVersion="2.30.0")
    write_inventory(folder, *map(host, (*SEVEN, "mon-0", "mon-1")))
    assert "inventory: has 2 monitoring hosts: expected one at most" in refused(folder)


def test_a_pki_of_yours_signs_for_monitoring_only_if_there_is_a_host(folder: Path) -> None:
    from tests.unit.test_tls_signer import signer

    given = signer(folder)
    del given["authorities"][Circle.MONITORING.value]
    assert load(folder, tls=True, tlsSigner=given).cluster.tls_signer
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    assert "tlsSigner authorities: has none for monitoring" in refused(folder, tls=True, tlsSigner=given)
    assert load(folder, tls=True, tlsSigner=signer(folder)).cluster.tls_signer


@pytest.mark.parametrize(
    ("name", "project"),
    [("prometheus", "prometheus"), ("alertmanager", "alertmanager"), ("nodeexporter", "node_exporter")],
)
def test_releases_are_those_of_the_project(name: str, project: str) -> None:
    found = default(name)
    base = f"https://github.com/prometheus/{project}/releases/download/v{found.version}"
    assert found.url == f"{base}/{project}-{found.version}.linux-{{goarch}}.tar.gz"
    assert found.checksum == f"sha256:{base}/sha256sums.txt"
    with pytest.raises(ValueError, match="is not supported"):
        official(name, "0.1.0")


HOOK, CHAT, PAGER = "https://hooks.example.com/x?token=hidden1", "https://slack.example.com/hidden2", "hidden3"
RECEIVERS = {
    "chat": {"slack": CHAT},
    "dead-man": {"webhook": HOOK, "severities": ["none"]},
    "mail": {"email": "ops@example.com", "severities": ["critical"]},
    "pager": {"pagerDuty": PAGER, "severities": ["critical"]},
}
SMTP = {"server": "mail.example.com:587", "from": "flink@example.com", "user": "flink", "password": "hidden4"}


def test_alerts_go_where_their_severity_is_wanted_and_secrets_to_their_reader_alone(folder: Path) -> None:
    found = monitored(folder, alertReceivers=RECEIVERS, alertSmtp=SMTP)
    text = stdin(found, "mon-0-alertmanager-service")
    assert f"write_file {alerts.CONFIG} 0600 prometheus:prometheus <<" in text
    config = yaml.safe_load(text.partition(f"{alerts.CONFIG} 0600")[2].partition("\n")[2].partition("END_OF_FILE")[0])
    assert {each["receiver"]: each["matchers"] for each in config["route"]["routes"]} == {
        "chat": ['severity=~"critical|warning"'],
        "dead-man": ['severity=~"none"'],
        "mail": ['severity=~"critical"'],
        "pager": ['severity=~"critical"'],
    }
    assert config["route"]["receiver"] == "nobody" and config["receivers"][0] == {"name": "nobody"}
    assert config["receivers"][1]["slack_configs"] == [{"api_url": CHAT, "send_resolved": True}]
    assert config["receivers"][2]["webhook_configs"] == [{"url": HOOK, "send_resolved": True}]
    assert config["receivers"][4]["pagerduty_configs"] == [{"routing_key": PAGER, "send_resolved": True}]
    assert config["global"]["smtp_auth_password"] == "hidden4"
    for name, one in found.items():
        shown = {key: value for key, value in one.inputs.items() if key != "stdin" or name not in WITH_SECRETS}
        assert not re.search(r"hidden\d", json.dumps(shown, default=str)), name


WITH_SECRETS = ("mon-0-alertmanager-service",)


def test_receivers_that_go_nowhere_or_twice_are_refused_without_their_secrets(folder: Path) -> None:
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))

    def said(receivers: Any, smtp: Any = None) -> str:
        keys = ("flink:alertReceivers", "flink:alertSmtp")
        known = configuration(folder, alertReceivers=receivers, alertSmtp=smtp or {})
        with pytest.raises(settings.ConfigError) as error:
            settings.load(
                known, stack="dev", secrets={key.removeprefix("flink:") for key in keys if known.get(key) != "{}"}
            )
        assert "hidden" not in str(error.value)
        return str(error.value)

    assert "alertReceivers.x: has nowhere to send to" in said({"x": {}})
    assert "alertReceivers.x: has webhook, slack: expected one of" in said({"x": {"webhook": HOOK, "slack": CHAT}})
    assert "alertReceivers.x webhook: is not a URL" in said({"x": {"webhook": "hidden"}})
    assert "alertReceivers.x slack: is not a URL" in said({"x": {"slack": ["hidden"]}})
    assert "alertReceivers.x: is not a mapping" in said({"x": "hidden"})
    assert "alertReceivers.x pagerDuty: is not a key" in said({"x": {"pagerDuty": "hidden key"}})
    assert "alertReceivers.x severities: 'bad' is unknown" in said({"x": {"webhook": HOOK, "severities": ["bad"]}})
    assert "'X' is not the name of a receiver" in said({"X": {"webhook": HOOK}})
    assert "alertSmtp: is missing, and x of alertReceivers is e-mail" in said({"x": {"email": "a@example.com"}})
    assert "alertSmtp: has no effect" in said({"x": {"webhook": HOOK}}, SMTP)
    assert "alertReceivers: is in plain text" in refused(folder, alertReceivers=RECEIVERS, alertSmtp=SMTP)


def test_the_lists_are_json_that_prometheus_reads(folder: Path) -> None:
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    members = Members(tuple(map(_host, load(folder).site.hosts)))
    for text in targets.files("dev", members).values():
        assert all(set(entry) == {"targets", "labels"} for entry in json.loads(text))


# --- a store of yours

REMOTE = "https://metrics.example.com/api/v1/write"


def config_of(text: str, path: str) -> Any:
    return yaml.safe_load(text.partition(f"write_file {path} ")[2].partition("\n")[2].partition("END_OF_FILE")[0])


@pytest.mark.parametrize("login", [{"user": "flink", "password": "hidden5"}, {"token": "hidden5"}, {}])
def test_metrics_go_to_a_store_of_yours_with_a_login_that_only_prometheus_reads(
    folder: Path, login: dict[str, str]
) -> None:
    changes: dict[str, Any] = {"metricsRemoteWrite": REMOTE}
    if login:
        changes["metricsRemoteWriteLogin"] = login
    found = monitored(folder, **changes)
    text = stdin(found, "mon-0-prometheus-service")
    (remote,) = config_of(text, "/etc/prometheus/prometheus.yml")["remote_write"]
    assert remote["url"] == REMOTE and "hidden" not in json.dumps(remote)
    secret = "/etc/prometheus/remote-write-secret"
    assert (f"write_file {secret} 0600 prometheus:prometheus <<" in text) is bool(login)
    if "user" in login:
        assert remote["basic_auth"] == {"username": "flink", "password_file": secret}
    elif login:
        assert remote["authorization"] == {"credentials_file": secret}
    for name, one in found.items():
        shown = {
            key: value for key, value in one.inputs.items() if key != "stdin" or name != "mon-0-prometheus-service"
        }
        assert not re.search(r"hidden\d", json.dumps(shown, default=str)), name
    assert "remote_write" not in stdin(monitored(folder), "mon-0-prometheus-service")


def test_logins_of_a_store_that_are_none_are_refused_without_their_secrets(folder: Path) -> None:
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))

    def said(login: Any, url: str = REMOTE) -> str:
        known = configuration(folder, metricsRemoteWrite=url, metricsRemoteWriteLogin=login)
        with pytest.raises(settings.ConfigError) as error:
            settings.load(known, stack="dev", secrets={"metricsRemoteWriteLogin"}, root=folder)
        assert "hidden" not in str(error.value)
        return str(error.value)

    assert "metricsRemoteWriteLogin: has user: expected user and password, or token" in said({"user": "flink"})
    assert "expected user and password, or token" in said({"user": "flink", "password": "hidden1", "token": "hidden2"})
    assert "metricsRemoteWriteLogin password: is not a key" in said({"user": "flink", "password": "hidden 1"})
    assert "metricsRemoteWrite: is missing" in said({"token": "hidden1"}, "")
    assert "metricsRemoteWrite: is in plain text" in said({"token": "hidden1"}, "http://metrics.example.com/write")
    assert "metricsRemoteWriteLogin: is in plain text" in refused(
        folder, metricsRemoteWrite=REMOTE, metricsRemoteWriteLogin={"token": "hidden1"}
    )
    assert "metricsRemoteWrite: 'ftp://x' is not a URL" in refused(folder, metricsRemoteWrite="ftp://x")
    write_inventory(folder)
    assert "metricsRemoteWrite: has no effect without a monitoring host" in refused(folder, metricsRemoteWrite=REMOTE)


def test_alerts_are_grouped_as_said(folder: Path) -> None:
    def route(**changes: Any) -> Any:
        text = stdin(monitored(folder, **changes), "mon-0-alertmanager-service")
        return config_of(text, alerts.CONFIG)["route"]

    assert route(alertGrouping={"by": ["cluster"], "wait": "10 s", "repeat": "1 d"}) == {
        **route(),
        "group_by": ["cluster"],
        "group_wait": "10s",
        "group_interval": "5m",
        "repeat_interval": "24h",
    }
    assert "alertGrouping wait: 'x' is not a duration" in refused(folder, alertGrouping={"wait": "x"})
    assert "alertGrouping by" in refused(folder, alertGrouping={"by": []})
    assert "alertGrouping by" in refused(folder, alertGrouping={"by": ["a b"]})
    assert "alertGrouping every: is unknown" in refused(folder, alertGrouping={"every": "1 h"})


@pytest.mark.parametrize("tls", [False, True])
def test_a_prometheus_elsewhere_gets_its_configuration(folder: Path, tls: bool) -> None:
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    loaded = load(folder, tls=tls)
    members = Members(tuple(map(_host, loaded.site.hosts)))
    found = targets.scraped(members, tls=tls)
    assert set(found) == {"flink", "zookeeper", *(() if tls else ("node",))}
    text = targets.scrape_config(
        "dev", {"flink": [("taskmanager", "tm-0", "10.9.9.100"), ("jobmanager", "x", "fd::1")]}
    )
    (folder / "flink.yml").write_text(text)
    check = [str(promtool.folder() / "promtool"), "check", "config", str(folder / "flink.yml")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (job,) = yaml.safe_load(text)["scrape_configs"]
    assert job["job_name"] == "dev-flink"
    assert [each["targets"] for each in job["static_configs"]] == [["10.9.9.100:9249"], ["[fd::1]:9249"]]
    assert job["static_configs"][0]["labels"] == {
        "cluster": "dev", "role": "taskmanager", "host": "tm-0", "job": "flink"
    }  # fmt: skip
    write_inventory(folder)
    alone = Members(tuple(map(_host, load(folder).site.hosts)))
    assert set(targets.scraped(alone, tls=False)) == {"flink"}


# --- who reads metrics in plain text

PLAIN_METRICS = re.compile(r"ip saddr \{ ([^}]*) \} tcp dport 9249 accept")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("given", [None, ["203.0.113.0/24"], ["none"]])
def test_metrics_are_open_to_who_is_named_and_to_operators_only_without_tls(
    folder: Path, tls: bool, watched: bool, given: list[str] | None
) -> None:
    changes: dict[str, Any] = {"tls": tls, **({"metricsCidrs": given} if given else {})}
    found = monitored(folder, **changes) if watched else run(folder, **changes)
    (readers,) = PLAIN_METRICS.findall(stdin(found, "tm-0-members")) or [""]
    networks = [word for word in readers.split(", ") if "/" in word]
    operators = ["198.51.100.0/24"] if not tls and not watched else []
    assert networks == ([name for name in given if name != "none"] if given else operators)
    of_zookeeper = stdin(found, "zk-0-members")
    assert ("tcp dport 7000" in of_zookeeper) is watched
    if watched:
        assert ("203.0.113.0/24 } tcp dport 7000" in of_zookeeper) is (given == ["203.0.113.0/24"])


def test_networks_that_read_metrics_are_networks(folder: Path) -> None:
    assert "metricsCidrs: 'x' is not a network" in refused(folder, metricsCidrs=["x"])
    assert "metricsCidrs: 0.0.0.0/0 is the whole internet: expected those of your" in refused(
        folder, metricsCidrs=["0.0.0.0/0"]
    )
    assert "metricsCidrs: has none and others" in refused(folder, metricsCidrs=["none", "203.0.113.0/24"])
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    users = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
    known = configuration(folder, frontDoor=True, frontDoorUsers=users, frontDoorPort=9180)
    with pytest.raises(settings.ConfigError, match="frontDoorPort: 9180 is another port"):
        settings.load(known, stack="dev", secrets={"frontDoorUsers"}, root=folder)


@pytest.mark.parametrize("tls", [False, True])
def test_behind_a_front_door_both_ask_for_a_certificate_and_without_one_nothing_changes(
    folder: Path, tls: bool
) -> None:
    users = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
    alone = monitored(folder, tls=tls)
    assert "--web.listen-address=127.0.0.1:9090 " in stdin(alone, "mon-0-prometheus-service")
    assert "web.config.file" not in stdin(alone, "mon-0-prometheus-service")
    assert "tcp dport 9090" not in stdin(alone, "mon-0-members")
    found = monitored(folder, tls=tls, frontDoor=True, frontDoorUsers=users)
    for name, place in (("prometheus", "/etc/prometheus"), ("alertmanager", "/etc/flink-alertmanager")):
        text = stdin(found, f"mon-0-{name}-service")
        assert (f"--web.config.file={place}/web.yml" in text) is tls
        assert (f"write_file {place}/tls/key.pem 0600 prometheus:prometheus" in text) is tls
        assert f"--web.external-url=https://jm-0/{name}" in text
    assert re.search(r"ip saddr { 10\.9\.9\.10, 10\.9\.9\.11 } tcp dport 9090", stdin(found, "mon-0-members"))
    door = stdin(found, "jm-1-front-door")
    assert f"reverse_proxy {'https' if tls else 'http'}://mon-0:9090" in door
    assert ("write_file /etc/flink-frontdoor/monitoring-key.pem 0600" in door) is tls
    assert "frontdoor.json" in stdin(found, "mon-0-targets")
    write_inventory(folder)
    text = stdin(run(folder, tls=tls, frontDoor=True, frontDoorUsers=users), "jm-1-front-door")
    assert "mon-0" not in text and "\tmetrics" not in text

"""Grafana on the monitoring host: what is declared, and who knows what."""

from __future__ import annotations

import json
import re
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.flink.releases import default
from components.monitoring import dashboards, grafana, targets
from tests.unit.program import SEVEN, host, refused, write_inventory
from tests.unit.test_monitoring import config_of, monitored
from tests.unit.test_program import stdin

USERS = {"anna": {"passwordHash": "$2b$12$" + "a" * 53, "role": "operator"}}
STEP = "mon-0-grafana-service"


def with_grafana(folder: Path, **more: Any) -> dict[str, Any]:
    return monitored(folder, frontDoor=True, frontDoorUsers=USERS, grafana=True, **more)


def ini(text: str) -> RawConfigParser:
    """The configuration in a step."""
    body = text.partition(f"{grafana.CONFIG} 0600")[2].partition("\n")[2].partition("END_OF_FILE")[0]
    found = RawConfigParser()
    # What is before the first section belongs to none
    found.read_string("[none]\n" + body)
    return found


@pytest.mark.parametrize("tls", [False, True])
def test_only_front_doors_say_who_somebody_is(folder: Path, tls: bool) -> None:
    found = with_grafana(folder, tls=tls)
    text, scheme = stdin(found, STEP), "https" if tls else "http"
    assert f"write_file {grafana.CONFIG} 0600 prometheus:prometheus <<" in text
    read = ini(text)
    assert read["none"]["instance_name"] == "dev"
    assert read["server"]["protocol"] == scheme and read["server"]["root_url"] == "https://jm-0/grafana/"
    assert ("cert_file" in read["server"]) is tls
    assert not any(read[section].getboolean("enabled") for section in ("auth.basic", "auth.anonymous", "snapshots"))
    user, role = read["auth.proxy"]["header_name"], read["auth.proxy"]["headers"].removeprefix("Role:")
    assert re.fullmatch(r"X-User-[0-9a-f]{32}", user) and re.fullmatch(r"X-Role-[0-9a-f]{32}", role)
    assert len({user[-32:], role[-32:], read["security"]["secret_key"]}) == 3
    for jobmanager in ("jm-0", "jm-1"):
        door = stdin(found, f"{jobmanager}-front-door")
        assert f"reverse_proxy {scheme}://mon-0:3000 " in door
        assert f"header_up {user} {{http.auth.user.id}}\n" in door and f"header_up {role} {{its_role}}\n" in door
    # Nobody else knows the names
    for name, one in found.items():
        if name not in (STEP, "jm-0-front-door", "jm-1-front-door"):
            assert user[-32:] not in json.dumps(one.inputs, default=str), name


def test_another_configuration_restarts_it_and_other_dashboards_do_not(folder: Path) -> None:
    def digest(text: str) -> str:
        (found,) = re.findall(r"^Environment=CONFIGURATION=(\w+)$", text, re.MULTILINE)
        return str(found)

    first = stdin(with_grafana(folder, tls=True), STEP)
    assert digest(first) != digest(stdin(with_grafana(folder, tls=False), STEP))
    assert "/opt/grafana/bin/grafana server --homepath=/opt/grafana --config=/etc/flink-grafana/grafana.ini" in first
    for name, text in dashboards.files().items():
        assert json.loads(text)["uid"]
        assert f"write_file {grafana.FOLDER}/dashboards/{name} " in first


def test_it_asks_prometheus_with_a_certificate(folder: Path) -> None:
    place = f"{grafana.FOLDER}/provisioning/datasources/prometheus.yaml"
    (plain,) = config_of(stdin(with_grafana(folder, tls=False), STEP), place)["datasources"]
    assert plain["url"] == "http://localhost:9090/prometheus" and "secureJsonData" not in plain
    (source,) = config_of(stdin(with_grafana(folder, tls=True), STEP), place)["datasources"]
    assert source["url"] == "https://localhost:9090/prometheus"
    assert source["jsonData"]["tlsAuth"] and source["jsonData"]["tlsAuthWithCACert"]
    assert source["secureJsonData"] == {
        "tlsClientCert": "$__file{/etc/flink-grafana/tls/certificate.pem}",
        "tlsClientKey": "$__file{/etc/flink-grafana/tls/key.pem}",
        "tlsCACert": "$__file{/etc/flink-grafana/tls/authorities.pem}",
    }
    (provider,) = yaml.safe_load(
        grafana.provisioned(targets.Door(tls=True, url="https://x"), None)[
            f"{grafana.FOLDER}/provisioning/dashboards/flink.yaml"
        ]
    )["providers"]
    assert provider["options"]["path"] == f"{grafana.FOLDER}/dashboards"


def test_it_is_there_only_if_it_is_wanted_and_can_be_reached(folder: Path) -> None:
    found = monitored(folder, frontDoor=True, frontDoorUsers=USERS)
    assert not [name for name in found if "grafana" in name]
    assert "/grafana/" not in stdin(found, "jm-0-front-door")
    write_inventory(folder, *map(host, (*SEVEN, "mon-0")))
    assert "grafana: needs a front door" in refused(folder, grafana=True)
    assert "grafanaVersion: '9.5.0' is not supported" in refused(folder, grafanaVersion="9.5.0")
    write_inventory(folder)
    assert "grafana: has no effect without a monitoring host" in refused(
        folder, grafana=True, frontDoor=True, frontDoorUsers=USERS
    )


def test_dashboards_lead_to_logs_where_they_are_kept(folder: Path) -> None:
    for changes, kept in (({}, True), ({"logsStore": False}, False)):
        text = stdin(with_grafana(folder, **changes), STEP)
        body = text.partition(f"write_file {grafana.FOLDER}/dashboards/job.json")[2].partition("\n")[2]
        job = json.loads(body.partition("\nEND_OF_FILE")[0])
        assert [link["title"] for link in job["links"]] == ["Flink", *(["Logs"] if kept else [])]
        hidden = {each["name"]: each["hide"] for each in job["templating"]["list"]}.get("job_id")
        assert hidden == (2 if kept else None)


def test_its_release_is_that_of_the_project() -> None:
    found = default("grafana")
    assert found.url == f"https://dl.grafana.com/oss/release/grafana-{found.version}.linux-{{goarch}}.tar.gz"
    assert found.checksum == f"sha256:{found.url}.sha256"

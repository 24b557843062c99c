"""Dashboards fit Grafana's schema, and a real Prometheus answers each of their queries with data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as Schema

from components.logs.settings import LogsSettings
from components.monitoring import dashboards, declared, rules
from tests.golden import same
from tests.unit.monitoring import live, timeline
from tests.unit.monitoring.recorded import CLUSTER

NAMES = ("cluster", "job", "taskmanager", "zookeeper", "hosts", "storage")
PROVISIONING = dashboards.FOLDER.parent / "grafana"
UNRECORDED = ("operator_pendingRecords", "flink_storage_reachable", "flink_up_run_timestamp_seconds")
"""Of other sources than those of the recordings, or of probes and timestamps that come with the monitoring role."""
_OF_PROMETHEUS = {"step", "titleFormat"}
"""Options of annotations that the data source has, and the schema leaves to it."""


def _queries(page: dict[str, Any]) -> list[tuple[str, str]]:
    """Where, and what, as Grafana asks it for everything that can be chosen."""
    found = [
        (f"{panel['title']} {target['refId']}", target["expr"])
        for panel in page["panels"]
        for target in panel.get("targets", [])
    ]
    chosen = {"$cluster": CLUSTER, "$job": ".+", "$host": ".+", "$__rate_interval": "10s"}
    for variable, value in chosen.items():
        found = [(where, expr.replace(variable, value)) for where, expr in found]
    return found


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Prometheus]:
    known = [
        {"record": one.name, "expr": f"vector({one.value:g})", "labels": dict(one.labels)} for one in timeline.DECLARED
    ]
    text = yaml.safe_dump({"groups": [{"name": "declared", "rules": known}]})
    with live.prometheus(tmp_path_factory.mktemp("prometheus"), {**rules.files(), declared.FILE: text}) as running:
        yield running


@pytest.mark.parametrize("page", dashboards.DASHBOARDS, ids=lambda page: page.name)
def test_the_files_are_what_the_program_makes(page: dashboards.Dashboard) -> None:
    same(dashboards.FOLDER / f"{page.name}.json", dashboards.text(page))


def test_all_dashboards_are_there_and_nothing_else() -> None:
    assert {path.stem for path in dashboards.FOLDER.iterdir()} == set(NAMES)
    assert [page.name for page in dashboards.DASHBOARDS] == list(NAMES)


def _lost(given: Any, read: Any, where: str) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(read, dict):
        for key, value in given.items():
            if key in read:
                yield from _lost(value, read[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for index, (one, other) in enumerate(zip(given, read, strict=True)):
            yield from _lost(one, other, f"{where}[{index}]")
    elif given != read:
        yield f"{where}: {given!r} is read as {read!r}"


@pytest.mark.parametrize("page", dashboards.DASHBOARDS, ids=lambda page: page.name)
def test_grafanas_schema_has_all_that_is_in_a_dashboard(page: dashboards.Dashboard) -> None:
    """The types that Grafana publishes, made from its schema: what they do not know is lost when they read it."""
    plugins.register_default_plugins()
    given = dashboards.document(page, LogsSettings())
    read = json.loads(JSONEncoder().encode(Schema.from_json(given)))
    lost = [where for where in _lost(given, read, "") if where.rpartition(".")[2] not in _OF_PROMETHEUS]
    assert lost == []


@pytest.mark.parametrize("page", dashboards.DASHBOARDS, ids=lambda page: page.name)
def test_every_query_of_every_panel_has_data(prometheus: live.Prometheus, page: dashboards.Dashboard) -> None:
    queries = _queries(dashboards.document(page))
    recorded = dict(each for each in queries if not any(name in each[1] for name in UNRECORDED))
    for _where, expr in queries:
        prometheus.query(expr)
    without: list[str] = []

    def all_have_data() -> bool:
        without[:] = [where for where, expr in recorded.items() if not prometheus.query(expr)]
        return not without

    try:
        live.wait(all_have_data, "every query has data")
    except AssertionError:
        raise AssertionError(f"without data: {without}") from None


def test_marks_and_choices_are_queries_that_prometheus_reads(prometheus: live.Prometheus) -> None:
    for page in (dashboards.document(each, LogsSettings()) for each in dashboards.DASHBOARDS):
        for mark in page["annotations"]["list"]:
            prometheus.query(mark["expr"].replace("$cluster", CLUSTER))
        for variable in page["templating"]["list"][1:]:
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            chosen = metric.replace("$cluster", CLUSTER).replace("$job", ".+")
            live.wait(lambda: prometheus.query(f"group by ({label}) ({chosen})"), f"{label} of {chosen}")  # noqa: B023


def test_panels_do_not_overlap() -> None:
    for page in map(dashboards.document, dashboards.DASHBOARDS):
        taken: set[tuple[int, int]] = set()
        numbers = [panel["id"] for panel in page["panels"]]
        assert len(set(numbers)) == len(numbers)
        for panel in page["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, panel["title"]
            taken |= cells


def test_dashboards_are_chosen_by_cluster_and_job() -> None:
    for page in map(dashboards.document, dashboards.DASHBOARDS):
        names = [variable["name"] for variable in page["templating"]["list"]]
        assert names[:2] == ["datasource", "cluster"]
        assert ("job" in names) == (page["uid"] == "flink-job")
        for panel in page["panels"]:
            for target in panel.get("targets", []):
                assert 'cluster="$cluster"' in target["expr"], panel["title"]


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["url"].endswith("/prometheus")
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/flink.yaml").read_text())["providers"]
    assert provider["type"] == "file" and provider["options"]["path"]

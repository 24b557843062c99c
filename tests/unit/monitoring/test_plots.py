"""The page of plots has what the dashboards have, and nothing that Prometheus or a browser takes for something else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from components.monitoring import dashboards, plots


def data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    read: dict[str, Any] = json.loads(found[1])
    return read


def test_it_has_every_panel_of_the_dashboards_with_the_same_queries() -> None:
    found = data(plots.page(door=True, logs=True, history=True))
    assert [page["name"] for page in found["pages"]] == [each.name for each in dashboards.DASHBOARDS]
    for page, dashboard in zip(found["pages"], dashboards.DASHBOARDS, strict=True):
        panels = [panel for panel in dashboards.document(dashboard)["panels"] if panel["type"] != "row"]
        shown = [panel for row in page["rows"] for panel in row["panels"]]
        assert [panel["title"] for panel in shown] == [panel["title"] for panel in panels]
        for mine, theirs in zip(shown, panels, strict=True):
            assert [each["expr"] for each in mine["queries"]] == [each["expr"] for each in theirs["targets"]]
            legends = [each["legend"].replace("<<", "{{").replace(">>", "}}") for each in mine["queries"]]
            assert legends == [each.get("legendFormat", "") for each in theirs["targets"]]
    assert {mark["name"] for mark in found["marks"]} == set(dashboards.ANNOTATIONS)


def test_it_links_to_what_is_there() -> None:
    for door, logs, history in ((True, True, True), (True, False, False), (False, True, True)):
        links = data(plots.page(door=door, logs=logs, history=history))["links"]
        assert links == {
            "flink": "../../" if door else "",
            "logs": "../../logs/select/vmui/" if door and logs else "",
            "history": "../../history/" if door and history else "",
        }


def test_hosts_lead_to_their_logs_and_jobs_each_to_its_own() -> None:
    found = {page["name"]: page["logs"] for page in data(plots.page(door=True, logs=True, history=True))["pages"]}
    assert found["hosts"] == '{host=~"$host"}' and found["cluster"] and not found["job"]


def test_it_loads_nothing_from_elsewhere_and_has_no_braces_of_prometheus() -> None:
    page = plots.page(door=True, logs=True, history=True)
    assert "{{" not in page and "}}" not in page
    assert not re.findall(r'(?:src|href)="?https?:|@import|url\(', page)
    # Texts of others, such as names of jobs, are never markup
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", page)


def test_units_of_panels_are_known_to_it() -> None:
    page = plots.page(door=True, logs=True, history=True)
    known = set(re.findall(r"^  (\w+): value =>", page, re.MULTILINE))
    units = {panel.unit for each in dashboards.DASHBOARDS for row in each.rows for panel in row.panels}
    kinds = {panel.kind for each in dashboards.DASHBOARDS for row in each.rows for panel in row.panels}
    assert units <= known
    assert kinds == {"stat", "timeseries", "state-timeline"}


def test_its_script_is_one(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("this machine has no program that reads JavaScript")
    (script,) = re.findall(r"<script>\n(.*?)</script>", plots.page(door=True, logs=True, history=True), re.DOTALL)
    (tmp_path / "plots.js").write_text(script)
    done = subprocess.run(["node", "--check", str(tmp_path / "plots.js")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

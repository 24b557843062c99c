"""A page of plots that Prometheus itself shows, with the panels of the dashboards: for those without a Grafana. Pure.

It is one of Prometheus's console templates, which need no further program (docs/decisions/0033-plots.md). Prometheus
takes what is in double braces for its own, so there is nothing of it in the page.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..templates import render
from . import dashboards, targets
from .dashboards import Dashboard, Variable

FOLDER = f"{targets.FOLDER}/consoles"
FILE = "plots"
PATH = f"/consoles/{FILE}"
"""Below targets.PREFIX."""
_OPEN, _CLOSE = "<<", ">>"
"""For the double braces in names of series."""
_TABLES: Mapping[str, str] = {"cluster": "alerts", "job": "jobs"}
"""What is above the plots of a page."""
_VALUES = re.compile(r"label_values\((?P<match>.*), (?P<label>\w+)\)")


def page(*, door: bool, logs: bool, history: bool) -> str:
    """The page. `door`: behind a front door, from where it links to Flink, with `logs` to the store of logs, and with
    `history` to a HistoryServer.
    """
    links = {
        "flink": "../../" if door else "",
        "logs": "../../logs/select/vmui/" if door and logs else "",
        "history": "../../history/" if door and history else "",
    }
    found = {
        "open": _OPEN,
        "close": _CLOSE,
        "links": links,
        "pages": [_page(each) for each in dashboards.DASHBOARDS],
        "marks": [
            {"name": name, "expr": expr, "color": color} for name, (expr, _, color) in dashboards.ANNOTATIONS.items()
        ],
    }
    # No end of a script in it. With an indent no braces of JSON's own are side by side, as none are in queries
    data = json.dumps(found, ensure_ascii=False, indent=0).replace("<", "\\u003c")
    text = render("monitoring/plots.html.j2", data=data)
    if "{{" in text or "}}" in text:
        raise ValueError("the page of plots has double braces, which Prometheus takes for its own")
    return text


def _page(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "name": dashboard.name,
        "title": dashboard.title,
        "table": _TABLES.get(dashboard.name, ""),
        # A table of jobs has a link for each
        "logs": "" if "$job_id" in dashboard.logs else dashboard.logs,
        "variables": [_variable(each) for each in dashboard.variables],
        "rows": [
            {
                "title": row.title,
                "panels": [
                    {
                        "title": panel.title,
                        "kind": panel.kind,
                        "unit": panel.unit,
                        "width": panel.width,
                        "about": panel.about,
                        "most": panel.most,
                        "name_only": panel.name_only,
                        "queries": [{"expr": each.expr, "legend": _legend(each.legend)} for each in panel.queries],
                    }
                    for panel in row.panels
                ],
            }
            for row in dashboard.rows
        ],
    }


def _legend(text: str) -> str:
    return text.replace("{{", _OPEN).replace("}}", _CLOSE)


def _variable(variable: Variable) -> dict[str, Any]:
    found = _VALUES.fullmatch(variable.query)
    if not found:
        raise ValueError(f"the variable {variable.name} has the query {variable.query}: expected label_values(…)")
    return {"name": variable.name, "many": variable.many, "label": found["label"], "match": found["match"]}

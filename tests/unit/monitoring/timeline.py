"""Tests of rules in promtool's form, from a recording of a healthy cluster and what changes in it."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.unit.monitoring.recorded import CLUSTER, Series, healthy

STEP = 60
"""Seconds between two samples, and two evaluations."""
BEFORE, MINUTES, AFTER = 15, 40, 35
"""Minutes in which nothing is wrong, something is, and nothing again."""
DAY = 86_400

DECLARED = [
    Series("flink_declared_hosts", {"cluster": CLUSTER, "role": role}, number)
    for role, number in {"jobmanager": 2, "taskmanager": 2, "zookeeper": 3, "monitoring": 1}.items()
] + [
    Series(f"flink_declared_{name}", {"cluster": CLUSTER}, number)
    for name, number in {
        "jobs": 1,
        "slots": 2,
        "checkpoint_interval_seconds": 60,
    }.items()
]
CERTIFICATE = Series(
    "flink_certificate_not_after_seconds",
    {"cluster": CLUSTER, "host": "tm-0", "role": "taskmanager", "job": "node", "certificate": "internal"},
    80 * DAY,
)
WARNING = replace(CERTIFICATE, name="flink_certificate_warning_seconds", value=30 * DAY)
DOOR = Series("up", {"cluster": CLUSTER, "host": "jm-0", "role": "jobmanager", "job": "frontdoor"}, 1)


@dataclass(frozen=True)
class Line:
    """Values from `start` on, `slope` more with each step; `start` None: none at all."""

    start: float | None
    slope: float = 0

    def text(self, steps: int) -> str:
        """In promtool's form."""
        if self.start is None:
            # As Prometheus marks what a target no longer shows
            return f"stale _x{steps - 1}" if steps > 1 else "stale"
        return f"{self.start:g}{self.slope:+g}x{steps - 1}"


GONE = Line(None)
# In milliseconds or nanoseconds as the metrics have them, with time 0 at the beginning
MOVING = {
    "flink_jobmanager_job_lastCheckpointCompletedTimestamp": Line(1, STEP * 1000),
    "flink_jobmanager_job_runningTime": Line(1, STEP * 1000),
    "flink_jobmanager_job_numberOfCompletedCheckpoints": Line(1, 1),
    "flink_taskmanager_job_task_currentInputWatermark": Line(1, STEP * 1000),
    "flink_jobmanager_Status_JVM_CPU_Time": Line(5e9, 3e9),
    "flink_taskmanager_Status_JVM_CPU_Time": Line(5e9, 3e9),
    "flink_jobmanager_Status_JVM_GarbageCollector_All_Time": Line(50, 40),
    "flink_taskmanager_Status_JVM_GarbageCollector_All_Time": Line(50, 40),
    "node_time_seconds": Line(0.2, STEP),
    "otelcol_exporter_sent_log_records": Line(100, 60),
    "node_cpu_seconds_total": Line(1, STEP / 2),
}
Match = Callable[[Series], bool]


def of(name: str = ".*", **labels: str) -> Match:
    """Whether a series has this name and these labels, both as regular expressions."""

    def match(one: Series) -> bool:
        return bool(re.fullmatch(name, one.name)) and all(
            re.fullmatch(value, one.labels.get(key, "")) for key, value in labels.items()
        )

    return match


@dataclass(frozen=True)
class Change:
    """What the series that `match` show for some minutes: the first change that matches counts. None: as before."""

    match: Match
    lines: Sequence[tuple[float, Line | None]]


def during(match: Match, line: Line, minutes: float = 0) -> Change:
    """Other values, for MINUTES unless it says how long."""
    return Change(match, [(minutes or MINUTES, line)])


def down(**labels: str) -> list[Change]:
    """Targets that do not answer."""
    return [during(of("up", **labels), Line(0)), during(of(**labels), GONE)]


def steps(minutes: float) -> int:
    """So many samples."""
    return round(minutes * 60 / STEP)


def _values(one: Series, changes: Iterable[Change]) -> str:
    usual = MOVING.get(one.name, Line(one.value))
    found = next((change for change in changes if change.match(one)), None)
    lines = [(BEFORE, None), *(found.lines if found else [])]
    rest = BEFORE + MINUTES + AFTER - sum(length for length, _line in lines)
    parts, passed = [], 0
    for length, line in [*lines, (rest, None)]:
        # What follows the clock goes on where the clock is; a counter begins again
        begins = 0 if one.name.endswith("CPU_Time") else passed
        now = Line(usual.start + usual.slope * begins, usual.slope) if usual.start is not None else usual
        if steps(length):
            parts.append((line or now).text(steps(length)))
        passed += steps(length)
    return " ".join(parts)


@dataclass(frozen=True)
class Case:
    """What is wrong for MINUTES in a cluster with this name, and the alerts that fire just before that ends, as `ALERT
    HOST-OR-JOB`. All of them have resolved at the end. `more`: series that appear with the changes only.
    """

    cluster: str
    changes: Sequence[Change]
    alerts: frozenset[str] = frozenset()
    more: Sequence[tuple[Series, Line]] = ()

    def series(self, names: Collection[str]) -> list[dict[str, str]]:
        """Its series in promtool's form; `names` are the metrics that rules use."""
        found = {one: _values(one, self.changes) for one in _usual(names)}
        for one, line in self.more:
            lines = [(BEFORE, GONE), (MINUTES, line), (AFTER, GONE)]
            found[one] = " ".join(part.text(steps(length)) for length, part in lines)
        return [{"series": str(one.of(self.cluster)), "values": values} for one, values in found.items()]


def _usual(names: Collection[str]) -> list[Series]:
    """The series of a cluster that rules may use: of hosts themselves only those that cases are about."""
    return [
        one
        for one in (*healthy(), *DECLARED, CERTIFICATE, WARNING, DOOR)
        if one.name in names
        and (not one.name.startswith("node_") or one.labels["host"] in ("tm-0", "zk-0", "zk-1"))
        and one.labels.get("mode", "idle") == "idle"
    ]


def test_of(cases: Sequence[Case], names: Collection[str]) -> dict[str, Any]:
    """A test in promtool's form. Each case has a cluster of its own, which is much faster than a test of its own."""
    end = BEFORE + MINUTES + AFTER
    firing = 'ALERTS{alertstate="firing", alertname!="Watchdog"}'
    expected = [(case.cluster, alert) for case in cases for alert in sorted(case.alerts)]
    quiet = "|".join(case.cluster for case in cases if not case.alerts)
    at_any_time = f'last_over_time(ALERTS{{alertstate="firing", cluster=~"{quiet}"}}[{end}m])'
    return {
        "interval": f"{STEP}s",
        "input_series": [one for case in cases for one in case.series(names)],
        "promql_expr_test": [
            _expected(firing, BEFORE, []),
            _expected(firing, BEFORE + MINUTES - 1, expected),
            _expected(firing, end, []),
            _expected(at_any_time, end, []),
        ],
    }


def _expected(firing: str, minute: float, alerts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    # One label for what an alert is about
    about = firing
    for label in ("host", "job_name"):
        about = f'label_replace({about}, "of", "$1", "{label}", "(.+)")'
    samples = []
    for cluster, alert in alerts:
        name, _, of_what = alert.partition(" ")
        labels = {"alertname": name, "cluster": cluster, **({"of": of_what} if of_what else {})}
        samples.append({"labels": "{" + ", ".join(f"{k}={json.dumps(v)}" for k, v in labels.items()) + "}", "value": 1})
    expression = f"group by (alertname, cluster, of) ({about})"
    return {"expr": expression, "eval_time": f"{minute * 60:g}s", "exp_samples": samples}

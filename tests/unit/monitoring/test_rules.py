"""Every alert fires when it should, resolves, and does not fire on a healthy cluster: by promtool, with recordings."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.monitoring import rules
from stand_ins.builds import promtool
from tests.unit.monitoring import recorded, timeline
from tests.unit.monitoring.recorded import CLUSTER, Series
from tests.unit.monitoring.timeline import BEFORE, DAY, GONE, MINUTES, STEP, Case, Change, Line, down, during, of

ROOT = Path(__file__).resolve().parents[3]
JOB = "departures"
LEADER = of("flink_jobmanager_(job_.*|num.*|taskSlots.*)")


def _job(name: str, line: Line) -> Change:
    return during(of(f"flink_jobmanager_job_{name}"), line)


def _task(name: str, line: Line, minutes: float = 30, **labels: str) -> Change:
    return during(of(f"flink_taskmanager_job_task_{name}", **labels), line)


def _alerts(*names: str) -> frozenset[str]:
    return frozenset(names)


def _flapping(up: int, away: int) -> list[tuple[float, Line | None]]:
    """Steps with an answer, and without one, in turn."""
    rounds = round(MINUTES * 60 / STEP / (up + away))
    return [part for _ in range(rounds) for part in ((away * STEP / 60, Line(0)), (up * STEP / 60, Line(1)))]


NO_CHECKPOINTS = [
    _job("lastCheckpointCompletedTimestamp", Line(BEFORE * 60_000)),
    _job("numberOfCompletedCheckpoints", Line(60)),
]
FAILING = [*NO_CHECKPOINTS, _job("numberOfFailedCheckpoints", Line(1, 1))]
CASES = [
    Case("a healthy cluster", []),
    Case("no leader", [Change(LEADER, [(MINUTES, GONE)])], _alerts("FlinkNoLeader")),
    Case(
        "both JobManagers are gone",
        down(role="jobmanager", job="flink"),
        _alerts("FlinkNoLeader", "FlinkStandbyMissing jm-0", "FlinkStandbyMissing jm-1"),
    ),
    Case("the standby is missing", down(host="jm-0", job="flink"), _alerts("FlinkStandbyMissing jm-0")),
    Case(
        "the standby restarts in a loop, and answers in between",
        [
            Change(of("up", host="jm-0", job="flink"), _flapping(1, 3)),
            Change(of(".*CPU_Time", host="jm-0"), [(2, Line(5e9, 1e9))] * (MINUTES // 2)),
        ],
        _alerts("FlinkStandbyMissing jm-0", "FlinkDaemonRestarting jm-0"),
    ),
    Case(
        "a TaskManager is missing",
        [
            *down(host="tm-1", job="flink"),
            during(of("flink_jobmanager_numRegisteredTaskManagers"), Line(1)),
            during(of("flink_jobmanager_taskSlotsTotal"), Line(2)),
        ],
        _alerts("FlinkTaskManagerMissing tm-1"),
    ),
    Case(
        "a TaskManager runs and is not registered",
        [during(of("flink_jobmanager_numRegisteredTaskManagers"), Line(1))],
        _alerts("FlinkTaskManagerNotRegistered"),
    ),
    Case(
        "fewer slots than declared jobs need",
        [during(of("flink_jobmanager_taskSlotsTotal"), Line(1))],
        _alerts("FlinkSlotsShort"),
    ),
    Case(
        "a TaskManager restarts in a loop",
        [Change(of(".*CPU_Time", host="tm-0"), [(2, Line(5e9, 1e9))] * (MINUTES // 2))],
        _alerts("FlinkDaemonRestarting tm-0"),
    ),
    Case(
        "a full heap",
        [during(of("flink_taskmanager_Status_JVM_Memory_Heap_Used", host="tm-0"), Line(340e6))],
        _alerts("FlinkHeapFull tm-0"),
    ),
    Case(
        "garbage collection all the time",
        [during(of(".*GarbageCollector_All_Time", host="jm-1"), Line(1000, STEP * 600))],
        _alerts("FlinkGarbageCollection jm-1"),
    ),
    Case(
        "no checkpoint of any job completes",
        FAILING,
        _alerts("FlinkStorageUnreachable", f"FlinkCheckpointsFailing {JOB}", f"FlinkCheckpointsOverdue {JOB}"),
    ),
    Case(
        "a host does not reach the storage",
        [],
        _alerts("FlinkStorageUnreachable"),
        more=[(Series("flink_storage_reachable", {"cluster": CLUSTER, "host": "tm-0"}, 0), Line(0))],
    ),
    Case(
        "a certificate expires",
        [during(of("flink_certificate_not_after_seconds"), Line(20 * DAY))],
        _alerts("FlinkCertificateExpiring tm-0"),
    ),
    Case("the front door is down", down(job="frontdoor"), _alerts("FrontDoorDown jm-0")),
    Case(
        "a declared job is missing",
        [
            during(of("flink_jobmanager_numRunningJobs"), Line(0)),
            during(of("flink_(job|task)manager_job_.*"), GONE),
        ],
        _alerts("FlinkJobMissing"),
    ),
    Case(
        "a job is there and does not run",
        [_job("runningTime", Line(0)), *NO_CHECKPOINTS],
        _alerts(f"FlinkJobNotRunning {JOB}", f"FlinkCheckpointsOverdue {JOB}"),
    ),
    Case(
        "a job restarts in a loop, faster than its checkpoints",
        [
            _job("numRestarts", Line(0, 1)),
            Change(of("flink_jobmanager_job_runningTime"), [(2, Line(1000, STEP * 1000))] * (MINUTES // 2)),
            *NO_CHECKPOINTS,
        ],
        _alerts(f"FlinkJobRestarting {JOB}", f"FlinkCheckpointsOverdue {JOB}"),
    ),
    Case(
        "checkpoints fail now and then",
        [_job("numberOfCompletedCheckpoints", Line(100, 0.2)), _job("numberOfFailedCheckpoints", Line(1, 0.5))],
        _alerts(f"FlinkCheckpointsFailing {JOB}"),
    ),
    Case(
        "a job that has never completed a checkpoint",
        [
            _job("lastCheckpointCompletedTimestamp", Line(-1)),
            _job("numberOfCompletedCheckpoints", Line(0)),
        ],
        _alerts(f"FlinkCheckpointsOverdue {JOB}"),
    ),
    Case(
        "checkpoints are slower than their interval",
        [_job("lastCheckpointDuration", Line(70_000))],
        _alerts(f"FlinkCheckpointsSlow {JOB}"),
    ),
    Case(
        "backpressure",
        [_task("backPressuredTimeMsPerSecond", Line(800), task_name="Source.*", subtask_index="1")],
        _alerts(f"FlinkBackpressure {JOB}"),
    ),
    Case(
        "event time stands still while records arrive",
        [_task("currentInputWatermark", Line(BEFORE * 60_000), subtask_index="0")],
        _alerts(f"FlinkWatermarkLag {JOB}"),
    ),
    Case(
        "a subtask without a watermark",
        [_task("currentInputWatermark", Line(-9.223372036854776e18), subtask_index="0")],
        _alerts(f"FlinkWatermarkLag {JOB}"),
    ),
    Case(
        "a source without records, whose watermark stands still, as it should",
        [
            _task("currentInputWatermark", Line(BEFORE * 60_000)),
            _task("numRecordsInPerSecond", Line(0)),
        ],
    ),
    Case(
        "a job without event time",
        [_task("currentInputWatermark", Line(-9.223372036854776e18))],
    ),
    Case(
        "old events, fast",
        [_task("currentInputWatermark", Line(1, STEP * 10_000))],
    ),
    Case(
        "a ZooKeeper server is down",
        down(host="zk-0", job="zookeeper"),
        _alerts("ZooKeeperServerDown zk-0", "ZooKeeperQuorumAtRisk"),
    ),
    Case(
        "the ensemble has no quorum",
        [
            *down(host="zk-[01]", job="zookeeper"),
            during(of("synced_followers"), GONE),
        ],
        _alerts("ZooKeeperServerDown zk-0", "ZooKeeperServerDown zk-1", "ZooKeeperQuorumAtRisk", "ZooKeeperQuorumLost"),
    ),
    Case(
        "a host is down",
        [
            *down(host="tm-1"),
            during(of("flink_jobmanager_numRegisteredTaskManagers"), Line(1)),
            during(of("flink_jobmanager_taskSlotsTotal"), Line(2)),
        ],
        _alerts("HostDown tm-1", "FlinkTaskManagerMissing tm-1"),
    ),
    Case(
        "a disk is nearly full",
        [during(of("node_filesystem_avail_bytes", host="tm-0"), Line(4e9))],
        _alerts("HostDiskNearlyFull tm-0"),
    ),
    Case(
        "a disk without free inodes",
        [during(of("node_filesystem_files_free", host="tm-0"), Line(1000))],
        _alerts("HostDiskNearlyFull tm-0"),
    ),
    Case(
        "a disk fills quickly",
        [during(of("node_filesystem_avail_bytes", host="tm-0"), Line(60e9, -0.8e9))],
        _alerts("HostDiskNearlyFull tm-0"),
    ),
    Case(
        "little memory is left",
        [during(of("node_memory_MemAvailable_bytes", host="zk-0"), Line(1e8))],
        _alerts("HostMemoryLow zk-0"),
    ),
    Case(
        "busy CPUs",
        [during(of("node_cpu_seconds_total", host="tm-0", mode="idle"), Line(1000, 0.1))],
        _alerts("HostCpuBusy tm-0"),
    ),
    Case(
        "a wrong clock",
        [during(of("node_time_seconds", host="zk-1"), Line(BEFORE * 60 + 5, STEP))],
        _alerts("HostClockSkew zk-1"),
    ),
    Case(
        "a host that Prometheus was never told of",
        [during(of("up", host="tm-1"), GONE)],
        _alerts("MetricsMissing"),
    ),
    Case(
        "Prometheus refuses its configuration",
        [during(of("prometheus_config_last_reload_successful"), Line(0))],
        _alerts("PrometheusNotHealthy mon-0"),
    ),
    Case(
        "rules fail",
        [during(of("prometheus_rule_evaluation_failures_total"), Line(0, 1))],
        _alerts("PrometheusNotHealthy mon-0"),
    ),
    Case(
        "Alertmanager is down",
        down(job="alertmanager"),
        _alerts("PrometheusNotHealthy mon-0"),
    ),
    Case(
        "alerts are refused",
        [during(of("alertmanager_notifications_failed_total", integration="webhook"), Line(0, 1))],
        _alerts("AlertsNotDelivered mon-0"),
    ),
    Case(
        "Prometheus knows no Alertmanager",
        [during(of("prometheus_notifications_alertmanagers_discovered"), Line(0))],
        _alerts("AlertsNotDelivered mon-0"),
    ),
    Case("an agent of logs is gone", down(host="tm-0", job="logs"), _alerts("LogsNotCollected tm-0")),
    Case(
        "logs are not sent",
        [
            during(of("otelcol_exporter_queue_size", host="tm-0"), Line(1000, 1000)),
            during(of("otelcol_exporter_sent_log_records", host="tm-0"), Line(1000)),
        ],
        _alerts("LogsNotSent tm-0"),
    ),
    Case(
        "logs are sent more slowly than they come",
        [during(of("otelcol_exporter_queue_size", host="tm-0"), Line(200 << 20))],
        _alerts("LogsNotSent tm-0"),
    ),
    Case(
        "a destination refuses logs",
        [],
        _alerts("LogsDropped tm-0"),
        more=[
            (
                Series(
                    "otelcol_exporter_send_failed_log_records",
                    {"cluster": CLUSTER, "host": "tm-0", "role": "taskmanager", "job": "logs", "exporter": "x"},
                    1,
                ),
                Line(3, 2),
            )
        ],
    ),
    Case(
        "Elasticsearch refuses documents",
        [],
        _alerts("LogsDropped tm-0"),
        more=[
            (
                Series(
                    "otelcol_elasticsearch_docs_processed",
                    {"cluster": CLUSTER, "host": "tm-0", "role": "taskmanager", "job": "logs", "outcome": outcome},
                    1,
                ),
                Line(3, 2),
            )
            for outcome in ("failed_client", "success")
        ],
    ),
]

_DAEMON = {"jobmanager": "jm-[01]", "taskmanager": "tm-[01]", "zookeeper": "zk-[012]"}


def _restarts(at: dict[str, float], seconds: int, minutes: float) -> list[Change]:
    """Daemons that are away for so many seconds, each from its minute on."""
    changes = []
    for host, minute in at.items():
        away, rest = seconds / 60, minutes - minute - seconds / 60
        changes += [
            Change(of("up", host=host, job="flink|zookeeper"), [(minute, Line(1)), (away, Line(0)), (rest, Line(1))]),
            Change(of(".*CPU_Time", host=host), [(minute, Line(5e9, 3e9)), (away, GONE), (rest, Line(1e9, 3e9))]),
        ]
    return changes


def _failover(minutes: float) -> list[Change]:
    """The leader is gone for a minute, and the standby leads after half a minute."""
    moved = [one for one in recorded.healthy() if LEADER(one)]
    assert {one.labels["host"] for one in moved} == {"jm-1"}
    return [Change(LEADER, [(minutes, GONE)]), *_restarts({"jm-1": 0}, 120, minutes)]


def _new_leader() -> list[tuple[Series, Line]]:
    """What the standby shows when it leads: counters begin again."""
    found = []
    for one in recorded.healthy():
        if LEADER(one):
            labels = {**one.labels, "host": "jm-0", "instance": "jm-0:9249"}
            line = timeline.MOVING.get(one.name, Line(one.value))
            if one.name.endswith("Timestamp"):
                line = Line(BEFORE * 60_000, STEP * 1000)
            found.append((Series(one.name, labels, one.value), line))
    return found


QUIET = [
    Case("a failover", _failover(MINUTES), more=_new_leader()),
    Case(
        "a rollout: each daemon restarts, and the job with each TaskManager",
        [
            *_restarts({"zk-0": 0, "zk-1": 3, "zk-2": 6, "jm-0": 9, "jm-1": 12, "tm-0": 15, "tm-1": 18}, 120, MINUTES),
            Change(
                of("flink_jobmanager_numRegisteredTaskManagers"),
                [(15, Line(2)), (2, Line(1)), (1, Line(2)), (2, Line(1))],
            ),
            Change(of("flink_jobmanager_taskSlotsTotal"), [(15, Line(4)), (2, Line(2)), (1, Line(4)), (2, Line(2))]),
            Change(of("flink_jobmanager_job_numRestarts"), [(15, Line(0)), (3, Line(2)), (12, Line(5))]),
            Change(
                of("flink_jobmanager_job_runningTime"), [(15, None), (2, Line(0)), (1, Line(1, 60_000)), (2, Line(0))]
            ),
            Change(of("flink_jobmanager_job_numberOfFailedCheckpoints"), [(15, None), (3, Line(4)), (12, Line(8))]),
        ],
    ),
    Case(
        "a job is upgraded: its metrics are gone for two minutes",
        [
            during(of("flink_(job|task)manager_job_.*"), GONE, 2),
            during(of("flink_jobmanager_numRunningJobs"), Line(0), 2),
        ],
    ),
    Case("a host reboots", [during(of("up", host="tm-1"), Line(0), 3), during(of(host="tm-1"), GONE, 3)]),
]


def _used() -> set[str]:
    """Names of metrics that rules may use."""
    text = "\n".join(rules.files().values())
    return set(re.findall(r"\b[a-zA-Z_][a-zA-Z0-9_]*\b", text))


def _written(folder: Path, factor: float = 1) -> list[str]:
    for name, text in rules.files(factor).items():
        (folder / name).write_text(text)
    return sorted(rules.files())


def _promtool(folder: Path, *words: str) -> str:
    argv = [str(promtool.folder() / "promtool"), *words]
    found = subprocess.run(argv, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert found.returncode == 0, _difference(found.stdout)
    return found.stdout


def _difference(said: str) -> str:
    """Promtool's answer, with what differs alone of long lists of alerts."""
    expected, got = (
        set(re.findall(r"\{alertname=[^}]*\}", "".join(re.findall(rf" {word}: .*", said)))) for word in ("exp", "got")
    )
    return f"missing: {sorted(expected - got)}\nfor no reason: {sorted(got - expected)}\n{said[:4000]}"


def _tested(folder: Path, cases: Sequence[Case]) -> None:
    groups = [group["name"] for text in rules.files().values() for group in yaml.safe_load(text)["groups"]]
    found = {
        "rule_files": _written(folder),
        "evaluation_interval": f"{STEP}s",
        "group_eval_order": groups,
        "tests": [timeline.test_of(cases, _used())],
    }
    (folder / "tests.yml").write_text(yaml.safe_dump(found, sort_keys=False))
    _promtool(folder, "test", "rules", "tests.yml")


@pytest.mark.parametrize("factor", [1, 0.1])
def test_promtool_takes_the_rules(tmp_path: Path, factor: float) -> None:
    _promtool(tmp_path, "check", "rules", *_written(tmp_path, factor))


def test_alerts_fire_with_their_cause_only_and_resolve(tmp_path: Path) -> None:
    _tested(tmp_path, [*CASES, *QUIET])


def _all_alerts() -> list[dict[str, Any]]:
    groups = [group for text in rules.files().values() for group in yaml.safe_load(text)["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    tested = {alert.partition(" ")[0] for case in CASES for alert in case.alerts}
    assert tested == {rule["alert"] for rule in _all_alerts()} - {"Watchdog"}


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    pages = set()
    for rule in _all_alerts():
        assert rule["labels"]["severity"] in ("critical", "warning", "info", "none")
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        page = ROOT / rule["annotations"]["runbook"]
        assert page.stem == rule["alert"]
        text = page.read_text()
        assert text.startswith(f"# {rule['alert']}\n") and "## Look" in text and "## Do" in text
        pages.add(page)
    assert pages == set((ROOT / "docs/runbooks").glob("*.md")) - {ROOT / "docs/runbooks/README.md"}


def test_the_list_of_runbooks_says_severity_and_time_of_each_alert() -> None:
    text = (ROOT / "docs/runbooks/README.md").read_text()
    listed = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+ \|[^|]*) \|", text, re.MULTILINE))
    expected = {rule["alert"]: f"{rule['labels']['severity']} | {rule.get('for', '')}" for rule in _all_alerts()}
    assert listed == expected


def test_alerts_keep_their_labels_after_a_failover_and_an_upgrade() -> None:
    for rule in _all_alerts():
        if rule["alert"] in {alert.partition(" ")[0] for case in CASES for alert in case.alerts if JOB in alert}:
            assert not re.search(r"by \([^)]*\b(host|instance|job_id|task_attempt_id)\b", rule["expr"]), rule["alert"]


def test_the_watchdog_always_fires() -> None:
    (watchdog,) = [rule for rule in _all_alerts() if rule["alert"] == "Watchdog"]
    assert watchdog["expr"] == "vector(1)" and "for" not in watchdog


def test_a_factor_shortens_all_times() -> None:
    text = """\
      - expr: rate(a[5m]) + max_over_time(b[10m:]) > 300 and predict_linear(c[1h], 4 * 3600) < 0 and c offset 1h
        for: 10m
"""
    found = rules.scaled(text, 0.1)
    assert "rate(a[30000ms])" in found and "b[60000ms:]" in found and "for: 60000ms" in found and "> 300 and" in found
    assert "predict_linear(c[360000ms], 1440) < 0 and c offset 360000ms" in found
    assert "[20000ms]" in rules.scaled(text, 0.01)
    assert rules.scaled(text, 1) == text
    with pytest.raises(ValueError, match="0 shortens no times"):
        rules.scaled(text, 0)


def test_no_time_of_the_rules_escapes_the_factor() -> None:
    for text in rules.files(0.1).values():
        assert not re.search(r"\[\d+(?!ms)[smhd][]:]|for: \d+[smhd]$|offset \d+[smhd]\b|\* 3600", text, re.MULTILINE)

"""Dashboards for Grafana, as JSON of its schema. Pure.

The files in config_templates/monitoring/dashboards/ are made from this list, and a test compares them (`UPDATE_GOLDEN=1
pytest tests/unit/monitoring/test_dashboards.py` writes them): for a Grafana of your own they are enough.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..logs import store
from ..logs.settings import LogsSettings
from ..templates import TEMPLATES

FOLDER = TEMPLATES / "monitoring" / "dashboards"
_SCHEMA_VERSION = 38
"""Of Grafana 10.1; newer ones convert it when they read it."""
_WIDTH, _HEIGHT = 24, 8
"""Of a row and of a panel, in Grafana's grid."""
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_CLUSTER = 'cluster="$cluster"'
_JOB = f'{_CLUSTER}, job_name=~"$job"'
_HOST = f'{_CLUSTER}, host=~"$host"'
_RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Query:
    """A query in PromQL, and the name of its series with Prometheus's labels in double braces."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A plot over time, or another `kind` of Grafana's panels; `unit` is one of Grafana's identifiers."""

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: str = "timeseries"
    about: str = ""
    most: float | None = None
    """The largest value of the axis."""
    stacked: bool = False
    name_only: bool = False
    """Of a `stat`: the name of the series is what matters."""
    width: int = 8


@dataclass(frozen=True)
class Row:
    """Panels under a title."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Variable:
    """What people choose: a label of a metric."""

    name: str
    query: str
    many: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A page. `name` is its file's and its address's."""

    name: str
    title: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()
    logs: str = ""
    """What it links to, in LogsQL, where there is a store of logs; with `$host` and `$job_id`."""


def _stat(title: str, expr: str, unit: str = "short", **more: Any) -> Panel:
    return Panel(title, [Query(expr, more.pop("legend", ""))], unit, "stat", width=4, **more)


def _ratio(title: str, *queries: Query, **more: Any) -> Panel:
    return Panel(title, queries, "percentunit", most=1, **more)


CLUSTER = Variable("cluster", "label_values(up, cluster)")
JOB = Variable("job", f"label_values(flink_jobmanager_job_runningTime{{{_CLUSTER}}}, job_name)", many=True)
JOB_ID = Variable("job_id", f"label_values(flink_jobmanager_job_runningTime{{{_JOB}}}, job_id)", many=True)
"""Of the jobs that are chosen: logs have no names of them."""


def _hosts(metric: str) -> Variable:
    return Variable("host", f"label_values({metric}{{{_CLUSTER}}}, host)", many=True)


def _of_daemon(daemon: str, metric: str) -> str:
    return f"flink_{daemon}_Status_{metric}{{{_HOST if daemon == 'taskmanager' else _CLUSTER}}}"


def _jvm(daemon: str) -> list[Panel]:
    def of(metric: str) -> str:
        return _of_daemon(daemon, f"JVM_{metric}")

    return [
        _ratio("Heap", Query(f"{of('Memory_Heap_Used')} / {of('Memory_Heap_Max')}", "{{host}}")),
        _ratio(
            "Garbage collection",
            Query(f"rate({of('GarbageCollector_All_Time')}{_RATE}) / 1000", "{{host}}"),
            about="Share of the time.",
        ),
        _ratio("CPU", Query(of("CPU_Load"), "{{host}}"), about="Share of all CPUs of the host."),
        Panel("Metaspace", [Query(of("Memory_Metaspace_Used"), "{{host}}")], "bytes"),
        Panel("Direct memory", [Query(of("Memory_Direct_MemoryUsed"), "{{host}}")], "bytes"),
        Panel("Threads", [Query(of("Threads_Count"), "{{host}}")]),
    ]


_PAGE_CLUSTER = Dashboard(
    "cluster",
    "Flink cluster",
    [
        Row(
            "Now",
            [
                _stat(
                    "Leader",
                    f"flink_jobmanager_numRegisteredTaskManagers{{{_CLUSTER}}}",
                    legend="{{host}}",
                    name_only=True,
                ),
                _stat("TaskManagers", f"flink:registered_taskmanagers{{{_CLUSTER}}}"),
                _stat("Free slots", f"flink:slots_available{{{_CLUSTER}}}"),
                _stat("Jobs", f"max by (cluster) (flink_jobmanager_numRunningJobs{{{_CLUSTER}}})"),
                _stat(
                    "Standby JobManagers",
                    f'sum(up{{{_CLUSTER}, job="flink", role="jobmanager"}}) '
                    f"- count(flink_jobmanager_numRegisteredTaskManagers{{{_CLUSTER}}})",
                ),
                _stat(
                    "Alerts",
                    f'count(ALERTS{{{_CLUSTER}, alertstate="firing", severity!="none"}}) or vector(0)',
                ),
            ],
        ),
        Row(
            "Cluster",
            [
                Panel(
                    "Slots",
                    [
                        Query(f"flink:slots_total{{{_CLUSTER}}} - flink:slots_available{{{_CLUSTER}}}", "used"),
                        Query(f"flink:slots_total{{{_CLUSTER}}}", "there"),
                        Query(f"flink_declared_slots{{{_CLUSTER}}}", "declared jobs need"),
                    ],
                ),
                Panel(
                    "TaskManagers",
                    [
                        Query(f"flink:registered_taskmanagers{{{_CLUSTER}}}", "registered"),
                        Query(f'flink_declared_hosts{{{_CLUSTER}, role="taskmanager"}}', "declared"),
                    ],
                ),
                Panel(
                    "Who leads",
                    [Query(f"flink_jobmanager_numRegisteredTaskManagers{{{_CLUSTER}}} > bool -1", "{{host}}")],
                    about="A failover is where another host begins.",
                ),
                Panel(
                    "Daemons that answer",
                    [Query(f'up{{{_CLUSTER}, job=~"flink|zookeeper|frontdoor"}}', "{{job}} {{host}}")],
                    kind="state-timeline",
                    width=16,
                ),
                Panel("Restarts of daemons in 15 minutes", [Query(f"flink:daemon_restarts{{{_CLUSTER}}}", "{{host}}")]),
                Panel(
                    "Restarts of jobs in 15 minutes",
                    [
                        Query(
                            f"max by (job_name) (increase(flink_jobmanager_job_numRestarts{{{_CLUSTER}}}[15m]))",
                            "{{job_name}}",
                        )
                    ],
                ),
                Panel(
                    "Jobs that run",
                    [Query(f"flink:job_running{{{_CLUSTER}}}", "{{job_name}}")],
                    kind="state-timeline",
                    width=16,
                ),
            ],
        ),
        Row("JobManagers", _jvm("jobmanager")),
    ],
    [CLUSTER],
    "level:in(WARN,ERROR,FATAL)",
)


def _task(metric: str, fold: str = "sum", by: str = "task_name") -> str:
    return f"{fold} by ({by}) (flink_taskmanager_job_task_{metric}{{{_JOB}}})"


def _of_job(metric: str) -> str:
    return f"max by (job_name) (flink_jobmanager_job_{metric}{{{_JOB}}})"


_PAGE_JOB = Dashboard(
    "job",
    "Flink job",
    [
        Row(
            "Now",
            [
                _stat("Runs for", f"{_of_job('runningTime')} / 1000", "s", legend="{{job_name}}"),
                _stat("Restarts", _of_job("numRestarts"), legend="{{job_name}}", about="Since the last failover."),
                _stat("Age of the last checkpoint", f"flink:checkpoint_age_seconds{{{_JOB}}}", "s"),
                _stat("Its duration", f"{_of_job('lastCheckpointDuration')} / 1000", "s"),
                _stat("Its size", _of_job("lastCheckpointFullSize"), "bytes"),
                _stat("Failed checkpoints", _of_job("numberOfFailedCheckpoints"), about="Since the last failover."),
            ],
        ),
        Row(
            "Records",
            [
                Panel("Records in", [Query(_task("numRecordsInPerSecond"), "{{task_name}}")], "cps"),
                Panel("Records out", [Query(_task("numRecordsOutPerSecond"), "{{task_name}}")], "cps"),
                Panel(
                    "Backlog of sources",
                    [Query(_task("operator_pendingRecords", by="operator_name"), "{{operator_name}}")],
                    about="Records that wait, of sources that know it, such as Kafka's.",
                ),
                _ratio("Busy", Query(f"{_task('busyTimeMsPerSecond', 'max')} / 1000", "{{task_name}}")),
                _ratio("Idle", Query(f"{_task('idleTimeMsPerSecond', 'max')} / 1000", "{{task_name}}")),
                _ratio(
                    "Backpressure",
                    Query(f"{_task('backPressuredTimeMsPerSecond', 'max')} / 1000", "{{task_name}}"),
                    about="Share of the time, of the worst subtask, in which it waits for tasks after it.",
                ),
            ],
        ),
        Row(
            "Checkpoints",
            [
                Panel(
                    "Duration",
                    [
                        Query(f"{_of_job('lastCheckpointDuration')} / 1000", "{{job_name}}"),
                        Query(f"flink:checkpoint_interval_seconds{{{_JOB}}}", "interval of {{job_name}}"),
                    ],
                    "s",
                ),
                Panel(
                    "Size",
                    [
                        Query(_of_job("lastCheckpointFullSize"), "whole state of {{job_name}}"),
                        Query(_of_job("lastCheckpointSize"), "written for {{job_name}}"),
                    ],
                    "bytes",
                ),
                Panel("Age", [Query(f"flink:checkpoint_age_seconds{{{_JOB}}}", "{{job_name}}")], "s"),
                Panel("Alignment", [Query(f"{_task('checkpointAlignmentTime', 'max')} / 1e9", "{{task_name}}")], "s"),
                Panel(
                    "Start delay",
                    [Query(f"{_task('checkpointStartDelayNanos', 'max')} / 1e9", "{{task_name}}")],
                    "s",
                    about="From the trigger until the barrier arrives: long with backpressure.",
                ),
                Panel(
                    "Completed and failed in 15 minutes",
                    [
                        Query(
                            "sum by (job_name) "
                            f"(increase(flink_jobmanager_job_numberOf{kind}Checkpoints{{{_JOB}}}[15m]))",
                            f"{kind.lower()} {{{{job_name}}}}",
                        )
                        for kind in ("Completed", "Failed")
                    ],
                ),
            ],
        ),
        Row(
            "Event time and restarts",
            [
                Panel(
                    "Lag of watermarks",
                    [Query(f"time() - flink:watermark_seconds{{{_JOB}}}", "{{task_name}}")],
                    "s",
                ),
                Panel(
                    "Late records that were dropped",
                    [
                        Query(
                            f"sum by (operator_name) "
                            f"(rate(flink_taskmanager_job_task_operator_numLateRecordsDropped{{{_JOB}}}{_RATE}))",
                            "{{operator_name}}",
                        )
                    ],
                    "cps",
                ),
                Panel("Restarts", [Query(_of_job("numRestarts"), "{{job_name}}")], about="Since the last failover."),
            ],
        ),
    ],
    [CLUSTER, JOB],
    "job_id:in($job_id)",
)


def _rocksdb(metric: str) -> str:
    # The name of the state is part of the metric's name
    name = f'__name__=~"flink_taskmanager_job_task_operator_.*rocksdb_{metric}"'
    return f"sum by (host) ({{{name}, {_HOST}}})"


_PAGE_TASKMANAGER = Dashboard(
    "taskmanager",
    "Flink TaskManagers",
    [
        Row("JVM", _jvm("taskmanager")),
        Row(
            "Flink's memory",
            [
                _ratio(
                    "Managed memory",
                    Query(
                        f"{_of_daemon('taskmanager', 'Flink_Memory_Managed_Used')} "
                        f"/ {_of_daemon('taskmanager', 'Flink_Memory_Managed_Total')}",
                        "{{host}}",
                    ),
                    about="RocksDB takes all of it as soon as a job with state runs.",
                ),
                _ratio(
                    "Network buffers",
                    Query(
                        f"{_of_daemon('taskmanager', 'Shuffle_Netty_UsedMemory')} "
                        f"/ {_of_daemon('taskmanager', 'Shuffle_Netty_TotalMemory')}",
                        "{{host}}",
                    ),
                ),
                _ratio(
                    "Full pools of buffers",
                    Query(
                        "max by (host) "
                        f"(flink_taskmanager_job_task_Shuffle_Netty_Output_Buffers_outPoolUsage{{{_HOST}}})",
                        "out {{host}}",
                    ),
                    Query(
                        "max by (host) "
                        f"(flink_taskmanager_job_task_Shuffle_Netty_Input_Buffers_inPoolUsage{{{_HOST}}})",
                        "in {{host}}",
                    ),
                ),
            ],
        ),
        Row(
            "RocksDB, with state.backend.rocksdb.metrics.… in flinkConfig",
            [
                Panel("Size of files", [Query(_rocksdb("total_sst_files_size"), "{{host}}")], "bytes"),
                Panel("Keys, estimated", [Query(_rocksdb("estimate_num_keys"), "{{host}}")]),
                Panel("Memory tables", [Query(_rocksdb("cur_size_all_mem_tables"), "{{host}}")], "bytes"),
                Panel(
                    "Waiting compaction", [Query(_rocksdb("estimate_pending_compaction_bytes"), "{{host}}")], "bytes"
                ),
                Panel("Writes that stand still", [Query(_rocksdb("is_write_stopped"), "{{host}}")]),
                Panel("Errors in the background", [Query(_rocksdb("background_errors"), "{{host}}")]),
            ],
        ),
    ],
    [CLUSTER, _hosts("flink_taskmanager_Status_JVM_CPU_Load")],
    '{role="taskmanager",host=~"$host"}',
)


def _zookeeper(metric: str) -> str:
    return f'{metric}{{{_CLUSTER}, job="zookeeper"}}'


_PAGE_ZOOKEEPER = Dashboard(
    "zookeeper",
    "ZooKeeper",
    [
        Row(
            "Now",
            [
                _stat("Leader", _zookeeper("synced_followers"), legend="{{host}}", name_only=True),
                _stat("Followers in sync", _zookeeper("synced_followers")),
                _stat("Servers that answer", f"sum({_zookeeper('up')})"),
                _stat("Leader for", f"{_zookeeper('leader_uptime')} / 1000", "s"),
                _stat("Nodes", f"max({_zookeeper('znode_count')})"),
                _stat("Data", f"max({_zookeeper('approximate_data_size')})", "bytes"),
            ],
        ),
        Row(
            "Servers",
            [
                Panel("Requests that wait", [Query(_zookeeper("outstanding_requests"), "{{host}}")]),
                Panel(
                    "Latency",
                    [
                        Query(_zookeeper("avg_latency"), "mean {{host}}"),
                        Query(_zookeeper("max_latency"), "most {{host}}"),
                    ],
                    "ms",
                ),
                Panel(
                    "Time of a sync to disk",
                    [
                        Query(
                            f"rate({_zookeeper('fsynctime_sum')}{_RATE}) "
                            f"/ (rate({_zookeeper('fsynctime_count')}{_RATE}) > 0)",
                            "{{host}}",
                        )
                    ],
                    "ms",
                ),
                Panel("Connections", [Query(_zookeeper("num_alive_connections"), "{{host}}")]),
                Panel(
                    "Searches for a leader",
                    [Query(_zookeeper("looking_count"), "{{host}}")],
                    about="Each is an election, or a server that starts.",
                ),
                Panel("Packets", [Query(f"rate({_zookeeper('packets_received')}{_RATE})", "{{host}}")], "pps"),
                _ratio(
                    "Heap",
                    Query(
                        f'jvm_memory_bytes_used{{{_CLUSTER}, job="zookeeper", area="heap"}} '
                        f'/ jvm_memory_bytes_max{{{_CLUSTER}, job="zookeeper", area="heap"}}',
                        "{{host}}",
                    ),
                ),
                Panel("Watches", [Query(_zookeeper("watch_count"), "{{host}}")]),
                Panel("Open files", [Query(_zookeeper("open_file_descriptor_count"), "{{host}}")]),
            ],
        ),
    ],
    [CLUSTER],
    '{role="zookeeper"}',
)


def _node(metric: str, **labels: str) -> str:
    more = "".join(f', {key}=~"{value}"' for key, value in labels.items())
    return f"node_{metric}{{{_HOST}{more}}}"


def _rate_of(metric: str, **labels: str) -> str:
    return f"sum by (host) (rate({_node(metric, **labels)}{_RATE}))"


_PAGE_HOSTS = Dashboard(
    "hosts",
    "Hosts",
    [
        Row(
            "CPU and memory",
            [
                _ratio("CPU", Query(f"host:cpu_used_ratio{{{_HOST}}}", "{{host}}")),
                Panel("Load", [Query(_node("load5"), "{{host}}")]),
                _ratio(
                    "Memory",
                    Query(f"1 - {_node('memory_MemAvailable_bytes')} / {_node('memory_MemTotal_bytes')}", "{{host}}"),
                ),
                _ratio(
                    "Waiting for CPUs",
                    Query(_rate_of("pressure_cpu_waiting_seconds_total"), "{{host}}"),
                    about="Pressure: share of the time in which a process waits.",
                ),
                _ratio("Waiting for memory", Query(_rate_of("pressure_memory_waiting_seconds_total"), "{{host}}")),
                _ratio("Waiting for disks", Query(_rate_of("pressure_io_waiting_seconds_total"), "{{host}}")),
            ],
        ),
        Row(
            "Disks and network",
            [
                _ratio("Free space", Query(f"host:filesystem_available_ratio{{{_HOST}}}", "{{host}} {{mountpoint}}")),
                Panel(
                    "Read and written",
                    [
                        Query(_rate_of("disk_read_bytes_total"), "read {{host}}"),
                        Query(_rate_of("disk_written_bytes_total"), "written {{host}}"),
                    ],
                    "Bps",
                ),
                _ratio(
                    "Busy disks",
                    Query(
                        f"max by (host) (rate({_node('disk_io_time_seconds_total')}{_RATE}))",
                        "{{host}}",
                    ),
                ),
                Panel("Received", [Query(_rate_of("network_receive_bytes_total", device="[^l].*"), "{{host}}")], "Bps"),
                Panel("Sent", [Query(_rate_of("network_transmit_bytes_total", device="[^l].*"), "{{host}}")], "Bps"),
                Panel(
                    "Errors of the network",
                    [
                        Query(_rate_of("network_receive_errs_total"), "received {{host}}"),
                        Query(_rate_of("network_transmit_errs_total"), "sent {{host}}"),
                    ],
                    "cps",
                ),
            ],
        ),
        Row(
            "Time",
            [
                Panel(
                    "Difference from the monitoring host's clock",
                    [Query(f"host:clock_skew_seconds{{{_HOST}}}", "{{host}}")],
                    "s",
                    width=12,
                ),
                Panel(
                    "Since the last boot",
                    [Query(f"{_node('time_seconds')} - {_node('boot_time_seconds')}", "{{host}}")],
                    "s",
                    width=12,
                ),
            ],
        ),
    ],
    [CLUSTER, _hosts("node_load5")],
    '{host=~"$host"}',
)


def _by_job(metric: str) -> str:
    return f"sum by (job_name) (increase(flink_jobmanager_job_{metric}{{{_CLUSTER}}}[15m]))"


_PAGE_STORAGE = Dashboard(
    "storage",
    "Storage of a Flink cluster",
    [
        Row(
            "Checkpoints, as the storage takes them",
            [
                Panel("Failed in 15 minutes", [Query(_by_job("numberOfFailedCheckpoints"), "{{job_name}}")]),
                Panel("Completed in 15 minutes", [Query(_by_job("numberOfCompletedCheckpoints"), "{{job_name}}")]),
                Panel(
                    "Duration",
                    [
                        Query(
                            f"max by (job_name) (flink_jobmanager_job_lastCheckpointDuration{{{_CLUSTER}}}) / 1000",
                            "{{job_name}}",
                        )
                    ],
                    "s",
                    about="Flink measures no single request to the storage. Without backpressure this is its time.",
                ),
                Panel("Age", [Query(f"flink:checkpoint_age_seconds{{{_CLUSTER}}}", "{{job_name}}")], "s"),
                Panel(
                    "Written by the last checkpoint",
                    [
                        Query(
                            f"max by (job_name) (flink_jobmanager_job_lastCheckpointSize{{{_CLUSTER}}})", "{{job_name}}"
                        )
                    ],
                    "bytes",
                ),
                Panel(
                    "Written for a second of its duration",
                    [
                        Query(
                            f"max by (job_name) (flink_jobmanager_job_lastCheckpointSize{{{_CLUSTER}}}) "
                            f"/ (max by (job_name) (flink_jobmanager_job_lastCheckpointDuration{{{_CLUSTER}}}) > 0) "
                            "* 1000",
                            "{{job_name}}",
                        )
                    ],
                    "Bps",
                ),
                Panel(
                    "Whole state",
                    [
                        Query(
                            f"max by (job_name) (flink_jobmanager_job_lastCheckpointFullSize{{{_CLUSTER}}})",
                            "{{job_name}}",
                        )
                    ],
                    "bytes",
                    stacked=True,
                ),
                Panel(
                    "Hosts that reach the storage",
                    [Query(f"flink_storage_reachable{{{_CLUSTER}}}", "{{host}}")],
                    kind="state-timeline",
                    about="Of hosts with a probe.",
                    width=16,
                ),
            ],
        ),
    ],
    [CLUSTER],
)

DASHBOARDS = (
    _PAGE_CLUSTER,
    _PAGE_JOB,
    _PAGE_TASKMANAGER,
    _PAGE_ZOOKEEPER,
    _PAGE_HOSTS,
    _PAGE_STORAGE,
)
ANNOTATIONS: Mapping[str, tuple[str, str, str]] = {
    "Failovers": (
        f"flink_jobmanager_numRegisteredTaskManagers{{{_CLUSTER}}} "
        f"unless flink_jobmanager_numRegisteredTaskManagers{{{_CLUSTER}}} offset 1m",
        "{{host}} leads",
        "red",
    ),
    "Runs of up": (f"changes(flink_up_run_timestamp_seconds{{{_CLUSTER}}}[1m]) > 0", "pulumi up", "blue"),
    "Alerts": (f'ALERTS{{{_CLUSTER}, alertstate="firing", severity="critical"}}', "{{alertname}}", "orange"),
}
"""Name → query, title and color of what is marked in all plots."""


def files(logs: LogsSettings | None = None) -> dict[str, str]:
    """Name → text of all dashboards. `logs`: as in `document`."""
    return {f"{each.name}.json": text(each, logs) for each in DASHBOARDS}


def text(dashboard: Dashboard, logs: LogsSettings | None = None) -> str:
    """A dashboard in JSON."""
    return json.dumps(document(dashboard, logs), indent=1, ensure_ascii=False) + "\n"


def document(dashboard: Dashboard, logs: LogsSettings | None = None) -> dict[str, Any]:
    """A dashboard in Grafana's form. `logs`: of a store beside Grafana, behind the same front door."""
    variables = [*map(_variable, dashboard.variables)]
    links = [_OTHERS]
    if logs and dashboard.logs:
        links.append(_to_logs(dashboard.logs, logs))
        variables += [_variable(JOB_ID, hidden=True)] if "$job_id" in dashboard.logs else []
    return {
        "uid": f"flink-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["flink"],
        "timezone": "browser",
        "editable": False,
        "graphTooltip": 1,
        "time": {"from": "now-3h", "to": "now"},
        "fiscalYearStartMonth": 0,
        "refresh": "30s",
        "schemaVersion": _SCHEMA_VERSION,
        "panels": list(_panels(dashboard)),
        "templating": {"list": [_SOURCE, *variables]},
        "annotations": {"list": [_annotation(name, *rest) for name, rest in ANNOTATIONS.items()]},
        "links": links,
    }


_OTHERS = {
    "title": "Flink",
    "type": "dashboards",
    "icon": "external link",
    "tooltip": "",
    "url": "",
    "tags": ["flink"],
    "asDropdown": True,
    "targetBlank": False,
    "includeVars": True,
    "keepTime": True,
}
_LOG_WORDS = {"$host": "${host:pipe}", "$job_id": "${job_id:csv}"}
"""How Grafana writes the values that are chosen, in LogsQL."""
_LOG_TIME = ("${__from:date:iso}", "${__to:date:iso}")


def _to_logs(query: str, logs: LogsSettings) -> dict[str, Any]:
    """A link to what a query finds in the store of logs, in the time that is shown."""
    for ours, theirs in _LOG_WORDS.items():
        query = query.replace(ours, theirs)
    timed = f"_time:[{', '.join(_LOG_TIME)}] {query}"
    # From any page of Grafana's to the root: to an address that begins with a slash it would add its own prefix
    url = store.search(f"../../../..{store.PREFIX}", timed, logs, *_LOG_TIME, *_LOG_WORDS.values())
    return {**_OTHERS, "title": "Logs", "type": "link", "icon": "doc", "url": url, "tags": []} | {
        "asDropdown": False,
        # Without it Grafana takes the address for one of its own
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }


_SOURCE = {
    "type": "datasource",
    "name": "datasource",
    "label": "Data source",
    "query": "prometheus",
    "refresh": 1,
    "multi": False,
    "includeAll": False,
    "skipUrlSync": False,
    "hide": 0,
}


def _variable(variable: Variable, *, hidden: bool = False) -> dict[str, Any]:
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.name.capitalize(),
        "datasource": _DATASOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        # When the page is opened, and when its time changes
        "refresh": 2,
        "sort": 1,
        "multi": variable.many,
        "includeAll": variable.many,
        "skipUrlSync": hidden,
        "hide": 2 if hidden else 0,
        **({"current": {"text": ["All"], "value": ["$__all"]}} if hidden else {}),
    }


def _annotation(name: str, expr: str, title: str, color: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": _DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        "expr": expr,
        "titleFormat": title,
        "step": "15s",
    }


def _panels(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in dashboard.rows:
        number += 1
        place = {"h": 1, "w": _WIDTH, "x": 0, "y": y}
        yield {"type": "row", "id": number, "title": row.title, "collapsed": False, "gridPos": place, "panels": []}
        x, y = 0, y + 1
        height = 0
        for panel in row.panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + height
            height = _HEIGHT // 2 if panel.kind == "stat" else _HEIGHT
            number += 1
            yield _panel(panel, number, {"h": height, "w": panel.width, "x": x, "y": y})
            x += panel.width
        y += height


def _panel(panel: Panel, number: int, place: Mapping[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    # A share or number of zero is at the bottom
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, **({"stacking": {"mode": "normal"}} if panel.stacked else {})}
        defaults["min"] = 0
    if panel.most is not None:
        defaults["max"] = panel.most
    if panel.kind == "state-timeline":
        shown = {"0": {"text": "no", "color": "red", "index": 0}, "1": {"text": "yes", "color": "green", "index": 1}}
        defaults["mappings"] = [{"type": "value", "options": shown}]
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        **({"description": panel.about} if panel.about else {}),
        "datasource": _DATASOURCE,
        "gridPos": dict(place),
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": query.expr,
                **({"legendFormat": query.legend} if query.legend else {}),
                **({"instant": True, "range": False} if panel.kind == "stat" else {"range": True, "instant": False}),
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _options(panel),
    }


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
            "textMode": "name" if panel.name_only else "auto",
            "colorMode": "none",
            "graphMode": "none",
        }
    if panel.kind == "state-timeline":
        return {"showValue": "never", "mergeValues": True, "rowHeight": 0.8}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }

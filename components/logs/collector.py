"""The agent's configuration (OpenTelemetry Collector) and unit, as text. Pure.

Each record has the fields `cluster`, `host`, `role` and `source` (what wrote it), and where it has them `level`,
`logger`, `thread`, `job_id`, `unit` and `process`. Its body is the message, with all lines of a stack trace.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .. import ports, yaml_text
from ..host import Role
from ..roles import ROLES, Row
from ..templates import render
from .settings import ELASTICSEARCH, OPENSEARCH, SPLUNK, Destination

UNIT = USER = "flink-logs"
FOLDER = f"/etc/{UNIT}"
CONFIG = f"{FOLDER}/agent.yaml"
AUTHORITIES = f"{FOLDER}/authorities.pem"
STATE = f"/var/lib/{UNIT}"
PROGRAM = "/opt/otelcol/otelcol-contrib"
QUEUE_MIB = 256
"""What waits on the disk for one destination. When it is full, reading waits, and files and journal are the buffer."""
DISK_MIB = 2 * QUEUE_MIB
"""Bound of the queue's file, which has free space in it."""
GATES = "stanza.synchronousLogEmitter"
"""Without it a killed agent has noted lines as read that it has not put into the queue yet
(https://github.com/open-telemetry/opentelemetry-collector-contrib/issues/35456)."""
ELASTICSEARCH_INDEX = "logs-flink.otel-default"
"""A data stream, as Elasticsearch's own template for logs of OpenTelemetry has it (logs-*.otel-*)."""
OPENSEARCH_INDEX = "ss4o_logs-flink-default"
"""A data stream, as OpenSearch's own template for logs has it (ss4o_logs-*-*)."""
AUDIT = "/var/log/flink-frontdoor/audit.jsonl"

_UNITS = (
    *(
        f"flink-{name}"
        for name in (
            "jobmanager",
            "history",
            "taskmanager",
            "alive",
            "jobs",
            "superseded",
            "classes",
            "spot",
            "firewall",
        )
    ),
    *(
        f"flink-{name}"
        for name in ("frontdoor", "login", "exporter", "prometheus", "alertmanager", "grafana", "logstore")
    ),
    "zookeeper",
)
"""Our units, whether a host has them or not. Not the agent: its messages would make more messages."""
_LEVEL = "(?P<level>TRACE|DEBUG|INFO|WARN|ERROR|FATAL)"
_JAVA_LEVELS = {"fatal": "FATAL", "error": "ERROR", "warn": "WARN", "info": "INFO", "debug": "DEBUG", "trace": "TRACE"}
_PRIORITIES = {
    "fatal": ["0", "1", "2"],
    "error": "3",
    "warn": "4",
    "info2": "5",
    "info": "6",
    "debug": "7",
}
"""Of syslog."""
_FLINK_START = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} "
# As config_templates/log4j-console.properties has it, with and without job and thread
_FLINK_LINE = (
    rf"^(?P<time>\S+ \S+) {_LEVEL} +(?P<logger>\S+) +(?:\[(?P<job_id>[0-9a-f]*)\] (?:\[(?P<thread>.*?)\] )?)?- "
    r"(?P<message>(?s:.*))$"
)
_ZOOKEEPER_LINE = rf"^{_LEVEL} +(?P<logger>\S+) (?P<server>\S*) *(?:\[(?P<thread>.*?)\] )?- (?P<message>(?s:.*))$"
_JAVA_FIRST = "^(TRACE|DEBUG|INFO |WARN |ERROR|FATAL) "
# What Flink's file has, too: a line of its log, and the lines of a stack trace
_IN_FILE = rf"{_JAVA_FIRST}|^\\s+at |^\\s*\\.\\.\\. [0-9]+ (more|common)|^(Caused by|\\s+Suppressed): "


@dataclass(frozen=True, kw_only=True)
class Builtin:
    """The built-in store, as agents reach it."""

    url: str
    """Without `/v1/logs`."""
    tls: bool


def agent_yaml(
    cluster: str,
    host: str,
    role: Role,
    *,
    front_door: bool,
    builtin: Builtin | None,
    destinations: Sequence[Destination] = (),
    monitored: bool,
    state: str = STATE,
    logs: str = "/var/log/flink",
    journal: bool = True,
) -> str:
    """The configuration, with secrets of destinations: not for others to read. `state`, `logs` and `journal` are for
    tests.
    """
    row = ROLES[role]
    common = {"cluster": cluster, "host": host, "role": role.value}
    receivers: dict[str, Any] = {}
    if row.daemon and row.runs_flink:
        receivers["file_log/flink"] = _files(f"{logs}/*.log*", common, "flink", _FLINK_START, _flink())
    if front_door and row.logs_in:
        receivers["file_log/audit"] = _files(AUDIT, common, "front-door", "", _audit())
    if journal:
        receivers["journald"] = _journal(common, _in_files(row) if row.runs_flink and row.daemon else [])
    exporters = {
        **({"otlp_http/builtin": _builtin(builtin)} if builtin else {}),
        **dict(_destination(each) for each in destinations),
    }
    found = {
        "extensions": {
            "file_storage/offsets": {"directory": f"{state}/offsets", "create_directory": True, "recreate": True},
            "file_storage/queue": {
                "directory": f"{state}/queue",
                "create_directory": True,
                "recreate": True,
                "max_size": DISK_MIB << 20,
                "compaction": {
                    "on_start": True,
                    "on_rebound": True,
                    "cleanup_on_start": True,
                    "directory": f"{state}/queue",
                    "rebound_needed_threshold_mib": 64,
                    "rebound_trigger_threshold_mib": 16,
                },
            },
        },
        "receivers": receivers,
        "exporters": exporters,
        "service": {
            "extensions": ["file_storage/offsets", "file_storage/queue"],
            "pipelines": {"logs": {"receivers": [*receivers], "exporters": [*exporters]}},
            "telemetry": {
                # What cannot be sent is said at this level
                "logs": {"level": "info"},
                "metrics": {
                    "readers": [
                        {
                            "pull": {
                                "exporter": {
                                    "prometheus": {
                                        "host": "" if monitored else "127.0.0.1",
                                        "port": ports.number("log-metrics"),
                                    }
                                }
                            }
                        }
                    ]
                },
            },
        },
    }
    return "# Managed by Pulumi: changes are overwritten.\n" + yaml_text.write(_literal(found))


_INTERVALS = {"initial_interval": "1s", "max_interval": "30s"}


def _for_ever() -> dict[str, Any]:
    """Nothing is given up: what cannot be sent waits, and then nothing more is read."""
    return {"enabled": True, **_INTERVALS, "max_elapsed_time": "0s"}


def _builtin(store: Builtin) -> dict[str, Any]:
    tls = {"tls": {"ca_file": AUTHORITIES, "min_version": "1.3"}} if store.tls else {}
    return {"endpoint": store.url, **tls, "retry_on_failure": _for_ever(), "sending_queue": _queue()}


def _destination(to: Destination) -> tuple[str, dict[str, Any]]:
    """An exporter's name and settings. Those of otelcol-contrib 0.165, whose documents are in the folder of each:
    https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter
    """
    tls = {"tls": {"ca_pem": to.authorities}} if to.authorities else {}
    sent: dict[str, Any] = {"retry_on_failure": _for_ever(), "sending_queue": _queue()}
    if to.kind == OPENSEARCH:
        login = base64.b64encode(f"{to.user}:{to.password}".encode()).decode()
        headers = {"headers": {"Authorization": f"Basic {login}"}} if to.user else {}
        return f"opensearch/{to.kind}", {
            "http": {"endpoint": to.url, **tls, **headers},
            # Of the whole request: with the default, 5 s, a batch that is slow to index is given up
            "timeout": "90s",
            "logs_index": to.index or OPENSEARCH_INDEX,
            **sent,
        }
    if to.kind == ELASTICSEARCH:
        return f"elasticsearch/{to.kind}", {
            "endpoint": to.url,
            **tls,
            **({"user": to.user, "password": to.password} if to.user else {}),
            **({"api_key": to.key} if to.key else {}),
            "logs_index": to.index or ELASTICSEARCH_INDEX,
            # It has no retry_on_failure. As often as a number of 32 bits can say
            "retry": {
                "enabled": True,
                "max_retries": (1 << 31) - 1,
                **_INTERVALS,
                "retry_on_status": [429, 500, 502, 503, 504],
            },
            "sending_queue": _queue(),
        }
    if to.kind == SPLUNK:
        return f"splunk_hec/{to.kind}", {
            "endpoint": f"{to.url}/services/collector",
            **tls,
            "token": to.key,
            **({"index": to.index} if to.index else {}),
            "sourcetype": to.source_type or "flink",
            "otel_attrs_to_hec_metadata": {"host": "host", "source": "source"},
            **sent,
        }
    headers = {"headers": dict(to.headers)} if to.headers else {}
    return f"otlp_http/{to.kind}", {"endpoint": to.url, **tls, **headers, **sent}


def _queue() -> dict[str, Any]:
    return {
        "storage": "file_storage/queue",
        "sizer": "bytes",
        "queue_size": QUEUE_MIB << 20,
        "block_on_overflow": True,
        "num_consumers": 2,
        "batch": {"sizer": "bytes", "flush_timeout": "1s", "min_size": 1 << 20, "max_size": 4 << 20},
    }


def _files(
    include: str, resource: Mapping[str, str], source: str, start: str, operators: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    return {
        "include": [include],
        # What was written before the agent's first start, too
        "start_at": "beginning",
        "storage": "file_storage/offsets",
        "include_file_name": False,
        "max_log_size": "1MiB",
        # The last line is complete if nothing follows it for so long
        "force_flush_period": "2s",
        **({"multiline": {"line_start_pattern": start}} if start else {}),
        "retry_on_failure": _for_ever(),
        "resource": {**resource, "source": source},
        "operators": [dict(each) for each in operators],
    }


def _flink() -> list[dict[str, Any]]:
    return [
        {
            "type": "regex_parser",
            "regex": _FLINK_LINE,
            "on_error": "send_quiet",
            "timestamp": {
                "parse_from": "attributes.time",
                "layout_type": "strptime",
                "layout": "%Y-%m-%d %H:%M:%S,%L",
            },
            "severity": {"parse_from": "attributes.level", "overwrite_text": True, "mapping": {**_JAVA_LEVELS}},
        },
        _if("attributes.time != nil", {"type": "remove", "field": "attributes.time"}),
        _if("attributes.message != nil", {"type": "move", "from": "attributes.message", "to": "body"}),
        *_without_empty("job_id", "thread"),
    ]


def _audit() -> list[dict[str, Any]]:
    """A line of Caddy's is an object in JSON. It stays whole; its time and level are fields."""
    return [
        {
            "type": "json_parser",
            "parse_to": "attributes.parsed",
            "on_error": "send_quiet",
            "timestamp": {"parse_from": "attributes.parsed.ts", "layout_type": "epoch", "layout": "s.us"},
            "severity": {"parse_from": "attributes.parsed.level"},
        },
        _if(
            "attributes.parsed?.level != nil",
            {"type": "move", "from": "attributes.parsed.level", "to": "attributes.level"},
        ),
        _if("attributes.parsed != nil", {"type": "remove", "field": "attributes.parsed"}),
    ]


def _in_files(row: Row) -> list[str]:
    """The units of Flink's programs on a host of a role."""
    return [row.unit, *(["flink-history"] if row.logs_in else [])]


def _journal(resource: Mapping[str, str], in_files: Sequence[str]) -> dict[str, Any]:
    """The journal of our units, and what became root by sudo, as each of Pulumi's steps does. `in_files`: the units
    whose log is in files, too.
    """
    matches = [{key: f"{unit}.service"} for unit in _UNITS for key in ("_SYSTEMD_UNIT", "UNIT")]
    zookeeper = 'attributes.unit == "zookeeper.service" and attributes.process != "systemd"'
    units = ", ".join(f'"{each}.service"' for each in in_files)
    doubled = f'attributes.unit in [{units}] and body matches "{_IN_FILE}"'
    return {
        "matches": [*matches, {"SYSLOG_IDENTIFIER": "sudo"}],
        # Without it long messages have no text
        "all": True,
        "convert_message_bytes": True,
        # Without it journalctl follows the current boot only: the last lines before a reboot would be lost
        "merge": True,
        "start_at": "beginning",
        "storage": "file_storage/offsets",
        "retry_on_failure": _for_ever(),
        "resource": {**resource, "source": "journal"},
        "operators": [
            {"type": "filter", "expr": 'type(body.MESSAGE) != "string"'},
            {"type": "add", "field": "attributes.unit", "value": 'EXPR(body.UNIT ?? body._SYSTEMD_UNIT ?? "")'},
            {"type": "add", "field": "attributes.process", "value": 'EXPR(body.SYSLOG_IDENTIFIER ?? "")'},
            {
                "type": "severity_parser",
                "parse_from": "body.PRIORITY",
                "overwrite_text": True,
                "mapping": _PRIORITIES,
                "on_error": "send_quiet",
            },
            {"type": "move", "from": "body.MESSAGE", "to": "body"},
            *([{"type": "filter", "expr": doubled}] if in_files else []),
            _if(
                zookeeper,
                {
                    "type": "recombine",
                    "combine_field": "body",
                    "is_first_entry": f'body matches "{_JAVA_FIRST}"',
                    "source_identifier": "attributes.unit",
                    "overwrite_with": "oldest",
                    "force_flush_period": "2s",
                    "max_log_size": "1MiB",
                },
            ),
            _if(
                zookeeper,
                {
                    "type": "regex_parser",
                    "regex": _ZOOKEEPER_LINE,
                    "on_error": "send_quiet",
                    "severity": {"parse_from": "attributes.level", "overwrite_text": True, "mapping": {**_JAVA_LEVELS}},
                },
            ),
            _if("attributes.message != nil", {"type": "move", "from": "attributes.message", "to": "body"}),
            _if("attributes.server != nil", {"type": "remove", "field": "attributes.server"}),
            *_without_empty("thread"),
        ],
    }


def _literal(value: Any) -> Any:
    """The value with each $ doubled: the agent replaces ${NAME} by a variable."""
    if isinstance(value, dict):
        return {key: _literal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_literal(one) for one in value]
    return value.replace("$", "$$") if isinstance(value, str) else value


def _if(condition: str, operator: Mapping[str, Any]) -> dict[str, Any]:
    return {**operator, "if": condition}


def _without_empty(*names: str) -> list[dict[str, Any]]:
    return [_if(f'attributes.{name} == ""', {"type": "remove", "field": f"attributes.{name}"}) for name in names]


def groups(role: Role, *, front_door: bool) -> list[str]:
    """The groups whose logs the agent reads."""
    row = ROLES[role]
    return [
        "systemd-journal",
        *([row.user] if row.daemon and row.runs_flink else []),
        *(["flink-frontdoor"] if front_door and row.logs_in else []),
    ]


def unit(role: Role, *, front_door: bool) -> str:
    """The agent's unit."""
    return render(
        "logs/flink-logs.service.j2",
        program=PROGRAM,
        config=CONFIG,
        loaded=[FOLDER],
        gates=GATES,
        groups=groups(role, front_door=front_door),
    )

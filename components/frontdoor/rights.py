"""Who may call what: every endpoint of Flink's REST API, with its class. The front door refuses what is not here.

The endpoints are those of Flink 2.2 and 2.3 (docs/static/generated/rest_v1_dispatcher.yml in Flink's repository, and
the handlers in its jar, with which `tests/unit/test_frontdoor.py` compares them). Their class is a decision of ours:
some that are called by GET change or run something.

A path is compared as the client wrote it, and that is what the proxy sends: Flink decodes `%2F` and ignores slashes at
both ends, so a comparison after decoding could let one path pass and send another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Right(Enum):
    """What a call does."""

    READ = "read"
    """It changes nothing: viewers and operators."""
    OPERATE = "operate"
    """It submits, runs, changes, stops or deletes: operators."""
    NOBODY = "nobody"
    """It ends the cluster, and in it the jobs and their metadata: `destroy` does that."""


@dataclass(frozen=True)
class Endpoint:
    """An endpoint of Flink's REST API. A part of the path with a colon in front is a parameter, as Flink writes it."""

    method: str
    path: str
    right: Right


_JOB, _VERTEX = "/jobs/:jobid", "/jobs/:jobid/vertices/:vertexid"
_SUBTASK, _TASKMANAGER = f"{_VERTEX}/subtasks/:subtaskindex", "/taskmanagers/:taskmanagerid"

_READ = (
    "/applications/:applicationid",
    "/applications/:applicationid/exceptions",
    "/applications/:applicationid/jobmanager/config",
    "/applications/overview",
    "/config",
    "/datasets",
    "/datasets/delete/:triggerid",
    "/jars",
    "/jobmanager/config",
    "/jobmanager/environment",
    "/jobmanager/log",
    "/jobmanager/logs",
    "/jobmanager/logs/:filename",
    "/jobmanager/metrics",
    "/jobmanager/profiler",
    "/jobmanager/profiler/:filename",
    "/jobmanager/stdout",
    "/jobmanager/thread-dump",
    "/jobs",
    "/jobs/metrics",
    "/jobs/overview",
    _JOB,
    f"{_JOB}/accumulators",
    f"{_JOB}/checkpoints",
    f"{_JOB}/checkpoints/:triggerid",
    f"{_JOB}/checkpoints/config",
    f"{_JOB}/checkpoints/details/:checkpointid",
    f"{_JOB}/checkpoints/details/:checkpointid/subtasks/:vertexid",
    f"{_JOB}/config",
    f"{_JOB}/exceptions",
    f"{_JOB}/execution-result",
    f"{_JOB}/jobmanager/config",
    f"{_JOB}/jobmanager/environment",
    f"{_JOB}/jobmanager/log-url",
    f"{_JOB}/metrics",
    f"{_JOB}/plan",
    f"{_JOB}/rescales/config",
    f"{_JOB}/rescales/details/:rescaleuuid",
    f"{_JOB}/rescales/history",
    f"{_JOB}/rescales/overview",
    f"{_JOB}/rescales/summary",
    f"{_JOB}/rescaling/:triggerid",
    f"{_JOB}/resource-requirements",
    f"{_JOB}/savepoints/:triggerid",
    f"{_JOB}/status",
    f"{_JOB}/taskmanagers/:taskmanagerid/log-url",
    _VERTEX,
    f"{_VERTEX}/accumulators",
    f"{_VERTEX}/backpressure",
    f"{_VERTEX}/flamegraph",
    f"{_VERTEX}/jm-operator-metrics",
    f"{_VERTEX}/metrics",
    _SUBTASK,
    f"{_SUBTASK}/attempts/:attempt",
    f"{_SUBTASK}/attempts/:attempt/accumulators",
    f"{_SUBTASK}/metrics",
    f"{_VERTEX}/subtasks/accumulators",
    f"{_VERTEX}/subtasks/metrics",
    f"{_VERTEX}/subtasktimes",
    f"{_VERTEX}/taskmanagers",
    f"{_VERTEX}/watermarks",
    "/overview",
    "/savepoint-disposal/:triggerid",
    "/taskmanagers",
    "/taskmanagers/metrics",
    _TASKMANAGER,
    f"{_TASKMANAGER}/log",
    f"{_TASKMANAGER}/logs",
    f"{_TASKMANAGER}/logs/:filename",
    f"{_TASKMANAGER}/metrics",
    f"{_TASKMANAGER}/profiler",
    f"{_TASKMANAGER}/profiler/:filename",
    f"{_TASKMANAGER}/stdout",
    f"{_TASKMANAGER}/thread-dump",
)
"""Paths of GET."""

_OPERATE = (
    # It runs the main method of a program, with arguments of the caller
    ("GET", "/jars/:jarid/plan"),
    # They end a job
    ("GET", f"{_JOB}/yarn-cancel"),
    ("GET", f"{_JOB}/yarn-stop"),
    ("DELETE", "/datasets/:datasetid"),
    ("DELETE", "/jars/:jarid"),
    ("PATCH", _JOB),
    ("PATCH", f"{_JOB}/clientHeartbeat"),
    ("PATCH", f"{_JOB}/rescaling"),
    ("POST", "/applications/:applicationid/cancel"),
    ("POST", "/jars/:jarid/plan"),
    ("POST", "/jars/:jarid/run"),
    ("POST", "/jars/:jarid/run-application"),
    ("POST", "/jars/upload"),
    ("POST", "/jobmanager/profiler"),
    ("POST", "/jobs"),
    ("POST", f"{_JOB}/checkpoints"),
    ("POST", f"{_JOB}/coordinators/:operatorUid"),
    ("POST", f"{_JOB}/savepoints"),
    ("POST", f"{_JOB}/stop"),
    ("POST", "/savepoint-disposal"),
    ("POST", f"{_TASKMANAGER}/profiler"),
    ("PUT", f"{_JOB}/resource-requirements"),
)

TABLE: tuple[Endpoint, ...] = (
    *(Endpoint("GET", path, Right.READ) for path in _READ),
    *(Endpoint(method, path, Right.OPERATE) for method, path in _OPERATE),
    Endpoint("DELETE", "/cluster", Right.NOBODY),
)

HISTORY: tuple[Endpoint, ...] = tuple(
    Endpoint("GET", path, Right.READ)
    for path in _READ
    # Its page asks for the overview, and for metrics of a job's vertices, which it has not: its 404 is no error to
    # show, a refusal is
    if path.startswith(("/applications/", "/config", "/jobs/", "/overview")) and not path.endswith("/log-url")
)
"""Of a HistoryServer: files that it has made of archives, which are read. Where logs are, the door knows by itself."""

# Escapes that a parameter may have: of blanks and signs, and of letters beyond ASCII. Not of what has a meaning in a
# path (% . / ? \), and not of letters and digits, which only somebody escapes who wants to hide them
_ESCAPE = "%(?:2[0-46-9A-Da-d]|3[ABDEabde]|40|5[BDEbde]|60|7[BCDEbcde]|[89A-Fa-f][0-9A-Fa-f])"
# Neither . nor .. nor nothing
_ANYTHING = rf"(?:[0-9A-Za-z_~:@]|{_ESCAPE})(?:[0-9A-Za-z_~:@.+,=!()$&'*-]|{_ESCAPE})*"
_ID, _NUMBER = "[0-9a-fA-F-]{1,64}", "[0-9]{1,19}"
_SEGMENT = "[0-9A-Za-z_:@-][0-9A-Za-z_.:@-]*"
_PARAMETERS = {
    "applicationid": _ID,
    "attempt": _NUMBER,
    "checkpointid": _NUMBER,
    "datasetid": _ID,
    "filename": _ANYTHING,
    # Of Grafana, which has rights of its own
    "grafana": rf"{_SEGMENT}(?:/{_SEGMENT})*",
    "jarid": _ANYTHING,
    "jobid": _ID,
    "label": "[0-9A-Za-z_.:-]{1,200}",
    "operatorUid": _ANYTHING,
    "rescaleuuid": _ID,
    "silenceid": _ID,
    "subtaskindex": _NUMBER,
    "taskmanagerid": _ANYTHING,
    "triggerid": _ID,
    "vertexid": _ID,
}
FILES = r"(?:[0-9A-Za-z_-]+/)*[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)+"
"""Paths of files in folders, whose names have an ending."""
UI = r"(?:[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)+|assets/(?:[0-9A-Za-z_-]+/)*[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)+)?"
"""Files of the web UI, which has no subfolder but `assets`; Flink serves them for GET, and nothing else without a name
in the table."""


def methods(right: Right) -> list[str]:
    """The methods of endpoints with this right, sorted."""
    return sorted({endpoint.method for endpoint in TABLE if endpoint.right is right})


def pattern(right: Right, method: str) -> str:
    """A regular expression (RE2's, and Python's) of the request targets, path and query, with this method and right.
    With or without the version in front, as Flink takes both.
    """
    paths = [_path(each.path) for each in TABLE if (each.right, each.method) == (right, method)]
    api = rf"(?:v1/)?(?:{'|'.join(paths)})"
    return rf"^/(?:{api}{'|' + UI if right is Right.READ else ''})(?:\?.*)?$"


def patterns(right: Right) -> Iterable[tuple[str, str]]:
    """Method and regular expression of all requests with this right."""
    return [(method, pattern(right, method)) for method in methods(right)]


def _path(path: str) -> str:
    parts = path.removeprefix("/").split("/")
    return "/".join(_PARAMETERS[part[1:]] if part.startswith(":") else part for part in parts)


def patterns_below(prefix: str, table: Iterable[Endpoint], right: Right, files: str = "") -> list[tuple[str, str]]:
    """Method and regular expression of all requests with this right to another server whose paths are below `prefix`,
    such as `/prometheus`. `files`: a regular expression of further paths below it that are read.
    """
    found = []
    for method in sorted({each.method for each in table if each.right is right}):
        paths = [_path(each.path) for each in table if (each.right, each.method) == (right, method)]
        if files and (right, method) == (Right.READ, "GET"):
            paths.append(files)
        found.append((method, rf"^{prefix}/(?:{'|'.join(paths)})(?:\?.*)?$"))
    return found

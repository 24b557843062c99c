"""What an operation of the engine would do, in terms of the cluster, read from the engine's events.

There is no other source of values, because the engine masks every secret in its events.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from pulumi import automation as auto

from branches import jobs
from branches.jobs import Fate


class Verdict(Enum):
    """The result of a preview in one word."""

    NONE = "none"
    CHANGES = "changes"
    DANGEROUS = "dangerous"


class Kind(Enum):
    """What happens to a resource, the most severe first."""

    DELETE = "delete"
    REPLACE = "replace"
    RESTART = "restart"
    """An update that restarts a daemon."""
    UPDATE = "update"
    CREATE = "create"
    SAME = "same"

    @property
    def rank(self) -> int:
        """Severity: the most severe has the lowest rank."""
        return _RANKS[self]


_RANKS = {kind: rank for rank, kind in enumerate(Kind)}

_KINDS = {
    "create": Kind.CREATE,
    "import": Kind.CREATE,
    "update": Kind.UPDATE,
    "delete": Kind.DELETE,
    "replace": Kind.REPLACE,
    "create-replacement": Kind.REPLACE,
    "delete-replaced": Kind.REPLACE,
    "import-replacement": Kind.REPLACE,
    "discard": Kind.DELETE,
    "discard-replaced": Kind.REPLACE,
}
"""By the engine's name of an operation; others (`same`, `read`, `refresh`) change nothing."""

HOLDS_DATA = {
    "aws:s3/bucket:Bucket": "the bucket with HA metadata, checkpoints and savepoints",
    "aws:s3/bucketV2:BucketV2": "the bucket with HA metadata, checkpoints and savepoints",
    "aws:ebs/volume:Volume": "a ZooKeeper server's volume",
    "aws:kms/key:Key": "a key that encrypts data",
}
"""Types of resources that cannot be recreated after a deletion, and what they hold."""

_LEFT = "the cluster looks for its jobs in another place, and running jobs are lost to it"
_PREFIX = "config.yaml / all / high-availability."
LEFT_BEHIND = {
    f"{_PREFIX}cluster-id": _LEFT,
    f"{_PREFIX}zookeeper.path.root": _LEFT,
    f"{_PREFIX}type": _LEFT,
    f"{_PREFIX}storageDir": "HA metadata moves to another place, and running jobs still need what is in the old one",
}
"""Settings that determine where a cluster finds its jobs (components/flink/config_yaml.py), by path in `settings`."""

MACHINE = "aws:ec2/instance:Instance"
STEP = "command:remote:Command"
COPY = "command:remote:CopyToRemote"
_LOCAL_STEP = "command:local:Command"
_HOSTS_OWN = {COPY: "scripts", _LOCAL_STEP: "clean"}
"""What else each host has: a copy of the scripts of its steps, and what removes when the host leaves what they
installed. Other copies are files of jobs.
"""
DECLARED = "pulumi:index:Stash"
"""See components/flink/desired_state.py: its input is the cluster's desired state, without secrets."""


_RUNS = re.compile(r" runs=(\w+)$")
"""The part of the `create` of a host's `service` step that identifies what its daemon runs (components/remote.py)."""


@dataclass(frozen=True)
class Line:
    """A line of a difference: the value at `path` (names joined by ` / `) before and after, None if absent."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Resource:
    """What happens to one resource. `host` is the host of a step or a machine, or empty; `component` is its component,
    such as `TaskManager`; `lines` are empty if the change is shown elsewhere, as for the text of scripts.
    """

    name: str
    type: str
    kind: Kind
    component: str
    host: str = ""
    properties: tuple[str, ...] = ()
    """Changed inputs, for an update or a replacement."""
    lines: tuple[Line, ...] = ()
    danger: str = ""
    """What would be lost; empty if nothing."""

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "type": self.type,
            "change": self.kind.value,
            "component": self.component,
            "host": self.host or None,
            "properties": list(self.properties),
            "danger": self.danger or None,
        }


@dataclass
class Changes:
    """Everything that would be done."""

    resources: list[Resource] = field(default_factory=list)
    """Those that change, the most severe change first."""
    same: int = 0
    settings: list[Line] = field(default_factory=list)
    """Changed settings of the cluster, each once however many hosts use it."""
    jobs: dict[str, Fate] = field(default_factory=dict)
    """What becomes of declared jobs that change, by name."""
    warnings: list[str] = field(default_factory=list)
    """What would be lost, as sentences."""

    @property
    def verdict(self) -> Verdict:
        """The most severe result."""
        if self.warnings:
            return Verdict.DANGEROUS
        return Verdict.CHANGES if self.resources else Verdict.NONE

    @property
    def restarts(self) -> list[str]:
        """Names of hosts whose daemon restarts, sorted."""
        return sorted({one.host for one in self.resources if one.kind is Kind.RESTART}, key=by_number)

    def of(self, kind: Kind) -> list[Resource]:
        """The resources with this kind of change."""
        return [one for one in self.resources if one.kind is kind]

    def json(self) -> dict[str, Any]:
        """For programs: `verdict`, `counts` by change, `restarts` (hosts), `warnings`, `settings`, `jobs`,
        `resources`.
        """
        return {
            "verdict": self.verdict.value,
            "counts": {kind.value: len(self.of(kind)) for kind in Kind if kind is not Kind.SAME} | {"same": self.same},
            "restarts": self.restarts,
            "warnings": self.warnings,
            "settings": [{"setting": line.path, "old": line.old, "new": line.new} for line in self.settings],
            "jobs": {name: fate.what for name, fate in self.jobs.items()},
            "resources": [one.json() for one in self.resources],
        }


def read(events: Iterable[auto.EngineEvent]) -> Changes:
    """The changes in the events of a preview or another operation."""
    found = Changes()
    steps: dict[str, Resource] = {}
    for event in events:
        if event.resource_pre_event:
            _step(found, steps, event.resource_pre_event.metadata)
    found.resources = sorted(steps.values(), key=lambda one: (one.kind.rank, one.component, by_number(one.name)))
    found.warnings = _warnings(found)
    return found


def by_number(name: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key for any names: tm-9 before tm-10, and both before tm-a. Numbers may be as long as they like."""
    return tuple(
        (False, len(part.lstrip("0")), part) if part.isascii() and part.isdecimal() else (True, 0, part)
        for part in name.split("-")
    )


def _step(found: Changes, steps: dict[str, Resource], event: auto.StepEventMetadata) -> None:
    """Record one step. A replacement is several steps of one resource: the most severe one is kept."""
    kind = _KINDS.get(str(getattr(event.op, "value", event.op)), Kind.SAME)
    if not _real(event):
        return  # a component only groups its children
    if kind is Kind.SAME:
        found.same += event.urn not in steps
        return
    resource = _resource(event, kind)
    if event.type == DECLARED:
        _declared(found, event, resource)
    before = steps.get(event.urn)
    if before is None or resource.kind.rank < before.kind.rank:
        steps[event.urn] = resource


def _declared(found: Changes, event: auto.StepEventMetadata, resource: Resource) -> None:
    if not resource.name.startswith(jobs.PREFIX):
        found.settings += resource.lines
        return
    name = resource.name.removeprefix(jobs.PREFIX)
    found.settings += [replace(line, path=f"job {name} / {line.path}") for line in resource.lines]
    found.jobs[name] = jobs.fate(_shown(event.type, _inputs(event.old)), _shown(event.type, _inputs(event.new)))


def _real(event: auto.StepEventMetadata) -> bool:
    state = event.new or event.old
    return bool(state and state.custom) and not event.type.startswith("pulumi:providers:")


def _resource(event: auto.StepEventMetadata, kind: Kind) -> Resource:
    old, new = _inputs(event.old), _inputs(event.new)
    name = event.urn.rpartition("::")[2]
    host = _host(event.type, name)
    properties: tuple[str, ...] = ()
    lines: tuple[Line, ...] = ()
    if kind in (Kind.UPDATE, Kind.REPLACE):
        properties = tuple(sorted(event.diffs or event.keys or ()))
        lines = tuple(_difference(_shown(event.type, old), _shown(event.type, new)))
    if kind is Kind.UPDATE and _restarts(event.type, name, old, new):
        kind = Kind.RESTART
    danger = ""
    if kind in (Kind.DELETE, Kind.REPLACE):
        danger = HOLDS_DATA.get(event.type, "a protected resource" if event.old and event.old.protect else "")
    return Resource(name, event.type, kind, _component(event), host, properties, lines, danger)


def _inputs(state: auto.StepEventStateMetadata | None) -> dict[str, Any]:
    return dict(state.inputs or {}) if state else {}


def _host(kind: str, name: str) -> str:
    """`tm-0` for its steps, such as `tm-0-config`, and for its machine."""
    host, _, what = name.rpartition("-")
    if kind == STEP or _HOSTS_OWN.get(kind) == what:
        return host
    return name if kind == MACHINE else ""


def _component(event: auto.StepEventMetadata) -> str:
    """Type of the parent component: `TaskManager`. For a host's own steps the role is more informative."""
    state = event.new or event.old
    kind = (state.parent if state else "").split("::")[-2:][0].split("$")[-1].split(":")[-1]
    role = {"jm": "JobManager", "tm": "TaskManager", "zk": "ZooKeeper"}.get(
        _host(event.type, event.urn.rpartition("::")[2]).partition("-")[0]
    )
    return role or ("Stack" if kind in ("", "Stack") else kind)


def _restarts(kind: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether this restarts a daemon because it must run something else. All other steps write files, or check."""
    if kind != STEP or name.rpartition("-")[2] != "service":
        return False
    before, after = _runs(old), _runs(new)
    # A value that is unknown during the preview may be a change
    return before is None or before != after


def _runs(inputs: Mapping[str, Any]) -> str | None:
    """What a daemon runs, as a hash; None if its step does not state it, or it is unknown."""
    match = _RUNS.search(str(inputs.get("create")))
    return match[1] if match else None


def _shown(kind: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs that are informative. Those of steps are scripts, whose settings are shown once elsewhere."""
    if kind.startswith("command:"):
        return {}
    if kind == DECLARED:
        declared = inputs.get("input")
        if not isinstance(declared, Mapping):
            return {}
        # An argument alone, such as 60, says nothing
        arguments = declared.get("args")
        return {**declared, "args": shlex.join(map(str, arguments))} if isinstance(arguments, list) else declared
    return {key: value for key, value in inputs.items() if not key.startswith("__")}


def _difference(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[Line]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _difference(old.get(key), new.get(key), (*path, str(key)))
    elif isinstance(old, Mapping) and new is None:
        for key, value in old.items():
            yield from _difference(value, None, (*path, str(key)))
    elif isinstance(new, Mapping) and old is None:
        for key, value in new.items():
            yield from _difference(None, value, (*path, str(key)))
    elif isinstance(old, list) and isinstance(new, list) and not any(isinstance(one, Mapping) for one in [*old, *new]):
        # One more host in a list of a hundred is one line
        yield from (Line(" / ".join(path), one, None) for one in old if one not in new)
        yield from (Line(" / ".join(path), None, one) for one in new if one not in old)
        if sorted(map(str, old)) == sorted(map(str, new)) and old != new:
            yield Line(" / ".join(path), old, new)
    elif old != new:
        yield Line(" / ".join(path), old, new)


def _warnings(found: Changes) -> list[str]:
    warnings = [
        f"{one.name} ({one.type}) is {'deleted' if one.kind is Kind.DELETE else 'replaced'}: {one.danger}"
        for one in found.resources
        if one.danger
    ]
    warnings += [
        f"{line.path.rpartition(' / ')[2]} changes: {LEFT_BEHIND[line.path]}"
        for line in found.settings
        if line.path in LEFT_BEHIND and line.old is not None
    ]
    return warnings + [f"job {name} {fate.what}" for name, fate in sorted(found.jobs.items()) if fate.lost]

"""What an operation of the engine would do, as people talk about it: read from the engine's own events.

Nothing else is a source of values here: the engine has masked every secret in its events.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pulumi import automation as auto


class Verdict(Enum):
    """The whole of a preview in a word."""

    NONE = "none"
    CHANGES = "changes"
    DANGEROUS = "dangerous"


class Kind(Enum):
    """What happens to a resource, the worst first."""

    DELETE = "delete"
    REPLACE = "replace"
    RESTART = "restart"
    """An update after which a daemon runs another process."""
    UPDATE = "update"
    CREATE = "create"
    SAME = "same"

    @property
    def rank(self) -> int:
        """The worst has the lowest."""
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
"""By the engine's word for a step; a step of another kind (`same`, `read`, `refresh`) changes nothing."""

HOLDS_DATA = {
    "aws:s3/bucket:Bucket": "the bucket with HA metadata, checkpoints and savepoints",
    "aws:s3/bucketV2:BucketV2": "the bucket with HA metadata, checkpoints and savepoints",
    "aws:ebs/volume:Volume": "a ZooKeeper server's volume",
    "aws:kms/key:Key": "a key that data is encrypted with",
}
"""Types of what cannot be made again once it is gone, and what it is."""

_LEFT = "jobs are looked up elsewhere, and those that run are left behind"
_PREFIX = "config.yaml / all / high-availability."
LEFT_BEHIND = {
    f"{_PREFIX}cluster-id": _LEFT,
    f"{_PREFIX}zookeeper.path.root": _LEFT,
    f"{_PREFIX}type": _LEFT,
    f"{_PREFIX}storageDir": "what jobs need after a failure goes elsewhere from now on; what is there is still needed",
}
"""Settings by which a cluster finds its jobs again (components/flink/config_yaml.py), by their line in `settings`."""

_MACHINE = "aws:ec2/instance:Instance"
_STEP = "command:remote:Command"
_LOCAL_STEP = "command:local:Command"
"""Of a host's it is `clean`, which takes away what the others made when the host leaves."""
_DECLARED = "pulumi:index:Stash"
"""Of components/flink/desired_state.py: its input is what the cluster is declared to be, without a secret."""
_MARK = ("wants=", "unit=")
"""Lines of the script of a host's `service` step (components/flink/daemon.py) that say what its daemon is to run."""


@dataclass(frozen=True)
class Line:
    """A line of a difference: a value `path` (names joined by ` / `) before and after, None where there is none."""

    path: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Resource:
    """What happens to one resource. `host` is that of a step or a machine, or empty; `component` is what it belongs to,
    such as `TaskManager`; `lines` are empty for what is shown elsewhere, such as scripts' texts.
    """

    name: str
    type: str
    kind: Kind
    component: str
    host: str = ""
    properties: tuple[str, ...] = ()
    """Inputs that differ, for an update or a replacement."""
    lines: tuple[Line, ...] = ()
    danger: str = ""
    """What is lost by it; empty if nothing is."""

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
    """All that would be done."""

    resources: list[Resource] = field(default_factory=list)
    """Those that do not stay the same, the worst first."""
    same: int = 0
    settings: list[Line] = field(default_factory=list)
    """Of the cluster, each once however many hosts take it."""
    warnings: list[str] = field(default_factory=list)
    """What would be lost, in words."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        if self.warnings:
            return Verdict.DANGEROUS
        return Verdict.CHANGES if self.resources else Verdict.NONE

    @property
    def restarts(self) -> list[str]:
        """Names of hosts whose daemon restarts, in the order of names."""
        return sorted({one.host for one in self.resources if one.kind is Kind.RESTART}, key=by_number)

    def of(self, kind: Kind) -> list[Resource]:
        """Those of a kind."""
        return [one for one in self.resources if one.kind is kind]

    def json(self) -> dict[str, Any]:
        """For programs: `verdict`, `counts` by change, `restarts` (hosts), `warnings`, `settings`, `resources`."""
        return {
            "verdict": self.verdict.value,
            "counts": {kind.value: len(self.of(kind)) for kind in Kind if kind is not Kind.SAME} | {"same": self.same},
            "restarts": self.restarts,
            "warnings": self.warnings,
            "settings": [{"setting": line.path, "old": line.old, "new": line.new} for line in self.settings],
            "resources": [one.json() for one in self.resources],
        }


def read(events: Iterable[auto.EngineEvent]) -> Changes:
    """What the events of a preview, or of another operation, say."""
    found = Changes()
    steps: dict[str, Resource] = {}
    for event in events:
        if event.resource_pre_event:
            _step(found, steps, event.resource_pre_event.metadata)
    found.resources = sorted(steps.values(), key=lambda one: (one.kind.rank, one.component, by_number(one.name)))
    found.warnings = _warnings(found)
    return found


def by_number(name: str) -> tuple[str | int, ...]:
    """For sorting names: tm-9 before tm-10."""
    return tuple(int(part) if part.isdigit() else part for part in name.split("-"))


def _step(found: Changes, steps: dict[str, Resource], event: auto.StepEventMetadata) -> None:
    """Take one step. A replacement is several steps of one resource: the worst of them stays."""
    kind = _KINDS.get(str(getattr(event.op, "value", event.op)), Kind.SAME)
    if not _real(event):
        return  # a component is only a name for what is in it
    if kind is Kind.SAME:
        found.same += event.urn not in steps
        return
    resource = _resource(event, kind)
    if event.type == _DECLARED and resource.lines:
        found.settings = list(resource.lines)
    before = steps.get(event.urn)
    if before is None or resource.kind.rank < before.kind.rank:
        steps[event.urn] = resource


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
        danger = HOLDS_DATA.get(event.type, "what is protected" if event.old and event.old.protect else "")
    return Resource(name, event.type, kind, _component(event), host, properties, lines, danger)


def _inputs(state: auto.StepEventStateMetadata | None) -> dict[str, Any]:
    return dict(state.inputs or {}) if state else {}


def _host(kind: str, name: str) -> str:
    """`tm-0` of its steps, such as `tm-0-config`, and of its machine."""
    host, _, what = name.rpartition("-")
    if kind == _STEP or (kind == _LOCAL_STEP and what == "clean"):
        return host
    return name if kind == _MACHINE else ""


def _component(event: auto.StepEventMetadata) -> str:
    """The kind of the component that it is a child of: `TaskManager`; of a host's own steps its role tells more."""
    state = event.new or event.old
    kind = (state.parent if state else "").split("::")[-2:][0].split("$")[-1].split(":")[-1]
    role = {"jm": "JobManager", "tm": "TaskManager", "zk": "ZooKeeper"}.get(
        _host(event.type, event.urn.rpartition("::")[2]).partition("-")[0]
    )
    return role or ("Stack" if kind in ("", "Stack") else kind)


def _restarts(kind: str, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a daemon restarts by this: it is told to run something else. Every other step writes files, or looks."""
    if kind != _STEP or name.rpartition("-")[2] != "service":
        return False
    before, after = str(old.get("stdin", "")), str(new.get("stdin", ""))
    return _told(before) != _told(after)


def _told(script: str) -> list[str]:
    """What a `service` step's script says of its daemon: what is expected, and the unit's text. A script that is not
    known yet tells itself.
    """
    lines = script.splitlines()
    marked = [line for line in lines if line.startswith(_MARK)]
    if not marked:
        return lines
    begin = next((index for index, line in enumerate(lines) if line == "write_files() {"), len(lines))
    end = next((index for index in range(begin, len(lines)) if lines[index] == "}"), begin)
    return [*marked, *lines[begin:end]]


def _shown(kind: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs whose values say something to a reader; those of steps are scripts, whose settings are shown once."""
    if kind.startswith("command:"):
        return {}
    if kind == _DECLARED:
        declared = inputs.get("input")
        return declared if isinstance(declared, Mapping) else {}
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
        # A host more in a list of a hundred is one line
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
    return warnings

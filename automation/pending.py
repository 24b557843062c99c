"""Pending operations: what an engine was doing when it was killed, so that nobody knows the result.

The engine keeps them in the state and warns about them in every run. For a pending creation `pulumi refresh` asks what
became of it, forgets it (`--clear-pending-creates`), or needs the ids (`--import-pending-creates`). Ours can be settled
without questions: a step on a host is idempotent, so it is simply run again; what AWS created before the engine could
record it is found by its tags, and adopted into the state.
"""

import copy
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from automation.stack import Stack
from automation.steps import Recorder
from automation.words import some

CREATING = "creating"
"""The one kind of operation that can leave a resource which the state does not know."""

REPEATABLE = ("command", "pulumi", "tls")
"""Packages whose creations leave nothing that has to be found: a command runs again, the others make values."""

SHOWN = 5
"""Maximum number of operations that a message names."""

Found = Mapping[str, Sequence[str]]
"""Ids of what may be the result of a pending creation, by the URN of its resource."""

Find = Callable[[Mapping[str, Any], Sequence["Operation"]], Found]
"""Looks for the results of these pending creations of a deployment. Raises PendingError if it cannot."""


class PendingError(Exception):
    """Pending operations were not settled, and the state is as before; the message states the reason."""


class ChangedError(PendingError):
    """Another run is working on the stack."""


@dataclass(frozen=True)
class Operation:
    """A pending operation."""

    kind: str
    """`creating`, `updating`, `deleting`, `reading` or `importing`."""
    resource: Mapping[str, Any]
    """The resource as the state has it."""

    @property
    def urn(self) -> str:
        """Its resource's URN."""
        return str(self.resource["urn"])

    @property
    def type(self) -> str:
        """Its resource's type."""
        return str(self.resource["type"])

    @property
    def name(self) -> str:
        """Its resource's name."""
        return self.urn.rpartition("::")[2]

    @property
    def repeatable(self) -> bool:
        """Whether the next `up` or `destroy` can simply do it again: nothing else than the state knows the resource."""
        return (
            self.kind != CREATING or not self.resource.get("custom", False) or self.type.partition(":")[0] in REPEATABLE
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


@dataclass
class Plan:
    """How a state continues without pending operations."""

    deployment: dict[str, Any]
    """Without them, and with what was adopted."""
    cleared: list[Operation] = field(default_factory=list)
    """They run again, if they are still needed; nothing was found that they have created."""
    adopted: list[tuple[Operation, str]] = field(default_factory=list)
    """Creations that were completed, and the ids of their resources."""
    unclear: list[tuple[Operation, Sequence[str]]] = field(default_factory=list)
    """Creations that may have been completed, but cannot be adopted, with the ids of what was found."""
    unread: list[str] = field(default_factory=list)
    """URNs of what an earlier run adopted, without the refresh that has to follow."""
    copy: Path | None = None
    """The copy of the state before, once it was changed."""

    def __bool__(self) -> bool:
        return bool(self.cleared or self.adopted or self.unclear or self.unread)

    def lines(self) -> list[str]:
        """For people: one line, and one more for everything that cannot be adopted."""
        parts = []
        if self.cleared:
            parts.append(f"{_count(self.cleared, 'operation')} cleared, to run again if needed ({_some(self.cleared)})")
        if self.adopted:
            named = ", ".join(f"{operation.name} {id}" for operation, id in self.adopted)
            parts.append(f"{_count(self.adopted, 'created resource')} adopted into the state ({named})")
        if self.unread:
            named = ", ".join(urn.rpartition("::")[2] for urn in self.unread)
            parts.append(f"{_count(self.unread, 'resource')} adopted before, now refreshed ({named})")
        if self.copy:
            parts.append(f"copy of the state before: {self.copy}")
        return [f"an earlier run was killed: {'; '.join(parts)}"] * bool(parts) + [
            f"NOT ADOPTED: {operation.type} {operation.name}: {' '.join(ids)}, found by the stack's tags, may have "
            "been created by a killed run, and cannot be told from each other or from what the state has. Delete what "
            "is surplus: `python -m ops orphans` lists it with the commands"
            for operation, ids in self.unclear
        ]


def operations(deployment: Mapping[str, Any]) -> list[Operation]:
    """The pending operations of a deployment."""
    return [Operation(it["type"], it["resource"]) for it in deployment.get("pending_operations") or []]


def unread(deployment: Mapping[str, Any]) -> list[str]:
    """URNs of adopted resources of which a refresh has not read the outputs yet. No mark is needed: their outputs still
    have exactly the keys that `_adopt` gives them, while a plugin adds some and does not keep all inputs.
    """
    return [
        it["urn"]
        for it in deployment.get("resources") or []
        if it.get("id")
        and not it.get("delete")
        and not Operation(CREATING, it).repeatable
        and set(it.get("outputs") or {}) == {*(it.get("inputs") or {}), "id"}
    ]


def plan(deployment: Mapping[str, Any], find: Find | None = None) -> Plan:
    """How the deployment continues. Raises PendingError if somebody must look for a resource, and `find` cannot."""
    found = Plan(copy.deepcopy(dict(deployment)), unread=unread(deployment))
    pending = operations(deployment)
    unknown = [it for it in pending if not it.repeatable]
    ids: Found = {}
    if unknown:
        if find is None:
            raise PendingError(f"nobody can look for what these operations have created: {_some(unknown)}")
        ids = find(deployment, unknown)
    for operation in pending:
        there = ids.get(operation.urn, ())
        if not there:
            found.cleared.append(operation)
        elif len(there) == 1 and _adopt(found.deployment, operation, there[0]):
            found.adopted.append((operation, there[0]))
        else:
            found.unclear.append((operation, there))
    found.deployment.pop("pending_operations", None)
    return found


def settle(stack: Stack, copies: Path, find: Find | None = None) -> Plan:
    """Remove the pending operations from the state of a stack, and adopt what they have created.

    The state before is copied to the folder `copies`. Nothing happens without pending operations, unless an earlier run
    ended before it had refreshed what it adopted: then that is refreshed. Raises PendingError, and auto.CommandError if
    somebody has the stack locked, with the state as before; or if the refresh fails: then the next run repeats it.
    """
    exported = stack.exported()
    found = plan(exported.get("deployment") or {}, find)
    if not found:
        return found
    if found.cleared or found.adopted or found.unclear:
        found.copy = _copy(copies, stack.name, exported)
        # `stack import` has the lock for itself only: nobody may have worked on the stack since it was exported
        if stack.exported() != exported:
            raise ChangedError(f"stack {stack.name}: its state changed meanwhile: another run is working on it")
        stack.pulumi("stack", "import", stdin=json.dumps({**exported, "deployment": found.deployment}))
    # Of what was adopted the state has only what was asked for, and its id. Pending operations cannot stay until the
    # refresh has succeeded, since `stack import` drops them all
    if targets := list(dict.fromkeys([*found.unread, *(operation.urn for operation, _ in found.adopted)])):
        stack.refresh(Recorder(), targets=targets)
    return found


def copies(home: str | None = None) -> Path:
    """The folder for copies of states, in the engine's home."""
    return Path(home or os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "flink-states"


def _copy(folder: Path, name: str, exported: Mapping[str, Any]) -> Path:
    """Secrets in it are encrypted as in the backend."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(exported))
    return path


def _adopt(deployment: dict[str, Any], operation: Operation, id: str) -> bool:
    """Add the resource as if its creation had been recorded. False if the state already has another one that does not
    look as if this one should replace it.
    """
    resources = deployment.setdefault("resources", [])
    new = {**copy.deepcopy(dict(operation.resource)), "id": id}
    # Not empty, so that a plugin takes it for a resource to be refreshed and keeps the inputs of the program
    new["outputs"] = {**copy.deepcopy(new.get("inputs") or {}), "id": id}
    old = next((it for it in resources if it["urn"] == operation.urn and not it.get("delete")), None)
    if old is not None and old.get("pendingReplacement"):
        resources[resources.index(old)] = new  # has been deleted, to be replaced by this one
        return True
    if old is not None:
        if _same(old.get("inputs"), new.get("inputs")):
            return False
        old["delete"] = True  # replaced by this one, and to be deleted
    resources.insert(_position(resources, new), new)
    return True


def _same(one: Any, other: Any) -> bool:
    """Whether inputs are equal, apart from what the plugin adds."""

    def plain(inputs: Any) -> dict[str, Any]:
        return {key: value for key, value in (inputs or {}).items() if not key.startswith("__")}

    return plain(one) == plain(other)


def _position(resources: Sequence[Mapping[str, Any]], new: Mapping[str, Any]) -> int:
    """The first place where all that it depends on, and what it replaces, comes before it."""
    before: set[str] = {new["urn"], new.get("parent", ""), new.get("provider", "").rpartition("::")[0]}
    before |= _urns(new.get("dependencies")) | {
        urn for urns in (new.get("propertyDependencies") or {}).values() for urn in _urns(urns)
    }
    before.add(new.get("deletedWith", ""))
    return max((place + 1 for place, it in enumerate(resources) if it["urn"] in before), default=len(resources))


def _urns(value: Collection[str] | None) -> set[str]:
    return set(value or ())


def _count(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'s' * (len(found) != 1)}"


def _some(found: Sequence[Operation]) -> str:
    return some([str(it) for it in found], SHOWN)

"""The hosts in a stack's state: their connections, and the steps that installed them."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi.automation import CommandError, ConcurrentUpdateError

from automation.engine import Engine, EngineError, stderr
from automation.stack import Stack
from automation.workspace import Workspace
from components import private_key
from components.flink.desired_state import HIGH_AVAILABILITY
from components.host import Role
from components.openssh import Login
from ops.errors import OpsError

EXPORT_SECONDS = 120

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Marks special values in Pulumi's state; that of a secret contains `plaintext`, encoded as JSON again."""

_HEAD = re.compile(r"# host (\S+), step (\S+)\n")


@dataclass(frozen=True)
class Step:
    """A step on a host: the resource's name and its script."""

    name: str
    text: str


@dataclass(frozen=True)
class Host:
    """A host of a stack."""

    name: str
    login: Login
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class HighAvailability:
    """Where a cluster stores what its JobManagers share."""

    cluster_id: str
    storage: str
    """Flink's high-availability.storageDir."""
    quorum: str
    root: str


def export(stack: str, folder: Path, *, secrets: bool) -> dict[str, Any]:
    """The deployment of a stack of the project in `folder`. Raises OpsError with the engine's message."""
    with _reported(f"stack export --stack {stack}"):
        return Workspace(folder, Engine()).export(stack, secrets=secrets, seconds=EXPORT_SECONDS)


def stacks(folder: Path) -> list[str]:
    """The stacks of the project in `folder` in its backend, except empty ones."""
    with _reported("stack ls"):
        found = json.loads(Workspace(folder, Engine()).pulumi("stack", "ls", "--json", seconds=EXPORT_SECONDS))
    return [str(entry["name"]) for entry in found if entry.get("resourceCount") != 0]


@contextlib.contextmanager
def opened(stack: str, folder: Path) -> Iterator[Stack]:
    """A stack of the project in `folder`, for operations that need only its state. Raises OpsError as `export`."""
    with _reported(f"stack --stack {stack}"):
        yield Stack(stack, Workspace(folder, Engine()))


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise OpsError(f"{error}: README.md links to its installation") from None
    except subprocess.TimeoutExpired:
        raise OpsError(f"`pulumi {what}` took longer than {EXPORT_SECONDS} s") from None
    except ConcurrentUpdateError as error:
        raise OpsError(
            f"the stack is locked by another run:\n{stderr(error)}\nWait until it has ended. If it was killed and no "
            "longer exists: `pulumi cancel`, then the same command again"
        ) from None
    except CommandError as error:
        raise OpsError(f"`pulumi {what}` failed:\n{stderr(error)}") from None


def hosts(deployment: Mapping[str, Any]) -> list[Host]:
    """The hosts of a deployment that was exported with its secrets, sorted by name."""
    logins: dict[str, Login] = {}
    steps: dict[str, list[Step]] = {}
    for name, inputs in commands(deployment):
        text = inputs.get("stdin") or ""
        if match := _HEAD.match(text):
            logins[match[1]] = _login(inputs["connection"])
            steps.setdefault(match[1], []).append(Step(name, text))
    return [Host(name, logins[name], tuple(steps[name])) for name in sorted(steps, key=lambda name: (len(name), name))]


def jobmanagers(deployment: Mapping[str, Any]) -> list[Host]:
    """The hosts of the JobManagers, of a deployment that was exported with its secrets."""
    names = {name for tree in declarations(deployment) for name in tree.get("hosts", {}).get(Role.JOBMANAGER.value, ())}
    return [host for host in hosts(deployment) if host.name in names]


def roles(deployment: Mapping[str, Any]) -> dict[str, Role]:
    """Host name → role, of a deployment."""
    return {
        name: Role(role)
        for tree in declarations(deployment)
        for role, names in tree.get("hosts", {}).items()
        for name in names
    }


def clusters(deployment: Mapping[str, Any]) -> list[HighAvailability]:
    """The clusters with high availability in a deployment, as the program declares them.

    Raises OpsError if there are hosts, but no declaration of their cluster.
    """
    trees = declarations(deployment)
    if not trees and any(True for _ in commands(deployment)):
        raise OpsError("a stack's state does not contain the desired state: run `pulumi up` with this version")
    return [found for tree in trees if (found := _high_availability(tree))]


def _high_availability(tree: Mapping[str, Any]) -> HighAvailability | None:
    known = tree.get("highAvailability")
    if known is None:
        # A state of an earlier version. If its cluster were unknown, its objects would look like those of a dead one
        common = tree.get("config.yaml", {}).get("all", {})
        known = {name: common.get(key) for name, key in HIGH_AVAILABILITY.items()}
    if not known.get("storageDir") or not known.get("quorum"):
        return None
    return HighAvailability(
        cluster_id=known["clusterId"].strip("/"),
        storage=known["storageDir"],
        quorum=known["quorum"],
        root=known["pathRoot"],
    )


def declarations(deployment: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The desired states of the clusters of a deployment (components/flink/desired_state.py)."""
    return [
        _plain(resource["inputs"]["input"])
        for resource in deployment.get("resources", [])
        if resource["type"] == "pulumi:index:Stash"
        and resource["urn"].endswith("-declared")
        and not resource.get("delete")
    ]


def commands(deployment: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Name and inputs of each command on a host, except those that are pending deletion."""
    for resource in deployment.get("resources", []):
        if resource["type"] == "command:remote:Command" and not resource.get("delete"):
            yield resource["urn"].rpartition("::")[2], _plain(resource.get("inputs", {}))


def _plain(value: Any) -> Any:
    """The value without marks of secrets; None if it was not decrypted."""
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return _plain(json.loads(value["plaintext"])) if "plaintext" in value else None
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _login(connection: Mapping[str, Any]) -> Login:
    proxy = connection.get("proxy")
    return Login(
        address=connection["host"],
        user=connection["user"],
        port=int(connection["port"]),
        private_key=private_key.for_openssh(connection["privateKey"]),
        host_key=connection["hostKey"],
        jump=_login(proxy) if proxy else None,
    )

"""What a stack's state knows of its hosts: how to log in, and the steps that made them what they are."""

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pulumi.automation import CommandError

from automation.engine import Engine, EngineError, stderr
from automation.workspace import Workspace
from components.openssh import Login
from ops.errors import OpsError

EXPORT_SECONDS = 120

_SIGNATURE = "4dabf18193072939515e22adb298388d"
"""Marks special values in Pulumi's states; that of a secret has `plaintext` in it, JSON once more."""

_HEAD = re.compile(r"# host (\S+), step (\S+)\n")
_FILE = re.compile(r"^  write_file (\S+) \S+ \S+ <<'(\w+)'\n(.*?)^\2$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A step on a host: the resource's name and the text that it ran."""

    name: str
    text: str

    def file(self, path: str) -> str | None:
        """The text of a file that the step writes."""
        return next((text for name, _, text in _FILE.findall(self.text) if name == path), None)


@dataclass(frozen=True)
class Host:
    """A host of a stack."""

    name: str
    login: Login
    steps: tuple[Step, ...]

    def runs(self, script: str) -> bool:
        """Whether one of its steps is a script of `host_scripts`."""
        return any(match[2] == script for step in self.steps if (match := _HEAD.match(step.text)))


@dataclass(frozen=True)
class HighAvailability:
    """Where a cluster keeps what its JobManagers share."""

    cluster_id: str
    storage: str
    """Flink's high-availability.storageDir."""
    quorum: str
    root: str


def export(stack: str, folder: Path, *, secrets: bool, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The deployment of a stack of the project in `folder`. Raises OpsError with what the engine says."""
    with _reported(f"stack export --stack {stack}"):
        return Workspace(folder, Engine(), variables=env).export(stack, secrets=secrets, seconds=EXPORT_SECONDS)


def stacks(folder: Path, env: Mapping[str, str] | None = None) -> list[str]:
    """The stacks of the project in `folder` that its backend has, but for empty ones."""
    with _reported("stack ls"):
        found = json.loads(
            Workspace(folder, Engine(), variables=env).pulumi("stack", "ls", "--json", seconds=EXPORT_SECONDS)
        )
    return [str(entry["name"]) for entry in found if entry.get("resourceCount") != 0]


@contextlib.contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except EngineError as error:
        raise OpsError(f"{error}: README says where to get it") from None
    except subprocess.TimeoutExpired:
        raise OpsError(f"`pulumi {what}` takes longer than {EXPORT_SECONDS} s") from None
    except CommandError as error:
        raise OpsError(f"`pulumi {what}` failed:\n{stderr(error)}") from None


def hosts(deployment: Mapping[str, Any]) -> list[Host]:
    """The hosts of a deployment, exported with its secrets, in the order of their names."""
    logins: dict[str, Login] = {}
    steps: dict[str, list[Step]] = {}
    for name, inputs in commands(deployment):
        text = inputs.get("stdin") or ""
        if match := _HEAD.match(text):
            logins[match[1]] = _login(inputs["connection"])
            steps.setdefault(match[1], []).append(Step(name, text))
    return [Host(name, logins[name], tuple(steps[name])) for name in sorted(steps, key=lambda name: (len(name), name))]


def high_availability(deployment: Mapping[str, Any]) -> HighAvailability | None:
    """From the configuration that a JobManager was given; None if there is none, or no high availability."""
    for _, inputs in commands(deployment):
        text = inputs.get("stdin")
        content = Step("", text).file("/etc/flink/config.yaml") if isinstance(text, str) else None
        config = yaml.safe_load(content) if content else {}
        if "high-availability.storageDir" in config:
            return HighAvailability(
                cluster_id=config["high-availability.cluster-id"].strip("/"),
                storage=config["high-availability.storageDir"],
                quorum=config["high-availability.zookeeper.quorum"],
                root=config["high-availability.zookeeper.path.root"],
            )
    return None


def commands(deployment: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """Name and inputs of each command on a host; those that are waiting to be deleted are not of interest."""
    for resource in deployment.get("resources", []):
        if resource["type"] == "command:remote:Command" and not resource.get("delete"):
            yield resource["urn"].rpartition("::")[2], _plain(resource.get("inputs", {}))


def _plain(value: Any) -> Any:
    """The value without marks of secrets; one that was not decrypted is None."""
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
        private_key=connection["privateKey"],
        host_key=connection["hostKey"],
        jump=_login(proxy) if proxy else None,
    )

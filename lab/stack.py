"""This project's program on a lab's hosts, run by the real Pulumi engine.

The Automation API runs `__main__.py` as an inline program: that needs no language host, which is on no package
registry (docs/decisions). State, passphrase and the stack's whole configuration stay in the lab's folder; the
repository's own files are only read.
"""

import contextlib
import hashlib
import json
import os
import runpy
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from lab import console, engine
from lab.archives import Archives
from lab.command_plugin import install
from lab.command_plugin.provider import STAND_IN
from lab.errors import LabError
from lab.lab import Lab
from lab.paths import REPO
from lab.tasks import CommandError, command

COMMAND_PLUGIN = "v1.2.1"
"""Of the version that requirements.in pins."""

DOWNLOAD_SECONDS = 20
"""How long the official plugin may take to arrive: a machine that is cut off should not wait for it."""

PARALLEL = 4 * (os.cpu_count() or 2)
"""Steps at once. Real hosts bring processors of their own; a lab's share this machine's, and crowding costs time."""

SECRET_KEY = "flink:storageSecretKey"


@dataclass
class Steps:
    """What an operation did: kind by resource name, and from when to when each ran (seconds from the beginning)."""

    operations: dict[str, str] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    diagnostics: list[str] = field(default_factory=list)

    def changed(self) -> list[str]:
        """Names of the commands that ran."""
        return sorted(name for name, kind in self.operations.items() if kind != "same")


def configuration(lab: Lab, archives: Archives, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The stack's configuration without its secret: Pulumi.local.yaml, what the lab knows, then `overrides`
    (`flink:key`).
    """
    base: dict[str, Any] = yaml.safe_load((REPO / "Pulumi.local.yaml").read_text())["config"]
    s3 = lab.s3
    known = {
        "flink:inventory": str(lab.dir / "inventory.yaml"),
        "flink:operatorCidrs": [f"{lab.gateway}/32"],
        "flink:storageUri": f"s3://{s3.bucket}/{lab.name}",
        "flink:storageEndpoint": s3.endpoint,
        "flink:storageRegion": s3.region,
        "flink:storageAccessKey": s3.access_key,
    }
    for name in ("flink", "zookeeper", "java"):
        archive = getattr(archives, name)
        known[f"flink:{name}Version"] = archive.version
        known[f"flink:{name}Url"] = f"{lab.mirror_url}/{archive.path.name}"
        known[f"flink:{name}Checksum"] = f"sha512:{archive.sha512}"
    return {**base, **known, **(overrides or {})}


def workers() -> int:
    """How many TaskManagers Pulumi.local.yaml asks for."""
    return int(yaml.safe_load((REPO / "Pulumi.local.yaml").read_text())["config"]["flink:workers"])


class LabStack:
    """The stack of one lab; its name is the lab's."""

    def __init__(self, lab: Lab, archives: Archives, overrides: Mapping[str, Any] | None = None) -> None:
        self.lab = lab
        self.folder = lab.dir / "pulumi"
        self.project = self.folder / "project"
        self.file = self.project / f"Pulumi.{lab.name}.yaml"
        self._pulumi = engine.ensure()
        self._configuration = configuration(lab, archives, overrides)

    # What the engine works in

    def environment(self) -> dict[str, str]:
        """Variables that `pulumi` needs to work on this stack from the shell, too."""
        folders = [self._pulumi.parent, *self._stand_in(), os.environ.get("PATH", "")]
        return {
            "PATH": os.pathsep.join(str(folder) for folder in folders),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # The state is written whole, and renamed into place, after each step: a second copy helps nobody here
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        }

    def _stand_in(self) -> list[Path]:
        """The folder of the command plugin's stand-in, unless the official plugin is there or can be had.

        That is found out once in a lab's life, so that it never changes the plugin under a stack.
        """
        folder = self.folder / "plugins"
        if not folder.exists():
            if self._official():
                return []
            folder.mkdir(parents=True)
            console.say(
                "pulumi", f"pulumi-command {COMMAND_PLUGIN} cannot be downloaded: using the lab's stand-in for it"
            )
            install.install(folder)
        return [folder]

    def _official(self) -> bool:
        """Whether the official command plugin is installed, now at the latest."""
        words = [str(self._pulumi), "plugin", "install", "resource", "command", COMMAND_PLUGIN]
        try:
            command(words, env={"PULUMI_SKIP_UPDATE_CHECK": "true"}, timeout=DOWNLOAD_SECONDS)
        except CommandError:
            return False
        return True

    def _write_files(self) -> None:
        for folder in (self.folder, self.folder / "state", self.project):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        passphrase = self.folder / "passphrase"
        if not passphrase.exists() or not passphrase.read_text():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_urlsafe(32))
        project = yaml.safe_load((REPO / "Pulumi.yaml").read_text())
        self._write(self.project / "Pulumi.yaml", {**project, "main": str(REPO)})
        old = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        kept = {SECRET_KEY: old["config"][SECRET_KEY]} if SECRET_KEY in old.get("config", {}) else {}
        self._write(self.file, {**old, "config": {**self._configuration, **kept}})

    @staticmethod
    def _write(path: Path, content: Mapping[str, Any]) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_text(yaml.safe_dump(dict(content), sort_keys=False))
        temporary.replace(path)

    def _open(self) -> auto.Stack:
        self._write_files()
        # It would win over the lab's own passphrase file
        os.environ.pop("PULUMI_CONFIG_PASSPHRASE", None)
        workspace = _Workspace(
            work_dir=str(self.project),
            program=_program,
            env_vars=self.environment(),
            pulumi_command=auto.PulumiCommand(root=str(self._pulumi.parent.parent)),
        )
        stack = auto.Stack.create_or_select(self.lab.name, workspace)
        self._set_secret()
        self._unlock(stack)
        return stack

    def _set_secret(self) -> None:
        """Encrypt the S3 key into the stack's file once; again only when it is another one."""
        mark = self.folder / "secret.sha256"
        digest = hashlib.sha256(self.lab.s3.secret_key.encode()).hexdigest()
        if mark.exists() and mark.read_text() == digest and SECRET_KEY in self.file.read_text():
            return
        # Over stdin: the Automation API's own set_config would put it into argv, for every user of the machine to read
        done = subprocess.run(
            [self._pulumi, "config", "set", SECRET_KEY, "--secret", "--stack", self.lab.name, "--non-interactive"],
            cwd=self.project,
            env={**os.environ, **self.environment()},
            input=self.lab.s3.secret_key,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise LabError(f"pulumi cannot encrypt the S3 key: {done.stderr.strip()}")
        mark.touch(mode=0o600)
        mark.write_text(digest)

    def _unlock(self, stack: auto.Stack) -> None:
        """Take away the lock of an engine that was killed: nobody else can give it back."""
        for lock in (self.folder / "state" / ".pulumi" / "locks").rglob("*.json"):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                holder = int(json.loads(lock.read_text()).get("pid", 0))
                name = Path(f"/proc/{holder}/comm")
                # After a restart of this machine the number may be anyone's
                if name.exists() and name.read_text().strip() == "pulumi":
                    raise LabError(
                        f"another pulumi (process {holder}) is working on stack {self.lab.name}; wait for it, or end it"
                    )
                console.say(
                    "pulumi", f"process {holder}, which worked on this stack, was killed; going on where it stopped"
                )
                stack.cancel()
                return

    # Operations

    def prepare(self) -> None:
        """Make the stack, still empty, and choose its plugins; `up` does it too."""
        with self._reported(_Recorder(show=False)):
            self._open()

    def up(self) -> Steps:
        """Make the cluster as declared. Raises LabError with what the engine said."""
        steps = _Recorder(show=True)
        with self._reported(steps):
            self._open().up(
                parallel=PARALLEL, on_event=steps.event, suppress_outputs=True, show_secrets=False, color="never"
            )
        return steps.found

    def preview(self) -> Steps:
        """What `up` would do."""
        steps = _Recorder(show=False)
        with self._reported(steps):
            self._open().preview(on_event=steps.event, color="never")
        return steps.found

    def destroy(self) -> Steps:
        """Take the cluster off the hosts; the hosts stay."""
        steps = _Recorder(show=True)
        with self._reported(steps):
            self._open().destroy(on_event=steps.event, suppress_outputs=True, show_secrets=False, color="never")
        return steps.found

    def state(self) -> dict[str, Any]:
        """The stack's state as the engine exports it to its owner: secrets can be read in it."""
        deployment = self._open().export_stack().deployment
        return dict(deployment or {})

    @contextlib.contextmanager
    def _reported(self, steps: "_Recorder") -> Iterator[None]:
        try:
            yield
        except auto.CommandError as error:
            # Without a word from the program it is the engine itself that refuses, and says why on its stderr
            said = "\n".join(steps.found.diagnostics) or str(error).rpartition("stderr: ")[2].strip()
            raise LabError(f"pulumi failed for stack {self.lab.name}:\n{said}") from error


class _Workspace(auto.LocalWorkspace):
    """Does not ask for the outputs after every operation: two more starts of the engine, for what nobody here reads."""

    def stack_outputs(self, stack_name: str) -> auto.OutputMap:
        """None."""
        return {}


def _program() -> None:
    """Run `__main__.py` as Pulumi would."""
    if str(REPO) not in sys.path:
        sys.path.insert(0, str(REPO))
    runpy.run_path(str(REPO / "__main__.py"), run_name="__main__")


class _Recorder:
    """Turns the engine's events into `Steps`, and into a line for each step that ran."""

    def __init__(self, *, show: bool) -> None:
        self.found = Steps()
        self._show = show
        self._start = time.monotonic()
        self._began: dict[str, float] = {}

    def event(self, event: auto.EngineEvent) -> None:
        """Take one event."""
        if event.diagnostic_event and event.diagnostic_event.severity in ("error", "warning"):
            self._diagnostic(event.diagnostic_event)
        if event.resource_pre_event:
            self._began[event.resource_pre_event.metadata.urn] = time.monotonic()
        if event.res_outputs_event:
            self._done(event.res_outputs_event.metadata)

    def _diagnostic(self, diagnostic: auto.DiagnosticEvent) -> None:
        text = diagnostic.message.strip()
        name = (diagnostic.urn or "").rpartition("::")[2]
        known = ("pulumi-resource-command from $PATH", STAND_IN, "an unhandled error occurred")
        if text and not any(words in text for words in known):  # those were said already
            self.found.diagnostics.append(f"{name}: {text}" if name else text)
            if self._show and diagnostic.severity == "warning":
                console.say("pulumi", text)

    def _done(self, step: auto.StepEventMetadata) -> None:
        if not step.type.startswith("command:"):
            return
        name, kind = step.urn.rpartition("::")[2], str(getattr(step.op, "value", step.op))
        now = time.monotonic()
        began = self._began.get(step.urn, now)
        self.found.operations[name] = kind
        if kind != "same":
            self.found.spans[name] = (began - self._start, now - self._start)
            if self._show:
                console.say("pulumi", f"{name}: {kind}d, {console.duration(now - began)}")

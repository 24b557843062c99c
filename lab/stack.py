"""This project's program, run by the real Pulumi engine: `Stack`; on a lab's hosts: `LabStack`.

The Automation API runs `__main__.py` as an inline program, which needs no language host, since no package registry has
it (docs/decisions). State, passphrase and the stack's complete configuration stay in the stack's own folder; the
repository's files are only read.
"""

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pulumi import automation as auto

import settings
from automation import local
from automation.engine import Engine, EngineError, Told, stderr
from automation.stack import Stack as EngineStack
from automation.steps import OnEvent, Recorder, Step, Steps
from automation.workspace import Workspace, program, write, write_project
from lab import front_door
from lab.errors import LabError
from ops import pending
from ops.errors import OpsError
from stand_ins.builds import archives as builds
from stand_ins.builds import programs
from stand_ins.plugins import COMMAND, TLS, Plugin
from toolbox import console
from toolbox.paths import REPO, cache_dir

if TYPE_CHECKING:
    from lab.lab import Lab
    from stand_ins.builds.archives import Archive, Archives

DOWNLOAD_SECONDS = 20
"""Maximum seconds for the download of the official plugins: an offline machine should not wait for them."""

PARALLEL = 4 * (os.cpu_count() or 2)
"""Parallel steps. Real hosts have their own processors; lab hosts share this machine's, so more would take longer."""

SECRET_KEY = "flink:storageSecretKey"
JOBS = "flink:jobs"
HISTORY = "flink:history"
FRONT_DOOR_OIDC_SECRET = "flink:frontDoorOidcSecret"
ALERT_RECEIVERS = "flink:alertReceivers"

_DRIVER = "FLINK_LAB_DRIVER"
"""Environment variable of an engine with the process that runs its program: its parent, while that exists."""

_PLUGIN_SECONDS = 15.0
"""Seconds for plugins to end by themselves after their engine: a stand-in takes up to 11 (stand_ins.plugin.serve)."""

_END_SECONDS = 10.0
"""Seconds for a process to end after SIGKILL."""


def configuration(lab: "Lab", archives: "Archives", overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Configuration, with the secret of a front door: Pulumi.local.yaml, the lab's values, then `overrides`
    (`flink:key`). Jobs and HistoryServer in Pulumi.local.yaml are those of `make up`: other labs declare their own.
    """
    base = shared()
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
        known |= release(lab, name, getattr(archives, name))
    if front_door.is_on(lab):
        known |= {**front_door.configuration(lab), **release(lab, "caddy", builds.caddy())}
    known |= _monitoring(lab)
    return {**base, **known, **(overrides or {})}


def release(lab: "Lab", name: str, archive: "Archive") -> dict[str, str]:
    """The configuration with which hosts install this archive as `name` (`flink`, `zookeeper`, `java` or `caddy`)."""
    return {
        f"flink:{name}Version": archive.version,
        f"flink:{name}Url": f"{lab.mirror_url}/{archive.path.name}",
        f"flink:{name}Checksum": f"sha512:{archive.sha512}",
    }


def _monitoring(lab: "Lab") -> dict[str, Any]:
    """What a lab with a monitoring host installs besides; empty without one."""
    if not lab.monitoring():
        return {}
    found: dict[str, Any] = {}
    for name, archive in builds.monitoring().items():
        found |= release(lab, name, archive)
    return found


def written() -> dict[str, Any]:
    """The configuration in Pulumi.local.yaml."""
    return dict(yaml.safe_load((REPO / "Pulumi.local.yaml").read_text())["config"])


def shared() -> dict[str, Any]:
    """The same, without what is for the lab of `make up` alone."""
    return {key: value for key, value in written().items() if key not in (JOBS, HISTORY)}


def declared(lab: "Lab") -> dict[str, Any]:
    """What is for the lab of `make up` alone, as `overrides`: its jobs, and with a monitoring host whether those that
    have ended are shown.
    """
    found, keys = written(), [JOBS, *([HISTORY] if lab.monitoring() else [])]
    return {key: found[key] for key in keys if key in found}


def workers() -> int:
    """The number of TaskManagers in Pulumi.local.yaml."""
    return int(written()["flink:workers"])


def failover_seconds() -> int:
    """Maximum seconds of a failover in a lab."""
    return int(written()["flink:failoverSeconds"])


class Stack:
    """A stack of this project's program, with everything that it needs in its own `folder`.

    `configuration` is complete except for `secrets`, which have the same form and are encrypted: a text, or an object
    of texts, objects and lists. `variables` are added to the environment of the engine, the program and the plugins.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        configuration: Mapping[str, Any],
        *,
        secrets: Mapping[str, Any] | None = None,
        plugins: Sequence[Plugin] = (COMMAND, TLS),
        variables: Mapping[str, str] | None = None,
        parallel: int = PARALLEL,
    ) -> None:
        self.name = name
        self.folder = folder
        self.project = self.folder / "project"
        self.file = self.project / f"Pulumi.{name}.yaml"
        self._pulumi = programs.pulumi()
        self._configuration = dict(configuration)
        self._secrets = dict(secrets or {})
        self._plugins = tuple(plugins)
        self._variables = dict(variables or {})
        self._parallel = parallel

    # The engine's environment

    def environment(self) -> dict[str, str]:
        """Variables that `pulumi` needs to work on this stack from the shell, too."""
        return {**self._variables, **local.variables(self.folder, home=_home(), programs=[self._pulumi.parent])}

    @cached_property
    def _engine(self) -> Engine:
        return Engine(str(self._pulumi.parent.parent), say=lambda text: console.say("pulumi", text))

    def _install_stand_ins(self) -> None:
        """Install stand-ins in the folder of plugins, unless the official plugins are installed or can be downloaded.

        This is decided once in a stack's life, so that its plugins never change.
        """
        folder = self.folder / "plugins"
        chosen = [plugin for plugin in self._plugins if (folder / f"pulumi-resource-{plugin.name}").exists()]
        # An earlier version of this checkout may have written another module's name into the file
        for plugin in chosen:
            plugin.install(folder)
        unknown = [plugin for plugin in self._plugins if plugin not in chosen]
        if unknown:
            with ThreadPoolExecutor(len(unknown)) as pool:
                official = list(pool.map(self._official, unknown))
            for plugin in (plugin for plugin, found in zip(unknown, official, strict=True) if not found):
                said = f"pulumi-{plugin.name} v{plugin.version} cannot be downloaded: using the lab's stand-in"
                console.say("pulumi", said)
                plugin.install(folder)

    def _official(self, plugin: Plugin) -> bool:
        """Whether the official plugin is installed, after an attempt to install it."""
        words = ["plugin", "install", "resource", plugin.name, f"v{plugin.version}"]
        try:
            self._engine.run(words, str(self.folder), {"PULUMI_HOME": str(_home())}, seconds=DOWNLOAD_SECONDS)
        except (auto.CommandError, subprocess.TimeoutExpired):
            return False
        return True

    def _write_files(self) -> None:
        local.prepare(self.folder)
        self.project.mkdir(exist_ok=True, mode=0o700)
        for sidecar in (self.folder / "state").rglob("*.attrs"):  # of an earlier version
            sidecar.unlink(missing_ok=True)
        write_project(self.project)
        old = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        there = old.get("config", {}) if self._has_secrets() else {}
        kept = {key: value for key, value in there.items() if key in self._secrets}
        write(self.file, {**old, "config": {**self._configuration, **kept}})

    def _open(self) -> EngineStack:
        self._write_files()
        self._install_stand_ins()
        variables = {**self.environment(), _DRIVER: str(os.getpid())}
        workspace = Workspace(self.project, self._engine, run=program, variables=variables)
        stack = EngineStack(self.name, workspace)
        # First: while a stack is locked, the engine does not even report that it exists
        self._unlock(stack)
        # From the engine, because only it knows where a backend stores a stack
        with contextlib.suppress(auto.StackAlreadyExistsError):
            workspace.create_stack(self.name)
        self._set_secrets(stack)
        return stack

    def _settled(self) -> EngineStack:
        """The stack, without what a killed engine has left pending."""
        stack = self._open()
        for line in pending.settle(stack, self.folder / "states").lines():
            console.say("pulumi", line)
        return stack

    def _has_secrets(self) -> bool:
        """Whether the stack's file has the same secrets, encrypted."""
        mark = self.folder / "secret.sha256"
        if not (mark.exists() and mark.read_text() == self._digest()):
            return False
        there = self.file.read_text()
        return all(key in there for key in self._secrets)

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._secrets, sort_keys=True).encode()).hexdigest()

    def _set_secrets(self, stack: EngineStack) -> None:
        """Encrypt the secrets into the stack's file once, and again only if they have changed."""
        if self._has_secrets():
            return
        # Over stdin: the Automation API's set_config would put it into argv, which every user can read
        for key, value in self._secrets.items():
            if isinstance(value, str):
                stack.pulumi("config", "set", key, "--secret", stdin=value)
                continue
            # The engine takes no secret JSON text for an object
            for path, text in _leaves(key, value):
                stack.pulumi("config", "set", path, "--path", "--secret", stdin=text)
        mark = self.folder / "secret.sha256"
        mark.touch(mode=0o600)
        mark.write_text(self._digest())

    def _unlock(self, stack: EngineStack) -> None:
        """Remove the lock of an engine that was killed, or that has lost the process which ran its program: nothing
        else can release it.
        """
        for lock in (self.folder / "state" / ".pulumi" / "locks").rglob("*.json"):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                holder = int(json.loads(lock.read_text()).get("pid", 0))
                if not _ended(holder):
                    raise LabError(
                        f"another pulumi (process {holder}) is working on stack {self.name}; wait for it, or end it"
                    )
                self._end_plugins()
                said = f"process {holder}, which worked on this stack, was killed; continuing where it stopped"
                console.say("pulumi", said)
                stack.cancel()
                return

    def _end_plugins(self) -> None:
        """Wait for the plugins of an engine that was killed: they still complete what they have begun, and afterwards
        nobody else would look for it.
        """
        end = time.monotonic() + _PLUGIN_SECONDS
        while left := _left_behind(self.environment()["PULUMI_BACKEND_URL"]):
            if time.monotonic() > end:
                for process in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            time.sleep(0.1)

    # Operations

    def prepare(self) -> None:
        """Create the empty stack, and choose its plugins; `up` does the same."""
        with self._reported(self._recorder()):
            self._open()

    def up(self, *, refresh: bool = False, continue_on_error: bool = False, on_event: OnEvent | None = None) -> Steps:
        """Create and update everything as declared; with `refresh` after reading the actual state. With
        `continue_on_error` a step that fails ends only what depends on it. Raises LabError with the engine's message.
        """
        recorder = self._recorder(show=True, on_event=on_event)
        with self._reported(recorder):
            done = self._settled().up(
                recorder, parallel=self._parallel, refresh=refresh, continue_on_error=continue_on_error
            )
            return _totals(done)

    def preview(
        self, *, refresh: bool = False, diff: bool = False, on_event: OnEvent | None = None, tell: Told | None = None
    ) -> Steps:
        """Return what `up` would do; `tell` receives the lines that `pulumi preview` prints."""
        recorder = self._recorder(on_event=on_event)
        with self._reported(recorder):
            return self._open().preview(recorder, refresh=refresh, diff=diff, tell=tell)

    def refresh(self) -> Steps:
        """Update the state from the actual resources. Differences are updates, missing resources deletions."""
        recorder = self._recorder(show=True)
        with self._reported(recorder):
            return self._settled().refresh(recorder)

    def destroy(self) -> Steps:
        """Destroy everything; hosts that the stack did not create stay."""
        recorder = self._recorder(show=True)
        with self._reported(recorder):
            return _totals(self._settled().destroy(recorder))

    def state(self) -> dict[str, Any]:
        """The stack's state with readable secrets, as the engine exports it to its owner."""
        return self._open().export(secrets=True)

    def exported(self, *, secrets: bool) -> dict[str, Any]:
        """The current state, independent of the configuration; with readable secrets only if `secrets` is set. Empty if
        there is no such stack: `up` was interrupted before it created one, or the lab was created for another stack.
        """
        workspace = Workspace(self.project, self._engine, variables=self.environment())
        with self._reported(self._recorder()):
            try:
                return workspace.export(self.name, secrets=secrets)
            except auto.StackNotFoundError:
                return {}

    def outputs(self) -> dict[str, Any]:
        """Outputs of the program after the last operation; secret ones are `[secret]`."""
        return self._open().outputs()

    def _recorder(self, *, show: bool = False, on_event: OnEvent | None = None) -> Recorder:
        """Records an operation, and with `show` prints a line for each step that did something."""
        known = [plugin.announcement for plugin in self._plugins]
        known += [f"pulumi-resource-{plugin.name} from $PATH" for plugin in self._plugins]
        if not show:
            return Recorder(known=known, on_event=on_event)
        return Recorder(
            known=known, on_step=_say, on_warning=lambda text: console.say("pulumi", text), on_event=on_event
        )

    @contextlib.contextmanager
    def _reported(self, recorder: Recorder) -> Iterator[None]:
        try:
            yield
        except auto.CommandError as error:
            # Without a message of the program the engine itself has failed, with the reason on its stderr
            said = "\n".join(recorder.found.errors) or stderr(error)
            raise LabError(f"pulumi failed for stack {self.name}:\n{said}") from None
        except (EngineError, OpsError) as error:
            raise LabError(str(error)) from None


class LabStack(Stack):
    """The stack of one lab; its name is the lab's."""

    def __init__(
        self,
        lab: "Lab",
        archives: "Archives",
        overrides: Mapping[str, Any] | None = None,
        plugin: Plugin = COMMAND,
    ) -> None:
        known = configuration(lab, archives, overrides)
        # A test may leave out both keys
        secrets: dict[str, Any] = {SECRET_KEY: lab.s3.secret_key} if known["flink:storageAccessKey"] else {}
        # In Pulumi.local.yaml, too, they are in plain text: what is secret in a lab is secret in its stack's file
        found = {key: known.pop(key) for name in settings.SECRETS if (key := f"{settings.PROJECT}:{name}") in known}
        secrets |= {key: value for key, value in found.items() if value}
        super().__init__(
            lab.name,
            lab.dir / "pulumi",
            known,
            secrets=secrets,
            plugins=(plugin, TLS),
        )
        self.lab = lab

    def up(self, *, refresh: bool = False, continue_on_error: bool = False, on_event: OnEvent | None = None) -> Steps:
        """As `Stack.up`; then who asks the lab trusts the authority of its front door, which may be another one."""
        steps = super().up(refresh=refresh, continue_on_error=continue_on_error, on_event=on_event)
        if front_door.is_on(self.lab):
            front_door.trust(self.lab, self.outputs()["frontDoorAuthority"])
        return steps


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts in an object or a list, with their paths as the engine takes them."""
    if isinstance(value, Mapping):
        for name, found in value.items():
            yield from _leaves(f'{path}["{name}"]', found)
    elif isinstance(value, list):
        for number, found in enumerate(value):
            yield from _leaves(f"{path}[{number}]", found)
    else:
        yield path, str(value)


def _say(step: Step) -> None:
    console.say("pulumi", f"{step.name}: {step.past}, {console.duration(step.ended - step.began)}")


def _totals(steps: Steps) -> Steps:
    """Print what the operation did in all, above all if that was nothing. Components and the stack itself count, as in
    Pulumi's own summary.
    """
    console.say("pulumi", f"resources: {steps.summary}")
    return steps


def _home() -> Path:
    """The engine's home, with the user's plugins."""
    home = local.without_log(cache_dir() / "pulumi-home")
    theirs = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    theirs.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (home / "plugins").symlink_to(theirs)
    return home


def _left_behind(backend: str) -> list[int]:
    """Processes that engines of ours with this backend have started, and that no longer have an engine or a driver."""
    expected, found = f"PULUMI_BACKEND_URL={backend}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (process / "environ").read_bytes().split(b"\0")
            drivers = [int(it.partition(b"=")[2]) for it in variables if it.startswith(f"{_DRIVER}=".encode())]
            if drivers and expected in variables and drivers[0] not in _ancestors(int(process.name)):
                found.append(int(process.name))
    return found


def _ancestors(process: int) -> list[int]:
    found = [process]
    while found[-1] > 1:
        found.append(int(Path(f"/proc/{found[-1]}/stat").read_text().rpartition(")")[2].split()[1]))
    return found


def _ended(engine: int) -> bool:
    """Whether an engine no longer exists. An engine whose driver was killed cannot continue, and is killed here."""
    process = Path(f"/proc/{engine}")
    try:
        # After a restart of this machine the number may belong to any process
        if (process / "comm").read_text().strip() != "pulumi":
            return True
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        variables = (process / "environ").read_bytes().split(b"\0")
        drivers = [it for it in variables if it.startswith(f"{_DRIVER}=".encode())]
        if not drivers or drivers == [f"{_DRIVER}={parent}".encode()]:
            return False
        handle = os.pidfd_open(engine)
    except (FileNotFoundError, ProcessLookupError):
        return True
    except PermissionError:  # another user's
        return False
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [], _END_SECONDS)
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
    return True

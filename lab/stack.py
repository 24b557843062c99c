"""This project's program, run by the real Pulumi engine: `Stack`; on a lab's hosts: `LabStack`.

The Automation API runs `__main__.py` as an inline program: that needs no language host, which is on no package
registry (docs/decisions). State, passphrase and the stack's whole configuration stay in a folder of the stack's own;
the repository's own files are only read.
"""

import contextlib
import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pulumi import automation as auto

from automation.engine import stderr
from automation.steps import Recorder, Step, Steps
from automation.workspace import Workspace, program, write, write_project
from lab.errors import LabError
from stand_ins.builds import programs
from stand_ins.plugins import COMMAND, Plugin
from toolbox import console
from toolbox.parallel import CommandError, command
from toolbox.paths import REPO, cache_dir

if TYPE_CHECKING:
    from lab.lab import Lab
    from stand_ins.builds.archives import Archive, Archives

DOWNLOAD_SECONDS = 20
"""How long the official plugins may take to arrive: a machine that is cut off should not wait for them."""

PARALLEL = 4 * (os.cpu_count() or 2)
"""Steps at once. Real hosts bring processors of their own; a lab's share this machine's, and crowding costs time."""

SECRET_KEY = "flink:storageSecretKey"


def configuration(lab: "Lab", archives: "Archives", overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
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
        known |= release(lab, name, getattr(archives, name))
    return {**base, **known, **(overrides or {})}


def release(lab: "Lab", name: str, archive: "Archive") -> dict[str, str]:
    """The part of the configuration that has hosts install this archive as `name` (`flink`, `zookeeper` or `java`)."""
    return {
        f"flink:{name}Version": archive.version,
        f"flink:{name}Url": f"{lab.mirror_url}/{archive.path.name}",
        f"flink:{name}Checksum": f"sha512:{archive.sha512}",
    }


def workers() -> int:
    """How many TaskManagers Pulumi.local.yaml asks for."""
    return int(yaml.safe_load((REPO / "Pulumi.local.yaml").read_text())["config"]["flink:workers"])


class Stack:
    """A stack of this project's program, with all that it needs in a `folder` of its own.

    `configuration` is the whole of it, but for `secrets`, which are given by the same keys and are encrypted.
    `variables` are for the environment of the engine, the program and the plugins.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        configuration: Mapping[str, Any],
        *,
        secrets: Mapping[str, str] | None = None,
        plugins: Sequence[Plugin] = (COMMAND,),
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

    # What the engine works in

    def environment(self) -> dict[str, str]:
        """Variables that `pulumi` needs to work on this stack from the shell, too."""
        folders = [self._pulumi.parent, *self._stand_ins(), os.environ.get("PATH", "")]
        return {
            **self._variables,
            "PATH": os.pathsep.join(str(folder) for folder in folders),
            "PULUMI_HOME": str(_home()),
            # The state is renamed into place, the file beside it that says its type would not be. An engine that is
            # killed then leaves an empty .attrs, and a state that cannot be read (gocloud.dev, fileblob's setAttrs)
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}?metadata=skip",
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(self.folder / "passphrase"),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # The state is written whole, and renamed into place, after each step: a second copy helps nobody here
            "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
        }

    def _stand_ins(self) -> list[Path]:
        """The folder of the plugins' stand-ins, unless every official plugin is there or can be had.

        That is found out once in a stack's life, so that it never changes the plugin under it.
        """
        folder = self.folder / "plugins"
        chosen = [plugin for plugin in self._plugins if (folder / f"pulumi-resource-{plugin.name}").exists()]
        for plugin in chosen:  # the module that an earlier version of this checkout wrote there may have moved
            plugin.install(folder)
        unknown = [plugin for plugin in self._plugins if plugin not in chosen]
        if unknown:
            with ThreadPoolExecutor(len(unknown)) as pool:
                official = list(pool.map(self._official, unknown))
            for plugin in (plugin for plugin, found in zip(unknown, official, strict=True) if not found):
                folder.mkdir(parents=True, exist_ok=True)
                said = f"pulumi-{plugin.name} v{plugin.version} cannot be downloaded: using the lab's stand-in for it"
                console.say("pulumi", said)
                plugin.install(folder)
        return [folder] if folder.exists() else []

    def _official(self, plugin: Plugin) -> bool:
        """Whether the official plugin is installed, now at the latest."""
        words = [str(self._pulumi), "plugin", "install", "resource", plugin.name, f"v{plugin.version}"]
        try:
            environment = {"PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_HOME": str(_home())}
            command(words, env=environment, timeout=DOWNLOAD_SECONDS)
        except CommandError:
            return False
        return True

    def _write_files(self) -> None:
        for folder in (self.folder, self.folder / "state", self.project):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for sidecar in (self.folder / "state").rglob("*.attrs"):  # of an earlier version
            sidecar.unlink(missing_ok=True)
        passphrase = self.folder / "passphrase"
        if not passphrase.exists() or not passphrase.read_text():
            passphrase.touch(mode=0o600)
            passphrase.write_text(secrets.token_urlsafe(32))
        write_project(self.project)
        old = yaml.safe_load(self.file.read_text()) if self.file.exists() else {}
        kept = {key: value for key, value in old.get("config", {}).items() if key in self._secrets}
        write(self.file, {**old, "config": {**self._configuration, **kept}})

    def _open(self) -> auto.Stack:
        self._write_files()
        # It would win over the lab's own passphrase file
        os.environ.pop("PULUMI_CONFIG_PASSPHRASE", None)
        workspace = Workspace(
            work_dir=str(self.project),
            program=program,
            env_vars=self.environment(),
            pulumi_command=auto.PulumiCommand(root=str(self._pulumi.parent.parent)),
        )
        stack = auto.Stack.create_or_select(self.name, workspace)
        self._set_secrets()
        self._unlock(stack)
        return stack

    def _set_secrets(self) -> None:
        """Encrypt the secrets into the stack's file once; again only when they are others."""
        mark = self.folder / "secret.sha256"
        digest = hashlib.sha256(json.dumps(self._secrets, sort_keys=True).encode()).hexdigest()
        there = self.file.read_text()
        if mark.exists() and mark.read_text() == digest and all(key in there for key in self._secrets):
            return
        for key, value in self._secrets.items():
            self._encrypt(key, value)
        mark.touch(mode=0o600)
        mark.write_text(digest)

    def _encrypt(self, key: str, value: str) -> None:
        # Over stdin: the Automation API's own set_config would put it into argv, for every user of the machine to read
        done = subprocess.run(
            [self._pulumi, "config", "set", key, "--secret", "--stack", self.name, "--non-interactive"],
            cwd=self.project,
            env={**os.environ, **self.environment()},
            input=value,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise LabError(f"pulumi cannot encrypt {key}: {done.stderr.strip()}")

    def _unlock(self, stack: auto.Stack) -> None:
        """Take away the lock of an engine that was killed: nobody else can give it back."""
        for lock in (self.folder / "state" / ".pulumi" / "locks").rglob("*.json"):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                holder = int(json.loads(lock.read_text()).get("pid", 0))
                name = Path(f"/proc/{holder}/comm")
                # After a restart of this machine the number may be anyone's
                if name.exists() and name.read_text().strip() == "pulumi":
                    raise LabError(
                        f"another pulumi (process {holder}) is working on stack {self.name}; wait for it, or end it"
                    )
                console.say(
                    "pulumi", f"process {holder}, which worked on this stack, was killed; going on where it stopped"
                )
                stack.cancel()
                return

    # Operations

    def prepare(self) -> None:
        """Make the stack, still empty, and choose its plugins; `up` does it too."""
        with self._reported(self._recorder()):
            self._open()

    def up(self, *, refresh: bool = False) -> Steps:
        """Make everything as declared, with `refresh` after a look at what has become of it. Raises LabError with what
        the engine said.
        """
        steps = self._recorder(show=True)
        with self._reported(steps):
            self._open().up(
                parallel=self._parallel,
                refresh=refresh,
                on_event=steps.event,
                suppress_outputs=True,
                show_secrets=False,
                color="never",
            )
        return steps.found

    def preview(self, *, refresh: bool = False) -> Steps:
        """What `up` would do."""
        steps = self._recorder()
        with self._reported(steps):
            self._open().preview(refresh=refresh, on_event=steps.event, color="never")
        return steps.found

    def refresh(self) -> Steps:
        """Take into the state what has become of everything. What differs is an update, what is gone a deletion."""
        steps = self._recorder(show=True)
        with self._reported(steps):
            self._open().refresh(on_event=steps.event, suppress_outputs=True, show_secrets=False, color="never")
        return steps.found

    def destroy(self) -> Steps:
        """Take everything away; hosts that the stack did not create stay."""
        steps = self._recorder(show=True)
        with self._reported(steps):
            self._open().destroy(on_event=steps.event, suppress_outputs=True, show_secrets=False, color="never")
        return steps.found

    def state(self) -> dict[str, Any]:
        """The stack's state as the engine exports it to its owner: secrets can be read in it."""
        deployment = self._open().export_stack().deployment
        return dict(deployment or {})

    def outputs(self) -> dict[str, Any]:
        """What the program exports, as of the last operation; a secret one as the state has it."""
        resources = self.state().get("resources", [])
        return next((dict(it.get("outputs", {})) for it in resources if it["type"] == "pulumi:pulumi:Stack"), {})

    def _recorder(self, *, show: bool = False) -> Recorder:
        """Records an operation, and with `show` prints a line for each step that did something."""
        known = [plugin.announcement for plugin in self._plugins]
        known += [f"pulumi-resource-{plugin.name} from $PATH" for plugin in self._plugins]
        if not show:
            return Recorder(known=known)
        return Recorder(known=known, on_step=_say, on_warning=lambda text: console.say("pulumi", text))

    @contextlib.contextmanager
    def _reported(self, steps: Recorder) -> Iterator[None]:
        try:
            yield
        except auto.CommandError as error:
            # Without a word from the program it is the engine itself that refuses, and says why on its stderr
            said = "\n".join(steps.found.errors) or stderr(error)
            raise LabError(f"pulumi failed for stack {self.name}:\n{said}") from None


class LabStack(Stack):
    """The stack of one lab; its name is the lab's."""

    def __init__(
        self,
        lab: "Lab",
        archives: "Archives",
        overrides: Mapping[str, Any] | None = None,
        plugin: Plugin = COMMAND,
    ) -> None:
        super().__init__(
            lab.name,
            lab.dir / "pulumi",
            configuration(lab, archives, overrides),
            secrets={SECRET_KEY: lab.s3.secret_key},
            plugins=(plugin,),
        )
        self.lab = lab


def _say(step: Step) -> None:
    console.say("pulumi", f"{step.name}: {step.past}, {console.duration(step.ended - step.began)}")


def _home() -> Path:
    """The engine's own folder, with the user's plugins, but without its log.

    Every operation would write what it sends and receives there, compressed and encrypted: half of the engine's time,
    20 MB for each preview of a large stack. There is no switch, but it does without where `logs` is no folder.
    """
    home = cache_dir() / "pulumi-home"
    home.mkdir(exist_ok=True)
    (home / "logs").touch()
    theirs = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    theirs.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (home / "plugins").symlink_to(theirs)
    return home

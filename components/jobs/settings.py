"""Settings of a declared job."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

UPGRADE_MODES = ("savepoint", "last-state", "stateless", "blue-green")
KINDS = ("jar", "sql", "python")
STATES = ("running", "suspended")
STOPS = ("savepoint", "drain", "cancel")
START_SECONDS = 300
STABLE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class SavepointSettings:
    """Savepoints of a running job, and how many of them stay. What the job needs always stays, and the last one."""

    every: int = 0
    """Seconds between two savepoints; 0 takes none."""
    keep: int = 10
    """How many stay."""
    max_age: int = 0
    """Seconds after which a savepoint is deleted; 0 sets no limit."""


@dataclass(frozen=True, kw_only=True)
class RestartSettings:
    """How often a job that has failed for good, or is lost to the cluster, starts again without anybody's `up`."""

    attempts: int = 5
    """So many starts within `within`; 0 starts it never."""
    within: int = 3600
    """Seconds."""


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file that a job is made of."""

    place: str
    """A path on the machine that runs Pulumi, or a URI of the cluster's storage or an https URL, with `sha256`."""
    sha256: str = ""
    """Of a file that is not on this machine: 64 hex digits."""

    @property
    def is_local(self) -> bool:
        """Whether it is on the machine that runs Pulumi."""
        return "://" not in self.place

    @property
    def is_on_the_web(self) -> bool:
        """Whether hosts download it from a web server."""
        return self.place.startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """Its file name, for people."""
        return self.place.rpartition("/")[2]

    @property
    def is_module(self) -> bool:
        """Whether it is a module in Python."""
        return self.name.endswith(".py")

    @cached_property
    def digest(self) -> str:
        """Its SHA-256. Raises OSError if it is a file here that cannot be read."""
        if not self.is_local:
            return self.sha256
        with Path(self.place).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def spec(self) -> dict[str, str]:
        """For the host tool."""
        return {"name": self.name, "sha256": self.digest}

    def shown(self) -> str:
        """For a preview."""
        return f"{self.name} sha256:{self.digest[:12]}"


@dataclass(frozen=True, kw_only=True)
class PythonSettings:
    """The environment. It is not validated here: `settings/python.py` validates the configuration of a stack."""

    version: str
    """Of the interpreter, such as 3.11: hosts have it as `python3.11` or `python3`."""
    requirements: Sequence[str]
    """All packages as `NAME==VERSION --hash=sha256:DIGEST …`."""
    index: str = ""
    """The URL of a package index. Empty: that of the hosts' own configuration of pip."""

    @cached_property
    def home(self) -> str:
        """The folder on hosts: another one for each version and each set of packages."""
        text = "\n".join([self.version, *sorted(self.requirements)])
        return f"/opt/pyflink-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """One job: its program is one of `jar`, `sql` and `python`. The settings are not validated here: `settings/jobs.py`
    validates the configuration of a stack.
    """

    name: str
    """Identifies the job in its cluster: under another name it is another job, without the state of this one."""
    jar: str = ""
    """A program in Java: a place as in `Artifact`."""
    sql: str = ""
    """A script whose last statement is an INSERT or a statement set: a place as in `Artifact`."""
    python: str = ""
    """A module NAME.py, or a zip archive with modules: a place as in `Artifact`."""
    sha256: str = ""
    """Of a program that is not on this machine: 64 hex digits."""
    dependencies: Sequence[Artifact] = ()
    """Further jars on the job's class path."""
    entry_class: str = ""
    """Default: the class that the jar's manifest names."""
    entry_module: str = ""
    """The module of a program in Python that is run. Default: of NAME.py it is NAME, of an archive `main`."""
    args: Sequence[str] = ()
    parallelism: int = 0
    """0: `parallelism.default` of Flink's configuration."""
    upgrade_mode: str = "savepoint"
    """What a change of the job does to its state, one of UPGRADE_MODES."""
    state: str = "running"
    """One of STATES."""
    initial_savepoint: str = ""
    """Where the first start of a job takes its state from."""
    allow_non_restored_state: bool = False
    """Whether state that no operator of the job takes may be dropped."""
    restart_nonce: str = ""
    """Another value restarts the job, by its upgrade mode."""
    savepoint_nonce: str = ""
    """Another value takes a savepoint of the running job."""
    flink_config: Mapping[str, Any] = field(default_factory=dict)
    """Options of Flink for this job."""
    start_timeout_seconds: int = START_SECONDS
    """Within which it has to be stable, and its savepoint complete."""
    stable_seconds: int = STABLE_SECONDS
    """How long a new one of a blue-green job has to run well before it takes over."""
    secrets: Sequence[str] = ()
    """Names of secrets of the cluster that the job reads (`ClusterSettings.job_secrets`)."""
    on_delete: str = "savepoint"
    """What becomes of the running job when it is no longer declared, one of STOPS."""
    savepoints: SavepointSettings | None = None
    """None takes none by itself, and deletes none."""
    restarts: RestartSettings = field(default_factory=RestartSettings)

    @cached_property
    def kind(self) -> str:
        """What the program is, one of KINDS."""
        return next((kind for kind in KINDS if getattr(self, kind)), KINDS[0])

    @cached_property
    def program(self) -> Artifact:
        """The job's program."""
        return Artifact(place=getattr(self, self.kind), sha256=self.sha256)

    @cached_property
    def artifacts(self) -> Mapping[str, Artifact]:
        """All files that the job is made of, by their names on hosts and on the storage."""
        jars = {f"{each.digest}.jar": each for each in self.dependencies}
        return {f"{self.program.digest}.{self.kind}": self.program, **jars}

    def spec(self) -> dict[str, Any]:
        """What is submitted: a change of it is an upgrade of the job. A job that does not use a setting does not change
        because the setting was invented: most are there only if they are set.
        """
        options = {} if self.kind == "jar" else {"pipeline.name": self.name}
        module = self.entry_module or (self.program.name.removesuffix(".py") if self.program.is_module else "main")
        rest = {
            "entryModule": module if self.kind == "python" else "",
            "dependencies": [each.spec() for each in self.dependencies],
            "secrets": list(self.secrets),
        }
        return {
            self.kind: self.program.spec(),
            "entryClass": self.entry_class,
            "args": list(self.args),
            "parallelism": self.parallelism,
            "allowNonRestoredState": self.allow_non_restored_state,
            "flinkConfig": {key: _text(value) for key, value in {**options, **self.flink_config}.items()},
            "restartNonce": self.restart_nonce,
            **{key: value for key, value in rest.items() if value},
        }


def _text(value: Any) -> str:
    """The value as Flink's command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)

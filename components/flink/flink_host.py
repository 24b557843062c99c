"""What all Flink hosts share: the release, the storage's credentials, the configuration, the daemon's launch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from .. import naming
from ..host import Host, Role
from ..remote import File, script_text, shipped, step
from ..roles import ROLES, daemon_of, unit_path
from ..storage import Storage
from ..storage.base import hadoop_site
from ..templates import render
from . import daemon, encryption, storage_steps, trusted, unit
from .context import Context
from .credentials import credentials
from .job_secrets import job_secrets
from .node import install, one_or_more
from .python import python_environment
from .settings import ClusterSettings

RECORDER = "recorder.sh"
"""A library of scripts: the command line that Flink's own start scripts derive from a configuration."""
LAUNCHES_KEPT = 4
"""How many launches a host keeps, for a fast return to an earlier one."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """What differs between the machines of a role: the memory of the process, and its config.yaml."""

    memory_mib: int
    config_yaml: str


@dataclass(frozen=True, kw_only=True)
class FlinkHostArgs:
    """Arguments of `FlinkHost`."""

    context: Context
    host: Host
    process: pulumi.Output[Process]


class FlinkHost(pulumi.ComponentResource):
    """A host with one of Flink's daemons. The step `service` keeps the daemon running. If a healthy daemon runs
    something other than expected, the step leaves its restart to the rollout.
    """

    service: remote.Command
    wants: pulumi.Output[str]
    """The desired state of the daemon, on one line."""

    def __init__(
        self,
        kind: str,
        name: str,
        args: FlinkHostArgs,
        *,
        arguments: Sequence[str],
        others: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(naming.type_token("flink", kind), name, None, opts)
        self._args, self._context, self._host = args, args.context, args.host
        self._daemon = daemon_of(args.host.role)
        node = self._context.nodes[name]
        release = install_flink(self._context, args.host, self)
        prepared = pulumi.ResourceOptions(parent=self, depends_on=node.prepared)
        keys = credentials(args.host, self._context.storage, self._context.settings, prepared)
        signing = self._context.encryption
        identity = signing.identity(args.host, node, self) if signing else None
        installed = pulumi.ResourceOptions(parent=self, depends_on=[node.prepared, node.java])
        store = trusted.install(args.host, self._context.settings, installed)
        of_jobs = [
            job_secrets(args.host, self._context.settings, prepared),
            python_environment(args.host, self._context.settings, prepared),
        ]
        settings, storage = self._context.settings, self._context.storage
        more = storage_steps.prepare(args.host, settings, storage, [node.prepared, release], self)
        launch = self._launch(arguments, others, [node.prepared, node.java, release, *more])
        more += [each for each in [*of_jobs, self._context.shared.get(name)] if each]
        self.service = self._service(others, keys, identity, store, launch, more)
        self.register_outputs({})

    def _launch(
        self, arguments: Sequence[str], others: Sequence[str], after: Sequence[pulumi.Resource]
    ) -> remote.Command:
        """Write the configuration, and determine the daemon's command line."""
        host, settings = self._host, self._context.settings
        values: dict[str, str | int | Sequence[str]] = {
            **recorded(host.role, settings, self._context.storage),
            "script": self._daemon.script,
            "arguments": arguments,
            "entrypoint": self._daemon.entrypoint,
            "plugin": self._context.storage.plugin,
            "keep": LAUNCHES_KEPT,
        }
        if settings.secret_config is not None:
            values["secrets"] = "true"
        if settings.tls:
            values["tls_options"] = encryption.OPTIONS

        collected = settings.logs.collected(monitored=self._context.members.monitored)
        session = self._daemon.session if self._context.members.high_availability else ""

        def text(process: Process) -> str:
            files = [
                *configuration(process.config_yaml, logs=collected, session=session),
                shipped(unit_path("flink-classes"), "config_templates/flink-classes.service"),
                File(path="/etc/flink/daemon.json", text=unit.daemon_json(host.role, settings, others)),
            ]
            return script_text(host, "launch.sh", values, files, uses=(RECORDER,))

        opts = pulumi.ResourceOptions(parent=self, depends_on=list(after))
        return step(host, "config", self._args.process.apply(text), opts=opts)

    def _service(
        self,
        others: Sequence[str],
        keys: remote.Command | None,
        identity: remote.Command | None,
        store: remote.Command | None,
        launch: remote.Command,
        more: Sequence[pulumi.Resource],
    ) -> remote.Command:
        settings, storage = self._context.settings, self._context.storage
        role, disks = self._host.role, self._host.local_disks
        installed = {name: each for name, each in (("tls", identity), ("trusted", store)) if each}
        expected = pulumi.Output.all(
            self._args.process, keys.stdout if keys else "none", *[step.stdout for step in installed.values()]
        ).apply(
            lambda known: daemon.wants(
                flink=settings.flink.version,
                java=settings.java.version,
                plugin=storage.plugin,
                config=known[0].config_yaml,
                credentials=known[1],
                **dict(zip(installed, known[2:], strict=True)),
            )
        )
        self.wants = expected
        text = self._args.process.apply(
            lambda process: unit.flink_unit(
                role,
                settings,
                memory_mib=process.memory_mib,
                disks=disks,
                high_availability=self._context.members.high_availability,
                marks=storage.marks(settings.cluster_id),
            )
        )
        joined, logins = self._context.joined[self._host.name], self._context.logins
        needed = [joined, *logins, launch, *more, *([keys] if keys else []), *installed.values(), *storage.ready]
        opts = pulumi.ResourceOptions(parent=self, depends_on=[*needed])
        if looked := storage_steps.access(self._host, settings, storage, expected, opts):
            needed.append(looked)
        return daemon.run(
            self._host,
            self._daemon,
            text,
            expected,
            inputs=unit.inputs(role, settings),
            others=others,
            seconds=settings.ready_timeout_seconds,
            look=storage_steps.look(self._host, settings, storage),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
        )


def recorded(role: Role, settings: ClusterSettings, storage: Storage) -> Mapping[str, str | Sequence[str]]:
    """Values of recorder.sh."""
    environment = [f"{name}={value}" for name, value in storage.environment.items()]
    return {
        "user": ROLES[role].user,
        "home": f"/opt/flink-{settings.flink.version}",
        "java": f"/opt/java-{settings.java.version}",
        **({"storage_environment": environment} if environment else {}),
    }


def install_flink(context: Context, host: Host, parent: pulumi.Resource) -> remote.Command:
    """Install Flink, with the plugins for the storage."""
    sites = [
        text
        for backend in context.storage.backends
        for plugin in backend.plugins
        if backend.hadoop
        for text in (plugin, hadoop_site(backend.hadoop))
    ]
    more = {"sites": sites} if sites else {}
    return install(
        host,
        context.settings,
        context.storage,
        context.settings.flink,
        "bin/flink",
        pulumi.ResourceOptions(parent=parent, depends_on=context.probes[host.name]),
        script="flink.sh",
        plugin=one_or_more(context.storage.plugins),
        **more,
    )


def configuration(config_yaml: str, *, logs: bool = False, session: str = "") -> list[File]:
    """Flink's configuration directory, without masters and workers; `logs` and `session` as in `logging`, for the
    daemon under systemd.
    """
    return [
        File(path="/etc/flink/config.yaml", text=config_yaml),
        logging("/etc/flink/log4j-console.properties", logs=logs, session=session),
        # Used by start-cluster.sh
        logging("/etc/flink/log4j.properties", logs=logs),
        shipped("/etc/flink/log4j-cli.properties", "config_templates/log4j-cli.properties"),
    ]


def logging(path: str, *, logs: bool, session: str = "") -> File:
    """The configuration of log4j. `logs`: an agent reads the log, which then has job and thread in each line.
    `session`: the file to which it writes what ZooKeeper's client says of its session; empty: none.
    """
    template = "log4j-console.properties"
    if session:
        return File(path=path, text=render(template, logs=logs, session=session))
    return shipped(path, f"config_templates/{template}{':logs' if logs else ''}")

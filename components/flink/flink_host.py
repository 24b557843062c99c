"""What JobManagers and TaskManagers share: the release, the storage's credentials, the launch, the daemon."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from components import naming
from components.flink import config, daemon
from components.flink.node import Node, install, user
from components.flink.templates import render
from components.host import Host, Storage
from components.remote import File, script_text, step
from settings import FlinkSettings

LAUNCHES_KEPT = 4
"""How many launches a host keeps, so that the way back to one of them is short."""


@dataclass(frozen=True, kw_only=True)
class Process:
    """What differs between machines of a role: the process's memory, and its configuration as text."""

    memory_mib: int
    config_yaml: str


@dataclass(frozen=True, kw_only=True)
class FlinkHostArgs:
    """A host that runs Flink."""

    host: Host
    jobmanagers: Sequence[Host]
    """All of the cluster's."""
    node: Node
    joined: remote.Command
    """The step that tells the host of the others."""
    settings: FlinkSettings
    storage: Storage
    process: pulumi.Output[Process]
    probes: list[pulumi.Resource]


class FlinkHost(pulumi.ComponentResource):
    """A host that runs one of Flink's daemons; `service` is the step that keeps it running. If it runs and is healthy,
    but with something else than what is expected, that step leaves the restart to the rollout.
    """

    service: remote.Command

    def __init__(
        self,
        kind: str,
        name: str,
        args: FlinkHostArgs,
        *,
        daemon: config.Daemon,
        arguments: Sequence[str],
        check: str,
        joins: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(naming.type_token("flink", kind), name, None, opts)
        self._args, self._daemon = args, daemon
        release = install(
            args.host,
            args.settings.flink,
            "bin/flink",
            pulumi.ResourceOptions(parent=self, depends_on=args.probes),
            script="flink.sh",
            plugin=args.storage.plugin,
        )
        prepared = pulumi.ResourceOptions(parent=self, depends_on=args.node.prepared)
        credentials = _credentials(args.host, args.storage, prepared)
        launch = self._launch(arguments, check, [args.node.prepared, args.node.java, release])
        self.service = self._service(check, joins, credentials, launch)
        self.register_outputs({})

    def _launch(self, arguments: Sequence[str], check: str, after: Sequence[pulumi.Resource]) -> remote.Command:
        """Write the configuration, and work the daemon's command line out."""
        host, settings, daemon = self._args.host, self._args.settings, self._daemon
        logging = render("log4j-console.properties")
        values: dict[str, str | int | Sequence[str]] = {
            "user": user(host.role),
            "script": daemon.script,
            "arguments": arguments,
            "entrypoint": daemon.entrypoint,
            "home": f"/opt/flink-{settings.flink.version}",
            "java": f"/opt/java-{settings.java.version}",
            "plugin": self._args.storage.plugin,
            "keep": LAUNCHES_KEPT,
        }

        def text(process: Process) -> str:
            files = [
                File(path="/etc/flink/config.yaml", text=process.config_yaml),
                File(path="/etc/flink/log4j-console.properties", text=logging),
                # For `flink run` and for daemons that start-cluster.sh starts
                File(path="/etc/flink/log4j-cli.properties", text=logging),
                File(path="/etc/flink/log4j.properties", text=logging),
                File(path=config.unit_path("flink-classes"), text=render("flink-classes.service")),
                File(path="/etc/flink/daemon.conf", text=config.daemon_conf(daemon, check)),
            ]
            return script_text(host, "launch.sh", values, files)

        opts = pulumi.ResourceOptions(parent=self, depends_on=list(after))
        return step(host, "config", self._args.process.apply(text), opts=opts)

    def _service(
        self, check: str, joins: str, credentials: remote.Command | None, launch: remote.Command
    ) -> remote.Command:
        args = self._args
        expected = pulumi.Output.all(args.process, credentials.stdout if credentials else "none").apply(
            lambda known: daemon.wants(
                flink=args.settings.flink.version,
                java=args.settings.java.version,
                plugin=args.storage.plugin,
                config=known[0].config_yaml,
                credentials=known[1],
            )
        )
        unit = args.process.apply(lambda process: config.flink_unit(self._daemon, memory_mib=process.memory_mib))
        needed = [args.joined, launch, *([credentials] if credentials else []), *args.storage.ready]
        return daemon.run(
            args.host,
            self._daemon,
            unit,
            expected,
            check=check,
            joins=joins,
            seconds=args.settings.ready_timeout_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
        )


def _credentials(host: Host, storage: Storage, opts: pulumi.ResourceOptions) -> remote.Command | None:
    """The storage's keys in a file of their own, so that config.yaml's differences can be shown; none with an instance
    profile.
    """
    if storage.access_key is None or storage.secret_key is None:
        return None
    stdin = pulumi.Output.all(storage.access_key, storage.secret_key).apply(
        lambda keys: script_text(
            host,
            "credentials.sh",
            files=[
                File(
                    path="/etc/flink/credentials.env",
                    text=config.credentials_env(keys[0], keys[1]),
                    mode="0600",
                    owner="flink:flink",
                )
            ],
        )
    )
    return step(host, "credentials", pulumi.Output.secret(stdin), opts=opts)

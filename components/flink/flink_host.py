"""What JobManagers and TaskManagers share: the release, the storage's credentials, config.yaml, the daemon."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from components import naming
from components.flink import config, daemon
from components.flink.node import Node, install
from components.flink.templates import render
from components.host import Host, Storage
from components.remote import File, script_text, step
from settings import FlinkSettings


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
    config_yaml: pulumi.Output[str]
    probes: list[pulumi.Resource]
    after: list[remote.Command]
    """Services that have to be up, or restarted, before this one is."""


class FlinkHost(pulumi.ComponentResource):
    """A host that runs one of Flink's daemons; `service` is the step that keeps it running."""

    service: remote.Command

    def __init__(
        self,
        kind: str,
        name: str,
        args: FlinkHostArgs,
        *,
        what: config.Daemon,
        unit: File,
        check: str,
        others: Sequence[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(naming.type_token("flink", kind), name, None, opts)
        host, settings = args.host, args.settings
        prepared = pulumi.ResourceOptions(parent=self, depends_on=args.node.prepared)
        release = install(
            host,
            settings.flink,
            "bin/flink",
            pulumi.ResourceOptions(parent=self, depends_on=args.probes),
            script="flink.sh",
            plugin=args.storage.plugin,
        )
        written = step(host, "config", args.config_yaml.apply(lambda text: _files(host, text)), opts=prepared)
        credentials = _credentials(host, args.storage, prepared)
        wanted = pulumi.Output.all(args.config_yaml, credentials.stdout if credentials else "none").apply(
            lambda known: daemon.wants(
                flink=settings.flink.version,
                java=settings.java.version,
                plugin=args.storage.plugin,
                config=known[0],
                credentials=known[1],
            )
        )
        needed = [
            args.joined,
            args.node.java,
            release,
            written,
            *([credentials] if credentials else []),
            *args.after,
            *args.storage.ready,
        ]
        self.service = daemon.run(
            host,
            what,
            unit,
            wanted,
            check=check,
            others=others,
            seconds=settings.ready_timeout_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
        )
        self.register_outputs({})


def _files(host: Host, config_yaml: str) -> str:
    files = [
        File(path="/etc/flink/config.yaml", text=config_yaml),
        File(path="/etc/flink/log4j-console.properties", text=render("log4j-console.properties")),
        # For `flink run` and for daemons that start-cluster.sh starts
        File(path="/etc/flink/log4j-cli.properties", text=render("log4j-console.properties")),
        File(path="/etc/flink/log4j.properties", text=render("log4j-console.properties")),
    ]
    return script_text(host, "files.sh", {"what": "configuration"}, files)


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

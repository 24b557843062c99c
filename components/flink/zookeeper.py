"""The ZooKeeper ensemble that elects the leading JobManager."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from components import naming, ports
from components.flink import config, daemon
from components.flink.node import Node, install
from components.flink.templates import render
from components.host import Host, Role
from components.remote import File, script_text, step
from settings import FlinkSettings

# A server that has no quorum answers, but not with its mode
SERVES = "timeout 2 bash -c 'exec 3<>/dev/tcp/localhost/{port}; printf srvr >&3; cat <&3' | grep -q ^Mode"


@dataclass(frozen=True, kw_only=True)
class ZooKeeperArgs:
    """The ensemble's servers: `nodes`, `joined` (the step that tells a host of the others) and `probes` (those before
    any change to the host) by host name.
    """

    settings: FlinkSettings
    members: config.Members
    nodes: Mapping[str, Node]
    joined: Mapping[str, remote.Command]
    probes: Mapping[str, list[pulumi.Resource]]


class ZooKeeper(pulumi.ComponentResource):
    """An ensemble; `ready` is the step after which it has a leader and all its servers."""

    def __init__(self, name: str, args: ZooKeeperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("flink", "ZooKeeper"), name, None, opts)
        servers = args.members.of(Role.ZOOKEEPER)
        services: list[remote.Command] = []
        for host in servers:
            # One server at a time, so that a changed setting never takes the quorum away
            services.append(self._server(host, args, services[-1:]))
            if host.service:
                host.service.keep(services[-1])
        self.ready = self._complete(servers, args, services)
        self.register_outputs({"servers": [host.name for host in servers]})

    def _server(self, host: Host, args: ZooKeeperArgs, before: list[remote.Command]) -> remote.Command:
        settings, node = args.settings, args.nodes[host.name]
        after_probes = pulumi.ResourceOptions(parent=self, depends_on=args.probes[host.name])
        release = install(host, settings.zookeeper, "lib", after_probes)
        files = [
            File(path="/etc/zookeeper/zoo.cfg", text=config.zoo_cfg(settings, args.members)),
            File(path="/etc/zookeeper/logback.xml", text=render("logback.xml")),
            File(path="/var/lib/zookeeper/data/myid", text=f"{naming.server_id(host.name)}\n"),
        ]
        written = step(
            host,
            "config",
            script_text(host, "files.sh", {"what": "configuration"}, files),
            opts=pulumi.ResourceOptions(parent=self, depends_on=node.prepared),
        )
        wants = daemon.wants(zookeeper=settings.zookeeper.version, java=settings.java.version, config=files[0].text)
        return daemon.run(
            host,
            config.ZOOKEEPER,
            config.zookeeper_unit(settings, data_disk=host.data_device is not None),
            wants,
            check=SERVES.format(port=ports.number("zk-client")),
            others=[
                f"{server.reached_as}:{ports.number('zk-client')}"
                for server in args.members.of(Role.ZOOKEEPER)
                if server is not host
            ],
            seconds=settings.ready_timeout_seconds,
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[node.java, args.joined[host.name], release, written, *before]
            ),
        )

    def _complete(self, servers: list[Host], args: ZooKeeperArgs, services: list[remote.Command]) -> remote.Command:
        stdin = daemon.generation(services, servers).apply(
            lambda generation: script_text(
                servers[0],
                "ensemble.sh",
                {
                    "servers": [host.reached_as for host in servers],
                    "port": ports.number("zk-client"),
                    "seconds": args.settings.ready_timeout_seconds,
                    "generation": generation,
                },
            )
        )
        seconds = args.settings.ready_timeout_seconds + 60
        opts = pulumi.ResourceOptions(parent=self, depends_on=services)
        return step(servers[0], "ensemble", stdin, seconds=seconds, removable=False, opts=opts)

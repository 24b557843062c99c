"""The ZooKeeper ensemble that elects the leading JobManager."""

import json
from collections.abc import Sequence

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..flink import daemon
from ..flink.context import Context, Running, keep
from ..flink.node import install
from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES, daemon_of
from ..templates import render
from .zoo_cfg import inputs, zoo_cfg, zookeeper_unit


class ZooKeeper(pulumi.ComponentResource):
    """An ensemble. After the step `ready` it has a leader and all servers."""

    def __init__(
        self, name: str, context: Context, servers: Sequence[Host], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(naming.type_token("flink", "ZooKeeper"), name, None, opts)
        self._context, self._servers = context, servers
        self._zoo_cfg = zoo_cfg(context.settings, context.members)
        signing = context.encryption
        self._identities = {
            host.name: signing.identity(host, context.nodes[host.name], self) if signing else None for host in servers
        }
        running = {host.name: self._run(host, "service", self._installed(host)) for host in servers}
        for host in servers:
            keep(host, running[host.name])
        restarted: list[remote.Command] = []
        for host in servers:
            # One server at a time, so that a changed setting never costs the quorum, and only after all have been
            # started: while one is missing, no other is stopped
            restarted.append(self._run(host, "restart", [*running.values(), *restarted[-1:]]))
        self.ready = self._complete([*running.values(), *restarted])
        self.register_outputs({"servers": [host.name for host in servers]})

    def _installed(self, host: Host) -> list[pulumi.Resource]:
        """What a host needs before its server can start."""
        context, row = self._context, ROLES[host.role]
        settings, node = context.settings, context.nodes[host.name]
        collected = settings.logs.collected(monitored=context.members.monitored)
        logging = render("zookeeper/logback.xml", tls=settings.tls, logs=collected)
        after_probes = pulumi.ResourceOptions(parent=self, depends_on=context.probes[host.name])
        release = install(host, settings, context.storage, settings.zookeeper, "lib", after_probes)
        files = [
            File(path="/etc/zookeeper/zoo.cfg", text=self._zoo_cfg),
            File(
                path="/etc/zookeeper/logback.xml",
                text=logging,
            ),
            File(
                path=f"{row.data_directory}/myid",
                owner=f"{row.user}:{row.user}",
                text=f"{naming.server_id(host.name)}\n",
            ),
        ]
        written = step(
            host,
            "config",
            self._written(host, files),
            opts=pulumi.ResourceOptions(parent=self, depends_on=node.prepared),
        )
        identity = self._identities[host.name]
        return [
            node.java,
            context.joined[host.name],
            *context.logins,
            release,
            written,
            *([identity] if identity else []),
        ]

    def _written(self, host: Host, files: list[File]) -> str:
        settings, members = self._context.settings, self._context.members
        if not settings.tls:
            return script_text(host, "files.sh", {"what": "configuration"}, files)
        both = File(path="/etc/zookeeper/both.cfg", text=zoo_cfg(settings, members, plain_text=True))
        return script_text(host, "zookeeper/config.sh", {"unit": daemon_of(host.role).unit}, [*files, both])

    def refuse_plain_text(self, after: Sequence[pulumi.Resource]) -> list[remote.Command]:
        """The steps after which the servers accept TLS only, one server after the other. Before them, after TLS was
        switched on, they accept both, so that Flink's daemons keep their ensemble until they use TLS, too.
        """
        settings = self._context.settings
        done: list[remote.Command] = []
        for host in self._servers if settings.tls else ():
            others = [other.reached_as for other in self._servers if other is not host]
            process = daemon_of(host.role)
            values: dict[str, str | int | Sequence[str]] = {
                "unit": process.unit,
                "inputs": inputs(settings),
                "health": daemon.health(process, others),
                "seconds": settings.ready_timeout_seconds,
            }
            opts = pulumi.ResourceOptions(parent=self, depends_on=[*after, *done[-1:]])
            seconds = 2 * settings.ready_timeout_seconds + 60
            done.append(
                step(host, "secured", script_text(host, "zookeeper/only_tls.sh", values), seconds=seconds, opts=opts)
            )
        return done

    def _run(self, host: Host, what: str, after: Sequence[pulumi.Resource]) -> remote.Command:
        """The step `service`, which starts a server that does not serve, or the step `restart` (daemon.run)."""
        settings, identity = self._context.settings, self._identities[host.name]
        parts = {"zookeeper": settings.zookeeper.version, "java": settings.java.version, "config": self._zoo_cfg}
        return daemon.run(
            host,
            daemon_of(host.role),
            zookeeper_unit(settings, data_disk=host.data_device is not None),
            identity.stdout.apply(lambda tls: daemon.wants(**parts, tls=tls)) if identity else daemon.wants(**parts),
            inputs=inputs(settings),
            others=[other.reached_as for other in self._servers if other is not host],
            seconds=settings.ready_timeout_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            what=what,
        )

    def _complete(self, services: list[remote.Command]) -> remote.Command:
        servers, settings = self._servers, self._context.settings
        values = {
            "host": servers[0].name,
            "servers": [host.reached_as for host in servers],
            "port": ports.number("zk-client"),
            "seconds": settings.ready_timeout_seconds,
        }
        stdin = daemon.generation(services, servers).apply(
            lambda generation: script_text(
                servers[0], "zookeeper/ensemble.sh", {"values": json.dumps(values), "generation": generation}
            )
        )
        seconds = settings.ready_timeout_seconds + 60
        opts = pulumi.ResourceOptions(parent=self, depends_on=services)
        return step(servers[0], "ensemble", stdin, seconds=seconds, opts=opts)


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """One ensemble on all `hosts`."""
    ensemble = ZooKeeper(context.name, context, hosts, opts)
    return Running(ready=[ensemble.ready], finish=ensemble.refuse_plain_text)

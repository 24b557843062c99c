"""The ZooKeeper ensemble that elects the leading JobManager."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_command import remote

from .. import naming, ports
from ..flink import daemon
from ..flink.context import Context, Running, keep
from ..flink.node import install
from ..host import Host
from ..remote import File, script_text, step
from ..roles import ROLES
from ..templates import render
from .zoo_cfg import zoo_cfg, zookeeper_unit

_ASK = """\
ask() {{ timeout 2 bash -c 'exec 3<>"/dev/tcp/$1/{port}" && printf %s "$2" >&3 && cat <&3' _ "$1" "$2" 2>/dev/null; }}
# A server that has no quorum answers, but not with its mode
serves() {{ ask "$1" srvr | grep -q ^Mode; }}
# Only the leader says how many followers have all that it has
in_sync() {{
  for server in {servers}; do
    synced=$(ask "$server" mntr | sed -n 's/^zk_synced_followers[[:space:]]*//p')
    [ -z "$synced" ] || {{ [ "${{synced%.*}}" -ge {followers} ]; return; }}
  done
  return 1
}}
"""


@dataclass(frozen=True)
class Conditions:
    """Of a server, for bash: healthy when it serves and the ensemble has all its members, none of them behind; to be
    stopped when none of them is missing, or when it does not serve itself; comes to an ensemble when others serve.
    """

    healthy: str
    serves: str
    stoppable: str
    joins: str


def conditions(server: str, servers: Sequence[str]) -> Conditions:
    """For one of an ensemble's `servers`, by the names under which they are reached."""
    ask = _ASK.format(port=ports.number("zk-client"), servers=" ".join(servers), followers=len(servers) - 1)
    others = " || ".join(f"serves {other}" for other in servers if other != server)
    return Conditions(
        healthy=f"{ask}serves localhost && in_sync",
        serves=f"{ask}serves localhost",
        stoppable=f"{ask}! serves localhost || in_sync",
        joins=f"{ask}{others}",
    )


class ZooKeeper(pulumi.ComponentResource):
    """An ensemble; `ready` is the step after which it has a leader and all its servers."""

    def __init__(
        self, name: str, context: Context, servers: Sequence[Host], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(naming.type_token("flink", "ZooKeeper"), name, None, opts)
        self._context, self._servers = context, servers
        self._zoo_cfg = zoo_cfg(context.settings, context.members)
        running = {host.name: self._run(host, "service", self._installed(host)) for host in servers}
        for host in servers:
            keep(host, running[host.name])
        restarted: list[remote.Command] = []
        for host in servers:
            # One server at a time, so that a changed setting never takes the quorum away, and only when all have been
            # started: one that is missing keeps the others from being stopped
            restarted.append(self._run(host, "restart", [*running.values(), *restarted[-1:]]))
        self.ready = self._complete([*running.values(), *restarted])
        self.register_outputs({"servers": [host.name for host in servers]})

    def _installed(self, host: Host) -> list[pulumi.Resource]:
        """What has to be on a host before its server can run."""
        context = self._context
        settings, node = context.settings, context.nodes[host.name]
        after_probes = pulumi.ResourceOptions(parent=self, depends_on=context.probes[host.name])
        release = install(host, settings.zookeeper, "lib", after_probes)
        files = [
            File(path="/etc/zookeeper/zoo.cfg", text=self._zoo_cfg),
            File(path="/etc/zookeeper/logback.xml", text=render("zookeeper/logback.xml")),
            File(path=f"{ROLES[host.role].data_directory}/myid", text=f"{naming.server_id(host.name)}\n"),
        ]
        written = step(
            host,
            "config",
            script_text(host, "files.sh", {"what": "configuration"}, files),
            opts=pulumi.ResourceOptions(parent=self, depends_on=node.prepared),
        )
        return [node.java, context.joined[host.name], release, written]

    def _run(self, host: Host, what: str, after: Sequence[pulumi.Resource]) -> remote.Command:
        """The step `service`, which starts the server if it does not serve, or `restart` (daemon.run)."""
        settings, server = self._context.settings, ROLES[host.role].daemon
        assert server is not None, "ZooKeeper has a daemon"
        hold = conditions(host.reached_as, [server.reached_as for server in self._servers])
        return daemon.run(
            host,
            server,
            zookeeper_unit(settings, data_disk=host.data_device is not None),
            daemon.wants(zookeeper=settings.zookeeper.version, java=settings.java.version, config=self._zoo_cfg),
            check=hold.healthy,
            serves=hold.serves,
            stoppable=hold.stoppable,
            joins=hold.joins,
            seconds=settings.ready_timeout_seconds,
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(after)),
            what=what,
        )

    def _complete(self, services: list[remote.Command]) -> remote.Command:
        servers, settings = self._servers, self._context.settings
        stdin = daemon.generation(services, servers).apply(
            lambda generation: script_text(
                servers[0],
                "ensemble.sh",
                {
                    "servers": [host.reached_as for host in servers],
                    "port": ports.number("zk-client"),
                    "seconds": settings.ready_timeout_seconds,
                    "generation": generation,
                },
            )
        )
        seconds = settings.ready_timeout_seconds + 60
        opts = pulumi.ResourceOptions(parent=self, depends_on=services)
        return step(servers[0], "ensemble", stdin, seconds=seconds, opts=opts)


def declare(context: Context, hosts: Sequence[Host], opts: pulumi.ResourceOptions) -> Running:
    """One ensemble of all `hosts`."""
    return Running(ready=[ZooKeeper(context.name, context, hosts, opts).ready])

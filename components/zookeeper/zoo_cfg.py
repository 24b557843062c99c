"""ZooKeeper's configuration and unit as text. Pure functions."""

from collections.abc import Sequence
from typing import Any

from .. import naming, ports
from ..flink import encryption, ensemble_tls
from ..flink.settings import ClusterSettings
from ..flink.topology import Members
from ..host import Role
from ..roles import ROLES, daemon_of
from ..templates import render

SERVING = "/etc/zookeeper/serving.cfg"
"""With TLS: a link to the file with which a server starts, zoo.cfg or both.cfg (host_scripts/zookeeper/config.sh)."""

_METRICS = {
    "metricsProvider.className": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    "metricsProvider.httpPort": ports.number("zk-metrics"),
}
"""Of clusters with a monitoring host. This provider has no TLS (https://zookeeper.apache.org/doc/r3.9.3/zookeeperMonitor.html);
the table of ports closes it to others."""


def zookeeper_config(settings: ClusterSettings, members: Members, *, plain_text: bool = False) -> dict[str, Any]:
    """The settings in zoo.cfg, the same on all servers; with TLS and `plain_text` those in both.cfg."""
    timings, extra = settings.timings, dict(settings.zookeeper_config)
    port = ports.number("zk-client")
    base: dict[str, Any] = {
        "tickTime": timings.tick_time,
        "initLimit": timings.init_limit,
        "syncLimit": timings.sync_limit,
        # A follower asks five times, and a leader on a busy host accepts followers after a second. With the default,
        # 100 ms, they turn to others meanwhile, and it leads nobody for initLimit
        "leaderConnectDelayDuringRetryMs": 400,
        "dataDir": ROLES[Role.ZOOKEEPER].data_directory,
        **(ensemble_tls.server(port, plain_text=plain_text) if settings.tls else {"clientPort": port}),
        # A host may resolve its own name to 127.0.1.1 (Debian's default)
        "quorumListenOnAllIPs": "true",
        "maxClientCnxns": 0,
        "autopurge.snapRetainCount": 5,
        "autopurge.purgeInterval": 6,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "ruok,srvr,mntr",
        **(_METRICS if members.monitored else {}),
    }
    quorum, election = ports.number("zk-quorum"), ports.number("zk-election")
    servers = {
        f"server.{naming.server_id(host.name)}": f"{host.reached_as}:{quorum}:{election}"
        for host in members.of(Role.ZOOKEEPER)
    }
    return {**base, **extra, **servers}


def zoo_cfg(settings: ClusterSettings, members: Members, *, plain_text: bool = False) -> str:
    """zoo.cfg as text, or both.cfg."""
    found = zookeeper_config(settings, members, plain_text=plain_text)
    return render("zookeeper/zoo.cfg.j2", settings=list(found.items()))


def inputs(settings: ClusterSettings) -> Sequence[str]:
    """The files whose changes restart a server."""
    role = Role.ZOOKEEPER
    return [*daemon_of(role).inputs, *([SERVING, *encryption.inputs(role)] if settings.tls else [])]


def zookeeper_unit(settings: ClusterSettings, *, data_disk: bool) -> str:
    """ZooKeeper's unit. With a `data_disk` it starts only while that is mounted."""
    return render(
        "zookeeper/zookeeper.service.j2",
        inputs=inputs(settings),
        heap_mib=settings.zookeeper_heap_mib,
        # A JVM needs about twice its heap, and a fixed part besides
        limit_mib=settings.zookeeper_heap_mib * 2 + 256,
        data_disk=data_disk,
        devices=False,
        java_options=settings.java_options,
        configuration=SERVING if settings.tls else "/etc/zookeeper/zoo.cfg",
    )

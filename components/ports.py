"""The only table of ports. Host firewalls, config.yaml, zoo.cfg, security groups and the docs derive from it.

By default Flink uses random ports for several of these; each is fixed here, so that firewall rules can name it.
Sources: Flink's configuration reference ("Ports and network"), ZooKeeper's administrator's guide.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .host import Role

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OPERATORS = "operators"
"""The networks in `operatorCidrs`. Not a role, because nothing of the cluster runs there."""

METRICS = "metrics"
"""The networks in `metricsCidrs`, or what it is by default. No role either."""

JM, TM, ZK, CLIENT = Role.JOBMANAGER, Role.TASKMANAGER, Role.ZOOKEEPER, Role.CLIENT
MON = Role.MONITORING


@dataclass(frozen=True)
class Port:
    """A TCP port: who listens on it and who may connect."""

    name: str
    number: int
    listens: tuple[Role, ...]
    clients: tuple[Role | str, ...]
    purpose: str


TABLE: tuple[Port, ...] = (
    Port("ssh", 22, (JM, TM), (OPERATORS, JM), "SSH: Pulumi, operators, start-cluster.sh"),
    Port("zk-ssh", 22, (ZK,), (OPERATORS,), "SSH: Pulumi, operators"),
    Port("client-ssh", 22, (CLIENT,), (OPERATORS,), "SSH: Pulumi, operators"),
    Port("monitoring-ssh", 22, (MON,), (OPERATORS,), "SSH: Pulumi, operators"),
    Port("tm-data", 6121, (TM,), (TM,), "TaskManager: records between tasks"),
    Port("tm-rpc", 6122, (TM,), (JM, TM), "TaskManager: RPC"),
    Port("jm-rpc", 6123, (JM,), (JM, TM), "JobManager: RPC"),
    Port("blob", 6124, (JM,), (JM, TM), "JobManager: jars and other large objects"),
    Port("metrics-query", 6125, (JM, TM), (JM,), "Metrics for the web UI"),
    Port("rest", 8081, (JM,), (OPERATORS, JM, CLIENT), "JobManager: web UI and REST API"),
    Port("prometheus", 9249, (JM, TM), (METRICS,), "Metrics for Prometheus"),
    Port("zk-client", 2181, (ZK,), (JM, TM, ZK, CLIENT), "ZooKeeper: clients"),
    Port("zk-quorum", 2888, (ZK,), (ZK,), "ZooKeeper: followers to the leader"),
    Port("zk-election", 3888, (ZK,), (ZK,), "ZooKeeper: leader election"),
)

MONITORING: tuple[Port, ...] = (
    Port("node-metrics", 9100, (JM, TM, ZK, CLIENT, MON), (MON, METRICS), "Metrics of the host (node_exporter)"),
    Port("zk-metrics", 7000, (ZK,), (MON, METRICS), "ZooKeeper: metrics"),
    Port("log-metrics", 8888, (JM, TM, ZK, CLIENT, MON), (MON,), "Metrics of the agent of logs"),
    Port("log-store", 9428, (MON,), (JM, TM, ZK, CLIENT, MON), "Logs, from the agents of all hosts (VictoriaLogs)"),
)
"""Only of clusters with a monitoring host."""

BEHIND: tuple[Port, ...] = (
    Port("door-metrics", 9180, (JM,), (MON,), "Front door: metrics"),
    Port("prometheus-web", 9090, (MON,), (JM,), "Prometheus, for the front door"),
    Port("alertmanager-web", 9093, (MON,), (JM,), "Alertmanager, for the front door"),
    Port("grafana", 3000, (MON,), (JM,), "Grafana, for the front door, with grafana: true"),
)
"""Only of clusters with a monitoring host and a front door. Without one Prometheus and Alertmanager listen on the
loopback, and there is no Grafana."""

HISTORY = Port("history", 8082, (JM,), (), "HistoryServer, for the front door of its own host")
"""With `history` only, and on the loopback interface only."""

FRONT_DOOR = Port("front-door", 443, (JM,), (OPERATORS,), "Front door: web UI and REST API, with TLS and login")
"""Open with `frontDoor` only, at `frontDoorPort`."""

FREE_SLOTS = Port(
    "free-slots", 9249, (JM,), (TM,), "Free slots, before a spot TaskManager stops (taskManagerRebalance)"
)
"""Open with `taskManagerRebalance` only. Metrics can be read there, and nothing else is answered."""

WHO_LEADS = Port("who-leads", 9249, (JM,), (JM,), "Who leads, for the front door")
"""Open with a front door only, which reads it from the metrics of each JobManager."""

_BY_NAME = {port.name: port for port in (*TABLE, *MONITORING, *BEHIND, HISTORY)}


def table(front_door: int = 0, rebalance: bool = False, monitoring: bool = False) -> tuple[Port, ...]:
    """The table of a cluster whose front door has this port; 0 means none. With a front door, operators have no access
    to Flink's own REST API, and JobManagers ask each other who leads. `rebalance`: TaskManagers ask for free slots.
    `monitoring`: there is a monitoring host, which reads metrics; operators ask that, through the front door.
    """
    readers = (*((MON,) if monitoring else ()), METRICS)
    changed = {"prometheus": replace(_BY_NAME["prometheus"], clients=readers)}
    more = [*((FREE_SLOTS,) if rebalance else ()), *(MONITORING if monitoring else ())]
    if front_door:
        more += BEHIND if monitoring else ()
        changed["rest"] = replace(_BY_NAME["rest"], clients=(JM, CLIENT))
        more[:0] = [replace(FRONT_DOOR, number=front_door), WHO_LEADS]
    return (*(changed.get(port.name, port) for port in TABLE), *more)


def number(name: str) -> int:
    """Number of the port `name`. Raises KeyError if the table does not contain it."""
    return _BY_NAME[name].number


def numbers() -> dict[str, int]:
    """Port name → number, for templates."""
    return {name: port.number for name, port in _BY_NAME.items()}


def url(address: str, *, tls: bool = False, front_door: int = 0) -> str:
    """URL of the web UI and REST API of a JobManager at `address`, with IPv6 in brackets; of its front door, if that
    has a port.
    """
    host = f"[{address}]" if ":" in address else address
    if front_door:
        return f"https://{host}" if front_door == FRONT_DOOR.number else f"https://{host}:{front_door}"
    return f"{'https' if tls else 'http'}://{host}:{number('rest')}"


def listening(role: Role, front_door: int = 0, monitoring: bool = False) -> list[Port]:
    """The ports that hosts of `role` listen on, in the order of the table."""
    return [port for port in table(front_door, monitoring=monitoring) if role in port.listens]


def readers(operators: Sequence[str], given: Sequence[str] | None, *, closed: bool) -> Sequence[str]:
    """The networks that METRICS stands for. `given`: `metricsCidrs`, None if it is not set: then nobody but
    hosts of the cluster, if the cluster is `closed`, otherwise operators.
    """
    if given is not None:
        return given
    return () if closed else operators


def sources(
    port: Port, addresses: Mapping[Role, Sequence[str]], operators: Sequence[str], metrics: Sequence[str] = ()
) -> list[str]:
    """Addresses and networks that may connect to `port`, without those inside another (nftables refuses overlaps).
    `metrics` are those that METRICS stands for.
    """
    found: list[str] = []
    networks_of = {OPERATORS: operators, METRICS: metrics}
    for client in port.clients:
        found += networks_of[client] if client in networks_of else addresses.get(Role(client), ())
    networks = sorted({ipaddress.ip_network(text) for text in found}, key=lambda network: (network.version, network))
    # A single address contains no other one; skipping addresses keeps this linear in the number of hosts
    wide = [net for net in networks if net.prefixlen < net.max_prefixlen]
    apart = [net for net in networks if not any(net != other and _within(net, other) for other in wide)]
    # 10.0.0.1 reads better than 10.0.0.1/32
    return [str(net.network_address) if net.prefixlen == net.max_prefixlen else str(net) for net in apart]


def _within(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]

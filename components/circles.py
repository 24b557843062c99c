"""Circles of TLS: groups of hosts that trust each other for one kind of connection. Each has authorities of its own,
because Flink accepts every certificate of an authority that it trusts: who may speak to one kind of server must not be
accepted by another. `ROLES` says which circles the daemons of a role are in; components/flink/encryption.py gives its
hosts their identities.
"""

from enum import Enum


class Circle(Enum):
    """A circle. The values are names of folders and of resources."""

    INTERNAL = "internal"
    """Between Flink's daemons: RPC, jars, records, internal metrics."""
    REST = "rest"
    """Flink's REST API: its servers, and those who may send requests to them."""
    ZOOKEEPER = "zookeeper"
    """ZooKeeper's servers and their clients, which all may read and write everything in it."""
    MONITORING = "monitoring"
    """Exporters of metrics, Prometheus and Alertmanager, and who asks them. Of clusters with a monitoring host only."""


def circles(*, monitored: bool) -> list[Circle]:
    """The circles of a cluster."""
    return [circle for circle in Circle if monitored or circle is not Circle.MONITORING]

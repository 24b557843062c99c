"""Apache Flink standalone clusters as Pulumi components. Data flows in one direction: settings, hosts and storage,
Flink, outputs.

Other Pulumi programs import the public names from here: `from flink_standalone import Cluster, Host, Storage` with the
wheel installed. In this repository the package is called `components`. `examples/own-program` is such a program.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .flink.cluster import Cluster, ClusterArgs
    from .flink.failover import timings
    from .flink.releases import Archive, official
    from .flink.settings import ClusterSettings
    from .host import Host, Role, Ssh
    from .storage import S3, Storage

__all__ = [
    "S3",
    "Archive",
    "Cluster",
    "ClusterArgs",
    "ClusterSettings",
    "Host",
    "Role",
    "Ssh",
    "Storage",
    "official",
    "timings",
]

_MODULES = {
    "S3": ".storage",
    "Archive": ".flink.releases",
    "Cluster": ".flink.cluster",
    "ClusterArgs": ".flink.cluster",
    "ClusterSettings": ".flink.settings",
    "Host": ".host",
    "Role": ".host",
    "Ssh": ".host",
    "Storage": ".storage",
    "official": ".flink.releases",
    "timings": ".flink.failover",
}


def __getattr__(name: str) -> Any:
    """Imports a name on first use: the SDK's plugins are large, and `ops` needs none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], __name__), name)

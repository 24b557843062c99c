"""The desired state of a cluster, as a resource without an effect. A preview shows each changed setting in it once,
for any number of hosts, because the differences of the steps' scripts are hidden. `ops` reads it as well.
"""

from typing import Any

import pulumi

from .. import certificates
from ..roles import ROLES
from ..storage import Storage
from ..zookeeper import zoo_cfg
from . import config_yaml
from .settings import ClusterSettings
from .topology import Members

HIGH_AVAILABILITY = {
    "clusterId": "high-availability.cluster-id",
    "storageDir": "high-availability.storageDir",
    "quorum": "high-availability.zookeeper.quorum",
    "pathRoot": "high-availability.zookeeper.path.root",
}
"""Location of the state that JobManagers share: name in the tree → Flink's key."""


def show(
    name: str, settings: ClusterSettings, storage: Storage, members: Members, opts: pulumi.ResourceOptions
) -> pulumi.Stash:
    """Declare the desired state, which contains no secret."""
    return pulumi.Stash(f"{name}-declared", input=text(settings, storage, members), opts=opts)


def text(settings: ClusterSettings, storage: Storage, members: Members) -> dict[str, Any]:
    """The settings as a tree. What all hosts that run Flink have in common is there once."""
    rows = {role: row for role, row in ROLES.items() if members.of(role)}
    by_role = {
        role: {key: _plain(value) for key, value in config_yaml.flink_config(role, settings, storage, members).items()}
        for role, row in rows.items()
        if row.runs_flink
    }
    # Hosts without a daemon have fewer keys, so only daemons decide which keys are common
    daemons = [found for role, found in by_role.items() if rows[role].daemon]
    common = {key: value for key, value in daemons[0].items() if all(other.get(key) == value for other in daemons)}
    tree: dict[str, Any] = {
        "versions": {
            archive.name: {"version": archive.version, "url": archive.url, "checksum": archive.checksum}
            for archive in (settings.flink, settings.java, settings.zookeeper)
        },
        "config.yaml": {
            "all": common,
            **{
                role.value: {key: value for key, value in found.items() if common.get(key) != value}
                for role, found in by_role.items()
            },
        },
        "memory": {role.value: row.declared_memory(settings) for role, row in rows.items() if row.daemon},
        "slots": settings.taskmanager_slots or "by machine",
        "storagePlugin": storage.plugin,
        "hosts": {role.value: members.names(role) for role in rows},
        "operators": list(settings.operator_cidrs),
        "firewall": settings.firewall,
    }
    if settings.metrics_cidrs is not None:
        tree["metricsReaders"] = list(settings.metrics_cidrs)
    if settings.trusted_certificates:
        tree["trustedCertificates"] = certificates.shown(settings.trusted_certificates)
    if settings.secret_options:
        tree["secretOptions"] = list(settings.secret_options)
    if members.high_availability:
        tree["highAvailability"] = {name: common[key] for name, key in HIGH_AVAILABILITY.items()}
        tree["zoo.cfg"] = {key: _plain(value) for key, value in zoo_cfg.zookeeper_config(settings, members).items()}
    return tree


def _plain(value: Any) -> str | int | float | bool:
    """The value as a type that the engine has, which YAML's dates, for example, are not."""
    return value if isinstance(value, str | int | float | bool) else str(value)

"""What a cluster is declared to be, as a resource that does nothing: a preview shows in it each setting that changes,
once, however many hosts take it. The steps on the hosts, whose scripts hold the same, do not show theirs.
"""

from typing import Any

import pulumi

from components.flink import config
from components.flink.config import Members
from components.host import Role, Storage
from settings import FlinkSettings


def show(
    name: str, settings: FlinkSettings, storage: Storage, members: Members, opts: pulumi.ResourceOptions
) -> pulumi.Stash:
    """Declare it; there is no secret in it."""
    return pulumi.Stash(f"{name}-declared", input=text(settings, storage, members), opts=opts)


def text(settings: FlinkSettings, storage: Storage, members: Members) -> dict[str, Any]:
    """The settings as a tree. What JobManagers and TaskManagers have in common is there once."""
    by_role = {
        role: {key: _plain(value) for key, value in config.flink_config(role, settings, storage, members).items()}
        for role in (Role.JOBMANAGER, Role.TASKMANAGER)
    }
    jobmanager, taskmanager = by_role.values()
    common = {key: value for key, value in jobmanager.items() if taskmanager.get(key) == value}
    tree: dict[str, Any] = {
        "versions": {
            archive.name: {"version": archive.version, "url": archive.url, "checksum": archive.checksum}
            for archive in (settings.flink, settings.java, settings.zookeeper)
        },
        "config.yaml": {
            "all": common,
            **{
                role.value: {key: value for key, value in found.items() if key not in common}
                for role, found in by_role.items()
            },
        },
        "memory": {
            Role.JOBMANAGER.value: f"{settings.jobmanager_mib}m",
            Role.TASKMANAGER.value: f"{settings.taskmanager_mib}m" if settings.taskmanager_mib else "by machine",
        },
        "slots": settings.taskmanager_slots or "by machine",
        "storagePlugin": storage.plugin,
        "hosts": {role.value: members.names(role) for role in Role},
        "operators": list(settings.operator_cidrs),
        "firewall": settings.firewall,
    }
    if members.of(Role.ZOOKEEPER):
        zoo_cfg = config.zookeeper_config(settings, members)
        tree["zoo.cfg"] = {key: _plain(value) for key, value in zoo_cfg.items()}
        tree["memory"][Role.ZOOKEEPER.value] = f"{settings.zookeeper_heap_mib}m heap"
    return tree


def _plain(value: Any) -> str | int | float | bool:
    """YAML has dates and the like, too, which the engine has not."""
    return value if isinstance(value, str | int | float | bool) else str(value)

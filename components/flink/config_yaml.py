"""Flink's config.yaml as text, from the settings and the list of members. Pure functions."""

from collections.abc import Mapping
from typing import Any

import yaml

from .. import ports, yaml_text
from ..host import Role
from ..roles import ROLES
from ..storage import Storage
from ..templates import render
from . import encryption, ensemble_tls, local_disks, proxy, trusted
from .settings import ClusterSettings
from .topology import Members

HEADER = "# Managed by Pulumi: changes are overwritten. config_templates/config.yaml.j2 says what the keys are for.\n"

# From env.java.opts.all in the conf/config.yaml of Flink 2.3.0; another config.yaml must repeat them.
EXPORTS = (
    "java.rmi/sun.rmi.registry", "jdk.compiler/com.sun.tools.javac.api", "jdk.compiler/com.sun.tools.javac.file",
    "jdk.compiler/com.sun.tools.javac.parser", "jdk.compiler/com.sun.tools.javac.tree",
    "jdk.compiler/com.sun.tools.javac.util", "java.security.jgss/sun.security.krb5",
)  # fmt: skip
OPENS = (
    "java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect", "java.text", "java.time",
    "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
)  # fmt: skip


def java_flags(more: str) -> str:
    """The JVM's options of all daemons, with what the stack adds to those that Flink cannot do without."""
    flags = [f"--add-exports={package}=ALL-UNNAMED" for package in EXPORTS]
    flags += [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENS]
    return " ".join([*flags, *([more] if more else [])])


def flink_config(
    role: Role,
    settings: ClusterSettings,
    storage: Storage,
    members: Members,
    *,
    memory_mib: int = 0,
    slots: int = 0,
    disks: int = 0,
) -> dict[str, Any]:
    """The keys of config.yaml on the hosts of a role, flat: those of the template, overridden by those of the stack.

    `memory_mib` is the size of the process in MiB; 0 omits what depends on the machine. `slots` and `disks`
    (the number of local ones) apply to TaskManagers only. All hosts of a role with machines of the same size have the
    same config.yaml: what differs between hosts is on the command line of the unit.
    """
    zookeeper = ports.number("zk-client")
    base = yaml.safe_load(
        render(
            "config.yaml.j2",
            role=role.value,
            java_flags=java_flags(_java_options(role, settings, storage, members)),
            quorum=",".join(f"{name}:{zookeeper}" for name in members.reached_as(Role.ZOOKEEPER)),
            cluster_id=settings.cluster_id,
            jobmanagers=members.reached_as(Role.JOBMANAGER),
            storage=storage,
            history=archive(settings, storage) if settings.history else "",
            timings=settings.timings,
            ports=ports.numbers(),
            memory_mib=memory_mib,
            slots=slots,
            local_disks=local_disks.directories(disks),
        )
    )
    if encryption.applies(role, settings):
        base |= encryption.config(role)
    own = ROLES[role].own_config(settings)
    base |= {**storage.options, **proxy.storage_options(settings, storage)}
    return {key: _value(value) for key, value in {**base, **settings.common_config, **own}.items()}


def _java_options(role: Role, settings: ClusterSettings, storage: Storage, members: Members) -> str:
    """Options of the JVM for the trust store and the storage, those of the stack, and those of ZooKeeper's client."""
    secure = settings.tls and members.high_availability
    client = ensemble_tls.client_options(role) if secure else ""
    parts = [trusted.java_options(settings), storage.java_options, settings.java_options, client]
    return " ".join(filter(None, parts))


def archive(settings: ClusterSettings, storage: Storage) -> str:
    """URI of the folder with what is known of jobs that have ended."""
    return f"{storage.uri}/history/{settings.cluster_id}"


def config_yaml(keys: Mapping[str, Any]) -> str:
    """config.yaml as text, from `flink_config`: sorted lines."""
    return HEADER + yaml_text.write(keys)


def _value(value: Any) -> Any:
    """A list in Flink's notation `a;b`; other values unchanged."""
    return ";".join(str(item) for item in value) if isinstance(value, list) else value

"""What every provider hands over: hosts and a storage. Nothing behind this line knows where they came from."""

from dataclasses import dataclass, field
from enum import StrEnum

import pulumi


class Role(StrEnum):
    """What a host is for; one role a host, as the reference plan for production asks."""

    JOBMANAGER = "jobmanager"
    TASKMANAGER = "taskmanager"
    ZOOKEEPER = "zookeeper"


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """How to reach a host. The host key is always checked, so it is not optional."""

    address: pulumi.Input[str]
    user: str
    port: int
    private_key: pulumi.Input[str]
    host_key: str
    """Public key as in authorized_keys: `ssh-ed25519 AAAA…`."""
    jump: "Ssh | None" = None
    """SSH host on the way to it (a bastion), which is reached without another one."""


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine of the cluster."""

    name: str
    """Short host name; the others find it under this name, whatever its address is."""
    role: Role
    address: pulumi.Input[str]
    """Address that the other hosts of the cluster reach it under."""
    ssh: Ssh
    cpus: int | None = None
    """CPUs, where the provider knows them before the machine is reached."""
    memory_mib: int | None = None
    """Memory in MiB, where the provider knows it before the machine is reached."""
    zone: str = ""
    ready: pulumi.Resource | None = field(default=None, compare=False)
    """The resource after which SSH can be tried; a host that goes takes what was on it along (`deleted_with`)."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The object store for HA metadata, checkpoints and savepoints."""

    uri: str
    """Such as `s3://bucket/prefix`, without a slash at the end."""
    plugin: str
    """Flink's file system plugin, such as `flink-s3-fs-native`."""
    region: str
    endpoint: str = ""
    path_style: bool = False
    access_key: pulumi.Input[str] | None = None
    """None: the hosts have an identity of their own (an instance profile)."""
    secret_key: pulumi.Input[str] | None = None

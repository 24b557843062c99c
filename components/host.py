"""What every provider hands over: hosts, and a storage. Nothing behind this line knows where they came from."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pulumi

from .storage import Storage


class Role(StrEnum):
    """What a host is for; one role a host, as the reference plan for production asks."""

    JOBMANAGER = "jobmanager"
    TASKMANAGER = "taskmanager"
    ZOOKEEPER = "zookeeper"
    CLIENT = "client"


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """How to reach a host. The host key is always checked, so it is not optional."""

    address: pulumi.Input[str]
    """IP address or DNS name, as seen from where Pulumi runs."""
    user: str
    """A user with passwordless sudo, or root."""
    private_key: pulumi.Input[str]
    """Text of the private key (not its path), without a passphrase; give it as a secret Output."""
    host_key: pulumi.Input[str]
    """Public key as in authorized_keys: `ssh-ed25519 AAAA…`. The command plugin cannot log in with an ssh-rsa key."""
    port: int = 22
    jump: "Ssh | None" = None
    """SSH host on the way to it (a bastion), which is reached without another one."""
    new: bool = False
    """It may just have been made, so it is not lost if it refuses connections for minutes."""


class Service:
    """A promise of the cluster to whoever made a host: the resource after which the host is in service.

    With it a provider can replace machines one after the other, though it makes them before the cluster is declared.
    Must be made where an event loop runs, as in a Pulumi program.
    """

    def __init__(self) -> None:
        self._kept: asyncio.Future[pulumi.Resource] = asyncio.get_running_loop().create_future()

    def keep(self, resource: pulumi.Resource) -> None:
        """Set the resource. Until this or `give_up` is called, everyone who waits for the host keeps waiting."""
        self._kept.set_result(resource)

    def give_up(self, error: Exception) -> None:
        """Say that there will be none."""
        if not self._kept.done():
            self._kept.set_exception(error)

    @property
    def resource(self) -> pulumi.Output[pulumi.Resource]:
        """For `depends_on`."""
        return pulumi.Output.from_input(self._kept)


@dataclass(frozen=True, kw_only=True)
class Host:
    """A machine of the cluster."""

    name: str
    """Short host name: what resources, TaskManagers and log lines are called."""
    dns_name: str = ""
    """The name that DNS has for it, where its provider keeps one; otherwise the others learn its address."""
    role: Role
    address: pulumi.Input[str]
    """Address that the other hosts of the cluster reach it under."""
    ssh: Ssh
    cpus: int | None = None
    """CPUs, where the provider knows them before the machine is reached."""
    memory_mib: int | None = None
    """Memory in MiB, where the provider knows it before the machine is reached."""
    zone: str = ""
    sshd_port: int = 22
    """Port of its sshd, where other hosts of the cluster log in."""
    machine: pulumi.Input[str] = ""
    """Which machine has the name now, where it can be another one next time: then every step is done again."""
    data_device: pulumi.Input[str] | None = None
    """Block device for data that outlives the machine; None: the data is on its own disk."""
    waits: bool = False
    """It is replaced only after others are in service again, so these cannot wait for it."""
    service: Service | None = field(default=None, compare=False)
    ready: pulumi.Resource | None = field(default=None, compare=False)
    """The resource after which SSH can be tried; a host that goes takes what was on it along (`deleted_with`)."""

    @property
    def reached_as(self) -> str:
        """The name that the other hosts use for it, independent of its address."""
        return self.dns_name or self.name


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a provider hands over, and what people want to know of it."""

    hosts: Sequence[Host]
    storage: Storage
    outputs: Mapping[str, pulumi.Input[object]] = field(default_factory=dict)
    """Further outputs of the stack."""

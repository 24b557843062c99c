"""What every provider delivers: hosts and a storage. The code that uses them does not depend on the provider."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import pulumi

from .storage import Storage


class Role(StrEnum):
    """What a host is for. Each host has one role."""

    JOBMANAGER = "jobmanager"
    TASKMANAGER = "taskmanager"
    ZOOKEEPER = "zookeeper"
    CLIENT = "client"
    MONITORING = "monitoring"


class Notices(StrEnum):
    """The notices of the provider that stop a TaskManager, on a machine that the provider may take back."""

    NONE = "none"
    """The provider does not take the machine back."""
    INTERRUPTION = "interruption"
    """The machine ends within minutes."""
    REBALANCE = "rebalance"
    """That, and that the machine may end soon."""


@dataclass(frozen=True, kw_only=True)
class Ssh:
    """How to log in to a host. The host key is always verified, so it is mandatory."""

    address: pulumi.Input[str]
    """IP address or DNS name, as seen from where Pulumi runs."""
    user: str
    """A user with passwordless sudo, or root."""
    private_key: pulumi.Input[str]
    """Text of the private key (not its path), without a passphrase. Pass it as a secret Output."""
    host_key: pulumi.Input[str]
    """Public key as in authorized_keys: `ssh-ed25519 AAAA…`. The command plugin cannot log in with an ssh-rsa key."""
    port: int = 22
    jump: "Ssh | None" = None
    """SSH host through which this one is reached (a bastion). It has no jump host itself."""
    new: bool = False
    """It may be booting, so connections are retried for minutes."""


class Service:
    """A promise of the cluster to the provider of a host: the resource after which the host is in service.

    It lets a provider replace machines one by one, although it declares them before the cluster. Must be created where
    an event loop runs, as in a Pulumi program.
    """

    def __init__(self) -> None:
        self._kept: asyncio.Future[pulumi.Resource] = asyncio.get_running_loop().create_future()

    def keep(self, resource: pulumi.Resource) -> None:
        """Set the resource. Everyone who waits for the host waits until this or `give_up` is called."""
        self._kept.set_result(resource)

    def give_up(self, error: Exception) -> None:
        """Report that there will be no resource."""
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
    """Short host name, used for resources, TaskManagers and log lines."""
    dns_name: str = ""
    """Its DNS name, if the provider creates one. Otherwise the other hosts get its address."""
    role: Role
    address: pulumi.Input[str]
    """Address at which the other hosts of the cluster reach it."""
    ssh: Ssh
    cpus: int | None = None
    """Number of CPUs, if the provider knows it before the first connection."""
    memory_mib: int | None = None
    """Memory in MiB, if the provider knows it before the first connection."""
    zone: str = ""
    sshd_port: int = 22
    """Port of its sshd, to which other hosts of the cluster connect."""
    machine: pulumi.Input[str] = ""
    """Id of the machine that has the name now, if machines can be replaced. With another id every step runs again."""
    data_device: pulumi.Input[str] | None = None
    """Block device for data that outlives the machine. None: the data is on the machine's own disk."""
    local_disks: int = 0
    """Fast disks of the machine itself for temporary data; they are blank whenever the machine starts on other
    hardware."""
    waits: bool = False
    """It is replaced only after other hosts are in service again, so those cannot wait for it."""
    notices: Notices = Notices.NONE
    service: Service | None = field(default=None, compare=False)
    ready: pulumi.Resource | None = field(default=None, compare=False)
    """The resource after which SSH connections can start. What is on the host is deleted with it (`deleted_with`)."""

    @property
    def reached_as(self) -> str:
        """The name by which the other hosts reach it, independent of its address."""
        return self.dns_name or self.name


@dataclass(frozen=True, kw_only=True)
class Balancer:
    """A load balancer in front of all front doors."""

    url: pulumi.Input[str]
    """Where people reach it."""
    networks: Sequence[str]
    """From where it connects to the hosts, as CIDRs."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a provider delivers, with additional outputs for users."""

    hosts: Sequence[Host]
    storage: Storage
    outputs: Mapping[str, pulumi.Input[object]] = field(default_factory=dict)
    """Additional outputs of the stack."""
    balancer: Balancer | None = None
    """None: people reach the front doors themselves."""

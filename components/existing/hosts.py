"""Existing hosts, from the inventory."""

from collections.abc import Sequence

import pulumi

from .. import naming
from ..host import Host, Ssh
from ..openssh import Login
from .inventory import InventoryHost


class Hosts(pulumi.ComponentResource):
    """The hosts of the inventory, in `hosts`. Creates nothing, and `destroy` deletes nothing."""

    hosts: list[Host]

    def __init__(self, name: str, listed: Sequence[InventoryHost], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(naming.type_token("existing", "Hosts"), name, None, opts)
        self.hosts = [_host(host) for host in listed]
        self.register_outputs({"hosts": [host.name for host in self.hosts]})


def _host(listed: InventoryHost) -> Host:
    return Host(
        name=listed.name,
        role=listed.role,
        address=listed.address,
        ssh=_ssh(listed.login),
        cpus=listed.cpus,
        memory_mib=listed.memory_mib,
        zone=listed.zone,
        sshd_port=listed.sshd_port,
    )


def _ssh(login: Login) -> Ssh:
    return Ssh(
        address=login.address,
        user=login.user,
        port=login.port,
        private_key=pulumi.Output.secret(login.private_key),
        host_key=login.host_key,
        jump=None if login.jump is None else _ssh(login.jump),
    )

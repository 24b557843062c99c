"""What a host must know about the others before a daemon starts: their names, and who may connect to its ports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_command import remote

from ..host import Host, Role
from ..remote import File, script_text, shipped, step
from ..roles import ROLES
from . import firewall, start_cluster
from .host_names import hosts_block
from .settings import ClusterSettings
from .topology import Members


@dataclass(frozen=True)
class Known:
    """What a host needs to know about the others, by short host name."""

    addresses: Mapping[str, str]
    host_keys: Mapping[str, str] = field(default_factory=dict)
    """Public SSH host keys of the hosts to which it logs in; empty if there are none."""


class Directory:
    """The addresses and keys of all hosts of a cluster, resolved once."""

    def __init__(self, settings: ClusterSettings, members: Members, public_keys: Sequence[pulumi.Output[str]]) -> None:
        self._settings = settings
        self._members = members
        self._addresses = pulumi.Output.all(**{host.name: host.address for host in members.hosts})
        self._host_keys = pulumi.Output.all(**{host.name: host.ssh.host_key for host in members.accepting_logins})
        # Addresses that may change are no protection here, and the provider's firewall refers to machines
        unnamed = [host.address for host in members.of(Role.JOBMANAGER) if not host.dns_name]
        self.jobmanagers = pulumi.Output.all(pulumi.Output.all(*unnamed), pulumi.Output.all(*public_keys))
        """Addresses and public keys of the hosts that log in to others."""

    def needed_by(self, host: Host) -> pulumi.Output[Known]:
        """What a host must know. With DNS names and the provider's firewall this does not grow with the cluster, unless
        the host logs in to all others.
        """
        by_dns = all(other.dns_name for other in self._members.hosts)
        alone = by_dns and not self._settings.firewall
        addresses = pulumi.Output.all(**{host.name: host.address}) if alone else self._addresses
        if not ROLES[host.role].logs_in:
            return addresses.apply(lambda known: Known(known))
        return pulumi.Output.all(addresses, self._host_keys).apply(lambda known: Known(*known))


def text(host: Host, settings: ClusterSettings, members: Members, known: Known) -> str:
    """The text of the step for `host`."""
    addresses = known.addresses
    by_role = {
        role: [addresses[name] for name in names if name in addresses] for role, names in members.by_role().items()
    }
    values: dict[str, str | Sequence[str]] = {
        "user": ROLES[host.role].user,
        "hosts_block": hosts_block(host, members, addresses),
        "firewall": "true" if settings.firewall else "false",
    }
    files = []
    if settings.firewall:
        values["ssh_clients"] = firewall.ssh_clients(host.role, by_role, settings.operator_cidrs)
        files += [
            File(
                path="/etc/flink-firewall.nft",
                text=firewall.rules(
                    host.role,
                    by_role,
                    settings.operator_cidrs,
                    settings.front_door_port,
                    settings.metrics_readers(monitoring=members.monitored),
                ),
            ),
            shipped("/etc/systemd/system/flink-firewall.service", "config_templates/flink-firewall.service"),
        ]
    files += start_cluster.files(host, members, known.host_keys)
    return script_text(host, "members.sh", values, files)


def join(
    host: Host, settings: ClusterSettings, members: Members, directory: Directory, opts: pulumi.ResourceOptions
) -> remote.Command:
    """Configure on a host who the others are. Runs again if one is added or removed, and restarts nothing."""
    stdin = directory.needed_by(host).apply(lambda known: text(host, settings, members, known))
    return step(host, "members", stdin, opts=opts)

"""What a host knows of the others: their names, who may connect to which port, masters, workers, SSH trust.

Two steps: `join` tells what must be known before a daemon starts. Whom a host trusts (`trust`) depends on every
JobManager's machine, and a daemon must not wait for that: while machines are replaced one after the other, the next one
is made only when the daemon before is healthy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
from pulumi_command import remote

from components.flink import config
from components.flink.node import user
from components.flink.templates import render
from components.host import Host, Role
from components.remote import File, script_text, step
from settings import FlinkSettings

PROFILE = "set -a\n[ ! -r /etc/flink/credentials.env ] || . /etc/flink/credentials.env\nset +a\n"
SSH_CONFIG = "Host *\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n"


@dataclass(frozen=True)
class Known:
    """What a host has to know of the others, by their short names."""

    addresses: Mapping[str, str]
    host_keys: Mapping[str, str] = field(default_factory=dict)
    """Public SSH host keys of the hosts that a JobManager logs in to; empty elsewhere."""


class Directory:
    """The addresses and keys of a cluster's hosts, resolved once for all that need them."""

    def __init__(
        self, settings: FlinkSettings, members: config.Members, public_keys: Sequence[pulumi.Output[str]]
    ) -> None:
        self._settings = settings
        self._members = members
        self._addresses = pulumi.Output.all(**{host.name: host.address for host in members.hosts})
        self._host_keys = pulumi.Output.all(**{host.name: host.ssh.host_key for host in members.flink})
        # Addresses that may be others next time are not worth much here, and the provider's firewall knows the machines
        unnamed = [host.address for host in members.of(Role.JOBMANAGER) if not host.dns_name]
        self.jobmanagers = pulumi.Output.all(pulumi.Output.all(*unnamed), pulumi.Output.all(*public_keys))
        """Addresses and public keys of those that log in to other hosts."""

    def needed_by(self, host: Host) -> pulumi.Output[Known]:
        """What a host has to know: where DNS and the provider's firewall do their part, nothing that grows with the
        cluster, except on JobManagers.
        """
        by_dns = all(other.dns_name for other in self._members.hosts)
        alone = by_dns and not self._settings.firewall
        addresses = pulumi.Output.all(**{host.name: host.address}) if alone else self._addresses
        if host.role is not Role.JOBMANAGER:
            return addresses.apply(lambda known: Known(known))
        return pulumi.Output.all(addresses, self._host_keys).apply(lambda known: Known(*known))


def text(host: Host, settings: FlinkSettings, members: config.Members, known: Known) -> str:
    """The step's whole text for `host`."""
    addresses = known.addresses
    by_role = {role: [addresses[name] for name in members.names(role) if name in addresses] for role in Role}
    account = user(host.role)
    values: dict[str, str | Sequence[str]] = {
        "user": account,
        "hosts_block": config.hosts_block(host, members, addresses),
        "firewall": "true" if settings.firewall else "false",
    }
    files = []
    if settings.firewall:
        values["ssh_clients"] = config.ssh_clients(host.role, by_role, settings.operator_cidrs)
        rules = config.firewall(host.role, by_role, settings.operator_cidrs)
        files += [
            File(path="/etc/flink-firewall.nft", text=rules),
            File(path="/etc/systemd/system/flink-firewall.service", text=render("flink-firewall.service")),
        ]
    if host.role is not Role.ZOOKEEPER:
        files.append(File(path="/etc/flink/masters", text=config.masters(members)))
    if host.role is Role.JOBMANAGER:
        files += [File(path="/etc/flink/workers", text=config.workers(members)), *_trusted(account, members, known)]
    return script_text(host, "members.sh", values, files)


def _trusted(account: str, members: config.Members, known: Known) -> list[File]:
    """Every host key is known beforehand to those that log in."""
    home, owner = f"/var/lib/{account}/.ssh", f"{account}:{account}"
    lines = "".join(f"{host.reached_as} {known.host_keys[host.name]}\n" for host in members.flink)
    return [
        File(path=f"{home}/known_hosts", owner=owner, text=lines),
        File(path=f"{home}/config", owner=owner, text=SSH_CONFIG),
    ]


def join(
    host: Host, settings: FlinkSettings, members: config.Members, directory: Directory, opts: pulumi.ResourceOptions
) -> remote.Command:
    """Tell a host about the others; runs again when one comes or goes, and restarts nothing."""
    stdin = directory.needed_by(host).apply(lambda known: text(host, settings, members, known))
    return step(host, "members", stdin, opts=opts)


def trust_text(host: Host, addresses: Sequence[str], public_keys: Sequence[str]) -> str:
    """The text of the step that lets the JobManagers in by SSH, and nobody else, so that start-cluster.sh works.

    `addresses`: those that they come from, if nothing else says who may connect.
    """
    options = f'from="{",".join(addresses)}",restrict,pty' if addresses else "restrict,pty"
    account = user(host.role)
    home, owner = f"/var/lib/{account}", f"{account}:{account}"
    keys = "".join(f"{options} {key.strip()}\n" for key in public_keys)
    files = [
        File(path=f"{home}/.ssh/authorized_keys", mode="0600", owner=owner, text=keys),
        # start-cluster.sh runs the daemons from a login shell: there they find the storage's keys
        File(path=f"{home}/.profile", owner=owner, text=PROFILE),
    ]
    return script_text(host, "trust.sh", {"user": account}, files)


def trust(host: Host, directory: Directory, opts: pulumi.ResourceOptions) -> remote.Command:
    """Let the JobManagers log in to a host that runs Flink."""
    stdin = directory.jobmanagers.apply(lambda known: trust_text(host, known[0], known[1]))
    return step(host, "trust", stdin, opts=opts)

"""What a host knows of the others: their names, who may connect to which port, masters, workers, SSH trust."""

from collections.abc import Mapping, Sequence

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


def text(
    host: Host,
    settings: FlinkSettings,
    members: config.Members,
    addresses: Mapping[str, str],
    public_keys: Sequence[str],
) -> str:
    """The step's whole text for `host`. `addresses`: name → address; `public_keys`: those of the JobManagers."""
    by_role = {role: [addresses[name] for name in members.names(role)] for role in Role}
    account = user(host.role)
    values: dict[str, str | Sequence[str]] = {
        "user": account,
        "hosts_block": config.hosts_block(addresses),
        "firewall": "true" if settings.firewall else "false",
        "ssh_clients": config.ssh_clients(host.role, by_role, settings.operator_cidrs),
    }
    files = []
    if settings.firewall:
        rules = config.firewall(host.role, by_role, settings.operator_cidrs)
        files += [
            File(path="/etc/flink-firewall.nft", text=rules),
            File(path="/etc/systemd/system/flink-firewall.service", text=render("flink-firewall.service")),
        ]
    if host.role is not Role.ZOOKEEPER:
        files += [
            File(path="/etc/flink/masters", text=config.masters(members)),
            File(path="/etc/flink/workers", text=config.workers(members)),
            *_trust(account, members, by_role[Role.JOBMANAGER], public_keys),
        ]
    return script_text(host, "members.sh", values, files)


def _trust(account: str, members: config.Members, masters: Sequence[str], public_keys: Sequence[str]) -> list[File]:
    """SSH from the JobManagers, and from nowhere else, so that start-cluster.sh works; every host key is known
    beforehand.
    """
    home, owner = f"/var/lib/{account}/.ssh", f"{account}:{account}"
    source = f'from="{",".join(masters)}",restrict,pty'
    keys = "".join(f"{source} {key.strip()}\n" for key in public_keys)
    flink_hosts = [*members.of(Role.JOBMANAGER), *members.of(Role.TASKMANAGER)]
    known = "".join(f"{host.name} {host.ssh.host_key}\n" for host in flink_hosts)
    return [
        File(path=f"{home}/authorized_keys", mode="0600", owner=owner, text=keys),
        File(path=f"{home}/known_hosts", owner=owner, text=known),
        File(path=f"{home}/config", owner=owner, text=SSH_CONFIG),
        # start-cluster.sh runs the daemons from a login shell: there they find the storage's keys
        File(path=f"/var/lib/{account}/.profile", owner=owner, text=PROFILE),
    ]  # fmt: skip


def join(
    host: Host,
    settings: FlinkSettings,
    members: config.Members,
    public_keys: Sequence[pulumi.Output[str]],
    opts: pulumi.ResourceOptions,
) -> remote.Command:
    """Tell a host about the others; runs again when one comes or goes, and restarts nothing."""
    addresses = pulumi.Output.all(**{member.name: member.address for member in members.hosts})
    keys = pulumi.Output.all(*public_keys)
    stdin = pulumi.Output.all(addresses, keys).apply(lambda known: text(host, settings, members, known[0], known[1]))
    return step(host, "members", stdin, opts=opts)

"""What start-cluster.sh and rollouts need: masters, workers, and SSH from hosts of JobManagers to hosts with daemons.

The step `trust` depends on the machines of all JobManagers, so no daemon may wait for it: while machines are replaced
one by one, the next one is created only after the previous daemon is healthy.
"""

import json
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_command import remote

from .. import ports
from ..host import Host, Role
from ..remote import File, script_text, step
from ..roles import ROLES
from ..templates import render
from . import daemon, encryption
from .settings import ClusterSettings
from .topology import Members

PROFILE = "set -a\n[ ! -r /etc/flink/credentials.env ] || . /etc/flink/credentials.env\nset +a\n"
TLS_PROFILE = f"""\
# For Flink's own scripts: the configuration with the passwords of TLS, which only this user can read
if [ -r {encryption.OPTIONS} ]; then
  (umask 077 && mkdir -p ~/conf && cp /etc/flink/*.yaml /etc/flink/*.properties ~/conf/ &&
    {{ cp /etc/flink/masters /etc/flink/workers ~/conf/ 2>/dev/null || true; }} &&
    cat {encryption.OPTIONS} >>~/conf/config.yaml) && export FLINK_CONF_DIR=~/conf
fi
"""
SSH_CONFIG = "Host *\n  StrictHostKeyChecking yes\n  BatchMode yes\n  ConnectTimeout 10\n"
_SSH_PORT = 22
"""ssh's default port, also in known_hosts."""

LOOPBACK = ("127.0.0.1", "::1")


def masters(members: Members) -> str:
    """conf/masters, with the port: without it start-cluster.sh binds the web UI to a random one."""
    jobmanagers = members.reached_as(Role.JOBMANAGER)
    return render("jobmanager/masters.j2", jobmanagers=jobmanagers, ports=ports.numbers())


def workers(members: Members) -> str:
    """conf/workers."""
    return render("jobmanager/workers.j2", taskmanagers=members.reached_as(Role.TASKMANAGER))


def files(host: Host, members: Members, host_keys: Mapping[str, str]) -> list[File]:
    """The files for `host`. `host_keys`: short name → public SSH host key of the hosts that accept logins."""
    row = ROLES[host.role]
    found = [File(path="/etc/flink/masters", text=masters(members))] if row.runs_flink else []
    if row.logs_in:
        home, owner = f"/var/lib/{row.user}/.ssh", f"{row.user}:{row.user}"
        # Hosts that log in know all host keys before the first connection
        known = "".join(f"{_known_as(other)} {host_keys[other.name]}\n" for other in members.accepting_logins)
        found += [
            File(path="/etc/flink/workers", text=workers(members)),
            File(path=f"{home}/known_hosts", owner=owner, text=known),
            File(path=f"{home}/config", owner=owner, text=ssh_config(members)),
        ]
    return found


def ssh_config(members: Members) -> str:
    """Configuration of ssh on hosts that log in: the hosts with sshd on another port, and options for all."""
    others = [host for host in members.accepting_logins if host.sshd_port != _SSH_PORT]
    return "".join(f"Host {host.reached_as}\n  Port {host.sshd_port}\n" for host in others) + SSH_CONFIG


def _known_as(host: Host) -> str:
    """A host's name in known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    return host.reached_as if host.sshd_port == _SSH_PORT else f"[{host.reached_as}]:{host.sshd_port}"


def trust_text(host: Host, settings: ClusterSettings, addresses: Sequence[str], public_keys: Sequence[str]) -> str:
    """The text of the step that allows SSH logins from JobManagers only, for start-cluster.sh and rollouts.

    `addresses`: the source addresses of the JobManagers, unless a firewall of the provider restricts connections.
    """
    row = ROLES[host.role]
    # A host may log in to itself from the loopback: in Debian its own name has the address 127.0.1.1
    sources = [*addresses, *(LOOPBACK if row.logs_in else ())]
    options = f'from="{",".join(sources)}",restrict,pty' if addresses else "restrict,pty"
    account = row.user
    home, owner = f"/var/lib/{account}", f"{account}:{account}"
    keys = "".join(f"{options} {key.strip()}\n" for key in public_keys)
    trusted = [
        File(path=f"{home}/.ssh/authorized_keys", mode="0600", owner=owner, text=keys),
        # start-cluster.sh starts the daemons from a login shell, which provides the keys of the storage
        File(path=f"{home}/.profile", owner=owner, text=PROFILE + (TLS_PROFILE if settings.tls else "")),
    ]
    return script_text(host, "trust.sh", {"user": account}, trusted)


def trust(
    host: Host,
    settings: ClusterSettings,
    jobmanagers: pulumi.Output[Sequence[Sequence[str]]],
    opts: pulumi.ResourceOptions,
) -> remote.Command:
    """Allow logins of the JobManagers, by their addresses and public keys, on a host."""
    stdin = jobmanagers.apply(lambda known: trust_text(host, settings, known[0], known[1]))
    return step(host, "trust", stdin, opts=opts)


def logins(
    host: Host, members: Members, after: Sequence[remote.Command], opts: pulumi.ResourceOptions
) -> remote.Command:
    """Prove that a host can log in to the others. Otherwise a wrong sshd setting, firewall or name would only be found
    by the first rollout. `after`: the steps on which the proof depends.
    """
    accepting = members.accepting_logins
    values = json.dumps(
        {"host": host.name, "hosts": [other.reached_as for other in accepting], "user": ROLES[host.role].user}
    )
    stdin = daemon.generation(after, accepting).apply(
        lambda generation: script_text(host, "logins.sh", {"values": values, "generation": generation})
    )
    return step(host, "logins", stdin, opts=opts)

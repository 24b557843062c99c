"""What cloud-init sets up on a new machine: its name, its login user, and its host key.

Everything else is done over SSH later. The user data of an existing machine is never changed, so this text may differ
between versions of the program without an effect on existing machines.
"""

from typing import Any

import yaml

ADMIN = "admin"
"""The user in Debian's images."""

# Hosts need curl to download archives; the Debian images that we tried have it. apt's own timers may run at the first
# boot: DPkg::Lock::Timeout waits for the lock of installations, but not for that of the lists, without which `update`
# fails at once. 4 minutes in all, since sshd starts after this
_CURL = (
    "command -v curl >/dev/null || for i in 1 2 3 4 5 6 7 8 9 10 11 12; do apt-get -q -o DPkg::Lock::Timeout=60 update"
    " && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=60 install --no-install-recommends curl"
    " && break; sleep 20; done"
)

# sudo warns if a host cannot resolve its own name; lines that the program writes later come before this one
_OWN_NAME = "grep -q ' {name}$' /etc/hosts || echo '127.0.1.1 {name}.{domain} {name}' >> /etc/hosts"


# By default sshd drops connections once ten are not yet authenticated; Pulumi opens one for every step of every host
_MANY = {"path": "/etc/ssh/sshd_config.d/10-flink.conf", "content": "MaxStartups 500\nMaxSessions 500\n"}


def cloud_config(
    name: str,
    domain: str,
    admin_key: str,
    host_key: str,
    host_public_key: str,
    *,
    entrance: bool = False,
    run: str = "",
) -> str:
    """User data of the machine `name` in `domain`. `admin_key` and the host's key pair are in OpenSSH format. An
    `entrance` forwards the connections to all other machines. `run` is a shell command for the end of the first boot.
    """
    content: dict[str, Any] = {
        "hostname": name,
        "fqdn": f"{name}.{domain}",
        # Flink publishes the name that the host has for itself: a standby JobManager sends jars to the leader's blob
        # server by the name of the leader's host (InetAddress.getLocalHost), and DNS has only the long name
        "prefer_fqdn_over_hostname": True,
        "preserve_hostname": False,
        # The program manages a block there (host_scripts/members.sh)
        "manage_etc_hosts": False,
        "users": [
            {
                "name": ADMIN,
                "shell": "/bin/bash",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                "lock_passwd": True,
                "ssh_authorized_keys": [admin_key.strip()],
            }
        ],
        "ssh_pwauth": False,
        # Exactly this host key, so that the first connection can verify it
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": host_public_key.strip()},
        "bootcmd": [["sh", "-c", _OWN_NAME.format(name=name, domain=domain)], ["sh", "-c", _CURL]],
    }
    if entrance:
        content["write_files"] = [_MANY]
    if run:
        content["runcmd"] = [["sh", "-c", run]]
    return "#cloud-config\n" + yaml.safe_dump(content, sort_keys=False, width=1000)

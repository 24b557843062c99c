"""What cloud-init sets up on a new machine: its name, who may log in, and its host key.

Nothing else: whatever can change is done over SSH later. A machine that is there never gets another user data, so
this text may change between versions of the program without touching one.
"""

from typing import Any

import yaml

ADMIN = "admin"
"""The user that Debian's images have."""

# The Debian images that we saw have curl, which hosts need to fetch archives
_CURL = "command -v curl >/dev/null || { apt-get -q update && apt-get -q -y install --no-install-recommends curl; }"

# sudo complains about a host that does not know itself; what the program writes later stands above this line
_OWN_NAME = "grep -q ' {name}$' /etc/hosts || echo '127.0.1.1 {name}.{domain} {name}' >> /etc/hosts"


# sshd drops connections when ten have not logged in yet; Pulumi opens one for every step of every host at once
_MANY = {"path": "/etc/ssh/sshd_config.d/10-flink.conf", "content": "MaxStartups 500\nMaxSessions 500\n"}


def cloud_config(
    name: str, domain: str, admin_key: str, host_key: str, host_public_key: str, *, entrance: bool = False
) -> str:
    """User data of the machine `name` in `domain`; `admin_key` and the host's key pair in OpenSSH's form. Through an
    `entrance` go the connections to all others.
    """
    content: dict[str, Any] = {
        "hostname": name,
        "fqdn": f"{name}.{domain}",
        # What the host calls itself is what Flink tells others: a JobManager that does not lead hands jars to the
        # leader's blob server under the name that the leader's host has (InetAddress.getLocalHost), and DNS has only
        # the long one
        "prefer_fqdn_over_hostname": True,
        "preserve_hostname": False,
        # The program keeps a block there (host_scripts/members.sh)
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
        # This host key and no other, so that it can be checked from the first connection on
        "ssh_deletekeys": True,
        "ssh_genkeytypes": [],
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": host_public_key.strip()},
        "bootcmd": [["sh", "-c", _OWN_NAME.format(name=name, domain=domain)], ["sh", "-c", _CURL]],
    }
    if entrance:
        content["write_files"] = [_MANY]
    return "#cloud-config\n" + yaml.safe_dump(content, sort_keys=False, width=1000)

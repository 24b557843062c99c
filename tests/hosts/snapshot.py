"""What a host is: files, users, units, mounts, kernel settings, firewall, services; as lines that can be compared."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from lab.hosts import LabHost
from lab.lab import Lab

STAYS = (
    (r"(file|content) .* /etc/(passwd|group|shadow|gshadow|subuid|subgid)-$", "backups that useradd and userdel write"),
    (r"file .* /etc/\.pwd\.lock$", "the lock of useradd and userdel"),
    (r"unit network-online\.target ", "the system's own target, which daemons wait for"),
)
"""What the first `up` and `destroy` leave on a host on purpose: pattern, what it is. In docs/operations.md, too."""

MOVES = (
    # What every host writes by itself, and what the logins of tests and of Pulumi leave
    r"file .* /var/log/(?!(flink|zookeeper)\b)",
    r"file .* /var/lib/systemd/(timers|random-seed|timesync|catalog|linger)",
    r"file .* /var/lib/(sudo|logrotate|dbus|private)\b",
    r"file .* /var/cache/",
    r"file .* /(run|tmp)/systemd",
    r"file .* /var/tmp/systemd-private-",
    # Where systemd mounts a unit's private /dev while it starts; it stays if the unit is killed at that moment, as by
    # the test of destroy
    r"file .* /tmp/namespace-dev-\w+(/dev)?$",
    r"file .* /run/(log|lock(?!/flink)|user|udev|sudo|utmp|credentials|cloud-init|initctl|host|dbus)\b",
    r"unit (session-|user@|user-runtime-dir@|user-\d|run-user-|run-r|ssh@|sshd@)",
    r"unit systemd-(tmpfiles-clean|hostnamed|timedated|localed|journal-flush)",
    r"process (root|admin) +(bash|sh|sed|sort|ps|cat|sudo|sshd|systemctl|systemd|\(sd-pam\))$",
    # A lab's host that was started again: the kernel shows `uuid=on` only for the first mount of its root
    r"mount / overlay ",
    # All hosts of a lab share these with their machine
    r"sysctl (fs\.|vm\.|kernel\.|user\.|net\.netfilter\.nf_conntrack_count)",
)
"""What changes on a host without us."""

_LOOK = r"""
set -u
export LC_ALL=C SYSTEMD_PAGER= SYSTEMD_COLORS=0
each() { sed "s/^/$1 /"; }
systemctl is-system-running --wait | each state
systemctl list-units --failed --all --plain --no-legend | each failed
systemctl list-unit-files --plain --no-legend | awk '{print $1, $2}' | each unit-file
systemctl list-units --all --plain --no-legend | awk '{print $1, $2, $3, $4}' | grep -v '\.device ' | each unit
getent passwd | each user
getent group | each group
findmnt -rno TARGET,FSTYPE,OPTIONS | grep -v '^/run/user/' | each mount
nft list ruleset | each nft
/sbin/sysctl -a 2>/dev/null | each sysctl
sshd -T | each sshd
systemd-analyze cat-config systemd/journald.conf | each journald
ss -Hltunp | awk '{print $1, $5}' | each listens
ps -eo user:32,comm --no-headers | sort -u | each process
ipcs | grep 0x | each ipc
ip -o address | awk '{print $2, $3, $4}' | each address
dpkg-query -W | each package
# Everything on the disk, by type, mode, owner and target of a link; where we write, by content, too
find / -xdev \( -path /proc -o -path /sys -o -path /dev \) -prune -o -printf '%y %m %u:%g %p%l\n' | each file
find /run /tmp -mindepth 1 -xdev -printf '%y %m %u:%g %p%l\n' | each file
find /etc /opt /usr/local /var/lib /var/spool /home /root /srv -xdev -type f -print0 | xargs -0 sha256sum | each content
"""


def take(lab: Lab, hosts: Sequence[LabHost]) -> dict[str, set[str]]:
    """What hosts are, by name: a set of lines."""

    def of(host: LabHost) -> set[str]:
        return set(lab.ssh(host, 'sudo -n bash -c "$(cat)"', _LOOK, timeout=300).stdout.splitlines())

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(of, hosts))
    return {host.name: lines for host, lines in zip(hosts, found, strict=True)}


def differences(before: set[str], after: set[str]) -> list[str]:
    """What is gone (-) or new (+), but for what stays on purpose or moves without us."""
    changed = {f"- {line}" for line in before - after} | {f"+ {line}" for line in after - before}
    known = [*(pattern for pattern, _ in STAYS), *MOVES]
    return sorted(line for line in changed if not any(re.match(pattern, line[2:]) for pattern in known))

"""What a job can reach on a host: what the process of a daemon reads, writes and sees. docs/security.md lists it."""

import re

from lab.lab import Lab

_LOOK = r"""
pid=$(systemctl show -p MainPID --value "$1") user=$(systemctl show -p User --value "$1")
echo "user $user"
cd /
inside() { nsenter --target="$pid" --mount --setuid "$(id -u "$user")" --setgid "$(id -g "$user")" "$@" 2>/dev/null; }
sweep() { inside find / '(' -path /proc -o -path /sys -o -path /dev ')' -prune -o "$@" -print || true; }
sweep -type f -readable ! -perm -o+r | sed 's/^/reads /'
sweep ! -type l -writable | sed 's/^/writes /'
inside grep -rlsI -e '-----BEGIN [A-Z ]*PRIVATE KEY-----' /etc /home /root /run /srv /tmp /var | sed 's/^/key /'
inside find /proc -maxdepth 1 -name '[0-9]*' ! -user "$user" | sed 's/^/sees /'
"""
"""What the daemon's process, and so a job, reads that not everybody reads, writes, and sees."""
_OWN = {
    "flink": re.compile(
        r"/(etc/flink/(credentials\.env|(job-secrets|tls)/.*)|var/(lib|log)/flink(/.*)?|run/flink-[a-z]+manager(/.*)?"
        r"|(run|var/cache)/flink-history(/.*)?)"
    ),
    "zookeeper": re.compile(r"/(etc/zookeeper/.*|var/lib/zookeeper.*|run/zookeeper.*)"),
}
_SHARED = re.compile(r"/(tmp|var/tmp)(/.*)?|/run/lock|/run/(dbus|systemd)/.*")
"""Its own /tmp and /var/tmp, and what every process of a host may write to."""
_KEYS = re.compile(r"/var/lib/flink/\.ssh/id_ed25519|.*/identity\.pem")
"""Keys for TLS are its own, too, and stay on a host that once had it."""


def beyond_its_own(lab: Lab, host: str, unit: str) -> list[tuple[str, str]]:
    """What a job reads, writes or sees (`reads`, `writes`, `key` or `sees`, and the path) beside its user's own."""
    lines = lab.ssh(host, f"sudo -n bash -s {unit}", input=_LOOK).stdout.splitlines()
    (_, user), *found = ((what, path) for what, _, path in (line.partition(" ") for line in lines))
    assert {("writes", "/tmp"), ("writes", f"/run/{unit}")} <= set(found), "the look from inside fails"
    own = _OWN[user]

    def is_its_own(what: str, path: str) -> bool:
        if what == "key":
            return _KEYS.fullmatch(path) is not None
        return own.fullmatch(path) is not None or _SHARED.fullmatch(path) is not None

    return [each for each in found if not is_its_own(*each)]

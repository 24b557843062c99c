"""The base image of all hosts of a lab: an ordinary Debian 12, or another release, with systemd and sshd.

It is built from the Debian sources of this machine's apt, stored in the cache under a hash of its recipe, and never
changed afterwards: hosts write to their own layers.
"""

import hashlib
import json
from functools import cache, partial
from pathlib import Path

from lab.errors import LabError
from stand_ins.builds import debian_packages, fetch
from toolbox import console, parallel
from toolbox.paths import cache_dir

SUITE = "bookworm"
RELEASES = {SUITE: "debian12", "trixie": "debian13"}
"""Debian's releases that hosts can have, and the beginning of their images' names."""
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "nftables",
    "curl",
    "ca-certificates",
    "iproute2",
    "procps",
    "less",
    "iputils-ping",
    "netbase",
    "cloud-init",
    "python3",
    "python3-venv",
]
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info")
_MAKE_SECONDS = 600
"""Maximum seconds, for a slow mirror; 30 s is usual (measured, 2 cores)."""

# Units that no lab host needs and that would make each boot slower.
_MASKED = (
    "systemd-networkd-wait-online.service getty.target console-getty.service apt-daily.timer apt-daily-upgrade.timer "
    "dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-pstore.service"
)
_CUSTOMIZE = f"""
set -eu
cd "$1"
chroot . useradd --create-home --shell /bin/bash --password '*' admin
# The umask as hardening guides demand it (CIS)
printf '%s\\n' 'Defaults umask=0077' 'admin ALL=(ALL:ALL) NOPASSWD:ALL' > etc/sudoers.d/admin
chmod 0440 etc/sudoers.d/admin
printf '%s\\n' 'PasswordAuthentication no' 'KbdInteractiveAuthentication no' 'PermitRootLogin no' \\
    'HostKey /etc/ssh/ssh_host_ed25519_key' > etc/ssh/sshd_config.d/10-keys-only.conf
mkdir -p etc/systemd/journald.conf.d
printf '[Journal]\\nSystemMaxUse=256M\\n' > etc/systemd/journald.conf.d/10-size.conf
chroot . systemctl enable systemd-networkd.service ssh.service
chroot . systemctl mask {_MASKED}
chroot . update-ca-certificates
echo 'LANG=C.UTF-8' > etc/default/locale
# Only a launched host has user data (lab.cloud_machines); on the others cloud-init is disabled.
: > etc/cloud/cloud-init.disabled
# Each host has its own keys, name, machine id and resolver.
rm -f etc/ssh/ssh_host_* etc/hostname etc/hosts etc/resolv.conf
: > etc/machine-id
# Otherwise every first boot repeats what the packages' scripts have just done.
touch -r usr etc/.updated var/.updated
"""


def _sources() -> list[str]:
    """apt's sources of Debian 12, as lines for sources.list."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)|$(ORIGIN)"
    lines = []
    for line in parallel.command(["apt-get", "indextargets", "Identifier: Packages", "--format", form]).splitlines():
        source, _, origin = line.partition("|")
        words = source.split()
        if origin == "Debian" and len(words) == 4 and words[2] in SUITES and words[3] == "main":
            lines.append(source)
    return sorted(set(lines))


@cache
def sources() -> list[str]:
    """This machine's Debian 12 sources, after an `apt-get update` if none was run yet; `LabError` if there are none."""
    found = _sources()
    if "bookworm" not in [line.split()[2] for line in found]:
        debian_packages.update()
        found = _sources()
    if "bookworm" not in [line.split()[2] for line in found]:
        raise LabError(
            "this machine's apt has no source for Debian 12 (bookworm, main), which hosts are built from: "
            "add it under /etc/apt/sources.list.d/ and run `apt-get update`"
        )
    return found


def outside_name() -> str:
    """A host name that this machine should be able to resolve: that of its package mirror."""
    return sources()[0].split()[1].split("://")[-1].split("/")[0].rpartition("@")[2].partition(":")[0]


def _apt_options() -> list[str]:
    """apt settings for mirrors (proxy, certificates, tolerance of dates), which hosts use as well."""
    expected = tuple(f"Acquire::{key}" for key in ("http::", "https::", "Check-", "Retries", "ForceIPv"))
    dump = parallel.command(["apt-config", "dump", "--format", '%F "%v";%n'])
    return sorted(line for line in dump.splitlines() if line.startswith(expected))


def _authorities() -> list[Path]:
    """Certificate authorities that this machine trusts besides Debian's; hosts trust them as well."""
    return sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))


def _key(suite: str, lines: list[str], options: list[str]) -> str:
    recipe = [suite, PACKAGES, _LEFT_OUT, _CUSTOMIZE, lines, options, [path.read_text() for path in _authorities()]]
    return hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:12]


def ensure(suite: str = SUITE) -> Path:
    """The base image's root directory, built if it is not in the cache (about 30 s); `LabError` if that fails."""
    # The mirrors of Debian 12 have all releases that Debian supports
    lines, options = [line.replace(SUITE, suite) for line in sources()], _apt_options()
    path = cache_dir() / "images" / f"{RELEASES[suite]}-{_key(suite, lines, options)}"
    fetch.cached(path, partial(_make, suite, lines, options))
    return path


def _make(suite: str, lines: list[str], options: list[str], path: Path) -> None:
    # In a separate mount namespace: mmdebstrap's mounts disappear with it, even if it is killed.
    argv = ["unshare", "--mount", "--propagation=private", "--"]
    argv += ["mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory", f"--include={','.join(PACKAGES)}"]
    argv += [f"--aptopt={option}" for option in [*options, 'Acquire::Languages "none";']]
    argv += [f"--dpkgopt=path-exclude=/{folder}/*" for folder in _LEFT_OUT]
    if authorities := _authorities():
        target = "/usr/local/share/ca-certificates"
        argv.append(f"--customize-hook=copy-in {' '.join(str(path) for path in authorities)} {target}")
    argv += [f"--customize-hook={_CUSTOMIZE}", suite, str(path), *lines]
    with console.step(
        "image", f"building the hosts' base image, {RELEASES[suite].replace('debian', 'Debian ')}, with mmdebstrap"
    ):
        try:
            parallel.command(argv, timeout=_MAKE_SECONDS)
        except parallel.CommandError as error:
            raise LabError(f"the base image could not be built: {error}") from error

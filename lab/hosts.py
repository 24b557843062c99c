"""The lab's hosts: their files, and how to boot them, run commands on them, power them off and cut their power.

A host is the base image with its own layer over it (`upper/`), run by systemd-nspawn under `lab.supervise`. Everything
that identifies it (name, address, keys) is written into its layer while it is off.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import processes, supervise
from lab.errors import LabError
from lab.network import Network, resolv_conf
from toolbox import parallel
from toolbox.paths import REPO

ADMIN = "admin"
DOMAIN = "lab.internal"
"""The domain that hosts have in /etc/hosts; no DNS server knows it."""
_ADMIN_ID = 1000
_GONE_SECONDS = 2.0
"""Seconds without any process of a host before it counts as ended."""

BOOT_SECONDS = 120.0
"""Maximum seconds of a boot. It takes 2 s alone, 5 s among seven on 2 cores (measured); more on a busy machine."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NSPAWN_NOISE = "Attempted to remove disk file system"
"""nspawn's message, if /run is on disk, about a directory that it should remove and that `forget` removes."""


@dataclass(frozen=True)
class Role:
    """The names of hosts of a role, their first address, their maximum number, and their nominal size."""

    name: str
    prefix: str
    first_address: int
    most: int
    memory_mib: int
    cpus: int = 2


ROLES = (
    Role("jobmanager", "jm", 10, 10, 2048),
    Role("zookeeper", "zk", 20, 10, 1024),
    Role("client", "cl", 30, 10, 1024),
    Role("monitoring", "mon", 40, 1, 1280),
    Role("taskmanager", "tm", 100, 100, 2560),
)
"""Each role has its own range of addresses, so more hosts of one role never move those of another."""


@dataclass(frozen=True)
class LabHost:
    """One host: `machine` is its name on this machine, `name` its own host name."""

    name: str
    role: str
    address: str
    machine: str
    cpus: int
    memory_mib: int


def hosts_file(name: str) -> str:
    """/etc/hosts as Debian's installer writes it: a host's own name is on the loopback."""
    return (
        f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}.{DOMAIN}\t{name}\n\n"
        "# The following lines are desirable for IPv6 capable hosts\n"
        "::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
    )


def plan(lab_id: str, network: Network, counts: dict[str, int]) -> list[LabHost]:
    """The hosts of a lab with these numbers for each role; `LabError` for an invalid number."""
    hosts = []
    for role in ROLES:
        count = counts.get(role.name, 0)
        if not 0 <= count <= role.most:
            raise LabError(f"{count} {role.name}s: a lab can have 0 to {role.most}")
        for i in range(count):
            name = f"{role.prefix}-{i}"
            address = network.address(role.first_address + i)
            hosts.append(LabHost(name, role.name, address, f"{lab_id}-{name}", role.cpus, role.memory_mib))
    return hosts


def make_key(path: Path, comment: str) -> None:
    """Create an Ed25519 key pair at `path` and `path`.pub, unless it exists; the private key last, atomically."""
    if path.exists():
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:
        draft = Path(directory) / "key"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(draft)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        draft.with_suffix(".pub").replace(path.with_name(f"{path.name}.pub"))
        draft.replace(path)


class Machine:
    """A host and its files on this machine: `directory` has its disk, `keys` its host key and the lab's key."""

    properties: tuple[str, ...] = ()
    """Settings of its systemd scope besides nspawn's own, if systemd runs this machine."""

    def __init__(self, host: LabHost, lab_id: str, network: Network, directory: Path, keys: Path, base: Path) -> None:
        self.host = host
        self.lab_id = lab_id
        self.network = network
        self.directory = directory
        self.base = base
        self.console = directory / "console.log"
        self.private_key = keys / "id_ed25519"
        self._host_key = keys / f"{host.name}_ed25519"

    # Its files

    @property
    def host_key(self) -> str:
        """Its public host key, as `ssh-ed25519 AAAA…`."""
        return " ".join(self._host_key.with_name(f"{self._host_key.name}.pub").read_text().split()[:2])

    def written(self, path: str) -> Path:
        """Where a file that the host itself has written is on this machine; links on the way are followed as there."""
        found = layer = self.directory / "upper"
        for part in path.strip("/").split("/"):
            found /= part
            if found.is_symlink():
                found = layer / str(found.readlink()).lstrip("/")
        return found

    def _put(self, path: str, text: str, mode: int = 0o644, owner: int = 0) -> None:
        """Write a file of the host's layer, and its directories; below /home all have the same owner."""
        target = self.directory / "upper" / path
        for parent in reversed(target.relative_to(self.directory / "upper").parents):
            made = self.directory / "upper" / parent
            if not made.exists():
                made.mkdir()
                made.chmod(0o755)  # whatever the umask is
                below_home = len(parent.parts) >= 2 and parent.parts[0] == "home"
                os.chown(made, owner if below_home else 0, owner if below_home else 0)
        draft = target.with_name(f".{target.name}.new")
        draft.write_text(text)
        draft.chmod(mode)
        os.chown(draft, owner, owner)
        draft.replace(target)

    def _make_layer(self, machine_id: str) -> None:
        """Create the directories that are mounted, and its machine id from `machine_id`."""
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
            (self.directory / name).chmod(0o755)  # whatever the umask is: upper/ is the host's root directory
        self._put("etc/machine-id", hashlib.sha256(machine_id.encode()).hexdigest()[:32] + "\n", 0o444)

    def _put_network(self, text: str, hosts: str) -> None:
        """Write the network's configuration and, if it has changed, /etc/hosts."""
        # Named 10-* to precede systemd's own 80-container-host0.network, which would wait for DHCP.
        network = "etc/systemd/network/10-lab.network"
        layer = self.directory / "upper"
        if not (layer / network).exists() or (layer / network).read_text() != text:
            # /etc/hosts belongs to the host once it has an address: the program writes a block into it.
            self._put("etc/hosts", hosts)
            self._put(network, text)

    def prepare(self) -> None:
        """Write its identity into its layer, while it is off. Its own changes stay."""
        host = self.host
        self._make_layer(host.machine)
        make_key(self._host_key, host.name)
        self._put("etc/hostname", f"{host.name}\n")
        self._put("etc/resolv.conf", resolv_conf())
        self._put("etc/ssh/ssh_host_ed25519_key", self._host_key.read_text(), 0o600)
        self._put("etc/ssh/ssh_host_ed25519_key.pub", f"{self.host_key} {host.name}\n")
        authorized = self.private_key.with_name(f"{self.private_key.name}.pub").read_text()
        self._put(f"home/{ADMIN}/.ssh/authorized_keys", authorized, 0o600, _ADMIN_ID)
        self._put_network(
            f"[Match]\nName=host0\n\n[Network]\nAddress={host.address}/{self.network.subnet.prefixlen}\n"
            f"Gateway={self.network.gateway}\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n",
            hosts_file(host.name),
        )

    def mount(self, folders: Mapping[str, Path]) -> None:
        """What it has at these paths from its next boot on, instead of what it had before: folders of this machine,
        which several hosts may have, as those of a file server.
        """
        text = json.dumps({point: str(folder) for point, folder in folders.items()})
        (self.directory / "mounts.json").write_text(text)

    def _mounts(self) -> dict[str, str]:
        path = self.directory / "mounts.json"
        found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return found

    # On and off

    def is_on(self) -> bool:
        """Whether it is on, or booting."""
        return bool(processes.find(self.lab_id, self.host.name))

    def boot(self) -> None:
        """Start it, if it is off, and return at once; `wait_until_ready` waits."""
        if self._supervisor():
            return
        self.cut_off()  # leftovers if the supervisor was killed
        self.prepare()
        host = self.host
        module = [sys.executable, "-m", "lab.supervise", "--lab", self.lab_id, "--host", host.name]
        module += ["--machine", host.machine, "--bridge", self.network.bridge]
        module += ["--base", str(self.base), "--directory", str(self.directory)]
        module += [f"--property={text}" for text in self.properties]
        module += [f"--mount={folder}:{point}" for point, folder in self._mounts().items()]
        argv = ["unshare", "--mount", "--propagation=private", "--", *module]
        processes.spawn(self.lab_id, host.name, argv, self.console, {"PYTHONPATH": str(REPO)})

    def _supervisor(self) -> processes.Process | None:
        found = processes.find(self.lab_id, self.host.name)
        return next((process for process in found if "lab.supervise" in process.program()), None)

    def wait_until_ready(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until it has its host key and `admin` can log in; `LabError` with the end of its console otherwise."""
        began, deadline = time.time(), time.monotonic() + timeout
        problem, init = "its sshd does not listen", None
        seen = time.monotonic()
        while time.monotonic() < deadline:
            if parallel.stopping():
                raise LabError(f"{self.host.name}: interrupted while it was booting")
            init = init if init and init.program() else processes.init_of(self.lab_id, self.host.name)
            if init and listens(init, 22):
                done = self.ssh("true", timeout=max(1.0, min(10.0, deadline - time.monotonic())))
                if done.returncode == 0:
                    return
                problem = f"ssh: {done.stderr.strip()}"
            elif init or self._supervisor():
                seen = time.monotonic()
            # During execve a process has neither arguments nor environment for a moment
            elif time.monotonic() - seen > _GONE_SECONDS:
                raise LabError(self._boot_failure("it ended instead of booting", began))
            time.sleep(0.1)
        raise LabError(self._boot_failure(f"not ready within {timeout:.0f} s: {problem}", began))

    def _boot_failure(self, what: str, began: float) -> str:
        errors = self.journal("--priority=err", "--lines=5", "--output=cat", f"--since=@{began:.0f}").stdout.strip()
        lines = [
            f"host {self.host.name} failed to boot: {what}",
            "The end of its console:",
            self.console_end(),
        ]
        return "\n".join([*lines, *(["The last errors in its journal:", errors] if errors else [])])

    def console_end(self, lines: int = 20) -> str:
        """The last lines of its console since its last start, as plain text."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        plain = _ESCAPES.sub("", text).replace("\r", "").rpartition(supervise.POWER_ON)[2]
        said = [line for line in plain.splitlines() if line.strip() and not line.startswith(_NSPAWN_NOISE)]
        return "\n".join(said[-lines:])

    def power_off(self) -> None:
        """Power it off through its init and wait until it is off. Afterwards only `boot` boots it."""
        if supervisor := self._supervisor():
            os.kill(supervisor.pid, signal.SIGTERM)
        elif init := processes.init_of(self.lab_id, self.host.name):  # the supervisor was killed
            os.kill(init.pid, supervise.POWER_OFF)
        deadline = time.monotonic() + supervise.POWER_OFF_SECONDS + 15
        while self.is_on() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.cut_off()

    def cut_off(self) -> None:
        """Cut its power: first its network, so that no connection is closed, then all processes at once."""
        subprocess.run(["ip", "link", "delete", f"vb-{self.host.machine}"], capture_output=True, check=False)
        processes.kill(self.lab_id, self.host.name)
        forget(self.host.machine)

    def remove(self) -> None:
        """Stop it and remove all of its files."""
        self.cut_off()
        shutil.rmtree(self.directory, ignore_errors=True)
        for path in (self._host_key, self._host_key.with_name(f"{self._host_key.name}.pub")):
            path.unlink(missing_ok=True)

    # Connections

    def known_host(self) -> str:
        """Its line for a known_hosts file."""
        return f"{self.host.address} {self.host_key}\n"

    def ssh_argv(self) -> list[str]:
        """The `ssh` command line for it, without the remote command; its host key is always checked."""
        options = {
            # Quoted, because for ssh a blank ends a path, and % begins a variable
            "UserKnownHostsFile": f'"{str(self.private_key.with_name("known_hosts")).replace("%", "%%")}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": 5,
            "ServerAliveInterval": 5,
            "ServerAliveCountMax": 3,
            "LogLevel": "ERROR",
        }
        flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.private_key), *flags, f"{ADMIN}@{self.host.address}"]

    def ssh_environment(self) -> dict[str, str]:
        """The environment for `ssh`: the lab's mark, so that `down` also ends ssh processes of killed commands."""
        return {**os.environ, processes.MARK: f"{self.lab_id}/ssh"}

    def ssh(
        self, command: str | list[str], stdin: str | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on it (a list is quoted for its shell); status 255 if it is unreachable within the timeout."""
        text = command if isinstance(command, str) else shlex.join(command)
        argv = [*self.ssh_argv(), "--", text]
        try:
            return subprocess.run(
                argv, input=stdin or "", capture_output=True, text=True, timeout=timeout, env=self.ssh_environment()
            )
        except subprocess.TimeoutExpired as expired:
            output = expired.stdout.decode(errors="replace") if isinstance(expired.stdout, bytes) else ""
            return subprocess.CompletedProcess(argv, 255, output, f"not complete within {timeout:.0f} s")

    def journal_argv(self, *options: str) -> list[str]:
        """The `journalctl` command line for its journal, which this machine can read even when it is off."""
        return [
            "journalctl",
            f"--directory={self.directory / 'upper/var/log/journal'}",
            "--no-pager",
            *options,
        ]

    def journal(self, *options: str) -> subprocess.CompletedProcess[str]:
        """The text of its journal."""
        return subprocess.run(self.journal_argv(*options), capture_output=True, text=True, check=False)


def listens(init: processes.Process, port: int) -> bool:
    """Whether something listens on a TCP port of the host with this init; connecting would fill its journal."""
    try:
        rows = [line.split() for line in Path(f"/proc/{init.pid}/net/tcp").read_text().splitlines()[1:]]
    except OSError:
        return False
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)  # 0A: TCP_LISTEN, proc(5)


def forget(machine: str) -> None:
    """Remove what a host that is off has left on this machine: cgroups, and nspawn's records."""
    for directory in supervise.cgroups(machine):
        deadline = time.monotonic() + 5
        while directory.exists() and time.monotonic() < deadline:  # the kernel may need a moment
            for path, _, _ in os.walk(directory, topdown=False):
                _remove_directory(Path(path))
        _remove_directory(directory.parent)  # if this was the last host of any lab
    _remove_directory(Path("/run/systemd/nspawn/propagate") / machine)


def forget_locks() -> None:
    """Remove unused lock files of nspawn, which leaves them when it is killed."""
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)  # struct flock (fcntl(2)), 64 bits
    for path in Path("/run/systemd/nspawn/locks").glob("inode-*"):
        with contextlib.suppress(OSError), path.open("r+b") as file:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)  # the type of lock that nspawn uses; fails if it is held
            path.unlink()


def _remove_directory(path: Path) -> None:
    """Remove a directory if it exists and is empty."""
    try:
        path.rmdir()
    except OSError:
        return

"""Machines that come and go while a lab is up, as in a cloud: cloud-init makes of them what their user data says.

Such a machine has nothing of the lab's: no host key, no key to log in with, no name. It has the address that it was
launched with, whatever network that is of, and reaches everything by way of this machine, as in a VPC.
"""

import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import processes
from lab.errors import LabError
from lab.hosts import BOOT_SECONDS, LabHost, Machine, listens
from lab.network import Network, run
from toolbox import files

_CONFIG = """\
# What is the same on every launched machine; user data comes after it.
datasource_list: [NoCloud, None]
network: {config: disabled}
# The base image's sources are this machine's, and no locale but C.UTF-8 is there
apt: {preserve_sources_list: true}
locale: C.UTF-8
"""
_FILE = "launch.json"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What a machine is launched with.

    `name` is what the lab calls it, at most 5 characters (interface names have 15); `address` may be any, of this
    machine's networks as well as of none; `nameserver` is what it asks for names, `search` the domain it completes
    them with; memory and CPUs are what it goes for.
    """

    name: str
    instance_id: str
    address: str
    user_data: str
    nameserver: str
    search: str
    cpus: int
    memory_mib: int

    def __repr__(self) -> str:
        """Without the user data: there may be private keys in it."""
        return f"Launch({self.name}, {self.instance_id}, {self.address})"


def write(directory: Path, launch: Launch) -> None:
    """Keep what a machine was launched with in its directory, for its owner only."""
    files.write(directory / _FILE, json.dumps(asdict(launch)), 0o600)


def read(directory: Path) -> Launch | None:
    """What the machine of this directory was launched with; None for one of the lab's planned hosts."""
    path = directory / _FILE
    return Launch(**json.loads(path.read_text())) if path.exists() else None


class LaunchedMachine(Machine):
    """A launched machine and its place on this machine."""

    properties = ("DeviceAllow=block-loop rwm",)
    """Disks may be attached to it while it is on."""

    def __init__(self, launch: Launch, lab_id: str, network: Network, directory: Path, base: Path) -> None:
        machine = f"{lab_id}-{launch.name}"
        host = LabHost(launch.name, "launched", launch.address, machine, launch.cpus, launch.memory_mib)
        super().__init__(host, lab_id, network, directory, directory, base)
        self.launch = launch

    def prepare(self) -> None:
        """Write its network and the seed that cloud-init reads into its layer; cloud-init does the rest."""
        launch = self.launch
        self._make_layer(launch.instance_id)
        self._hide("etc/cloud/cloud-init.disabled")
        self._hide("etc/sudoers.d/admin")  # who may become root is for the user data to say
        hostname = f"ip-{launch.address.replace('.', '-')}"
        metadata = json.dumps({"instance-id": launch.instance_id, "local-hostname": hostname})
        self._put("etc/cloud/cloud.cfg.d/90-lab.cfg", _CONFIG)
        self._put("var/lib/cloud/seed/nocloud/meta-data", f"{metadata}\n", 0o600)
        self._put("var/lib/cloud/seed/nocloud/user-data", launch.user_data, 0o600)
        self._put("etc/resolv.conf", f"nameserver {launch.nameserver}\nsearch {launch.search}\n")
        # An address without a network: all that it sends goes by way of this machine, which decides what may pass.
        self._put_network(
            f"[Match]\nName=host0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
            f"Address={launch.address}/32\n\n[Route]\nGateway={self.network.gateway}\nGatewayOnLink=yes\n",
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        )

    def _hide(self, path: str) -> None:
        """Let a file of the base image be as if it had been removed."""
        target = self.directory / "upper" / path
        for parent in reversed(target.relative_to(self.directory / "upper").parents):
            directory = self.directory / "upper" / parent
            if not directory.exists():
                directory.mkdir()
                directory.chmod(0o755)  # whatever the umask is
        if not target.exists():  # a character device 0:0 is how an overlay remembers that
            os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(0, 0))

    # Its way on this machine's network

    def connect(self) -> None:
        """Have this machine send what is for its address to the lab's bridge."""
        run(
            "ip", "route", "replace", f"{self.host.address}/32", "dev", self.network.bridge, "src", self.network.gateway
        )

    def disconnect(self) -> None:
        """Take that back."""
        run("ip", "route", "delete", f"{self.host.address}/32", "dev", self.network.bridge, check=False)

    # Looking after it

    def init(self) -> processes.Process | None:
        """Its init, if it is on."""
        return processes.init_of(self.lab_id, self.host.name)

    def wait_until_ready(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until its sshd listens: who may log in is for its user data to say. `LabError` with its console."""
        deadline = time.monotonic() + timeout
        while not ((init := self.init()) and listens(init, 22)):
            if time.monotonic() > deadline:
                raise LabError(f"{self.host.name} does not listen for ssh after {timeout:.0f} s\n{self.console_end()}")
            time.sleep(0.1)

    def known_host(self) -> str:
        """Nothing: the lab does not know its key."""
        return ""

    def ssh_argv(self) -> list[str]:
        """`LabError`: the lab has no key to log in to it with."""
        raise LabError(f"{self.host.name} was launched: who may log in to it is for its user data to say")

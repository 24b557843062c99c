"""Machines that are launched and terminated while a lab is up, as in a cloud: cloud-init sets them up from user data.

Such a machine gets nothing from the lab: no host key, no login key, no name. It has the address that it was launched
with, in any network, and all of its traffic passes through this machine, as in a VPC.
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
# The same on every launched machine; user data follows.
datasource_list: [NoCloud, None]
network: {config: disabled}
# The base image has this machine's sources, and no locale other than C.UTF-8
apt: {preserve_sources_list: true}
locale: C.UTF-8
"""
_FILE = "launch.json"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """The parameters of a launched machine.

    `name` is its name in the lab, at most 5 characters (interface names have 15). `address` may be any, even outside of
    this machine's networks. `nameserver` is its name server, `search` its search domain; memory and CPUs are nominal.
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
        """Without the user data, which may contain private keys."""
        return f"Launch({self.name}, {self.instance_id}, {self.address})"


def write(directory: Path, launch: Launch) -> None:
    """Write a machine's launch parameters to its directory, readable by the owner only."""
    files.write(directory / _FILE, json.dumps(asdict(launch)), 0o600)


def read(directory: Path) -> Launch | None:
    """The launch parameters of the machine of this directory; None for one of the lab's planned hosts."""
    path = directory / _FILE
    return Launch(**json.loads(path.read_text())) if path.exists() else None


class LaunchedMachine(Machine):
    """A launched machine and its files on this machine."""

    properties = ("DeviceAllow=block-loop rwm",)
    """Disks can be attached while it is on."""

    def __init__(self, launch: Launch, lab_id: str, network: Network, directory: Path, base: Path) -> None:
        machine = f"{lab_id}-{launch.name}"
        host = LabHost(launch.name, "launched", launch.address, machine, launch.cpus, launch.memory_mib)
        super().__init__(host, lab_id, network, directory, directory, base)
        self.launch = launch

    def prepare(self) -> None:
        """Write its network configuration and cloud-init's seed into its layer; cloud-init does the rest."""
        launch = self.launch
        self._make_layer(launch.instance_id)
        self._hide("etc/cloud/cloud-init.disabled")
        self._hide("etc/sudoers.d/admin")  # the user data decides who may become root
        hostname = f"ip-{launch.address.replace('.', '-')}"
        metadata = json.dumps({"instance-id": launch.instance_id, "local-hostname": hostname})
        self._put("etc/cloud/cloud.cfg.d/90-lab.cfg", _CONFIG)
        self._put("var/lib/cloud/seed/nocloud/meta-data", f"{metadata}\n", 0o600)
        self._put("var/lib/cloud/seed/nocloud/user-data", launch.user_data, 0o600)
        self._put("etc/resolv.conf", f"nameserver {launch.nameserver}\nsearch {launch.search}\n")
        # An address without a network: all traffic passes through this machine, which decides what is allowed.
        self._put_network(
            f"[Match]\nName=host0\n\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
            f"Address={launch.address}/32\n\n[Route]\nGateway={self.network.gateway}\nGatewayOnLink=yes\n",
            "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
        )

    def _hide(self, path: str) -> None:
        """Hide a file of the base image."""
        target = self.directory / "upper" / path
        for parent in reversed(target.relative_to(self.directory / "upper").parents):
            directory = self.directory / "upper" / parent
            if not directory.exists():
                directory.mkdir()
                directory.chmod(0o755)  # whatever the umask is
        if not target.exists():  # an overlay marks a removed file by a character device 0:0
            os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(0, 0))

    # Its route on this machine

    def connect(self) -> None:
        """Route its address to the lab's bridge."""
        run(
            "ip", "route", "replace", f"{self.host.address}/32", "dev", self.network.bridge, "src", self.network.gateway
        )

    def disconnect(self) -> None:
        """Remove that route."""
        run("ip", "route", "delete", f"{self.host.address}/32", "dev", self.network.bridge, check=False)

    # Its state

    def init(self) -> processes.Process | None:
        """Its init, if it is on."""
        return processes.init_of(self.lab_id, self.host.name)

    def wait_until_ready(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until its sshd listens; its user data decides who may log in. `LabError` with its console."""
        deadline = time.monotonic() + timeout
        while not ((init := self.init()) and listens(init, 22)):
            if time.monotonic() > deadline:
                raise LabError(f"{self.host.name} does not listen for ssh after {timeout:.0f} s\n{self.console_end()}")
            time.sleep(0.1)

    def known_host(self) -> str:
        """Empty: the lab does not know its key."""
        return ""

    def ssh_argv(self) -> list[str]:
        """`LabError`: the lab has no key to log in."""
        raise LabError(f"{self.host.name} was launched: its user data decides who may log in")

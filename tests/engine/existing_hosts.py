"""Hosts of an inventory that answer over SSH, run nothing, and remember what they were told to run."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncssh
import yaml

from lab.stack import Stack, shared
from tests.host_steps import HEAD, answer

BOUND = 60.0
HOSTS = {
    **{f"jm-{number}": "jobmanager" for number in range(2)},
    **{f"zk-{number}": "zookeeper" for number in range(3)},
    **{f"tm-{number}": "taskmanager" for number in range(2)},
}


class ExistingHosts:
    """One SSH server with a port for each host, at an address of this machine: inventories take no loopback."""

    def __init__(self) -> None:
        self.names = list(HOSTS)
        self.installed: dict[tuple[str, str], str] = {}
        """The script that was applied last, by host and purpose, unless the host was cleaned since."""
        self.happened = False
        """Whether what `on_command` asked for was done."""
        self.ports: dict[str, int] = {}
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._client_key = asyncssh.generate_private_key("ssh-ed25519")
        self._count, self._at = 0, 0
        self._files = tempfile.TemporaryDirectory(prefix="existing-hosts-")
        self._do: Callable[[], object] = lambda: None
        self._servers: list[asyncssh.SSHAcceptor] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(BOUND)

    def stop(self) -> None:
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND)
        self._loop.close()
        self._files.cleanup()

    def on_command(self, number: int, do: Callable[[], object]) -> None:
        """Call `do` during the command `number` from now on, once; never for 0."""
        self._count, self._at, self._do, self.happened = 0, number, do, False

    def inventory(self, folder: Path) -> Path:
        """The inventory, written to `folder` with its key."""
        key = folder / "id_ed25519"
        if not key.exists():
            key.touch(mode=0o600)
            key.write_bytes(self._client_key.export_private_key())
        line = self._host_key.export_public_key().decode().strip()
        hosts = [
            {
                "name": name,
                "role": role,
                "address": f"192.0.2.{number}",
                "sshAddress": _own_address(),
                "port": self.ports[name],
                "hostKey": line,
            }
            for number, (name, role) in enumerate(HOSTS.items(), start=10)
        ]
        path = folder / "inventory.yaml"
        path.write_text(yaml.safe_dump({"ssh": {"user": "admin", "privateKeyFile": str(key)}, "hosts": hosts}))
        return path

    def expected(self, state: Mapping[str, Any]) -> dict[tuple[str, str], str]:
        """What should be installed by a state with readable secrets: every step's script."""
        found = {}
        for resource in state["resources"]:
            if resource["type"] == "command:remote:Command":
                script = resource["inputs"]["stdin"]
                script = json.loads(script["plaintext"]) if isinstance(script, dict) else script
                if key := _key(script):
                    found[key] = script
        return found

    async def _listen(self) -> None:
        for name in self.names:
            server = await asyncssh.listen(
                _own_address(),
                0,
                server_host_keys=[self._host_key],
                authorized_client_keys=asyncssh.import_authorized_keys(self._client_key.export_public_key().decode()),
                process_factory=self._run,
                # What is copied to any of them: names have the host's
                sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=self._files.name.encode()),
                encoding=None,
                backlog=100,
            )
            self._servers.append(server)
            self.ports[name] = server.get_port()

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        script = (await process.stdin.read()).decode()
        self._count += 1
        if self._count == self._at:
            self.happened = True
            self._do()
        key = _key(script)
        if key and (process.command or "").rstrip().endswith("remove"):
            self.installed = {at: text for at, text in self.installed.items() if at[0] != key[0]}
        elif key:
            self.installed[key] = script
        # So that more than one command is under way
        await asyncio.sleep(0.1)
        process.stdout.write(answer(script, taskmanagers=2).encode() + b"\n")
        process.exit(0)


def _own_address() -> str:
    """An address of this machine that is not of the loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


_SEVERAL = ("archive.sh", "timer.sh")


def _key(script: str) -> tuple[str, str] | None:
    """Host and purpose of a script; a host has several archives and timers, by name."""
    if not (head := HEAD.match(script)):
        return None
    name = re.search("^name=(.*)$", script, re.MULTILINE)
    return head[1], f"{head[2]} {name[1]}" if head[2] in _SEVERAL and name else head[2]


def stack_on(hosts: ExistingHosts, folder: Path, changes: Mapping[str, Any]) -> Stack:
    """The stack `local` on these hosts."""
    base = shared()  # jobs need a cluster that runs
    known = {
        "flink:inventory": str(hosts.inventory(folder)),
        "flink:operatorCidrs": ["198.51.100.0/24"],
        "flink:storageUri": "s3://bucket/flink",
        "flink:storageRegion": "eu-central-1",
        "flink:firewall": False,
    }
    return Stack("local", folder / "stack", {**base, **known, **changes})

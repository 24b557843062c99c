"""Machines that answer over SSH like hosts, and do nothing: for a stack that is too large for real ones.

Use it in a network namespace where every address is local (scale.py): one listener on port 22 serves all of moto's
instances. Each has the host key, and accepts the user, of its user data.
"""

import asyncio
import base64
import socket
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import asyncssh
import yaml

from tests.host_steps import HEAD, answer

SSH_PORT = 22
BOUND = 120.0


@dataclass(frozen=True)
class Machine:
    """One instance: its host key, and the user that may log in."""

    host_key: asyncssh.SSHKey
    authorized: dict[str, asyncssh.SSHAuthorizedKeys]

    @classmethod
    def of(cls, user_data: str) -> "Machine":
        """From the cloud-config of an instance."""
        config: dict[str, Any] = yaml.safe_load(user_data)
        keys = {
            user["name"]: asyncssh.import_authorized_keys("\n".join(user["ssh_authorized_keys"]) + "\n")
            for user in config["users"]
            if isinstance(user, dict)
        }
        return cls(asyncssh.import_private_key(config["ssh_keys"]["ed25519_private"]), keys)


class FakeHosts:
    """All machines. `find` returns the user data of the instance with an address, or None."""

    def __init__(self, find: Callable[[str], str | None]) -> None:
        self._find = find
        self._machines: dict[str, Machine] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._files = tempfile.TemporaryDirectory(prefix="fake-hosts-")
        self.connections = 0
        """The number of TCP connections to port 22."""
        self.steps: Counter[str] = Counter()
        """The number of runs of each script."""
        self.ran: set[str] = set()
        """The hosts on which a script ran."""

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(BOUND)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(BOUND)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BOUND)
        self._loop.close()
        self._files.cleanup()

    async def _listen(self) -> None:
        # Not asyncssh.listen: the host key depends on the address that the client connected to
        self._listener = asyncio.create_task(self._accept())
        await asyncio.sleep(0)

    async def _accept(self) -> None:
        with socket.create_server(("0.0.0.0", SSH_PORT), backlog=500) as listener:
            listener.setblocking(False)
            while True:
                client, _ = await self._loop.sock_accept(listener)
                self.connections += 1
                address = client.getsockname()[0]
                task = asyncio.create_task(self._serve(client, address))
                task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _serve(self, client: Any, address: str) -> None:
        machine = await self._machine(address)
        if machine is None:
            client.close()
            return
        await asyncssh.run_server(
            client,
            server_factory=lambda: _Server(machine),
            server_host_keys=[machine.host_key],
            process_factory=self._run,
            # What is copied to any of them: names have the host's
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=self._files.name.encode()),
            encoding=None,
        )

    async def _machine(self, address: str) -> Machine | None:
        if address not in self._machines:
            user_data = await asyncio.to_thread(self._find, address)
            if user_data is None:
                return None
            self._machines[address] = Machine.of(user_data)
        return self._machines[address]

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        script = (await process.stdin.read()).decode()
        first = HEAD.match(script)
        self.steps[first[2] if first else "?"] += 1
        self.ran.add(first[1] if first else "?")
        try:
            said = answer(script, taskmanagers=0)
        except Exception:  # asyncssh would close the connection, and nobody would see why
            process.stderr.write(traceback.format_exc().encode())
            process.exit(70)
            return
        process.stdout.write(said.encode() + b"\n")
        process.exit(0)

    async def _shut(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


class _Server(asyncssh.SSHServer):
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        known = self._machine.authorized.get(username)
        return bool(known and known.validate(key, "", "", None) is not None)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


@contextmanager
def serving(find: Callable[[str], str | None]) -> Iterator[FakeHosts]:
    """The machines until the end of the context."""
    hosts = FakeHosts(find)
    hosts.start()
    try:
        yield hosts
    finally:
        hosts.stop()


def user_data(ec2: Any, address: str) -> str | None:
    """User data of the instance that has an address, public or private; None if there is none."""
    for name in ("private-ip-address", "ip-address"):
        found = ec2.describe_instances(Filters=[{"Name": name, "Values": [address]}])["Reservations"]
        if found:
            instance = found[0]["Instances"][0]["InstanceId"]
            answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
            return base64.b64decode(answer["UserData"]["Value"]).decode()
    return None

"""An SSH server on the loopback for tests: real key exchange, real processes, SFTP, tunnels, signals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncssh

PASSWORD = "correct horse"
SHUT_SECONDS = 20
"""For its connections and commands to end; what has not ended by then ends with the tests."""


class SshServer:
    """Runs in a separate thread. Accepts any user with `private_key` or `PASSWORD`."""

    def __init__(self, host_key_type: str = "ssh-ed25519", *, sftp: bool = True) -> None:
        self._sftp = sftp
        self.host_key = asyncssh.generate_private_key(host_key_type)
        self.client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.private_key = self.client_key.export_private_key().decode()
        self.host_key_line = self.host_key.export_public_key().decode()
        self.port = 0
        self.connections = 0
        self.tunnels: list[tuple[str, int]] = []
        self.commands: list[str] = []
        self.home: Path | None = None
        """Where commands begin, and what is copied goes; None: as this process, and anywhere."""
        self.refuse_first = 0
        """Number of connections to drop before the handshake."""
        self.holds_tunnels = False
        """Whether a tunnel stays open although both of its ends have closed."""
        self.refuse_tunnels = 0
        """Number of tunnels to refuse, as if nobody listened there."""
        self._open: set[asyncssh.SSHServerConnection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def connection(self, **more: Any) -> dict[str, Any]:
        """The `connection` input for this server."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "admin",
            "privateKey": self.private_key,
            "hostKey": self.host_key_line,
            "dialErrorLimit": 0,
            **more,
        }

    def drop_connections(self) -> None:
        """Drop every connection at once, like a host that loses power and boots again."""
        self._call(self._drop())

    def start(self) -> None:
        self._thread.start()
        self._call(self._listen())

    def stop(self) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(90)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(90)

    async def _listen(self) -> None:
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Server(self),
            server_host_keys=[self.host_key],
            process_factory=self._run,
            sftp_factory=self._files if self._sftp else None,
            encoding=None,
            backlog=500,
        )
        self.port = self._acceptor.get_port()

    def _files(self, channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=str(self.home).encode() if self.home else None)

    async def _drop(self) -> None:
        for connection in list(self._open):
            connection.abort()

    async def _shut(self) -> None:
        await self._drop()
        self._acceptor.close()
        # Bounded, here and below: one of them did not end within 90 s once, after a connection that a test had dropped
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._acceptor.wait_closed(), SHUT_SECONDS)
        # The remaining handlers are those of commands whose connections have just been dropped.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest, timeout=SHUT_SECONDS)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        command = process.command or ""
        self.commands.append(command)
        if command.startswith("instantly "):
            process.stdout.write(command.removeprefix("instantly ").encode())
            process.exit(0)
            return
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            command,
            env={**os.environ, **process.env},
            cwd=self.home,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

        # The session passes signals to its input stream, which nothing reads after the end of the input.
        def pass_on(name: str) -> None:
            os.killpg(child.pid, getattr(signal, f"SIG{name}"))

        setattr(process, "signal_received", pass_on)  # noqa: B010
        try:
            feeder = asyncio.create_task(_relay(process.stdin, child.stdin, eof=True))
            await asyncio.gather(_relay(child.stdout, process.stdout), _relay(child.stderr, process.stderr))
            status = await child.wait()
            feeder.cancel()
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
        if status < 0:
            process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
        else:
            process.exit(status)


async def _relay(source: Any, target: Any, eof: bool = False) -> None:
    try:
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
        if eof:
            target.write_eof()
    except (asyncssh.Error, OSError):
        return  # The reader has ended.


class _Server(asyncssh.SSHServer):
    def __init__(self, owner: SshServer) -> None:
        self._owner = owner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._owner.connections += 1
        self._owner._open.add(conn)
        # As sshd has it since 8.8: nothing is signed with SHA-1
        conn._server_host_keys.pop(b"ssh-rsa", None)
        conn._server_host_key_algs = [*conn._server_host_keys]
        if self._owner.connections <= self._owner.refuse_first:
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner._open.discard(self._connection)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data == self._owner.client_key.public_data

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return password == PASSWORD

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        self._owner.tunnels.append((dest_host, dest_port))
        if len(self._owner.tunnels) <= self._owner.refuse_tunnels:
            return False
        if not self._owner.holds_tunnels:
            return True

        async def tunnel(reader: Any, writer: Any) -> None:
            source, target = await asyncio.open_connection(dest_host, dest_port)
            await asyncio.gather(_relay(reader, target, eof=True), _relay(source, writer))
            target.close()

        return tunnel


@contextmanager
def serving(host_key_type: str = "ssh-ed25519", *, sftp: bool = True) -> Iterator[SshServer]:
    """A server until the end of the context."""
    server = SshServer(host_key_type, sftp=sftp)
    server.start()
    try:
        yield server
    finally:
        server.stop()

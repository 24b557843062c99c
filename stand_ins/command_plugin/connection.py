"""SSH connections as the `connection` input describes them: keys, host keys, retries, jump hosts."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import lru_cache
from typing import Any, TypeVar

import asyncssh

from stand_ins.command_plugin.outcome import CommandError
from stand_ins.plugin.log import Log
from stand_ins.plugin.values import Object

_FIRST_DELAY, _BACKOFF, _LONGEST_DELAY = 0.1, 1.5, 5.0
"""Seconds between attempts, as in sdk/go/common/util/retry."""
_KEEPALIVE_SECONDS, _KEEPALIVE_PROBES = 15, 9
"""TCP keepalive as in Go: detects a host that loses power during a silent command."""
_LOGIN_SECONDS = 120
"""For the handshake: sshd's limit (LoginGraceTime), for a machine where many connections start at once."""
_CLOSE_SECONDS = 3
"""For closing a connection."""

T = TypeVar("T")


def endpoint(connection: Object) -> str:
    """`user@host:port`, for errors."""
    return f"{connection['user']}@{connection['host']}:{int(connection['port'])}"


@asynccontextmanager
async def connect(
    connection: Object, log: Log, timeout: float | None = None
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """An SSH connection until the end of the context; `timeout` in seconds only limits connecting.

    Raises `CommandError`: at once for an invalid key, after the retries for an unreachable host.
    """
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(timeout):
                client = await _connect(connection, log, stack)
        except TimeoutError:
            raise CommandError(f"{endpoint(connection)}: no connection within {timeout:g} s") from None
        finally:
            await log.drain()  # The lines of the attempts must not come after the answer
        yield client


async def _connect(connection: Object, log: Log, stack: AsyncExitStack) -> asyncssh.SSHClientConnection:
    options = await _options(connection, stack)
    proxy = connection.get("proxy")
    if proxy is None:
        return await _retry(connection, "Dial", log, lambda: _dial(connection, options, stack))
    try:
        proxy_options = await _options(proxy, stack)
        via = await _retry(proxy, "Dial proxy", log, lambda: _dial(proxy, proxy_options, stack))
        return await _from_proxy(connection, options, stack, via, log)
    except CommandError as error:
        raise CommandError(f"proxy: {error}") from None


async def _from_proxy(
    connection: Object,
    options: dict[str, Any],
    stack: AsyncExitStack,
    via: asyncssh.SSHClientConnection,
    log: Log,
) -> asyncssh.SSHClientConnection:
    """Through a jump host: attempts to open the TCP connection, then attempts at the handshake on that one connection.

    So a handshake that fails once has failed for good: its connection is closed, and further attempts end at once.
    """

    async def first() -> asyncssh.SSHClientConnection | Exception:
        try:
            return await _dial(connection, options, stack, via)
        except asyncssh.ChannelOpenError:
            raise
        except (OSError, asyncssh.Error) as error:
            return error

    found = await _retry(connection, "Dial from proxy", log, first)
    if not isinstance(found, Exception):
        return found
    failures = iter([found])

    async def handshake() -> asyncssh.SSHClientConnection:
        raise next(failures, OSError("handshake failed: EOF"))

    return await _retry(connection, "Dial", log, handshake)


async def _dial(
    connection: Object,
    options: dict[str, Any],
    stack: AsyncExitStack,
    via: asyncssh.SSHClientConnection | None = None,
) -> asyncssh.SSHClientConnection:
    """One attempt. `perDialTimeout` (seconds, 0: none) limits the TCP connection that is made from here, as in the
    official plugin; that from a jump host takes as long as the jump host lets it.
    """
    host, port = connection["host"], int(connection["port"])
    seconds = connection["perDialTimeout"] if via is None else 0
    async with asyncio.timeout(seconds or None) as limit:
        if via is None:
            where: dict[str, Any] = {"sock": await _tcp_connect(host, port)}
        else:
            where = {"host": host, "port": port, "tunnel": via}
        limit.reschedule(None)
        client = await asyncssh.connect(**where, **options)
    stack.push_async_callback(_close, client)
    return client


async def _close(client: asyncssh.SSHClientConnection) -> None:
    """Close a connection; drop it if its host does not answer any more."""
    client.close()
    try:
        await asyncio.wait_for(client.wait_closed(), _CLOSE_SECONDS)
    except TimeoutError:
        client.abort()


async def _tcp_connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)
            await loop.sock_connect(sock, address)
            return sock
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError) or index == len(addresses) - 1:
                raise
    raise OSError("no address")


async def _options(connection: Object, stack: AsyncExitStack) -> dict[str, Any]:
    """The options that are the same in each attempt. The user's own SSH configuration has no effect."""
    try:
        keys: list[Any] = []
        if private_key := connection.get("privateKey"):
            keys.append(_private_key(private_key, connection.get("privateKeyPassword")))
        if agent_path := connection.get("agentSocketPath") or os.environ.get("SSH_AUTH_SOCK"):
            agent = await stack.enter_async_context(asyncssh.connect_agent(agent_path))
            keys.extend(await agent.get_keys())
        trusted: tuple[list[asyncssh.SSHKey], list[Any], list[Any]] | None = None
        algorithms: Sequence[str] = ()
        if host_key := connection.get("hostKey"):
            pinned = _public_key(host_key)
            trusted = ([pinned], [], [])
            # By the key's type, as golang.org/x/crypto/ssh names it: `ssh-rsa` is the one with SHA-1
            algorithms = [pinned.get_algorithm()]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, OSError, ValueError) as error:
        raise CommandError(f"{endpoint(connection)}: {_cause(error, connection)}") from None
    return {
        "username": connection["user"],
        "password": connection.get("password"),
        "client_keys": keys or None,
        "known_hosts": trusted,
        "server_host_key_algs": algorithms,
        "agent_path": None,
        "config": None,
        "login_timeout": _LOGIN_SECONDS,
    }


@lru_cache(maxsize=64)
def _private_key(text: str, passphrase: str | None) -> asyncssh.SSHKey:
    # Cached: decrypting a key is slow by design, and hundreds of commands use the same one.
    return asyncssh.import_private_key(text, passphrase)


@lru_cache(maxsize=1024)
def _public_key(line: str) -> asyncssh.SSHKey:
    return asyncssh.import_public_key(line)


async def _retry(connection: Object, what: str, log: Log, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until it works or `dialErrorLimit` (-1: none) retries have failed."""
    limit = int(connection["dialErrorLimit"])
    delay = _FIRST_DELAY
    tries = 0
    while True:
        try:
            return await attempt()
        except (OSError, asyncssh.Error) as error:
            tries += 1
            if limit >= 0 and tries > limit:
                cause = _cause(error, connection)
                raise CommandError(f"after {tries} failed attempts: {endpoint(connection)}: {cause}") from None
            log.status(f"{what} {tries}/{'inf' if limit < 0 else limit} failed: retrying")
        await asyncio.sleep(delay)
        delay = min(delay * _BACKOFF, _LONGEST_DELAY)


def _cause(error: Exception, connection: Object) -> str:
    """Why a connection failed, in helpful words."""
    match error:
        case asyncssh.HostKeyNotVerifiable():
            return f"host key mismatch: {error.reason}"
        case asyncssh.PermissionDenied():
            return f"unable to authenticate: {error.reason}"
        case asyncssh.Error():
            return error.reason
        case TimeoutError():
            return f"no connection within {connection['perDialTimeout']:g} s"
        case OSError() if error.errno and not isinstance(error, socket.gaierror):
            return os.strerror(error.errno)
        case _:
            return str(error)

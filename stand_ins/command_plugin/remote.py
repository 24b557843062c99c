"""Runs the commands of `command:remote:Command` over SSH."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import asyncssh
from asyncssh.packet import String

from stand_ins.command_plugin.connection import connect, endpoint
from stand_ins.command_plugin.lines import LineLogger
from stand_ins.command_plugin.outcome import CommandError, Output, remote_exit, remote_signal
from stand_ins.plugin.log import Log
from stand_ins.plugin.values import Object

_WINDOW, _PACKET = 2 << 20, 32 << 10
"""asyncssh's default flow control, in bytes."""
_END_SIGNALS = {"TERM": 3.0, "KILL": 1.0}
"""The signal for a cancelled command, and its seconds to end after that."""
_NOT_ACCEPTED = (
    "Unable to set '{}': the SSH server accepts only the variables that its AcceptEnv names. "
    "Write 'VAR=value command' instead, or pass the value by stdin"
)


async def run(
    command: str, inputs: Object, previous: dict[str, str], log: Log, timeout: float | None
) -> dict[str, str]:
    """Run a command with the inputs of its resource; returns `stdout` and `stderr`.

    The server may refuse the variables `previous`, but must accept those of `environment`. `timeout` (seconds) only
    limits connecting. Cancelling also ends the command on the host, if the server supports that. Raises
    `CommandError`.
    """
    lines = LineLogger(log, inputs.get("logging"))
    async with connect(inputs["connection"], log, timeout) as connection:
        session = _Session(lines)
        try:
            await _start(connection, session, command, inputs, previous, log)
            _feed(session.channel, inputs.get("stdin") or "")
            await session.ended.wait()
        except asyncio.CancelledError:
            await _end(session)
            raise
        except (asyncssh.Error, OSError) as error:
            raise CommandError(f"{endpoint(inputs['connection'])}: {error}") from None
        finally:
            await lines.end()
    if session.failure is not None:
        lost = f" ({endpoint(inputs['connection'])}: {session.lost})" if session.lost else ""
        raise session.output.error(session.failure + lost, command)
    return session.output.properties()


class _Session(asyncssh.SSHClientSession[bytes]):
    """Collects a command's output, and how it ends."""

    channel: asyncssh.SSHClientChannel[bytes]

    def __init__(self, lines: LineLogger) -> None:
        self.output = Output()
        self.failure: str | None = "wait: remote command exited without exit status or exit signal"
        self.lost: Exception | None = None
        self.ended = asyncio.Event()
        self._lines = lines

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self.channel = chan

    def data_received(self, data: bytes, datatype: int | None) -> None:
        from_stderr = datatype == asyncssh.EXTENDED_DATA_STDERR
        self.output.add(data, from_stderr)
        self._lines.add(data, from_stderr)

    def exit_status_received(self, status: int) -> None:
        self.failure = remote_exit(status) if status else None

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.failure = remote_signal(signal, msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = exc
        self.ended.set()


async def _start(
    connection: asyncssh.SSHClientConnection,
    session: _Session,
    command: str,
    inputs: Object,
    previous: dict[str, str],
    log: Log,
) -> None:
    """Open a channel, set the variables, start the command.

    asyncssh's own method does not check whether the server accepts variables, but the official plugin fails if
    `environment` is refused: so this uses the layer below it.
    """
    chan = asyncssh.SSHClientChannel[bytes](
        connection, asyncio.get_running_loop(), "strict", None, "strict", _WINDOW, _PACKET
    )
    connection._update_recv_pktlen(_PACKET)
    (await chan._open(b"session")).check_end()
    chan._session = session
    session.connection_made(chan)
    for name in await _set(chan, (inputs.get("environment") or {}).items()):
        await log.error(_NOT_ACCEPTED.format(name))
        raise CommandError(f'could not set environment variable "{name}": ssh: setenv failed')
    for name in await _set(chan, previous.items()):
        await log.warning(_NOT_ACCEPTED.format(name))
    if not await chan._make_request(b"exec", String(command)):
        raise CommandError(f"{endpoint(inputs['connection'])}: the server refuses to run commands")
    connection.create_task(chan._start_reading(), chan.logger)


async def _set(chan: asyncssh.SSHClientChannel[bytes], variables: Iterable[tuple[str, str]]) -> list[str]:
    """Set variables; returns the names of those that the server refused."""
    items = list(variables)
    accepted = await asyncio.gather(*(chan._make_request(b"env", String(k), String(v)) for k, v in items))
    return [name for (name, _), ok in zip(items, accepted, strict=True) if not ok]


def _feed(chan: asyncssh.SSHClientChannel[bytes], stdin: str) -> None:
    try:
        chan.write(stdin.encode())
        chan.write_eof()
    except BrokenPipeError:
        pass  # The command need not read all of its input, and may have ended already


async def _end(session: _Session) -> None:
    """Signal a running command: OpenSSH forwards it to the whole process group.

    It does so as the user who logged in: processes under sudo continue, so a script that must not run twice at the
    same time needs a lock.
    """
    for name, seconds in _END_SIGNALS.items():
        if not hasattr(session, "channel") or session.ended.is_set():
            return
        try:
            session.channel.send_signal(name)
        except OSError:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(session.ended.wait(), seconds)

"""Runs the commands of `command:local:Command` on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from stand_ins.command_plugin.assets import asset_archive, find_assets
from stand_ins.command_plugin.lines import LineLogger
from stand_ins.command_plugin.outcome import Output, local_exit
from stand_ins.plugin.log import Log
from stand_ins.plugin.values import Object

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL for a cancelled command."""
_READ = 1 << 16


async def run(command: str, inputs: Object, previous: dict[str, str], log: Log, timeout: float | None) -> Object:
    """Run a command with the inputs of its resource; returns `stdout`, `stderr` and the requested assets.

    After `timeout` seconds, or when cancelled, the command's whole process group is ended. Raises `CommandError`.
    """
    directory = Path(inputs.get("dir") or Path.cwd())
    output = Output()
    lines = LineLogger(log, inputs.get("logging"))
    argv = [*(inputs.get("interpreter") or ["/bin/sh", "-c"]), command]
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            cwd=directory,
            env={**os.environ, **(inputs.get("environment") or {}), **previous},
            stdin=asyncio.subprocess.PIPE if inputs.get("stdin") else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    )
    try:
        # A start that is cancelled halfway would leave an unknown process
        process = await asyncio.shield(starting)
    except OSError as error:
        raise output.error(f"fork/exec {argv[0]}: {error}", command) from None
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise
    try:
        async with asyncio.timeout(timeout):
            await _communicate(process, inputs.get("stdin") or "", output, lines)
    except TimeoutError:
        await _end(process)
        raise output.error(f"not done within {timeout:g} s", command) from None
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        await lines.end()
    if process.returncode:
        raise output.error(local_exit(process.returncode), command)
    found: Object = {}
    if "assetPaths" in inputs:
        found["assets"] = await asyncio.to_thread(find_assets, directory, inputs["assetPaths"])
    if "archivePaths" in inputs:
        assets = await asyncio.to_thread(find_assets, directory, inputs["archivePaths"])
        found["archive"] = await asyncio.to_thread(asset_archive, assets)
    return {**output.properties(), **found}


async def _communicate(process: asyncio.subprocess.Process, stdin: str, output: Output, lines: LineLogger) -> None:
    async def read(stream: asyncio.StreamReader | None, from_stderr: bool) -> None:
        while stream is not None and (data := await stream.read(_READ)):
            output.add(data, from_stderr)
            lines.add(data, from_stderr)

    async def write() -> None:
        if process.stdin is not None:
            try:
                process.stdin.write(stdin.encode())
                await process.stdin.drain()
            except ConnectionError:
                pass  # The command need not read all of its input
            process.stdin.close()

    await asyncio.gather(write(), read(process.stdout, False), read(process.stderr, True))
    await process.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process group: its id is the command's pid, because the command has its own session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            await asyncio.wait_for(process.wait(), _GRACE)
        except TimeoutError:
            continue

"""Copies files and directories to a host over SFTP, for `command:remote:CopyToRemote`."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

import asyncssh

from stand_ins.command_plugin.connection import connect, endpoint
from stand_ins.command_plugin.outcome import CommandError
from stand_ins.plugin.log import Log
from stand_ins.plugin.values import Object


async def copy(inputs: Object, log: Log, timeout: float | None) -> None:
    """Copy `source` to `remotePath`, and create missing parents. Sets neither mode nor owner.

    | source | remote path is a directory | does not exist | is a file |
    | --- | --- | --- | --- |
    | `dir` | into it, as `dir` | created, then into it, as `dir` | error |
    | `dir/` | its content into it | created, then its content into it | error |
    | file, archive | into it, by its name | to it | over it |
    | text | error | to it | over it |

    `timeout` in seconds only limits connecting. Raises `CommandError`.
    """
    async with connect(inputs["connection"], log, timeout) as connection:
        try:
            async with connection.start_sftp_client() as sftp:
                await _copy(sftp, inputs["source"], inputs["remotePath"])
        except asyncssh.ChannelOpenError:
            # In the words of golang.org/x/crypto/ssh
            raise CommandError("ssh: subsystem request failed") from None
        except (OSError, asyncssh.Error) as error:
            where = endpoint(inputs["connection"])
            raise CommandError(f"failed to copy to {where}:{inputs['remotePath']}: {error}") from None


async def _copy(sftp: asyncssh.SFTPClient, source: Object, target: str) -> None:
    if "path" not in source:
        if await sftp.isdir(target):
            raise CommandError(f"remote path {target} is a directory; for a text asset, remotePath must be a file path")
        await _make_parents(sftp, target)
        async with sftp.open(target, "wb") as file:
            await file.write(source.get("text", "").encode())
        return
    path = source["path"]
    if not Path(path).is_dir():
        if await sftp.isdir(target):
            target = posixpath.join(target, Path(path).name)
        await _make_parents(sftp, target)
        await sftp.put(path, target, follow_symlinks=True)
        return
    await _make_directory(sftp, target)
    if not path.endswith("/"):
        target = posixpath.normpath(posixpath.join(target, os.path.basename(path)))  # noqa: PTH119 - "." stays "."
        await _make_directory(sftp, target)
    await _copy_tree(sftp, Path(path), target)


async def _copy_tree(sftp: asyncssh.SFTPClient, source: Path, target: str) -> None:
    for entry in sorted(source.iterdir()):
        path = posixpath.join(target, entry.name)
        if entry.is_dir() and not entry.is_symlink():
            await _make_directory(sftp, path)
            await _copy_tree(sftp, entry, path)
        else:
            await sftp.put(str(entry), path, follow_symlinks=True)


async def _make_parents(sftp: asyncssh.SFTPClient, path: str) -> None:
    if parent := posixpath.dirname(path):
        await _make_directory(sftp, parent)


async def _make_directory(sftp: asyncssh.SFTPClient, path: str) -> None:
    if await sftp.isdir(path):
        return
    if await sftp.exists(path):
        raise CommandError(f"remote path {path} exists but is not a directory")
    await sftp.makedirs(path, exist_ok=True)

"""Assets and archives: their hashes in Pulumi, and the files that `assetPaths` and `archivePaths` select."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from stand_ins.plugin.values import ARCHIVE, ASSET, SIGNATURE, Object

_ARCHIVE_SUFFIXES = (".tar", ".tgz", ".tar.gz", ".zip", ".jar")
_BLOCK = 1 << 20


def file_asset(path: Path) -> Object:
    """The asset for a file: its hash is the sha256 of the content."""
    return {SIGNATURE: ASSET, "hash": _sha256(path), "path": str(path)}


def asset_archive(assets: dict[str, Object]) -> Object:
    """The archive of these file assets by name: its hash is that of a tar stream of them."""
    members = ((name, Path(assets[name]["path"])) for name in sorted(assets))
    return {SIGNATURE: ARCHIVE, "hash": _sha256_of_tar(members), "assets": assets}


def content_hash(source: Object) -> str:
    """The hash of an asset or a path archive: the engine's, or the same computed here if it sent none."""
    if "hash" in source:
        return str(source["hash"])
    if source.get(SIGNATURE) == ASSET:
        return _sha256(Path(source["path"])) if "path" in source else _sha256_text(source.get("text", ""))
    path = Path(source["path"])
    if path.name.endswith(_ARCHIVE_SUFFIXES):
        return _sha256(path)
    return _sha256_of_tar(_files_below(path))


def find_assets(directory: Path, patterns: Sequence[str]) -> dict[str, Object]:
    """The files below a directory that the patterns select, as assets by relative path.

    Patterns apply in order; one that begins with `!` removes files. `*` and `?` do not match `/`, `**` does.
    """
    rules = [(pattern.startswith("!"), _regex(pattern.removeprefix("!"))) for pattern in patterns]
    found: dict[str, Object] = {}
    for name, path in _walk(directory):
        chosen = False
        for excludes, regex in rules:
            if regex.fullmatch(name):
                chosen = not excludes
        if chosen:
            found[name] = file_asset(path)
    return found


def _walk(directory: Path) -> Iterator[tuple[str, Path]]:
    """The files below a directory in lexical order of the path's parts, without links to directories."""
    for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            for name, path in _walk(Path(entry.path)):
                yield f"{entry.name}/{name}", path
        elif not entry.is_dir():
            yield entry.name, Path(entry.path)


def _files_below(directory: Path) -> Iterator[tuple[str, Path]]:
    """The files that Pulumi puts into the archive of a directory: all except its own bookkeeping."""
    return ((name, path) for name, path in _walk(directory) if ".pulumi" not in name.split("/"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256_of_tar(members: Iterator[tuple[str, Path]]) -> str:
    """sha256 of the tar stream that Go's archive/tar writes for files with a name, a size and mode 0600."""
    digest = hashlib.sha256()
    for name, path in members:
        size = path.stat().st_size
        digest.update(_header(name, size))
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        digest.update(bytes(-size % 512))
    digest.update(bytes(1024))
    return digest.hexdigest()


def _header(name: str, size: int) -> bytes:
    """One member's USTAR header as in Go; PAX, not quite as in Go, for values that do not fit into USTAR."""
    encoded = name.encode()
    prefix, base = b"", encoded
    if len(encoded) > 100:
        # Go cuts at the last slash that leaves a prefix of at most 155 bytes.
        cut = encoded.rfind(b"/", 0, 156)
        prefix, base = encoded[: max(cut, 0)], encoded[cut + 1 :]
    if not name.isascii() or len(base) > 100 or size >= 8**11:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        return info.tobuf(tarfile.PAX_FORMAT)
    block = bytearray(
        base.ljust(100, b"\0")
        + b"0000600\0" + 2 * b"0000000\0"  # mode, uid, gid
        + b"%011o\0" % size + b"00000000000\0"  # mtime
        + 8 * b" " + b"0" + bytes(100)  # checksum, type, link
        + b"ustar\x0000" + bytes(64)  # magic, user and group names
        + 2 * b"0000000\0"  # device numbers
        + prefix.ljust(155, b"\0") + bytes(12)
    )  # fmt: skip
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _regex(pattern: str) -> re.Pattern[str]:
    """A glob of github.com/gobwas/glob with `/` as the separator."""
    out: list[str] = []
    index = depth = 0
    while index < len(pattern):
        char = pattern[index]
        index += 1
        if char == "*":
            if pattern.startswith("*", index):
                index += 1
                out.append(".*")
            else:
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and (end := pattern.find("]", index + 1)) > 0:
            body = pattern[index:end]
            out.append(f"[^{body[1:]}]" if body.startswith("!") else f"[{body}]")
            index = end + 1
        elif char == "{":
            depth += 1
            out.append("(?:")
        elif char == "}" and depth:
            depth -= 1
            out.append(")")
        elif char == "," and depth:
            out.append("|")
        elif char == "\\" and index < len(pattern):
            out.append(re.escape(pattern[index]))
            index += 1
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)

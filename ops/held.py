"""What a cluster has at a place where its storage was before (host_tool/old_place.py). Nothing is deleted: only people
know whether they need it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops import savepoints
from ops.state import Host


@dataclass(frozen=True)
class Folder:
    """A folder below the place; `newest` in seconds since 1970."""

    path: str
    files: int
    bytes: int
    newest: float


@dataclass(frozen=True)
class Held:
    """What is there, and which declared jobs would continue from it: job → path."""

    place: str
    folders: Sequence[Folder]
    needed: Mapping[str, str]

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"{self.place}: {sum(it.files for it in self.folders)} files of this cluster"]
        for it in self.folders:
            when = datetime.fromtimestamp(it.newest, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            lines.append(f"  {it.path}: {it.files} files, {it.bytes:,} bytes, the last written {when}")
        lines += [f"needed: job {job} continues from {path}" for job, path in self.needed.items()]
        return lines if self.needed or not self.folders else [*lines, "no declared job needs it"]


def look(hosts: Sequence[Host], uri: str) -> Held:
    """Ask on a JobManager's host."""
    found: dict[str, Any] = savepoints.ask(hosts, "held", uri)
    folders = [Folder(it["folder"], it["files"], it["bytes"], it["newest"] / 1000) for it in found["folders"]]
    return Held(found["place"], folders, found["needed"])

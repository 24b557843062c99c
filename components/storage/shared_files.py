"""A folder that all hosts have, such as one of an NFS server: `file:///mnt/flink`.

Nothing of Flink's knows whether it is the same one everywhere: a host whose mount is missing would write to its own
disk, and the job would be lost with the next failover. So hosts look (host_scripts/storage/shared.sh), and daemons do
not start without it (Backend.folder).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .. import forms
from ..problems import shown
from .base import Asked, Backend, Kind

_OWN = (
    *("bin", "boot", "dev", "efi", "etc", "lib", "lib32", "lib64", "opt", "proc", "run", "sbin", "sys", "usr"),
    *("var/cache", "var/lib/flink", "var/log", "var/run"),
)
"""Folders of each host's own system."""
_HIDDEN = ("home", "root", "tmp", "var/tmp")
"""Folders that daemons do not see: ProtectHome and PrivateTmp in their units (systemd.exec(5))."""


@dataclass(frozen=True, kw_only=True)
class SharedFiles(Backend):
    """Folders of hosts, by Flink's own file system for them."""

    SCHEMES: ClassVar[Sequence[str]] = ("file",)

    def folder(self, uri: str) -> str:
        """The path."""
        return uri.partition("://")[2]

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by what the kernel says."""
        return {
            "Permission denied|AccessDenied": "expected a folder that belongs to the user flink, which has the same "
            "uid on all hosts",
            "Read-only file system": "expected a mount that can be written to",
            "[Ss]tale": "expected that the file system is mounted again: the server has another one now",
            "No space left|[Dd]isk quota": "expected free space on the server",
            "Input/output error|no answer": "expected a server that answers",
        }


def _read(asked: Asked) -> SharedFiles:
    for key, uri in asked.places.items():
        path = uri.partition("://")[2].lstrip("/")
        for folders, why in ((_OWN, "is of each host's own system"), (_HIDDEN, "is hidden from Flink's daemons")):
            if found := next((each for each in folders if re.match(rf"{re.escape(each)}(?:/|\Z)", path)), ""):
                asked.problems.add(
                    key,
                    f"{shown(uri)}: /{found} {why}; expected a folder of a file system that all hosts have mounted, "
                    "such as file:///mnt/flink/prod",
                )
    return SharedFiles()


KIND = Kind(title="a shared folder", schemes=SharedFiles.SCHEMES, uri=forms.FILE_URI, keys=(), read=_read)

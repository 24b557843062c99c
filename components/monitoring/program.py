"""A program of monitoring or of logs that a step keeps running on a host (host_scripts/monitoring/monitor.sh)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..host import Host
from ..remote import File, script_text


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the step says of it: the script's values, which its head explains."""

    name: str
    """Of the step's record on the host."""
    release: str
    """Its folder below /opt."""
    version: str
    unit: str
    user: str
    own_user: bool = False
    folder: str
    """Of its configuration."""
    folders: Sequence[str] = ()
    data: Sequence[str] = ()
    loaded: Sequence[str] = ()
    valid: Sequence[str] = ()
    url: str
    identity: Sequence[str] = ()
    seconds: int
    keeper: str = ""

    def step_text(self, host: Host, files: Sequence[File]) -> str:
        """The text of the step. The first of `files` is the unit: it is stopped before the others are removed."""
        values: dict[str, str | int | Sequence[str]] = {
            "name": self.name,
            "release": self.release,
            "version": self.version,
            "unit": self.unit,
            "user": self.user,
            "own_user": "true" if self.own_user else "false",
            "folder": self.folder,
            "folders": self.folders,
            "data": self.data,
            "loaded": self.loaded,
            "valid": self.valid,
            "url": self.url,
            "identity": self.identity,
            "seconds": self.seconds,
            **({"keeper": self.keeper} if self.keeper else {}),
        }
        return script_text(host, "monitoring/monitor.sh", values, files, uses=("program.sh",))

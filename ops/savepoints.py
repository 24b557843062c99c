"""Savepoints of a stack's declared jobs: they are listed, taken and restored on a JobManager's host, by the host tool
(host_tool/job_savepoint_commands.py).
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ops import ssh
from ops.errors import OpsError
from ops.gc import OTHER_TOOL, WRONG_USAGE
from ops.state import Host

CONNECT_SECONDS = 60
SECONDS = 3 * 3600
"""A stop and two starts, each as long as the longest startTimeoutSeconds."""


@dataclass(frozen=True)
class Savepoint:
    """One savepoint: where it is, since when, why it was taken, its size; `needed` if nothing deletes it now."""

    path: str
    at: float
    """Seconds since 1970."""
    why: str
    bytes: int
    needed: bool

    @property
    def taken(self) -> str:
        """When, for people."""
        return datetime.fromtimestamp(self.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@dataclass(frozen=True)
class Job:
    """A job: its status in Flink (or SUSPENDED, or NEW), where it would continue, its savepoints, the newest last."""

    name: str
    status: str
    newest: str
    savepoints: tuple[Savepoint, ...]

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"job {self.name}: {self.status.lower()}, continues from {self.newest or 'no state'}"]
        lines += [
            f"  {it.taken}  {it.bytes:>14,} bytes  {it.why}{', needed' if it.needed else ''}\n    {it.path}"
            for it in self.savepoints
        ]
        return lines if self.savepoints else [f"{lines[0]}; no savepoints"]

    def before_restore(self, path: str) -> str:
        """What a restore does, for who has to confirm it."""
        known = next((f", taken {it.taken}" for it in self.savepoints if it.path == path.rstrip("/")), "")
        lines = [f"job {self.name} is {self.status.lower()}; its newest state is {self.newest or 'none'}."]
        if self.status not in ("SUSPENDED", "NEW"):
            lines.append("It stops, with a savepoint if it can take one, which stays.")
        start = "It will start" if self.status == "SUSPENDED" else "It starts"
        lines.append(
            f"{start} from {path}{known}, with the settings that ran last: what it has processed since then is"
            " processed again, and sinks get these results a second time."
        )
        return "\n".join(lines)


def listed(hosts: Sequence[Host], job: str = "") -> list[Job]:
    """The declared jobs, or one of them."""
    return [
        Job(it["job"], it["status"], it["newest"], tuple(_savepoint(each) for each in it["savepoints"]))
        for it in _run(hosts, "list", *([job] if job else []))
    ]


def take(hosts: Sequence[Host], job: str) -> Savepoint:
    """Take a savepoint of a running job, and wait for it."""
    return _savepoint(_run(hosts, "take", job)[0])


def restore(hosts: Sequence[Host], job: str, path: str) -> dict[str, Any]:
    """Start a job from an earlier savepoint; what runs then."""
    found: dict[str, Any] = _run(hosts, "restore", job, path)[0]
    return found


def _savepoint(found: dict[str, Any]) -> Savepoint:
    return Savepoint(found["path"], found["at"], found["why"], found["bytes"], found.get("needed", True))


def _run(hosts: Sequence[Host], *words: str) -> Any:
    return ask(hosts, "savepoints", *words)


def ask(hosts: Sequence[Host], *words: str) -> Any:
    """What the tool answers, as JSON, on the first JobManager's host that is reachable."""
    said = []
    for host in hosts:
        # First: a restore whose connection is lost later continues there, and may not be repeated elsewhere
        done = ssh.run(host.name, host.login, "true", "", CONNECT_SECONDS)
        if done.returncode == 0:
            break
        said.append(f"{host.name}: {done.stderr.strip() or f'exited with {done.returncode}'}")
    else:
        raise OpsError("\n".join(said) or "the stack has no JobManager")
    done = ssh.run(host.name, host.login, f"sudo -n {ssh.TOOL} {shlex.join(words)}", "", SECONDS)
    if done.returncode == WRONG_USAGE:
        raise OpsError(f"{done.stderr.strip()}\n{OTHER_TOOL}")
    if done.returncode:
        raise OpsError(done.stderr.strip() or f"{host.name}: exited with {done.returncode}")
    return json.loads(done.stdout)

"""A support bundle: what is known of a cluster and its hosts in one archive, without secrets.

Every host is asked over SSH by one script that changes nothing (bundle.sh). What leaves it is configuration that
anybody on the host may read, logs, states, thread dumps, metrics, and what the leading JobManager's REST API answers.
Secrets are removed here: the values in files that not everybody on the host may read, the stack's own keys, and what
looks like a secret (redaction.py).
"""

import base64
import contextlib
import hashlib
import io
import json
import os
import platform
import re
import shlex
import subprocess
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from components import private_key
from components.frontdoor import login
from components.frontdoor.caddyfile import FOLDER as DOOR_FOLDER
from components.host import Role
from components.monitoring import alerts, exporter, targets
from components.ports import number
from components.roles import ROLES
from ops import ssh, state, status, units
from ops.doctor import AT_ONCE
from ops.redaction import Redactor, values
from ops.state import Host

SECONDS = 120
"""For a host's answer; what it has said until then is kept."""
REST = (
    "/overview",
    "/config",
    "/jobmanager/config",
    "/jobmanager/environment",
    "/taskmanagers",
    "/jobs/overview",
    "/jars",
)
"""What the leader is asked for, besides its jobs."""
_MONITORING = {
    "targets": f"{targets.prometheus_url(None)}/api/v1/targets",
    "rules": f"{targets.prometheus_url(None)}/api/v1/rules",
    "alerts": f"{targets.alertmanager_url(None)}/api/v2/alerts",
    "silences": f"{targets.alertmanager_url(None)}/api/v2/silences",
}
"""What the monitoring host is asked for, as far as it does not ask for a certificate (units.ASK)."""
_SCRIPT = Path(__file__).with_suffix(".sh")
_HELPERS = (
    "flink-firewall",
    "flink-classes",
    "flink-alive",
    "flink-jobs",
    "flink-superseded",
    "flink-spot",
    "flink-storage",
    "flink-acme",
)


@dataclass
class Told:
    """What a host has told: its parts by name, such as `logs/flink-jobmanager.journal`, not yet cleaned; why parts are
    not whole; `error` if the host did not answer, or not to the end.
    """

    host: str
    parts: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Bundle:
    """The archive, its size in bytes, its number of files, and the hosts that did not answer, with the reason."""

    file: Path
    size: int
    files: int
    unreached: Mapping[str, str]


def write(
    stack: str,
    hosts: Sequence[Host],
    roles: Mapping[str, Role],
    about: Mapping[str, str],
    file: Path,
    lines: int,
    tell: Callable[[str], None],
) -> Bundle:
    """Ask the hosts, in parallel, and write the archive, which only its owner may read. `about`: files about the
    stack itself (`declared`). Raises OSError if it cannot be written: then nothing is left of it.
    """
    # Refused before minutes of work
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            with ThreadPoolExecutor(1) as pool:
                # Meanwhile: both wait for hosts that are down
                looked = pool.submit(status.look, stack, hosts, roles)
                told = _asked(hosts, roles, lines, tell)
                found = looked.result()
            secrets = [value for one in told for value in one.secrets]
            secrets += [line for host in hosts for line in _keys(host)]
            clean = Redactor(secrets).clean
            unreached = {one.host: one.error for one in told if one.error}
            contents = {name: clean(text) for name, text in about.items()}
            contents["status.txt"] = clean(found.text() + "\n")
            contents["status.json"] = clean(json.dumps(found.json(), indent=2) + "\n")
            for one in told:
                contents |= {f"{one.host}/{_path(name)}": clean(text) for name, text in one.parts.items()}
            contents["README.txt"] = clean(_readme(stack, told))
            _pack(opened, file.name.removesuffix(".tar.gz"), contents)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return Bundle(file, file.stat().st_size, len(contents), unreached)


def _asked(hosts: Sequence[Host], roles: Mapping[str, Role], lines: int, tell: Callable[[str], None]) -> list[Told]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        jobs = {pool.submit(ask, host, roles[host.name], lines): host.name for host in hosts}
        for done in as_completed(jobs):
            one = done.result()
            count = f"{len(one.parts)} files, {one.seconds:.0f} s"
            tell(f"{one.host}: {one.error} ({count})" if one.error else f"{one.host}: {count}")
    found = {name: job.result() for job, name in jobs.items()}
    return [found[host.name] for host in hosts]


def declared(deployment: Mapping[str, Any]) -> dict[str, str]:
    """Files about a stack, of its deployment: what it declares, its steps, and versions on this machine."""
    steps = [
        f"{host.name}: {step.name} {hashlib.sha256(step.text.encode()).hexdigest()[:12]}"
        for host in state.hosts(deployment)
        for step in host.steps
    ]
    versions = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit": _commit(),
        **{name: metadata.version(name) for name in ("pulumi", "pulumi-command", "pulumi-aws", "pulumi-tls")},
        "manifest": deployment.get("manifest", {}),
        "resources": len(deployment.get("resources", ())),
    }
    files = {"stack/steps.txt": "".join(f"{line}\n" for line in steps)}
    for count, tree in enumerate(state.declarations(deployment)):
        files[f"stack/declared{count or ''}.json"] = json.dumps(tree, indent=2) + "\n"
    files["stack/versions.json"] = json.dumps(versions, indent=2) + "\n"
    return files


def _commit() -> str:
    """The checkout's commit; empty without git."""
    try:
        argv = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def ask(host: Host, role: Role, lines: int) -> Told:
    """Ask one host."""
    began = time.monotonic()
    done = ssh.run(host.name, host.login, "sudo -n bash -s", script(role, lines), SECONDS)
    told = parse(host.name, done.stdout)
    if "." not in told.parts:
        told.error = " ".join(done.stderr.split()) or f"its answer is incomplete: ssh ended with {done.returncode}"
    told.parts.pop(".", None)
    told.seconds = time.monotonic() - began
    return told


def script(role: Role, lines: int) -> str:
    """For bash's stdin, on a host of this role."""
    row = ROLES[role]
    folders = [row.configuration, exporter.FOLDER]
    urls = {}
    if role is Role.JOBMANAGER:
        folders += [DOOR_FOLDER, login.FOLDER]
    if role is Role.MONITORING:
        folders.append(alerts.FOLDER)
        urls = {f"monitoring/{name}": url for name, url in _MONITORING.items()}
    if row.runs_flink and row.unit:
        urls["metrics"] = f"http://localhost:{number('prometheus')}/metrics"
    given = {
        "role": role.value,
        "daemon": row.unit,
        "units": " ".join([*units.daemon(role), *units.beside(role), *_HELPERS]),
        "configurations": " ".join(folders),
        "lines": str(lines),
        "urls": " ".join(f"{name}={url}" for name, url in urls.items()),
        "rest": " ".join(REST),
        "tool": ssh.TOOL,
    }
    values = "".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items())
    return values + units.ASK + _SCRIPT.read_text()


def parse(host: str, output: str) -> Told:
    """Parse a host's answer, by the marks at the beginning of lines (bundle.sh)."""
    told, name = Told(host), ""
    parts: dict[str, list[str]] = {}
    # Not splitlines: a log may contain other ends of lines
    for line in output.split("\n"):
        mark, _, rest = line.partition(" ")
        if mark == "@":
            name = rest
            parts[name] = []
        elif mark == "|" and name == "secrets":
            with contextlib.suppress(ValueError):
                # Key stores are no text
                told.secrets += values(base64.b64decode(rest).decode())
        elif mark == "|":
            parts[name].append(rest)
        elif mark == "!":
            told.cut[name] = rest
            parts[name].append(f"({rest})")
    parts.pop("secrets", None)
    told.parts = {key: "".join(f"{line}\n" for line in text) for key, text in parts.items()}
    return told


def _keys(host: Host) -> list[str]:
    """The lines of the private keys that lead to a host, as OpenSSH and as the command plugin read them."""
    own = [host.login.private_key, *([host.login.jump.private_key] if host.login.jump else [])]
    keys = [*own, *map(private_key.shortest, own)]
    return [line for key in keys for line in key.splitlines() if not line.startswith("-----")]


def _path(name: str) -> str:
    """A file's name in the archive, from that of a part."""
    words = [re.sub(r"[^\w.,=-]", "_", word) for word in name.split("/") if word not in ("", ".", "..")]
    path = "/".join(words)
    if words[0] in ("rest", "monitoring"):
        return f"{path}.json"
    return path if "." in words[-1] else f"{path}.txt"


def _readme(stack: str, told: Sequence[Told]) -> str:
    lines = [
        f"Support bundle of the Flink cluster of stack {stack}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC.",
        "",
        "status.txt          what `python -m ops status` says",
        "stack/              what the stack declares, its steps on hosts, and versions on the operator's machine",
        "HOST/               logs/, configuration/, threads.txt, metrics.txt, rest/ (of the leader), firewall.txt",
        "",
        "Secrets are removed: what a host does not show to everybody, and what looks like a secret. A job may write",
        "into its log what nobody can recognise: look before you pass this on.",
        "",
    ]
    for one in told:
        lines.append(f"{one.host}: {one.error or f'{len(one.parts)} files'}")
        lines += [f"    {name}: {why}" for name, why in one.cut.items()]
    return "\n".join(lines) + "\n"


def _pack(opened: io.BufferedIOBase, top: str, contents: Mapping[str, str]) -> None:
    now = int(time.time())
    with tarfile.open(fileobj=opened, mode="w:gz") as archive:
        for name, text in sorted(contents.items()):
            content = text.encode(errors="replace")
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mtime, entry.mode = len(content), now, 0o600
            archive.addfile(entry, io.BytesIO(content))

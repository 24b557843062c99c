"""Compares hosts with the desired state of a stack. Every step's own script checks (`check` in host_scripts), and
changes nothing.
"""

import hashlib
import re
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from ops import ssh
from ops.state import Host, Step
from ops.waiting import WAITS

STEP_SECONDS = 60
CONNECT_SECONDS = 60
AT_ONCE = 32
"""Hosts checked in parallel: each is a process here that mostly waits."""

_LAST = "."
"""Instead of a step's name: all steps have been checked."""

_SECRET = re.compile(r"(?i)password|secret|access[._-]?key|private key")


@dataclass
class Difference:
    """Drift on a host: the step that installed the object, the object, the difference."""

    step: str
    what: str
    message: str
    detail: list[str] = field(default_factory=list)


@dataclass
class Looked:
    """The result for a host; with an `error` it could not be checked, or not completely. `reboot` says why it waits for
    a reboot, which is no drift; empty if it does not.
    """

    host: str
    differences: list[Difference] = field(default_factory=list)
    error: str = ""
    reboot: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The results for a stack's hosts."""

    stack: str
    hosts: Sequence[Looked]

    @property
    def exit_code(self) -> int:
        """0: no drift; 1: drift; 2: no drift where hosts could be checked, but not all could be."""
        if any(looked.differences for looked in self.hosts):
            return 1
        return 2 if any(looked.error for looked in self.hosts) else 0

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "stack": self.stack,
            "asDeclared": self.exit_code == 0,
            "hosts": [asdict(looked) for looked in self.hosts],
        }

    def text(self, repair: str) -> str:
        """For people; `repair` says how to repair drift."""
        lines = []
        for looked in self.hosts:
            for found in looked.differences:
                lines.append(f"{looked.host}: {found.what}: {found.message} ({found.step})")
                lines += [f"    {line}" for line in found.detail]
            if looked.error:
                lines.append(f"{looked.host}: could not be checked: {looked.error}")
        waiting = [looked.host for looked in self.hosts if looked.reboot]
        lines += [f"{looked.host}: waits for a reboot: {looked.reboot}" for looked in self.hosts if looked.reboot]
        if waiting:
            lines.append(f"{len(waiting)} hosts wait for a reboot: `python -m ops reboot --stack {self.stack}`")
        count = sum(len(looked.differences) for looked in self.hosts)
        dead = sum(bool(looked.error) for looked in self.hosts)
        if not count and not dead:
            return "\n".join([*lines, f"no drift on {len(self.hosts)} hosts of stack {self.stack}"])
        lines.append(f"{count} differences, {dead} hosts not checked, of {len(self.hosts)} hosts of stack {self.stack}")
        if count:
            lines.append("In the contents of files, - is expected and + is found.")
            lines.append(repair)
        return "\n".join(lines)


def diagnose(stack: str, hosts: Sequence[Host]) -> Diagnosis:
    """Check the hosts, in parallel."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Diagnosis(stack, list(pool.map(look, hosts)))


def look(host: Host) -> Looked:
    """Check a host over one connection."""
    done = ssh.run(
        host.name, host.login, "sudo -n bash -s", script(host.steps), CONNECT_SECONDS + STEP_SECONDS * len(host.steps)
    )
    looked = parse(host.name, done.stdout)
    if done.returncode:
        looked.error = " ".join(done.stderr.split()) or f"ssh ended with {done.returncode}"
    return looked


def script(steps: Sequence[Step]) -> str:
    """For bash's stdin: every step's script with `check`, each in its own bash."""
    lines = [
        "run() {",
        "  printf '@ %s\\n' \"$1\"",
        f"  timeout -k 5 {STEP_SECONDS} bash -s -- check 2>&1 || printf '? %s\\n' \"$?\"",
        "}",
    ]
    for step in steps:
        end = f"END_{hashlib.sha256(step.text.encode()).hexdigest()[:16]}"
        lines += [f"run {shlex.quote(step.name)} <<'{end}'", step.text.removesuffix("\n"), end]
    return "\n".join([*lines, WAITS, "waits | sed 's/^/~ /'", f"printf '@ {_LAST}\\n'", ""])


def parse(host: str, output: str) -> Looked:
    """Parse a host's answer, by the marks at the beginning of lines (lib.sh, differs)."""
    looked, step = Looked(host), ""
    said: list[str] = []
    for line in output.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "@":
            step, said = rest, []
        elif mark == "!":
            what, _, message = rest.partition("\t")
            looked.differences.append(Difference(step, what, message))
        elif mark == "~":
            looked.reboot = rest
        elif mark == "|" and looked.differences:
            looked.differences[-1].detail.append(_shown(rest))
        elif mark == "?":
            why = " ".join(said[-3:]) or f"it exited with {rest}"
            found = Difference(step, "check", f"did not complete: {_shown(why)}")
            # Without its scripts (components/scripts.py) no step of a host completes, for one reason
            if not any(found.message == known.message for known in looked.differences):
                looked.differences.append(found)
        else:
            said.append(line)
    if step != _LAST:
        looked.error = "the answer is incomplete: was the connection lost?"
    return looked


def _shown(line: str) -> str:
    """A line of a host's file, unless it may contain a secret."""
    return "(a line that may contain a secret)" if _SECRET.search(line) else line

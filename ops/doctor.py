"""Compares hosts with what a stack declares. Every step's own script looks (`check` in host_scripts), and changes
nothing.
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

STEP_SECONDS = 60
CONNECT_SECONDS = 60
AT_ONCE = 32
"""Hosts looked at side by side: each is a process here that mostly waits."""

_LAST = "."
"""In place of a step's name: all of them have been looked at."""

_SECRET = re.compile(r"(?i)password|secret|access[._-]?key|private key")


@dataclass
class Difference:
    """Something on a host that is not as declared: which step made it, what it is, how it differs."""

    step: str
    what: str
    message: str
    detail: list[str] = field(default_factory=list)


@dataclass
class Looked:
    """What was found on a host; with an `error` it could not be looked at, or not at all of it."""

    host: str
    differences: list[Difference] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """What was found on a stack's hosts."""

    stack: str
    hosts: Sequence[Looked]

    @property
    def exit_code(self) -> int:
        """0: as declared; 1: something differs; 2: what could be looked at is as declared."""
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

    def text(self, mend: str) -> str:
        """For people; `mend` is what to do about differences."""
        lines = []
        for looked in self.hosts:
            for found in looked.differences:
                lines.append(f"{looked.host}: {found.what}: {found.message} ({found.step})")
                lines += [f"    {line}" for line in found.detail]
            if looked.error:
                lines.append(f"{looked.host}: could not be looked at: {looked.error}")
        count = sum(len(looked.differences) for looked in self.hosts)
        dead = sum(bool(looked.error) for looked in self.hosts)
        if not count and not dead:
            return f"{len(self.hosts)} hosts of stack {self.stack} are as declared"
        lines.append(
            f"{count} differences, {dead} hosts not looked at, of {len(self.hosts)} hosts of stack {self.stack}"
        )
        if count:
            lines.append("In what is shown of files, - is expected and + is found.")
            lines.append(mend)
        return "\n".join(lines)


def diagnose(stack: str, hosts: Sequence[Host]) -> Diagnosis:
    """Look at the hosts, side by side."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Diagnosis(stack, list(pool.map(look, hosts)))


def look(host: Host) -> Looked:
    """Look at a host over one connection."""
    done = ssh.run(
        host.name, host.login, "sudo -n bash -s", script(host.steps), CONNECT_SECONDS + STEP_SECONDS * len(host.steps)
    )
    looked = parse(host.name, done.stdout)
    if done.returncode:
        looked.error = " ".join(done.stderr.split()) or f"ssh ended with {done.returncode}"
    return looked


def script(steps: Sequence[Step]) -> str:
    """For bash's stdin: every step's text with `check`, each in a bash of its own."""
    lines = [
        "run() {",
        "  printf '@ %s\\n' \"$1\"",
        f"  timeout -k 5 {STEP_SECONDS} bash -s -- check 2>&1 || printf '? %s\\n' \"$?\"",
        "}",
    ]
    for step in steps:
        end = f"END_{hashlib.sha256(step.text.encode()).hexdigest()[:16]}"
        lines += [f"run {shlex.quote(step.name)} <<'{end}'", step.text.removesuffix("\n"), end]
    return "\n".join([*lines, f"printf '@ {_LAST}\\n'", ""])


def parse(host: str, output: str) -> Looked:
    """What a host's answer says, by the marks that its lines begin with (lib.sh, differs)."""
    looked, step = Looked(host), ""
    said: list[str] = []
    for line in output.splitlines():
        mark, _, rest = line.partition(" ")
        if mark == "@":
            step, said = rest, []
        elif mark == "!":
            what, _, message = rest.partition("\t")
            looked.differences.append(Difference(step, what, message))
        elif mark == "|" and looked.differences:
            looked.differences[-1].detail.append(_shown(rest))
        elif mark == "?":
            why = " ".join(said[-3:]) or f"it ended with {rest}"
            looked.differences.append(Difference(step, "check", f"did not come to its end: {_shown(why)}"))
        else:
            said.append(line)
    if step != _LAST:
        looked.error = "the answer has no end: was the connection lost?"
    return looked


def _shown(line: str) -> str:
    """A line of a host's file, unless somebody has written a secret into it."""
    return "(a line that may hold a secret)" if _SECRET.search(line) else line

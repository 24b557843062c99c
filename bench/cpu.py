"""CPU seconds on this machine, by part: of the program and its processes, and of a lab's hosts by what runs there."""

import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import supervise
from lab.lab import Lab

PROGRAM = "the program"
PROCESSES = "what it runs here"
"""Pulumi's engine and plugins, `ssh`, or Ansible, with all that they have waited for."""
STEPS = "steps on hosts, with their logins"
DAEMONS = "daemons, and the rest of the hosts"

_STEPS = ("user.slice", "system.slice/ssh.service")
"""cgroups of a host. Those of daemons begin anew when these do."""


@contextmanager
def counted(lab: Lab) -> Iterator[dict[str, float]]:
    """CPU seconds by part until the end of the block, which has them then. The hosts are the same ones all the time.
    Linux only says of hosts what they use if systemd does not run this machine: otherwise their parts are missing.
    """
    found: dict[str, float] = {}
    before = _now(lab)
    yield found
    after = _now(lab)
    found.update({part: round(after[part] - before[part], 1) for part in after})


def _now(lab: Lab) -> Counter[str]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = Counter({PROGRAM: sum(os.times()[:2]), PROCESSES: children.ru_utime + children.ru_stime})
    for host in lab.hosts:
        for folder in supervise.cgroups(host.machine)[-1:]:
            steps = sum(_used(folder / "payload" / cgroup) for cgroup in _STEPS)
            found.update({STEPS: steps, DAEMONS: _used(folder) - steps})
    return found


def _used(cgroup: Path) -> float:
    """CPU seconds of all processes that have been in a cgroup; 0 if there is none."""
    try:
        first = (cgroup / "cpu.stat").read_text().partition("\n")[0]
    except OSError:
        return 0.0
    return int(first.removeprefix("usage_usec ")) / 1e6

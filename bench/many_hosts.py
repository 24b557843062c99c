"""A cluster of 60 hosts by real SSH, of which one refuses connections, one is slow and one is dead.

The hosts are those of a lab, with systemd, sshd, real steps and real daemons, made light so that this machine carries
them: their image has the releases already, as a machine image of your own would, TaskManagers get the least memory, and
nothing makes class archives.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from automation.steps import Recorder
from lab import preflight
from lab.cluster import Cluster
from lab.errors import LabError
from lab.lab import Lab
from lab.stack import LabStack
from stand_ins.builds.archives import Archives
from toolbox import console
from toolbox.parallel import command
from toolbox.paths import REPO

JOBMANAGERS, ZOOKEEPERS = 2, 3
BATCH = 10
"""Hosts that boot at the same time: each is looked at several times a second."""
WORKER_MIB, OTHERS_MIB = 280, 3000
"""Memory of a light worker, measured with 55, and of all else."""

REFUSING, SLOW, DEAD = "tm-1", "tm-2", "tm-3"
MAX_STARTUPS = "1:100:1"
"""sshd_config(5): while one connection has not logged in yet, every other one is dropped. The default is 10:30:100."""
SLOW_RATE = "128kbit"
"""Of the slow host's network, towards it."""

OF_ALL = ("rollout", "cluster", "logins")
"""Steps on one host for all of them."""

OVERRIDES = {
    "flink:workers": 0,
    "flink:taskManagerMemory": "1024m",
    "flink:maxUnavailable": 10,
    # Two cores start all daemons
    "flink:readyTimeoutSeconds": 900,
}
LIGHT = {"taskmanager.memory.network.min": "16mb", "taskmanager.memory.network.max": "16mb"}
"""Flink takes these buffers at its start."""


@dataclass
class Operation:
    """One `up`; seconds from its beginning."""

    seconds: float
    load: float
    steps: int
    """Those that ran on hosts."""
    hosts: list[str]
    """Where they ran."""
    others: float
    """Seconds until the last step of all hosts but the named ones was done, without those of the whole cluster."""
    slow: float
    """Seconds until the last step of the slow host was done."""
    rollout: float
    """Seconds of the rollout, 0 if there was none."""
    failed: list[str]
    """The hosts that its errors name."""
    says: list[str]
    """Their errors."""


@dataclass
class ManyHosts:
    """All measurements."""

    hosts: int
    boot_seconds: float
    memory_mib: int
    """Of all hosts, with their daemons."""
    refused: int = 0
    """Connections that the refusing host's sshd dropped."""
    operations: dict[str, Operation] = field(default_factory=dict)


def measure(lab: Lab, archives: Archives, workers: int) -> ManyHosts:
    """Create the hosts and run every operation. Raises LabError if one does something else than it should."""
    free = _available_mib()
    if free < (needed := OTHERS_MIB + WORKER_MIB * workers):
        fewer = max(5, (free - OTHERS_MIB) // WORKER_MIB)
        raise LabError(f"{free} MiB of memory are free, {workers} workers need {needed}: ask for --workers {fewer}")
    lab.up(workers=0, jobmanagers=0, zookeepers=0)
    lab.use_image(_image(lab, archives))
    began = time.monotonic()
    _boot(lab, workers)
    found = ManyHosts(len(lab.hosts), time.monotonic() - began, 0)
    _limit(lab)
    lab.crash(DEAD)
    run = _Runs(lab, archives, found)
    run.fails("first, with a dead host", {host.name for host in lab.hosts})
    lab.start(DEAD)
    run.works("again, with all hosts")
    found.memory_mib = free - _available_mib()
    run.works("with no change")
    run.config["taskmanager.debug.memory.log-interval"] = "6000 ms"
    lab.crash(DEAD)
    run.fails("a TaskManager setting, with a dead host", {f"tm-{number}" for number in range(workers)})
    lab.start(DEAD)
    run.works("again: the rollout")
    lab.up(workers=workers + 1)
    run.works("one worker more")
    found.refused = _dropped(lab)
    console.say("scale", f"{REFUSING} has dropped {found.refused} connections")
    return found


class _Runs:
    """Runs `up` after `up` on the hosts of a lab."""

    def __init__(self, lab: Lab, archives: Archives, found: ManyHosts) -> None:
        self._lab, self._archives, self._found = lab, archives, found
        self.config: dict[str, Any] = dict(LIGHT)

    def works(self, what: str) -> None:
        """It succeeds, and the cluster is complete."""
        if failure := self._up(what):
            raise failure
        Cluster(self._lab, self._archives).wait_until_whole(60)

    def fails(self, what: str, expected: set[str]) -> None:
        """It fails because of the dead host, names that one alone, and runs a step on all others of the `expected`."""
        failure = self._up(what)
        done = self._found.operations[what]
        if failure is None or done.failed != [DEAD]:
            raise LabError(
                f"up {what}: expected a failure of {DEAD} alone, found of {done.failed or 'none'}:\n{failure}"
            )
        if missing := expected - {*done.hosts, DEAD}:
            raise LabError(f"up {what}: {DEAD} has held up {' '.join(sorted(missing))}, where no step ran")

    def _up(self, what: str) -> LabError | None:
        """Its failure."""
        overrides = {**OVERRIDES, "flink:taskManagerConfig": dict(self.config)}
        stack = LabStack(self._lab, self._archives, overrides)
        stack.prepare()
        recorder, load, failure = Recorder(), os.getloadavg()[0], None
        with console.step("scale", f"up {what} (load {load:.1f})") as step:
            began = time.monotonic()
            try:
                stack.up(continue_on_error=True, on_event=recorder.event)
            except LabError as error:
                failure = error
            seconds = time.monotonic() - began
            step.result = "failed" if failure else "done"
        done = self._found.operations[what] = _operation(self._lab, recorder, seconds, load)
        console.say("scale", f"up {what}: {_line(done)}")
        return failure


def _operation(lab: Lab, recorder: Recorder, seconds: float, load: float) -> Operation:
    names = {host.name for host in lab.hosts}
    ran = [(*name.rpartition("-")[::2], *span) for name, span in recorder.found.spans.items()]
    # What a host does when it leaves is only declared
    ran = [(host, what, began, ended) for host, what, began, ended in ran if host in names and what != "clean"]
    ends: dict[str, float] = {}
    for host, what, _, ended in ran:
        if what not in OF_ALL:
            ends[host] = max(ends.get(host, 0.0), ended)
    # Of a step; the SDK reports each failure again, without, and with its traceback
    errors = {error: host for error in recorder.found.errors for host in names if error.startswith(f"{host}-")}
    return Operation(
        seconds=seconds,
        load=load,
        steps=len(ran),
        hosts=sorted(ends),
        others=max((ends[host] for host in ends if host not in (REFUSING, SLOW, DEAD)), default=0.0),
        slow=ends.get(SLOW, 0.0),
        rollout=sum(ended - began for _, what, began, ended in ran if what == "rollout"),
        failed=sorted({*errors.values()}),
        says=[*errors],
    )


def _line(it: Operation) -> str:
    named = f"; fails, and names {' '.join(it.failed)}" if it.failed else ""
    return (
        f"{it.seconds:.0f} s, {it.steps} steps on {len(it.hosts)} hosts; the others were done after {it.others:.0f} s,"
        f" {SLOW} after {it.slow:.0f} s{named}"
    )


def _boot(lab: Lab, workers: int) -> None:
    lab.up(jobmanagers=JOBMANAGERS, zookeepers=ZOOKEEPERS)
    for count in [*range(BATCH, workers, BATCH), workers]:
        lab.up(workers=count)


def _image(lab: Lab, archives: Archives) -> Path:
    """The hosts' image with all releases, as the program installs them, and without the making of class archives."""
    root = lab.dir / "image"
    base = json.loads((lab.dir / "lab.json").read_text())["base"]
    with console.step("scale", "an image with the releases"):
        command(["cp", "--archive", "--reflink=auto", base, root])
        for name in ("java", "flink", "zookeeper"):
            archive = getattr(archives, name)
            home = root / "opt" / f"{name}-{archive.version}"
            home.mkdir()
            command(["tar", "-xzf", archive.path, "-C", home, "--strip-components=1", "--no-same-owner"])
            command(["bash", "-c", _LISTED, "bash", REPO / "host_scripts", name, home])
        off = root / "etc/systemd/system/flink-classes.service.d/off.conf"
        off.parent.mkdir()
        off.write_text("[Unit]\nConditionPathExists=/nowhere\n")
    return root


_LISTED = """
set -euo pipefail
. "$1/release.sh"
[ "$2" != flink ] || . "$1/flink.sh"
list_release "$3" >"$3.list"
mv "$3.list" "$3/.installed-by-pulumi"
"""
"""Writes what release.sh writes after an installation."""


def _limit(lab: Lab) -> None:
    """Let one host refuse connections, and slow down the network of another."""
    # Otherwise it reports one connection in five minutes
    text = f"MaxStartups {MAX_STARTUPS}\nLogLevel DEBUG1\n"
    lab.ssh(REFUSING, "sudo -n tee /etc/ssh/sshd_config.d/20-few.conf && sudo -n systemctl reload ssh", input=text)
    link = f"vb-{lab.host(SLOW).machine}"
    subprocess.run(
        ["tc", "qdisc", "add", "dev", link, "root", "tbf", "rate", SLOW_RATE, "burst", "4kb", "latency", "5s"],
        check=True,
    )


def _dropped(lab: Lab) -> int:
    return lab.machine(REFUSING).journal("--unit=ssh", "--output=cat").stdout.count("drop connection")


def _available_mib() -> int:
    return preflight.available_kib(Path("/proc/meminfo").read_text()) // 1024

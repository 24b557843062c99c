"""How long a declared job stands still while `up` changes it, compared with the same by hand: `flink stop` and `flink
run -s`, in one script on a JobManager's host. A record's time is when it was created, so the longest gap between two
times is how long the job stood still.
"""

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from drill import records
from drill.records import RecordsJob
from lab import flights
from lab.cluster import Cluster
from toolbox import console

RECORDS = 200 * 3600
SETTLED_CHECKPOINTS = 3

HAND = """
set -e
set -a; [ ! -e /etc/flink/credentials.env ] || . /etc/flink/credentials.env; set +a
export FLINK_CONF_DIR=/etc/flink FLINK_PLUGINS_DIR=/opt/flink/plugins
cd /
flink=/opt/flink/bin/flink
{stop}
exec runuser -u flink -- $flink run -d -p {parallelism} -s "$state" {jar} {args}
"""
"""By hand, as whoever has written it down before would do it."""

STOP = {
    "savepoint": "state=$($flink stop -p {savepoints} {job} | sed -n 's/^Savepoint completed. Path: //p')",
    "last-state": "$flink cancel {job}; state=$(python3 -c '"
    "import json, urllib.request as web; "
    'found = json.load(web.urlopen("{url}/jobs/{job}/checkpoints")); '
    """print(found["latest"]["completed"]["external_path"])')""",
}


@dataclass
class Downtime:
    """Seconds that the job stood still: by the name of what was done, one for each round; ours and by hand."""

    ours: dict[str, list[float]] = field(default_factory=dict)
    hand: dict[str, list[float]] = field(default_factory=dict)


class Measured:
    """A declared job whose output says when it stood still."""

    def __init__(self, cluster: Cluster, name: str, more: Sequence[str] = (), **settings: Any) -> None:
        self.cluster, self.name = cluster, f"bench-{name}"
        self.output = f"s3://{cluster.s3.bucket}/{self.name}"
        self.jar = records.build_jar(cluster.archives)
        self.args = [
            *("--output", self.output, "--name", self.name, "--records", str(RECORDS)),
            *("--records-per-second", "200", "--checkpoint-seconds", "1", "--hurry-file", f"/run/{self.name}", *more),
        ]
        self.settings = {"jar": str(self.jar), "parallelism": 1, "args": self.args, **settings}
        self.windows: list[tuple[str, float, float]] = []
        flights.remove_result(cluster.s3, self.output)

    def up(self, **settings: Any) -> None:
        """`up` with changed settings of this job."""
        self.settings |= settings
        declare(self.cluster, {**self.cluster.overrides.get("flink:jobs", {}), self.name: self.settings})

    def job(self) -> RecordsJob:
        """The one attempt that runs."""
        jobs = self.cluster.rest.get("/jobs/overview")["jobs"]
        (found,) = [job for job in jobs if job["state"] not in flights.ENDED and job["name"] == self.name]
        return RecordsJob(self.cluster, found["jid"], self.output, RECORDS)

    def during(self, what: str, change: Callable[[], object]) -> None:
        """A change of the running job; measured later, when all records are committed."""
        self.job().wait_for_checkpoints(SETTLED_CHECKPOINTS)
        began = time.time()
        with console.step("bench", f"{what} (load {os.getloadavg()[0]:.1f})"):
            change()
        least = (self.job().checkpoint() or 0) + SETTLED_CHECKPOINTS
        self.job().wait_for_checkpoints(least)
        self.windows.append((what, began, time.time()))

    def downtimes(self) -> list[tuple[str, float]]:
        """The longest gap in each window, in seconds. The job must have ended."""
        lines = RecordsJob(self.cluster, "", self.output, RECORDS).lines()
        times = sorted(int(line.rpartition(",")[2]) / 1000 for line in lines)
        found = []
        for what, began, ended in self.windows:
            inside = [moment for moment in times if began <= moment <= ended]
            found.append((what, max(other - one for one, other in pairwise(inside))))
        return found

    def by_hand(self, mode: str) -> None:
        """The same change by Flink's own commands, on a JobManager's host, as the daemons' user."""
        cluster, job = self.cluster, self.job().job_id
        stop = STOP[mode].format(savepoints=f"{self.output}-savepoints", job=job, url=cluster.urls[0])
        digest = hashlib.sha256(self.jar.read_bytes()).hexdigest()
        script = HAND.format(
            stop=stop, parallelism=1, jar=f"/var/lib/flink/jobs/{digest}.jar", args=" ".join(self.args)
        )
        cluster.lab.ssh("jm-0", ["sudo", "-n", "bash", "-c", script], timeout=300)


def declare(cluster: Cluster, jobs: dict[str, Any]) -> None:
    """`up` with these jobs."""
    cluster.overrides["flink:jobs"] = jobs
    cluster.stack.up()


def measure(cluster: Cluster, rounds: int) -> Downtime:
    """Measure each change, alternating."""
    ours, hand = Measured(cluster, "ours"), Measured(cluster, "hand")
    green = Measured(cluster, "green", ["--at-least-once", "true"], upgradeMode="blue-green", stableSeconds=3)
    declare(cluster, {job.name: job.settings for job in (ours, hand, green)})
    for number in range(rounds):
        for mode in ("savepoint", "last-state"):
            nonce = f"{mode}-{number}"
            ours.during(f"{mode} by up", partial(ours.up, upgradeMode=mode, restartNonce=nonce))
            hand.during(f"{mode} by hand", partial(hand.by_hand, mode))
        green.during("blue-green by up", partial(green.up, restartNonce=f"round-{number}"))
        for parallelism in (2, 1):
            ours.during("rescale by up", partial(ours.up, upgradeMode="savepoint", parallelism=parallelism))
    cluster.rest.cancel(hand.job().job_id)
    # Another scheduler, for which all JobManagers restart
    cluster.overrides["flink:flinkConfig"] = {"web.refresh-interval": "500 ms", "jobmanager.scheduler": "adaptive"}
    adaptive = Measured(cluster, "adaptive")
    declare(cluster, {adaptive.name: adaptive.settings})
    for _ in range(rounds):
        for parallelism in (2, 1):
            adaptive.during("rescale, adaptive scheduler by up", partial(adaptive.up, parallelism=parallelism))
    declare(cluster, {})
    found = Downtime()
    for job, of in ((ours, found.ours), (hand, found.hand), (green, found.ours), (adaptive, found.ours)):
        for what, seconds in job.downtimes():
            of.setdefault(what.rpartition(" by ")[0], []).append(round(seconds, 2))
            console.say("bench", f"{what}: {seconds:.1f} s")
    return found


def write(found: Downtime, file: Path, load: Sequence[float]) -> None:
    """Store the figures."""
    file.write_text(json.dumps({"ours": found.ours, "hand": found.hand, "loads": load}, indent=1) + "\n")


def lines(file: Path) -> list[str]:
    """A table in Markdown: seconds that the job stood still."""
    found = json.loads(file.read_text())
    table = ["|  | by `up` | by hand | ratio |", "| --- | --- | --- | --- |"]
    for name, ours in found["ours"].items():
        hand = found["hand"].get(name) or (found["hand"].get("savepoint") if name.startswith("rescale") else None)
        ratio = f"{statistics.median(ours) / statistics.median(hand):.2f}" if hand else ""
        table.append(f"| {name} | {_shown(ours)} | {_shown(hand)} | {ratio} |")
    return table


def _shown(values: Sequence[float] | None) -> str:
    if not values:
        return "not possible"
    return f"{statistics.median(values):.1f} s ({' '.join(f'{value:.1f}' for value in values)})"

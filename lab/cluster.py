"""The cluster of a lab for tests and benchmarks: over REST, over SSH, and through the engine."""

import json
import shlex
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from components import ports
from lab import flights, front_door
from lab.errors import LabError
from lab.flights import Options
from lab.flights_data import FLIGHTS
from lab.lab import Lab
from lab.rest import Rest, RestError
from lab.stack import LabStack
from lab.storage import S3
from stand_ins.builds import archives

UNITS = ("flink-jobmanager", "flink-taskmanager", "zookeeper")
T = TypeVar("T")

_CURL = "sudo -n curl -sSf --max-time 5"
_IDENTITY = "--cacert /etc/flink/tls/rest/authorities.pem --cert /etc/flink/tls/rest/identity.pem"


def wait_for(what: str, seconds: float, look: Callable[[], T | None]) -> T:
    """The first true result of `look`; LabError that names `what` after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            found = look()
        except RestError:
            found = None
        if found:
            return found
        time.sleep(0.2)  # between two attempts
    raise LabError(f"{what}: not within {seconds:.0f} s")


@dataclass
class Cluster:
    """A lab with a running cluster."""

    lab: Lab
    archives: archives.Archives
    overrides: dict[str, Any] = field(default_factory=dict)

    @property
    def stack(self) -> LabStack:
        """Its stack."""
        return LabStack(self.lab, self.archives, self.overrides)

    @property
    def s3(self) -> S3:
        """Its S3 server, with a bucket that jobs may use."""
        return self.lab.s3

    @property
    def prefix(self) -> str:
        """What the keys of that bucket that jobs may use begin with."""
        return ""

    @property
    def urls(self) -> Sequence[str]:
        """Where its REST API is."""
        return flights.jobmanager_urls(self.lab)

    @property
    def rest(self) -> Rest:
        """Its REST API."""
        return Rest(self.urls, ask_seconds=2)

    def ask(self, host: str, path: str) -> Any:
        """What the REST API of this host's own JobManager answers. With a front door, which asks the leader, and closes
        that port to operators, the host asks. Raises RestError.
        """
        known = self.lab.host(host)
        if not front_door.is_on(self.lab):
            (url,) = [url for url in self.urls if f"//{known.address}:" in url]
            return Rest([url], ask_seconds=5).get(path)
        tls = flights.runs_with_tls(self.lab, known)
        words = f"{_CURL} {_IDENTITY if tls else ''} {shlex.quote(ports.url(host, tls=tls) + path)}"
        done = self.lab.ssh(host, words, check=False)
        if done.returncode:
            raise RestError(f"{host}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def hosts(self, role: str) -> list[str]:
        """Names of the hosts with a role."""
        return [host.name for host in self.lab.hosts if host.role == role]

    def leader(self) -> str:
        """The leading JobManager's host."""
        return str(wait_for("a leading JobManager", 120, lambda: self.lab.status()["leader"]))

    def processes(self) -> dict[str, str]:
        """Unit on host → process and its start time; two equal results mean that nothing was restarted."""
        found = {}
        for host in self.lab.hosts:
            shown = self.lab.ssh(
                host, "systemctl show -p Id,MainPID,ExecMainStartTimestampMonotonic " + " ".join(UNITS)
            )
            for block in shown.stdout.strip().split("\n\n"):
                values = dict(line.split("=", 1) for line in block.splitlines())
                if values["MainPID"] != "0":
                    found[f"{host.name} {values['Id']}"] = (
                        f"{values['MainPID']} {values['ExecMainStartTimestampMonotonic']}"
                    )
        return found

    def zookeeper_modes(self) -> dict[str, str]:
        """Mode of each ZooKeeper server, `leader` or `follower`; without those that do not serve."""
        ask = ["sudo", "-n", "timeout", "5", "/usr/local/lib/flink/flink-host", "mode", "2181"]
        names = self.hosts("zookeeper")
        with ThreadPoolExecutor(len(names)) as pool:
            shown = list(pool.map(lambda name: self.lab.ssh(name, ask, check=False).stdout.strip(), names))
        return {name: mode for name, mode in zip(names, shown, strict=True) if mode}

    def is_whole(self) -> bool:
        """Whether all TaskManagers are registered with all slots, and every JobManager answers."""
        # First through what may be a front door: jobs are submitted there
        overviews = [self.rest.get("/overview"), *(self.ask(name, "/overview") for name in self.hosts("jobmanager"))]
        workers = len(self.hosts("taskmanager"))
        return all(found["taskmanagers"] == workers and found["slots-total"] == 2 * workers for found in overviews)

    def wait_until_whole(self, seconds: float = 300) -> None:
        """Wait for `is_whole`."""
        wait_for("the complete cluster", seconds, self.is_whole)


class Runs(Protocol):
    """A running cluster on any hosts, with what a job needs to know about it."""

    @property
    def archives(self) -> archives.Archives:
        """What it runs."""

    @property
    def urls(self) -> Sequence[str]:
        """Where its REST API is."""

    @property
    def rest(self) -> Rest:
        """Its REST API."""

    @property
    def s3(self) -> S3:
        """Its S3 server, with a bucket that jobs may use."""

    @property
    def prefix(self) -> str:
        """What the keys of that bucket that jobs may use begin with."""


@dataclass
class Job:
    """A job on a running cluster."""

    cluster: Runs
    job_id: str

    def checkpoint(self) -> int | None:
        """Number of the last completed checkpoint."""
        completed = self.cluster.rest.get(f"/jobs/{self.job_id}/checkpoints")["latest"]["completed"]
        return completed["id"] if completed else None

    def wait_for_checkpoints(self, number: int = 3, seconds: float = 300) -> None:
        """Wait until it has completed `number` checkpoints, for at most `seconds`."""
        wait_for(f"checkpoint {number}", seconds, lambda: (self.checkpoint() or 0) >= number)

    def restored_from(self) -> int | None:
        """Number of the checkpoint that the job continued from, if any."""
        restored = self.cluster.rest.get(f"/jobs/{self.job_id}/checkpoints")["latest"]["restored"]
        return restored["id"] if restored else None

    def runs(self) -> bool:
        """Whether every task runs."""
        job = self.cluster.rest.get(f"/jobs/{self.job_id}")
        states = {vertex["status"] for vertex in job["vertices"]}
        return job["state"] == "RUNNING" and states <= {"RUNNING", "FINISHED"}

    def ended(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.cluster.rest.get(f"/jobs/{self.job_id}")["state"] in flights.ENDED

    def taskmanager(self) -> str:
        """The host of a TaskManager that runs one of its tasks."""
        vertex = self.cluster.rest.get(f"/jobs/{self.job_id}")["vertices"][0]["id"]
        return str(self.cluster.rest.get(f"/jobs/{self.job_id}/vertices/{vertex}")["subtasks"][0]["taskmanager-id"])

    def seconds_until_restored(self, since: float, least: int, bound: float) -> float:
        """Seconds from `since` until the job runs again from checkpoint `least` or a later one."""
        wait_for(
            f"job {self.job_id} running from checkpoint {least} or later",
            bound,
            lambda: (self.restored_from() or 0) >= least and self.runs(),
        )
        return time.monotonic() - since

    def cancel(self) -> None:
        """Cancel it, and wait until it has ended."""
        self.cluster.rest.cancel(self.job_id)
        wait_for("its end", 300, lambda: self.cluster.rest.get(f"/jobs/{self.job_id}")["state"] == "CANCELED")


@dataclass
class SlowJob(Job):
    """The flights job, throttled so that a test can cause faults."""

    output: str

    @classmethod
    def start(cls, cluster: Runs, name: str, seconds: float, parallelism: int = 2) -> "SlowJob":
        """Start it for about `seconds`, and wait until it has completed three checkpoints."""
        s3 = cluster.s3
        output = f"s3://{s3.bucket}/{cluster.prefix}tests/{name}"
        flights.remove_result(s3, output)
        options = Options(
            input=flights.prepare_input(s3, cluster.prefix),
            output=output,
            name=name,
            records_per_second=FLIGHTS / seconds,
            checkpoint_seconds=1,
        )
        jar = flights.build_jar(cluster.archives)
        job = cls(cluster, flights.submit(cluster.urls, jar, options, parallelism), output)
        job.wait_for_checkpoints()
        return job

    def finish(self) -> None:
        """Wait for its end; every flight must have been counted exactly once."""
        flights.wait(self.cluster.urls, self.job_id, 300)
        flights.check(flights.result(self.cluster.s3, self.output), flights.reference_rows())

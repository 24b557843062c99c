"""The drill's job, which writes numbered records to S3 exactly once; and the count of its records."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from lab import flights, jar
from lab.cluster import Cluster, Job
from lab.errors import LabError
from lab.rest import Rest
from stand_ins.builds import archives
from toolbox.paths import REPO

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SOURCES = REPO / "examples" / "records" / "src"
MAIN_CLASS = "records.RecordsJob"
KEYS = 1000
"""Number of keys, each with its own count; as in RecordsJob.java."""

PER_SECOND = 200.0
"""Records per second: enough for a record at every moment, and few enough to count them quickly."""

SECONDS = 900.0
"""Maximum seconds of a job that is not told to hurry: longer than any fault with its consequences."""

HURRY = "/run/drill-hurry"
"""The hurry file on TaskManagers' hosts, in a folder that every user can read and a reboot empties."""

STILL_SECONDS = 2.0
"""A longer time without a new record means that the job stood still: without a fault the longest gap is less than 1 s
at a load of 10 (measured)."""

_LINE = re.compile(r"(\d+),(\d+),(\d+)")


def build_jar(inputs: archives.Archives) -> Path:
    """The job's jar, from the cache if its sources and Flink's version have not changed. Raises LabError."""
    return jar.build("records", SOURCES, MAIN_CLASS, inputs)


@dataclass(frozen=True)
class Count:
    """Counts of records 0 to N-1, and the gaps in which none was written: (beginning, end), seconds since 1970."""

    lost: int
    doubled: int
    miscounted: int
    """Records whose count within their key, which is state, is not 1, 2, 3 …"""
    still: tuple[tuple[float, float], ...]

    @property
    def exact(self) -> bool:
        """Whether every record exists exactly once, and the state was correct."""
        return not (self.lost or self.doubled or self.miscounted)


def count(lines: Iterable[str], records: int) -> Count:
    """Count the job's lines `number,count,milliseconds`. LabError for any other line."""
    numbers: Counter[int] = Counter()
    counts: set[tuple[int, int]] = set()
    times = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or int(match[1]) >= records:
            raise LabError(f"found a line that the job cannot have written: {line!r}")
        number = int(match[1])
        numbers[number] += 1
        counts.add((number % KEYS, int(match[2])))
        times.append(int(match[3]) / 1000)
    right = {(key, n) for key in range(KEYS) for n in range(1, len(range(key, records, KEYS)) + 1)}
    return Count(
        lost=records - len(numbers),
        doubled=numbers.total() - len(numbers),
        # Lost and duplicated records also have wrong counts: reported once is enough
        miscounted=0 if len(numbers) != records or numbers.total() != records else len(right - counts),
        still=gaps(sorted(times)),
    )


def gaps(times: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Gaps of STILL_SECONDS or more between the times."""
    return tuple((one, other) for one, other in pairwise(times) if other - one >= STILL_SECONDS)


@dataclass
class RecordsJob(Job):
    """The running job."""

    cluster: Cluster
    output: str
    records: int
    hurry_file: str = HURRY

    @classmethod
    def start(
        cls,
        cluster: Cluster,
        name: str,
        parallelism: int = 2,
        inputs: archives.Archives | None = None,
        seconds: float = SECONDS,
    ) -> "RecordsJob":
        """Start it with a maximum duration in seconds, and wait for three checkpoints.

        `inputs` is what it is compiled against, if that differs from what the cluster runs in the end.
        """
        s3 = cluster.s3
        output = f"s3://{s3.bucket}/{cluster.prefix}drill/{name}"
        flights.remove_result(s3, output)
        _on_workers(cluster, f"rm -f {HURRY}")
        records = round(seconds * PER_SECOND)
        arguments = ["--output", output, "--name", f"drill {name}", "--records", str(records)]
        arguments += ["--records-per-second", f"{PER_SECOND:.6g}", "--checkpoint-seconds", "1"]
        arguments += ["--hurry-file", HURRY]
        jar_file = build_jar(inputs or cluster.archives)
        job = cls(cluster, Rest(cluster.urls).run_jar(jar_file, arguments, parallelism), output, records)
        job.wait_for_checkpoints()
        return job

    def hurry(self) -> None:
        """Have it write the remaining records as fast as it can, on whichever hosts its tasks are."""
        _on_workers(self.cluster, f"touch {self.hurry_file}")

    def count(self) -> Count:
        """Count the committed records; only after the job's end these are all."""
        return count(self.lines(), self.records)

    def lines(self) -> list[str]:
        """The committed records."""
        client = self.cluster.s3.client()
        bucket, prefix = self.output.removeprefix("s3://").split("/", 1)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        # Other names than part-… are beginnings of files that a recovery would have continued
        parts = [key for key in keys if key.rpartition("/")[2].startswith("part-")]
        with ThreadPoolExecutor(4) as pool:
            texts = pool.map(lambda key: _text(client, bucket, key), parts)
            return [line for text in texts for line in text.splitlines()]


def _on_workers(cluster: Cluster, command: str) -> None:
    """Run a command as root on the hosts of all TaskManagers that are powered on."""
    for name in cluster.hosts("taskmanager"):
        cluster.lab.ssh(name, f"sudo -n {command}", check=False)


def _text(client: "S3Client", bucket: str, key: str) -> str:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()

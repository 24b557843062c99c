"""Where hosts download releases from, what they accept, and how long they may take (host_scripts/release.sh)."""

import hashlib
import io
import json
import os
import re
import shlex
import subprocess
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qs, quote, urlsplit

import pulumi
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from components import scripts
from components.flink import releases
from host_tool import presign
from tests.serving import serving
from tests.unit.program import Mocks, configuration, entry, load, mocked, refused
from tests.unit.workflows import WORKFLOWS
from toolbox.paths import REPO

APACHE = re.compile(r"https://(archive|dlcdn|downloads)\.apache\.org/")


def archive(content: str = "jar") -> bytes:
    """A release of one file, `lib`."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as made:
        entry = tarfile.TarInfo("thing-1/lib")
        entry.size = len(content)
        made.addfile(entry, io.BytesIO(content.encode()))
    return raw.getvalue()


RELEASE = archive()
DIGEST = hashlib.sha512(RELEASE).hexdigest()


class Web(ThreadingHTTPServer):
    """Files over HTTP, some of them writable as in a bucket; counts the requests for each."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = dict(files)
        self.asked: Counter[str] = Counter()
        self.refused: tuple[str, ...] = ()
        """Beginnings of paths that are answered with 503."""
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Web

    def do_GET(self) -> None:
        """A file, or 404."""
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.asked[f"{self.command} {path}"] += 1
            found = self.server.files.get(path)
        if path.startswith(self.server.refused):
            self._says(503)
        else:
            self._says(404 if found is None else 200, found or b"")

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        """As a bucket does, or the metadata service, which has tokens; 412 if the object exists and may not."""
        path = self.path.partition("?")[0]
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = 200
        with self.server.lock:
            self.server.asked[f"PUT {path}"] += 1
            if path.startswith(self.server.refused):
                status = 503
            elif self.headers.get("If-None-Match") and path in self.server.files:
                status = 412
            elif path != "/latest/api/token":
                self.server.files[path] = content
        self._says(status, b"TOKEN" if path == "/latest/api/token" else b"")

    def do_DELETE(self) -> None:
        """Remove an object."""
        with self.server.lock:
            self.server.files.pop(self.path.partition("?")[0], None)
        self._says(204)

    def _says(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def web(files: Mapping[str, bytes]) -> Iterator[Web]:
    """A server that ends with the block."""
    with serving(Web(files)) as server:
        yield server


def fetch(folder: Path, values: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Fetch the release with the scripts of a step, into `folder`."""
    folder.mkdir(exist_ok=True)
    patience = values.get("patience", "60")
    known = {"name": "thing", "host": "h", "step": "s", "proxy": "", "direct": "", "mirror": "", "mirror_checksum": ""}
    lines = [f"{key}={shlex.quote(value)}" for key, value in {**known, **values}.items()]
    copies = ("copies.sh", "host_tool/presign.py") if "copies" in values else ()
    text = scripts.picked(("lib.sh", "proxy.sh", "release.sh", "host_tool/unpack.py", *copies))
    call = f'fetch_verified {shlex.quote(str(folder))} thing 1 "$url" "$checksum" lib'
    text = text.replace("copy_wait_seconds=600", f"copy_wait_seconds={patience}")
    script = "\n".join(["set -euo pipefail", *lines, text, call])
    environment = {**os.environ, "AWS_EC2_METADATA_SERVICE_ENDPOINT": values.get("metadata", "")}
    return subprocess.run(
        ["bash", "-s"], input=script, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def places(server: Web, **more: str) -> dict[str, str]:
    """The release's places at a server: archive and mirror, each with its checksum."""
    return {
        "url": f"{server.url}/archive/t.tgz",
        "checksum": f"sha512:{server.url}/archive/t.tgz.sha512",
        "mirror": f"{server.url}/mirror/t.tgz",
        "mirror_checksum": f"{server.url}/current/t.tgz.sha512",
        **more,
    }


SUM = f"{DIGEST}  t.tgz\n".encode()


def test_the_archive_is_not_asked_for_what_the_mirror_has(tmp_path: Path) -> None:
    everywhere = {
        **{f"/{place}/t.tgz": RELEASE for place in ("archive", "mirror")},
        **{f"/{place}/t.tgz.sha512": SUM for place in ("archive", "current")},
    }
    with web(everywhere) as server:
        done = fetch(tmp_path, places(server))
        assert (done.returncode, (tmp_path / "home" / "lib").read_text()) == (0, "jar"), done.stderr
        assert not [request for request in server.asked if "/archive/" in request]


def test_an_old_release_comes_from_the_archive(tmp_path: Path) -> None:
    with web({"/archive/t.tgz": RELEASE, "/archive/t.tgz.sha512": SUM}) as server:
        done = fetch(tmp_path, places(server))
        assert (done.returncode, (tmp_path / "home" / "lib").read_text()) == (0, "jar"), done.stderr
        assert (
            f"h: thing: {server.url}/mirror/t.tgz does not have it: fetching {server.url}/archive/t.tgz" in done.stderr
        )
        assert "curl" not in done.stderr
        assert "tar:" not in done.stderr


@pytest.mark.parametrize(
    "served",
    [archive("something else"), RELEASE[:-20], b"<html>a portal</html>"],
    ids=["another release", "a part of it", "a page"],
)
def test_what_a_mirror_serves_must_have_the_checksum(tmp_path: Path, served: bytes) -> None:
    with web({"/archive/t.tgz": RELEASE, "/mirror/t.tgz": served, "/current/t.tgz.sha512": SUM}) as server:
        done = fetch(tmp_path, places(server))
        assert (done.returncode, (tmp_path / "home" / "lib").read_text()) == (0, "jar"), done.stderr
        del server.files["/archive/t.tgz"]
        done = fetch(tmp_path / "second", places(server))
        assert done.returncode == 1
        assert f"cannot fetch {server.url}/archive/t.tgz" in done.stderr


def test_a_release_with_another_checksum_is_not_installed(tmp_path: Path) -> None:
    with web({"/archive/t.tgz": archive("other"), "/archive/t.tgz.sha512": SUM}) as server:
        done = fetch(tmp_path, places(server))
    assert done.returncode == 1
    assert f"expected {DIGEST}: not installed (thingChecksum)" in done.stderr


COPY = f"/bucket/prefix/archives/sha512-{DIGEST}"
ROLE = "/latest/meta-data/iam/security-credentials/"
KEYS = {"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "secret/key+1", "Token": "to/ken+=="}


@pytest.fixture
def bucket() -> Iterator[Web]:
    """The archive, a bucket and the metadata service."""
    files = {
        "/archive/t.tgz": RELEASE, "/archive/t.tgz.sha512": SUM,
        ROLE: b"the-role", f"{ROLE}the-role": json.dumps(KEYS).encode(),
    }  # fmt: skip
    with web(files) as server:
        yield server


def copied(folder: Path, server: Web, **more: str) -> "subprocess.CompletedProcess[str]":
    """Fetch the release on a host that uses copies, without a mirror."""
    known = {"copies": f"{server.url}/bucket/prefix/archives", "copies_region": "eu-central-1"}
    argv = folder.with_suffix(".argv")
    curl = folder.with_suffix(".bin") / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\necho "$@" >>{argv}\nexec /usr/bin/curl "$@"\n')
    curl.chmod(0o755)
    values = {**places(server, mirror="", mirror_checksum=""), **known, "metadata": server.url, **more}
    done = fetch(folder, {**values, "PATH": f"{curl.parent}:{os.environ['PATH']}"})
    assert "X-Amz" not in argv.read_text(), "any user of the host sees the list of processes"
    assert done.returncode or (folder / "home" / "lib").read_text() == "jar"
    return done


def test_the_first_host_makes_a_copy_and_the_others_use_it(tmp_path: Path, bucket: Web) -> None:
    first = copied(tmp_path / "1", bucket)
    assert "h: thing: made a copy on the storage" in first.stderr
    assert bucket.files[COPY] == RELEASE
    second = copied(tmp_path / "2", bucket)
    assert "h: thing: from the copy on the storage" in second.stderr
    assert (first.returncode, second.returncode, bucket.asked["GET /archive/t.tgz"]) == (0, 0, 1)
    assert [path for path in bucket.files if path.startswith("/bucket/")] == [COPY], "no mark is left"


def test_of_hosts_that_begin_together_one_asks_the_archive(tmp_path: Path, bucket: Web) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda name: copied(tmp_path / name, bucket, host=name), ["a", "b", "c", "d"]))
    assert [one.returncode for one in done] == [0] * 4
    assert bucket.asked["GET /archive/t.tgz"] == 1
    assert [path for path in bucket.files if path.startswith("/bucket/")] == [COPY]


def test_a_copy_is_verified_and_a_wrong_one_replaced(tmp_path: Path, bucket: Web) -> None:
    bucket.files[COPY] = archive("evil")
    done = copied(tmp_path / "1", bucket)
    assert "the copy on the storage is damaged" in done.stderr
    assert (done.returncode, bucket.files[COPY]) == (0, RELEASE)


def test_a_mark_of_a_host_that_died_costs_a_wait_only(tmp_path: Path, bucket: Web) -> None:
    bucket.files[f"{COPY}.making"] = b"tm-9"
    done = copied(tmp_path / "1", bucket, patience="0")
    assert (done.returncode, bucket.files[COPY]) == (0, RELEASE)
    assert f"{COPY}.making" not in bucket.files


def test_a_host_that_was_interrupted_continues_at_once(tmp_path: Path, bucket: Web) -> None:
    bucket.files[f"{COPY}.making"] = b"h"
    done = copied(tmp_path / "1", bucket, patience="3600")
    assert (done.returncode, bucket.files[COPY]) == (0, RELEASE)
    assert "another host" not in done.stderr


@pytest.mark.parametrize("away", ["/bucket", "/latest", f"{COPY}.making", ROLE])
def test_without_storage_or_credentials_the_release_is_downloaded(tmp_path: Path, bucket: Web, away: str) -> None:
    bucket.refused = (away,)
    done = copied(tmp_path / "1", bucket)
    assert done.returncode == 0, done.stderr
    assert bucket.asked["GET /archive/t.tgz"] == 1


def test_a_failed_download_leaves_no_mark_and_says_why(tmp_path: Path, bucket: Web) -> None:
    del bucket.files["/archive/t.tgz"]
    done = copied(tmp_path / "1", bucket)
    assert (done.returncode, f"cannot fetch {bucket.url}/archive/t.tgz" in done.stderr) == (1, True)
    assert not [path for path in bucket.files if path.startswith("/bucket/")]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("token", ["to/ken+==", ""])
def test_signatures_are_those_of_awss_own_library(method: str, token: str) -> None:
    url = "https://s3.eu-central-1.amazonaws.com/a-bucket/pre fix/é+x/sha512-0"
    known = {**KEYS, "Token": token}
    now = 1_790_000_000.0
    request = AWSRequest(method, quote(url, safe=":/"))
    with patch("botocore.auth.get_current_datetime", lambda: datetime.fromtimestamp(now, UTC)):
        credentials = Credentials(KEYS["AccessKeyId"], KEYS["SecretAccessKey"], token or None)
        S3SigV4QueryAuth(credentials, "s3", "eu-central-1", expires=presign.SECONDS).add_auth(request)
    ours, theirs = (urlsplit(one) for one in (presign.presigned(known, "eu-central-1", method, url, now), request.url))
    assert (ours.netloc, ours.path) == (theirs.netloc, theirs.path)
    assert parse_qs(str(ours.query)) == parse_qs(str(theirs.query))


def test_apaches_releases_come_from_its_network_first_and_java_from_adoptium(folder: Path) -> None:
    cluster = load(folder).cluster
    for found in (cluster.flink, cluster.zookeeper):
        urls = (found.mirror, found.url, found.mirror_checksum, found.checksum.partition(":")[2])
        assert [match[1] if (match := APACHE.match(url)) else url for url in urls] == [
            "dlcdn", "archive", "downloads", "archive",
        ]  # fmt: skip
        assert len({url.rpartition("/")[2].removesuffix(".sha512") for url in urls}) == 1
    assert (cluster.java.mirror, cluster.java.mirror_checksum) == ("", "")


def test_ones_own_url_or_checksum_is_the_only_one(folder: Path) -> None:
    own = load(folder, flinkUrl="https://x.example/f.tgz", zookeeperChecksum=f"sha512:{DIGEST}").cluster
    assert own.flink == releases.Archive(
        name="flink", version=own.flink.version, url="https://x.example/f.tgz",
        checksum="sha512:https://x.example/f.tgz.sha512",
    )  # fmt: skip
    assert own.zookeeper.mirror.startswith("https://dlcdn.apache.org/")
    assert (own.zookeeper.checksum, own.zookeeper.mirror_checksum) == (f"sha512:{DIGEST}", "")


CREDENTIALS_SECONDS = 3600
"""The lifetime of AWS's credentials in a job: configure-aws-credentials' default."""
USUAL_SECONDS = 15 * 60
"""The time of a whole `up` in CI (docs/ci.md), without a step that takes as long as it may."""


def test_a_step_that_takes_as_long_as_it_may_ends_before_the_job_and_its_credentials(folder: Path) -> None:
    mocks = Mocks()
    pulumi.runtime.set_all_config(configuration(folder), [])
    mocked(lambda: entry(REPO / "__main__.py"), mocks, stack="dev", preview=False)
    bounds = {
        name: int(found[1])
        for name, step in mocks.found.items()
        if (found := re.search(r"timeout -k 10 (\d+) ", str(step.inputs.get("create", ""))))
    }
    # It ends by itself at the first daemon that is not healthy within `readyTimeoutSeconds`
    del bounds["jm-0-rollout"]
    assert len(bounds) > len(mocks.found) / 2
    jobs = {
        f"{file} {name}": 60 * int(job["timeout-minutes"])
        for file, workflow in WORKFLOWS.items()
        for name, job in workflow["jobs"].items()
        if any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
    }
    assert len(jobs) >= 4
    changing = {name: seconds for name, seconds in jobs.items() if not name.startswith("preview.yml")}
    assert max(jobs.values()) < CREDENTIALS_SECONDS
    assert max(bounds.values()) + USUAL_SECONDS < min(changing.values()), max(bounds, key=bounds.__getitem__)


def declared(folder: Path, **changes: object) -> dict[str, str]:
    """The texts of the steps that install releases, by name."""
    mocks = Mocks()
    pulumi.runtime.set_all_config(configuration(folder, **changes), [])
    mocked(lambda: entry(REPO / "__main__.py"), mocks, stack="dev", preview=False)
    steps = {name: str(it.inputs["stdin"]) for name, it in mocks.found.items() if it.type == "command:remote:Command"}
    return {name: text for name, text in steps.items() if name.endswith(("-java", "-flink", "-zookeeper"))}


def test_copies_are_an_option_for_hosts_that_use_the_storage(folder: Path) -> None:
    assert not any("copies" in text.replace("${copies:+with_copies}", "") for text in declared(folder).values())
    found = declared(folder, archiveCopies=True, storageRegion="eu-central-1", storageUri="s3://data/x/y")
    assert {name for name, text in found.items() if " copies.sh " in text} == {
        f"{host}-{release}" for host in ("jm-0", "jm-1", "tm-0", "tm-1") for release in ("java", "flink")
    }
    assert "\ncopies=https://s3.eu-central-1.amazonaws.com/data/x/y/archives\n" in found["tm-0-java"]
    assert "\ncopies_region=eu-central-1\n" in found["tm-0-java"]


def test_copies_need_an_instance_profile(folder: Path) -> None:
    told = refused(folder, archiveCopies=True, storageAccessKey="AK", storageSecretKey="no-secret")
    assert "archiveCopies: needs hosts with an instance profile" in told

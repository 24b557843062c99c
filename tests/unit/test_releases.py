"""Where hosts download releases from, what they accept, and how long they may take (host_scripts/release.sh)."""

import hashlib
import io
import re
import shlex
import subprocess
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pulumi
import pytest

from components.flink import releases
from components.remote import SCRIPTS
from tests.unit.program import Mocks, configuration, entry, load, mocked
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
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(found or b"")))
        self.end_headers()
        if found and self.command == "GET":
            self.wfile.write(found)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def web(files: Mapping[str, bytes]) -> Iterator[Web]:
    """A server that ends with the block."""
    with Web(files) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def fetch(folder: Path, values: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """Fetch the release with the scripts of a step, into `folder`."""
    folder.mkdir(exist_ok=True)
    known = {"name": "thing", "host": "h", "step": "s", "proxy": "", "direct": "", "mirror": "", "mirror_checksum": ""}
    lines = [f"{key}={shlex.quote(value)}" for key, value in {**known, **values}.items()]
    text = "\n".join((SCRIPTS / script).read_text() for script in ("lib.sh", "proxy.sh", "release.sh"))
    call = f'fetch_verified {shlex.quote(str(folder))} thing 1 "$url" "$checksum" lib'
    script = "\n".join(["set -euo pipefail", *lines, text, call])
    return subprocess.run(["bash", "-s"], input=script, capture_output=True, text=True, check=False, timeout=120)


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

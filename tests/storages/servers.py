"""Storages with servers of their own, on loopback or on a lab's network: HDFS, OSS, Google's and Azure's.

Each is what `lab.lab.Lab.serve` starts, and a test on loopback with `running`.
"""

import base64
import hashlib
import hmac
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import requests

from components.storage.base import LOCAL_FILES
from lab import hdfs
from lab.hdfs import Hdfs
from lab.lab import free_port
from stand_ins.builds import node_packages, programs
from tests.lab import private_ca
from tests.storages import google_door
from tests.storages.oss_gateway import Bucket
from toolbox import files
from toolbox.paths import REPO

BUCKET = "flink"
PORT = 7600
"""First port that is tried."""


@dataclass(frozen=True)
class Server:
    """A server of a storage."""

    name: str
    argv: list[str]
    environment: Mapping[str, str]
    problem: Callable[[], str | None]
    """None once it answers."""


class Inside(Protocol):
    """What a storage has, from behind."""

    def names(self) -> list[str]:
        """Of all objects, without those that only mark a folder."""

    def read(self, *names: str) -> bytes:
        """The objects' contents, one after the other."""

    def plant(self, names: Collection[str], days: float) -> None:
        """Make objects that were written that long ago."""


@dataclass(frozen=True)
class Storage:
    """A storage with its servers, in the order in which they start."""

    uri: str
    servers: list[Server]
    options: dict[str, str]
    """What Flink's configuration needs."""
    plugin: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    """Of the environment of Flink's processes."""
    authority: Path | None = None
    """Certificate of who signed that of the server, and nobody knows."""
    names: tuple[str, ...] = ()
    """Names of the servers' address that a client must resolve."""
    hadoop: dict[str, str] = field(default_factory=dict)
    """Options of the Hadoop within the plugin that Flink does not pass on."""
    recoverable: bool = True
    """Whether Flink's plugin has what a FileSink needs."""
    inside: "Inside | None" = None
    """What it has, without Flink and its plugin."""
    metadata: int = 0
    """Port of its cloud's metadata server, if it has one."""


def _answers(url: str, status: int) -> Callable[[], str | None]:
    """The problem of a server that answers a stranger with this status."""

    def problem() -> str | None:
        try:
            found = requests.get(url, timeout=5, proxies={"http": ""}).status_code
        except requests.RequestException as error:
            return str(error)
        return None if found == status else f"{url}: {found}, expected {status}"

    return problem


@dataclass(frozen=True)
class OssInside:
    """The gateway's folder."""

    folder: Path

    def names(self) -> list[str]:
        return [found.key for found in Bucket(self.folder).after("", "") if not found.key.endswith("/")]

    def read(self, *names: str) -> bytes:
        return b"".join(Bucket(self.folder).content(name) for name in names)

    def plant(self, names: Collection[str], days: float) -> None:
        bucket = Bucket(self.folder)
        for name in names:
            file = bucket.file()
            file.write_bytes(b"x")
            bucket.put(name, file, "0" * 32, time.time() - days * 86400)


def oss(folder: Path, address: str) -> Storage:
    """The gateway with OSS's interface (oss_gateway.py)."""
    port = free_port(address, PORT, set())
    access_key, secret_key = secrets.token_hex(12), secrets.token_urlsafe(24)
    argv = [sys.executable, "-m", "tests.storages.oss_gateway", address, str(port), str(folder / "oss"), BUCKET]
    keys = {"OSS_ACCESS_KEY_ID": access_key, "OSS_ACCESS_KEY_SECRET": secret_key, "PYTHONPATH": str(REPO)}
    endpoint = f"http://{address}:{port}"
    return Storage(
        f"oss://{BUCKET}/flink",
        [Server("oss", argv, keys, _answers(endpoint, 403))],
        {
            "fs.oss.endpoint": endpoint,
            "fs.oss.accessKeyId": access_key,
            "fs.oss.accessKeySecret": secret_key,
            "fs.oss.connection.secure.enabled": "false",
        },
        "flink-oss-fs-hadoop",
        hadoop=dict(LOCAL_FILES),
        inside=OssInside(folder / "oss"),
    )


@dataclass(frozen=True)
class GcsInside:
    """fake-gcs-server's own interface."""

    url: str

    def names(self) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            query = {"pageToken": token} if token else {}
            page = self._ask("GET", f"/storage/v1/b/{BUCKET}/o", params=query).json()
            found += [item["name"] for item in page.get("items", [])]
            token = page.get("nextPageToken", "")
            if not token:
                return [name for name in found if not name.endswith("/")]

    def read(self, *names: str) -> bytes:
        return b"".join(self._content(name) for name in names)

    def _content(self, name: str) -> bytes:
        return self._ask("GET", f"/storage/v1/b/{BUCKET}/o/{quote(name, safe='')}", params={"alt": "media"}).content

    def plant(self, names: Collection[str], days: float) -> None:
        """The door says of an object with a custom time that it was written then."""
        objects = f"/storage/v1/b/{BUCKET}/o"
        then = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        for name in names:
            self._ask("POST", f"/upload{objects}", params={"uploadType": "media", "name": name}, data=b"x")
            self._ask("PATCH", f"{objects}/{quote(name, safe='')}", json={"customTime": then})

    def _ask(self, verb: str, path: str, **more: Any) -> requests.Response:
        answer = requests.request(verb, f"{self.url}{path}", timeout=60, proxies={"http": ""}, **more)
        answer.raise_for_status()
        return answer


def gcs(folder: Path, address: str) -> Storage:
    """fake-gcs-server, with a door that checks who asks (google_door.py)."""
    ports: list[int] = []
    for _ in range(3):
        ports.append(free_port(address, PORT, set(ports)))
    port, inner, metadata = ports
    (folder / "gcs" / BUCKET).mkdir(parents=True)  # what it has at first: an empty bucket
    files.write(folder / "account.json", google_door.account(address, port), 0o600)
    url = f"http://{address}:{port}"
    argv = [str(programs.fake_gcs()), "-host", address, "-port", str(inner), "-scheme", "http"]
    # In its other backend there are no objects whose names end with a slash, as those that mark folders
    argv += ["-backend", "memory", "-data", str(folder / "gcs")]
    argv += ["-external-url", url, "-public-host", f"{address}:{port}", "-log-level", "warn"]
    words = [sys.executable, "-m", "tests.storages.google_door", address, *map(str, ports)]
    return Storage(
        f"gs://{BUCKET}/flink",
        [
            Server("gcs", argv, {}, _answers(f"http://{address}:{inner}/storage/v1/b?project=lab", 200)),
            Server("google", [*words, str(folder / "account.json")], {"PYTHONPATH": str(REPO)}, _answers(url, 401)),
        ],
        {"gs.storage.root.url": url, "gs.token.server.url": f"{url}/token"},
        "flink-gs-fs-hadoop",
        {"GOOGLE_APPLICATION_CREDENTIALS": str(folder / "account.json")},
        inside=GcsInside(f"http://{address}:{inner}"),
        metadata=metadata,
    )


def gcs_by_identity(folder: Path, address: str) -> Storage:
    """The same, whose clients take a token from the metadata server, as on a Compute Engine instance."""
    found = gcs(folder, address)
    options = {"gs.storage.root.url": found.options["gs.storage.root.url"]}
    variables = {"GCE_METADATA_HOST": f"{address}:{found.metadata}"}
    return replace(found, options=options, variables=variables)


def azurite(folder: Path, address: str) -> Storage:
    """Microsoft's emulator, with the interface of blobs: for wasb://, for abfs:// it has nothing. The account is the
    first part of the host's name.
    """
    port = free_port(address, PORT, set())
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    host = f"lab.blob.flink.test:{port}"
    (folder / "azurite").mkdir(parents=True)
    argv = ["node", str(node_packages.azurite() / "node_modules/.bin/azurite-blob"), "--blobHost", address]
    argv += ["--blobPort", str(port), "--location", str(folder / "azurite"), "--disableTelemetry", "--silent"]
    argv += ["--skipApiVersionCheck"]
    return Storage(
        f"wasb://{BUCKET}@{host}/flink",
        [
            Server(
                "azurite", argv, {"AZURITE_ACCOUNTS": f"lab:{key}"}, lambda: _container(f"{address}:{port}", host, key)
            )
        ],
        {f"fs.azure.account.key.{host}": key},
        "flink-azure-fs-hadoop",
        names=("lab.blob.flink.test",),
        recoverable=False,
    )


@dataclass(frozen=True)
class FolderInside:
    """A folder of this machine; its name in the storage is `name`, with a slash at its end, or empty."""

    folder: Path
    name: str = ""

    def names(self) -> list[str]:
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return [f"{self.name}{path.relative_to(self.folder)}" for path in found]

    def read(self, *names: str) -> bytes:
        return b"".join(self._path(name).read_bytes() for name in names)

    def plant(self, names: Collection[str], days: float) -> None:
        """They belong to whom the folder belongs to, who may delete them."""
        owner, then = self.folder.stat(), time.time() - days * 86400
        for path in map(self._path, names):
            missing = [each for each in path.parents if not each.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            for each in (*missing, path):
                os.chown(each, owner.st_uid, owner.st_gid)
            os.utime(path, (then, then))

    def _path(self, name: str) -> Path:
        return self.folder / name.removeprefix(self.name)


def abfs(folder: Path, address: str) -> Storage:
    """The gateway with the interface of Azure's Data Lake Storage (abfs_gateway.py), behind TLS: with a token the
    plugin asks for it.
    """
    port = free_port(address, PORT, set())
    metadata = free_port(address, PORT, {port})
    key = base64.b64encode(secrets.token_bytes(64)).decode()
    certificates, data = folder / "abfs-tls", folder / "abfs"
    certificates.mkdir()
    (data / BUCKET).mkdir(parents=True)
    private_ca.make_certificates(certificates, address)
    argv = [sys.executable, "-m", "tests.storages.abfs_gateway", address, str(port), str(metadata), str(data), "lab"]
    argv += [str(certificates / "server.pem"), str(certificates / "server.key")]
    account = "lab.dfs.core.windows.net"

    def problem() -> str | None:
        try:
            found = requests.get(
                f"https://{address}:{port}/lab/{BUCKET}",
                timeout=5,
                proxies={"https": ""},
                verify=str(certificates / "ca.pem"),
            ).status_code
        except requests.RequestException as error:
            return str(error)
        return None if found == 403 else f"{found}, expected 403"

    return Storage(
        f"abfss://{BUCKET}@{account}/flink",
        [Server("abfs", argv, {"AZURE_STORAGE_KEY": key, "PYTHONPATH": str(REPO)}, problem)],
        {
            "fs.azure.abfs.endpoint": f"{address}:{port}",
            f"fs.azure.account.key.{account}": "${env.AZURE_STORAGE_KEY}",
        },
        "flink-azure-fs-hadoop",
        {"AZURE_STORAGE_KEY": key},
        hadoop=dict(LOCAL_FILES),
        authority=certificates / "ca.pem",
        inside=FolderInside(data / BUCKET),
        metadata=metadata,
    )


def abfs_by_identity(folder: Path, address: str) -> Storage:
    """The same, whose clients take a token from the metadata server, as on a virtual machine with an identity."""
    found = abfs(folder, address)
    options = {
        "fs.azure.abfs.endpoint": found.options["fs.azure.abfs.endpoint"],
        "fs.azure.account.auth.type": "OAuth",
        "fs.azure.account.oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.MsiTokenProvider",
        "fs.azure.account.oauth2.msi.tenant": "",
        "fs.azure.account.oauth2.client.id": "",
        "fs.azure.account.oauth2.msi.endpoint": f"http://{address}:{found.metadata}/metadata/identity/oauth2/token",
    }
    return replace(found, options=options, variables={})


def _container(server: str, host: str, key: str) -> str | None:
    """Create the container ("Create Container", "Authorize with Shared Key"); the problem if that is impossible."""
    own = f"x-ms-date:{formatdate(usegmt=True)}\nx-ms-version:2021-10-04"
    text = "PUT" + "\n" * 12 + f"{own}\n/lab/{BUCKET}\nrestype:container"
    signed = base64.b64encode(hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)).decode()
    headers = {"Authorization": f"SharedKey lab:{signed}", "Host": host}
    headers |= dict(line.split(":", 1) for line in own.splitlines())
    url = f"http://{server}/{BUCKET}?restype=container"
    try:
        found = requests.put(url, headers=headers, timeout=5, proxies={"http": ""})
    except requests.RequestException as error:
        return str(error)
    return None if found.status_code in (201, 409) else f"{found.status_code}: {found.text}"


@dataclass(frozen=True)
class HdfsInside:
    """`hdfs dfs`. Each call is a JVM, which takes seconds."""

    dfs: Hdfs

    def names(self) -> list[str]:
        return [path for path in self.paths() if not path.endswith("/")]

    def paths(self) -> list[str]:
        """Those of folders, too, with a slash at the end."""
        lines = self.dfs.listed()
        return [line.split()[-1].lstrip("/") + ("/" if line.startswith("d") else "") for line in lines]

    def read(self, *names: str) -> bytes:
        return self.dfs.shell("-cat", *(f"/{name}" for name in names)).encode()

    def plant(self, names: Collection[str], days: float) -> None:
        then = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y%m%d:%H%M%S")
        paths = [f"/{name}" for name in names]
        self.dfs.shell("-mkdir", "-p", *{path.rpartition("/")[0] for path in paths}, user="flink")
        self.dfs.shell("-touch", "-t", then, *paths, user="flink")


def hadoop(folder: Path, address: str) -> Storage:
    """HDFS; Flink finds Hadoop's client by HADOOP_CLASSPATH."""
    found = hdfs.at(folder / "hdfs", address)
    found.prepare()
    servers = [
        Server("namenode", found.server("namenode"), found.environment, found.namenode_problem),
        Server("datanode", found.server("datanode"), found.environment, found.problem),
    ]
    conf = folder / "hadoop-conf"
    conf.mkdir()
    files.write(conf / "core-site.xml", found.client_site())
    variables = {"HADOOP_USER_NAME": hdfs.SUPERUSER, "HADOOP_CONF_DIR": str(conf)}
    return Storage(f"{found.uri}/flink", servers, {}, variables=variables, inside=HdfsInside(found))


def shared(folder: Path, point: str) -> Storage:
    """A folder of this machine that hosts have mounted at `point`."""
    (folder / "shared").mkdir()
    return Storage(f"file://{point}/flink", [], {}, inside=FolderInside(folder / "shared", f"{point[1:]}/"))


@contextmanager
def _process(server: Server, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as to:
        environment = {**os.environ, **server.environment}
        process = subprocess.Popen(server.argv, stdout=to, stderr=to, env=environment, cwd=REPO)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def started(server: Server, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that answers, until the end of the block."""
    with _process(server, log) as process:
        deadline = time.monotonic() + 120
        while (found := server.problem()) is not None:
            assert process.poll() is None and time.monotonic() < deadline, f"{found}\n{log.read_text()}"
            time.sleep(0.1)
        yield process


@contextmanager
def running(storage: Storage, logs: Path) -> Iterator[None]:
    """The servers, until the end of the block."""
    with ExitStack() as stack:
        for server in storage.servers:
            stack.enter_context(started(server, logs / f"{server.name}.log"))
        yield

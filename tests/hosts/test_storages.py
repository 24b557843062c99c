"""Clusters whose state is on other storages than S3: one story for all of them (tests/storages/on_hosts.py), on the
hosts of one lab, one after the other.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import processes, stack
from lab.cluster import wait_for
from lab.errors import LabError
from lab.lab import Lab
from lab.stack import LabStack
from stand_ins.builds import archives, hadoop_release
from tests.measured import Measured
from tests.storages import google_door, on_hosts, servers

NAME, TASKMANAGER = "test-storages", "flink-taskmanager"
POINT = "/mnt/shared"
"""Where hosts have a folder that they share."""
METADATA = "169.254.169.254"
"""The address of clouds' metadata servers."""


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    """The lab that they share."""
    found = Lab(NAME)
    found.down()  # an earlier run may have been killed
    try:
        yield found
    finally:
        found.down()


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    """Hosts without a cluster, new ones after a test that failed; with a folder `storage` for servers."""
    shared.up(workers=2, monitoring=0)
    folder = shared.dir / "storage"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kept = {process.name for process in processes.find(shared.id)}
    try:
        yield shared
    finally:
        if LabStack(shared, archives.ensure()).exported(secrets=False).get("deployment", {}).get("resources"):
            shared.down()
        for name in {process.name for process in processes.find(shared.id)} - kept:
            processes.kill(shared.id, name)


def test_hdfs(lab: Lab, measured: Measured) -> None:
    """In `make test`; the others are exhaustive."""
    storage = servers.hadoop(lab.dir / "storage", str(lab.gateway))
    assert isinstance(storage.inside, servers.HdfsInside)
    keys = {"flink:hadoopConf": storage.variables["HADOOP_CONF_DIR"]}
    place = on_hosts.made(lab, storage, {**keys, **stack.release(lab, "hadoop", hadoop_release.ensure())})

    # Nobody but the superuser may write yet
    said = refused(place)
    # The first one ends the run
    assert re.search(rf"[jt]m-\d: cannot use the storage at {storage.uri} \(storageUri\): cannot write: ", said), said
    assert "Permission denied: user=flink" in said and "expected a folder that belongs to flink" in said
    assert not lab.ssh("tm-0", "pgrep -u flink java", check=False).stdout, "Flink is not started"

    storage.inside.dfs.home("/flink", "flink")
    on_hosts.lives(place, measured)
    # Folders exist by themselves there
    folders = [path for path in storage.inside.paths() if path.endswith("/") and not path.startswith("flink/out/")]
    assert set(folders) <= {"flink/", *(f"flink/{name}/" for name in ("checkpoints", "savepoints", "jobs", "history"))}


@pytest.mark.exhaustive  # the story of HDFS, on another storage
def test_oss(lab: Lab, measured: Measured) -> None:
    """By a server that speaks OSS's interface (tests/storages/oss_gateway.py): there is none that could be had."""
    storage = servers.oss(lab.dir / "storage", str(lab.gateway))
    keys = {
        "flink:ossEndpoint": storage.options["fs.oss.endpoint"],
        "flink:ossAccessKey": storage.options["fs.oss.accessKeyId"],
        "flink:ossSecretKey": storage.options["fs.oss.accessKeySecret"],
    }
    on_hosts.lives(on_hosts.made(lab, storage, keys), measured)


@pytest.mark.exhaustive  # the story of HDFS, on another storage
def test_google(lab: Lab, measured: Measured) -> None:
    """By fake-gcs-server. Hosts have no key: as on Compute Engine they take tokens from the metadata server."""
    storage = servers.gcs(lab.dir / "storage", str(lab.gateway))
    place = on_hosts.made(lab, storage, {"flink:gcsEndpoint": storage.options["gs.storage.root.url"]})
    # As on each instance: the client with which a FileSink writes asks by this name, the other one by the address
    for host in lab.hosts:
        lab.ssh(host, f"echo {METADATA} metadata.google.internal | sudo -n tee -a /etc/hosts")
    with led(lab, storage.metadata):
        on_hosts.lives(place, measured)


@pytest.mark.exhaustive  # a cluster for some minutes
def test_google_by_a_key(lab: Lab) -> None:
    """Hosts have a service account's key. One that Google does not know is refused before Flink starts."""
    storage = servers.gcs(lab.dir / "storage", str(lab.gateway))
    key = Path(storage.variables["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()
    stranger = json.loads(google_door.account("127.0.0.1", 1)) | {"token_uri": json.loads(key)["token_uri"]}
    keys = {
        "flink:gcsEndpoint": storage.options["gs.storage.root.url"],
        "flink:gcsCredentials": json.dumps(stranger),
    }
    place = on_hosts.made(lab, storage, keys)
    said = refused(place)
    assert re.search(rf"[jt]m-\d: cannot use the storage at {storage.uri} \(storageUri\): cannot write: ", said), said
    assert f"expected that Google still has this key of {google_door.EMAIL} (gcsCredentials)" in said, said
    assert not lab.ssh("tm-0", "pgrep -u flink java", check=False).stdout, "Flink is not started"

    place.cluster.overrides["flink:gcsCredentials"] = key
    on_hosts.up(place)
    on_hosts.running(place).wait_for_checkpoints()
    assert lab.ssh("tm-0", "sudo -n stat -c '%a %U' /etc/flink/gcs/key.json").stdout == "600 flink\n"
    place.cluster.stack.destroy()
    assert not lab.ssh("tm-0", "ls -d /etc/flink 2>/dev/null", check=False).stdout


@pytest.mark.exhaustive  # the story of HDFS, on another storage
def test_azure(lab: Lab, measured: Measured) -> None:
    """By a server that speaks as Data Lake Storage Gen2 does (tests/storages/abfs_gateway.py). Hosts have no key,
    but an identity, as virtual machines have.
    """
    storage = servers.abfs(lab.dir / "storage", str(lab.gateway))
    endpoint = {"fs.azure.abfs.endpoint": storage.options["fs.azure.abfs.endpoint"]}
    keys = {
        "flink:flinkConfig": {**stack.shared()["flink:flinkConfig"], **endpoint},
        "flink:trustedCertificates": str(storage.authority),
    }
    with led(lab, storage.metadata):
        on_hosts.lives(on_hosts.made(lab, storage, keys), measured)


@pytest.mark.exhaustive  # the story of HDFS, on another storage
def test_shared_folder(lab: Lab, measured: Measured) -> None:
    """By a folder of this machine that all hosts have mounted, as they would have one of an NFS server. What is not
    mounted, another folder, and one that Flink may not write to are refused by name.
    """
    storage = servers.shared(lab.dir / "storage", POINT)
    assert isinstance(storage.inside, servers.FolderInside)
    ours, other = storage.inside.folder, lab.dir / "storage/other"
    other.mkdir()
    place = on_hosts.made(lab, storage, {"flink:history": True})
    daemons = [host.name for host in lab.hosts if host.role in ("jobmanager", "taskmanager")]
    try:
        for name in daemons:
            lab.mount(name, {} if name == "tm-0" else {POINT: ours})
        refuses_what_is_not_the_same(place, ours, other)

        lab.mount("tm-0", {POINT: ours})
        on_hosts.up(place)
        lab.mount("tm-0", {})
        wait_for(
            "what is missing, in the log", 180, lambda: "the storage is not there" in lab.logs("tm-0", TASKMANAGER)
        )
        code, output = on_hosts.ops("doctor", "--name", NAME)
        assert code != 0 and f"nothing is mounted at {POINT}/flink" in output, output
        lab.mount("tm-0", {POINT: ours})
        place.cluster.wait_until_whole()

        on_hosts.lives(place, measured)
    finally:
        for name in daemons:
            lab.mount(name, {})


def refuses_what_is_not_the_same(place: on_hosts.Place, ours: Path, other: Path) -> None:
    """Until tm-0 has a folder it has none; `other` is another one."""
    lab, uri = place.lab, f"{place.storage.uri} (storageUri)"
    said = refused(place)
    denied = f"cannot write at {POINT}/flink: Permission denied; expected a folder that belongs to flink, here uid "
    assert f"jm-0: cannot use the storage at {uri}: {denied}" in said, said
    uid = int(lab.ssh("jm-0", "id -u flink").stdout)
    for folder in (ours, other):
        os.chown(folder, uid, uid)

    said = refused(place)
    assert f"tm-0: cannot use the storage at {uri}: nothing is mounted at {POINT}/flink or above it" in said, said
    lab.mount("tm-0", {POINT: other})
    said = refused(place)
    assert f"tm-0: cannot use the storage at {uri}: {POINT}/flink is another directory than on jm-0" in said, said
    assert not lab.ssh("jm-0", "pgrep -u flink java", check=False).stdout, "Flink is not started"


def refused(place: on_hosts.Place) -> str:
    """What `up` says, which does not start Flink."""
    with pytest.raises(LabError) as error:
        place.cluster.stack.up()
    return str(error.value)


@contextmanager
def led(lab: Lab, port: int) -> Iterator[None]:
    """The hosts' metadata server is the one at this port of the gateway."""
    table = f"fl-{lab.id}-metadata"
    rules = f"""
table ip {table} {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    iifname {lab.network.bridge} ip daddr {METADATA} tcp dport 80 dnat to {lab.gateway}:{port}
  }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)

"""HDFS as it is run where it matters: two NameNodes of which one is lost, and users whom a KDC knows.

What a cluster on one NameNode lives through is in test_storages.py.
"""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill import records
from lab import flights, hdfs, kdc, processes, stack
from lab.cluster import wait_for
from lab.errors import LabError
from lab.lab import Lab
from stand_ins.builds import hadoop_release
from tests.measured import Measured
from tests.storages import on_hosts
from tests.storages.servers import HdfsInside, Storage

NAME = "test-hdfs"
pytestmark = pytest.mark.exhaustive  # a lab for some minutes, with up to eight servers of Hadoop


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Hosts without a cluster."""
    found = Lab(NAME)
    found.down()  # an earlier run may have been killed
    try:
        found.up(workers=2, monitoring=0)
        yield found
    finally:
        found.down()


def test_the_active_namenode_is_lost_and_nothing_else(lab: Lab, tmp_path: Path, measured: Measured) -> None:
    """Checkpoints are reached by a mount table (`viewfs://`), all else by the nameservice; and hosts have a Hadoop that
    somebody else has put there.
    """
    dfs = hdfs.pair(lab.dir / "hdfs", lab.gateway)
    dfs.start(lab.serve)
    dfs.home("/flink", "flink")
    mounts = {"fs.viewfs.mounttable.all.link./state": f"{dfs.uri}/flink/state"}
    (tmp_path / "core-site.xml").write_text(dfs.client_site(mounts))
    release = hadoop_release.ensure()
    for host in lab.hosts:
        if host.role != "zookeeper":
            lab.ssh(host, f"curl -sSf {lab.mirror_url}/{release.path.name} | sudo -n tar -xz -C /srv")
    keys = {
        "flink:hadoopConf": str(tmp_path),
        "flink:hadoopHome": f"/srv/hadoop-{release.version}",
        "flink:checkpointsUri": "viewfs://all/state",
    }
    place = on_hosts.made(lab, Storage(f"{dfs.uri}/flink", [], {}, inside=HdfsInside(dfs)), keys)
    job = on_hosts.started(place, "state/")

    lost, last = dfs.active(), job.checkpoint() or 0
    since = time.monotonic()
    for name in (f"zkfc-{lost}", lost):  # its machine
        processes.kill(lab.id, name)
    # One more may have been complete before the NameNode ended
    job.wait_for_checkpoints(last + 2, 180)
    measured(f"HDFS's active NameNode killed: checkpoints went on after {time.monotonic() - since:.1f} s")
    assert dfs.active() not in ("", lost)
    assert job.restored_from() is None, "the job went on"

    on_hosts.survives(place, job, measured)
    dfs.start_namenode(lab.serve, lost)
    job = on_hosts.restored(place, job)
    job.hurry()
    flights.wait(place.cluster.urls, job.job_id, 600)
    assert records.count(place.lines(), on_hosts.RECORDS).exact


def test_daemons_log_in_and_do_so_again(lab: Lab, tmp_path: Path, measured: Measured) -> None:
    """With a KDC whose tickets are valid for two minutes, and tokens of HDFS that are for three."""
    realm = kdc.at(lab.dir / "kdc", lab.gateway)
    realm.prepare()
    lab.serve("kdc", realm.server(), realm.environment, realm.problem)
    dfs = hdfs.at(lab.dir / "hdfs", lab.gateway, realm)
    dfs.start(lab.serve)
    dfs.home("/flink", "flink")
    (tmp_path / "core-site.xml").write_text(dfs.client_site())
    keys = {
        "flink:hadoopConf": str(tmp_path),
        "flink:kerberosConf": str(realm.conf),
        **stack.release(lab, "hadoop", hadoop_release.ensure()),
    }
    place = on_hosts.made(lab, Storage(f"{dfs.uri}/flink", [], {}, inside=HdfsInside(dfs)), keys)

    # Each keytab of a principal has a new key, so the one before is of no use. More that is refused is in
    # tests/storages/test_kerberos.py
    stale, keytab = realm.keytab("flink", "stale"), realm.keytab("flink", "flink")
    declare(place, stale)
    with pytest.raises(LabError) as error:
        place.cluster.stack.up()
    said = str(error.value)
    begins = rf"[jt]m-\d: cannot use the storage at {place.storage.uri} \(storageUri\): cannot log in: "
    assert re.search(begins + f".*kerberosKeytab is not that of flink@{kdc.REALM}", said), said
    assert not lab.ssh("tm-0", "pgrep -u flink java", check=False).stdout, "Flink is not started"

    declare(place, keytab)
    began = time.time()
    job = on_hosts.started(place)
    assert lab.ssh("tm-0", "sudo -n stat -c '%a %U' /etc/flink/hadoop/keytab").stdout.split() == ["600", "flink"]

    def later() -> bool:
        completed = place.cluster.rest.get(f"/jobs/{job.job_id}/checkpoints")["latest"]["completed"]
        return bool(completed["latest_ack_timestamp"] / 1000 > began + 2.5 * realm.seconds)

    wait_for("a checkpoint after two tickets and a token", 4 * realm.seconds, later)
    assert job.restored_from() is None, "no ticket or token was missed"
    on_hosts.survives(place, job, measured)
    job = on_hosts.restored(place, job)
    on_hosts.collects_garbage(place)
    on_hosts.ends(place, job)


def declare(place: on_hosts.Place, keytab: Path) -> None:
    """The stack has this keytab."""
    place.cluster.overrides["flink:kerberosPrincipal"] = f"flink@{kdc.REALM}"
    place.cluster.overrides["flink:kerberosKeytab"] = base64.b64encode(keytab.read_bytes()).decode()

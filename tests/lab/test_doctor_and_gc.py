"""`doctor` and `gc` on a running cluster: drift is reported, what a dead cluster has left is removed, and nothing else
changes.
"""

import json
import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from lab import flights
from lab.cluster import Cluster, Job, SlowJob, wait_for
from lab.flights import Options
from tests.lab.commands import lab_command

ZNODES = "create /flink/old\ncreate /flink/old/leader\ncreate /flink/old/jobs\nquit\n"
TLS = {
    "client.secure": "true",
    "clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
    "ssl.keyStore.location": "/etc/zookeeper/tls/zookeeper/identity.pem",
    "ssl.trustStore.location": "/etc/zookeeper/tls/zookeeper/authorities.pem",
}
CLIENT = (
    f"timeout 60 /opt/java/bin/java {' '.join(f'-Dzookeeper.{key}={value}' for key, value in TLS.items())}"
    " -cp '/opt/zookeeper/lib/*' org.apache.zookeeper.ZooKeeperMain -server zk-0"
)


def ops(cluster: Cluster, *arguments: str) -> tuple[int, str]:
    """Run one of the commands; returns exit code and output."""
    with lab_command(*arguments, "--name", cluster.lab.name) as process:
        output, _ = process.communicate(timeout=300)
        print(output)
        return process.returncode, output


def diagnose(cluster: Cluster, *arguments: str) -> dict[str, Any]:
    """doctor's result by host: the objects with drift and the messages, or the error."""
    _, output = ops(cluster, "doctor", "--json", *arguments)
    hosts = json.loads(output)["hosts"]
    return {
        host["host"]: host["error"] or {found["what"]: found["message"] for found in host["differences"]}
        for host in hosts
        if host["error"] or host["differences"]
    }


def test_a_cluster_that_was_just_made_is_as_declared(cluster: Cluster) -> None:
    code, output = ops(cluster, "doctor")
    assert code == 0, output
    assert f"no drift on {len(cluster.lab.hosts)} hosts of stack {cluster.lab.name}" in output


BY_HAND = [
    (
        "tm-1", "cp -a /etc/flink/masters /root/masters; echo mine >>/etc/flink/masters",
        "mv /root/masters /etc/flink/masters", "/etc/flink/masters", "has other contents",
    ),
    (
        "tm-1", "cp -a /etc/flink/credentials.env /root/kept; echo HAND=1 >>/etc/flink/credentials.env",
        "mv /root/kept /etc/flink/credentials.env", "/etc/flink/credentials.env", "they are secret",
    ),
    (
        "tm-0", "chmod 644 /etc/flink/credentials.env", "chmod 600 /etc/flink/credentials.env",
        "mode and owner of /etc/flink/credentials.env", "expected 600:flink:flink, found 644:flink:flink",
    ),
    (
        "jm-1", "nft add rule inet flink input tcp dport 9 accept", "systemctl reload flink-firewall",
        "firewall", "has other rules than /etc/flink-firewall.nft",
    ),
    (
        "zk-2", "systemctl disable -q zookeeper", "systemctl enable -q zookeeper",
        "zookeeper", "is not enabled: it will not start at the next boot",
    ),
    (
        "zk-1", "ln -sfn /opt/java-0 /opt/java.x; cp -P /opt/java /root/java; mv -T /opt/java.x /opt/java",
        "mv -fT /root/java /opt/java", "/opt/java", "found a link to /opt/java-0",
    ),
    (
        "tm-0", "touch /opt/flink/lib/added.jar", "rm /opt/flink/lib/added.jar",
        "/opt/flink-", "has other files than were installed",
    ),
]  # fmt: skip
"""Manual changes: host, command, command to undo it, the object in doctor's output, a part of its message."""


def test_doctor_reports_drift_and_shows_no_secret(cluster: Cluster) -> None:
    before = cluster.processes()
    try:
        for host, done, *_ in BY_HAND:
            cluster.lab.ssh(host, f"sudo -n sh -c '{done}'")
        found = diagnose(cluster)
        for host, _, _, what, message in BY_HAND:
            assert [message in found[host][name] for name in found[host] if name.startswith(what)] == [True], found[
                host
            ]
        code, output = ops(cluster, "doctor", "--host", "tm-1")
        assert code == 1
        assert "    +mine\n" in output and "repair" in output
        assert "HAND" not in output and cluster.lab.s3.secret_key not in output
    finally:
        for host, _, undone, *_ in BY_HAND:
            cluster.lab.ssh(host, f"sudo -n sh -c '{undone}'")
    assert diagnose(cluster) == {}
    assert cluster.processes() == before, "doctor changes nothing"


SECRET_FILES = "cat /etc/flink/credentials.env; [ ! -e /etc/flink/tls/options.yaml ] || cat /etc/flink/tls/options.yaml"
PLANTED = "/var/log/flink/planted.log"


def bundle_without(cluster: Cluster, dead: str, file: Path) -> None:
    """A support bundle has everything of hosts that answer, says which does not, and has no secret."""
    secrets = cluster.lab.ssh("tm-0", f"sudo -n sh -c '{SECRET_FILES}'").stdout
    known = [line.partition("=" if "=" in line else ": ")[2].strip("'") for line in secrets.splitlines()]
    assert cluster.lab.s3.secret_key in known
    cluster.lab.ssh("tm-0", f"sudo -n sh -c '({SECRET_FILES}) | sed s/^/INFO:/ >{PLANTED}'")
    try:
        code, output = ops(cluster, "bundle", "--output", str(file))
    finally:
        cluster.lab.ssh("tm-0", f"sudo -n rm {PLANTED}")
    assert code == 2 and f"{dead} is missing, or not complete" in output
    with tarfile.open(file) as archive:
        streams = {entry.name.partition("/")[2]: archive.extractfile(entry) for entry in archive}
        found = {name: stream.read().decode() for name, stream in streams.items() if stream}
    for name, text in found.items():
        assert not [value for value in known if value in text], name
    assert f"{dead}: ssh: connect to host" in found["README.txt"]
    assert "(removed)" in found["tm-0/logs/planted.log"]
    for host in cluster.hosts("jobmanager"):
        assert "java.lang.Thread.State" in found[f"{host}/threads.txt"]
        assert "flink_jobmanager_" in found[f"{host}/metrics.txt"]
        assert "rest.port" in found[f"{host}/configuration/etc/flink/config.yaml"]
        assert "table inet flink" in found[f"{host}/firewall.txt"]
    assert "java.lang.Thread.State" in found["zk-0/threads.txt"]
    leader = cluster.leader()
    assert "granted leadership" in found[f"{leader}/logs/flink-jobmanager.journal"]
    assert "slots-total" in json.loads(found[f"{leader}/rest/overview.json"])


def test_doctor_and_a_bundle_say_which_host_is_dead_and_have_the_others(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lab.stop("tm-1")
    try:
        found = diagnose(cluster)
        assert "cannot" in found["tm-1"] or "ssh: connect to host" in found["tm-1"]
        # The first JobManager misses its slots, which is the only difference
        assert set(found) <= {"tm-1", "jm-0", "jm-1"}
        bundle_without(cluster, "tm-1", tmp_path / "found.tar.gz")
    finally:
        cluster.lab.start("tm-1")
    cluster.wait_until_whole()


def keys(cluster: Cluster, prefix: str) -> set[str]:
    """The objects whose keys have this prefix."""
    pages = cluster.s3.client().get_paginator("list_objects_v2").paginate(Bucket=cluster.s3.bucket, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def znodes(cluster: Cluster, commands: str) -> "subprocess.CompletedProcess[str]":
    """Commands for ZooKeeper's own client."""
    return cluster.lab.ssh("zk-0", f"sudo -n {CLIENT}", input=commands, check=False, timeout=90)


def age(cluster: Cluster, keys: set[str], days: float) -> None:
    """Make the S3 server report that these objects were written that long ago."""
    then = time.time() - days * 86_400
    for key in keys:
        os.utime(cluster.lab.dir / "s3" / "data" / cluster.s3.bucket / key, (then, then))


@pytest.mark.exhaustive  # tests/unit/host_tool/test_host_cluster.py has it, by stand-ins
def test_doctor_reports_a_result_with_which_no_jobmanager_would_start(cluster: Cluster) -> None:
    """As a job that Flink 2.3 cannot restore leaves it."""
    client, bucket, id = cluster.s3.client(), cluster.s3.bucket, cluster.lab.name
    key = f"{id}/ha/job-result-store/{id}/{'0a' * 16}_DIRTY.json"
    client.put_object(Bucket=bucket, Key=key, Body=b'{"result":{"id":"0a"},"version":1}')
    try:
        age(cluster, {key}, days=1)
        found = diagnose(cluster)
        assert set(found) == {"jm-0"}
        assert ["at the next election every JobManager" in text for text in found["jm-0"].values()] == [True]
        (told,) = found["jm-0"].values()
        command = told[told.index("sudo ") :]
        assert key in cluster.lab.ssh("jm-0", command, timeout=120).stdout
        assert keys(cluster, key) == set()
        assert diagnose(cluster) == {}
    finally:
        client.delete_object(Bucket=bucket, Key=key)


def test_gc_removes_what_a_dead_cluster_left_and_nothing_else(cluster: Cluster) -> None:
    client, bucket = cluster.s3.client(), cluster.s3.bucket
    ha = f"{cluster.lab.name}/ha"
    job = "00000000000000000000000000000abc"
    left = {
        f"{ha}/old/completedCheckpoint0123456789ab",
        f"{ha}/old/blob/job_{job}/blob_p-aa-bb",
        f"{ha}/job-result-store/old/{job}_DIRTY.json",
    }
    stray = {f"{ha}/old-2/completedCheckpoint0123456789ab", f"{ha}/job-result-store/old-2/{job}.json"}
    others = {
        f"{ha}/mine/notes.txt", f"{ha}/mine/completedCheckpoint0123456789ab", f"{ha}/readme",
        # A live one with another ensemble, unknown to this one
        f"{ha}/lives/submittedExecutionPlan0123456789ab", f"{ha}/lives/completedCheckpoint0123456789ab",
    }  # fmt: skip
    try:
        for key in left | stray | others:
            client.put_object(Bucket=bucket, Key=key, Body=b"x")
        age(cluster, left | stray | {f"{ha}/lives/submittedExecutionPlan0123456789ab"}, days=9)
        znodes(cluster, ZNODES)
        lives = {key for key in keys(cluster, f"{ha}/{cluster.lab.name}/") if not key.endswith("/")}
        before = cluster.processes()

        code, output = ops(cluster, "gc", "--dry-run", "--json")
        assert code == 0
        found = json.loads(output)
        assert [(entry["cluster"], entry["objects"], entry["own"]) for entry in found["garbage"]] == [
            ("old", 3, True),
            ("old-2", 2, False),
        ]
        assert found["garbage"][0]["znode"] == "/flink/old"
        assert list(found["recent"]) == ["lives"]
        assert len(found["foreign"]) == 1 and "/ha/mine/" in found["foreign"][0]
        assert left | stray | others <= keys(cluster, ha), "a dry run removes nothing"

        code, output = ops(cluster, "gc")
        assert code == 2 and "nothing was deleted" in output, "there is no terminal for the confirmation"
        code, output = ops(cluster, "gc", "--yes")
        assert code == 0 and "deleted: /flink/old\n" in output and "kept: old-2" in output
        now = keys(cluster, ha)
        assert not [key for key in now if "/old/" in key or key.endswith("/old")]
        assert stray | others | lives <= now
        code, output = ops(cluster, "gc", "--yes", "--cluster", "old-2")
        assert code == 0 and "/ha/old-2\n" in output
        now = keys(cluster, ha)
        assert not [key for key in now if "old-2" in key]
        assert others | lives <= now
        shown = znodes(cluster, "ls /flink\nquit\n").stdout
        assert f"[{cluster.lab.name}]" in shown
        assert cluster.processes() == before
    finally:
        for key in left | stray | others:
            client.delete_object(Bucket=bucket, Key=key)
        znodes(cluster, "deleteall /flink/old\nquit\n")


@pytest.mark.exhaustive  # two minutes; what a dead cluster left goes the same way
def test_gc_removes_checkpoints_of_ended_jobs_but_none_that_another_job_claimed(cluster: Cluster) -> None:
    """A job that was restored with CLAIM has files in the folder of the job before, however old they are."""
    place = f"{cluster.lab.name}/checkpoints/{cluster.lab.name}"
    first, alone = (SlowJob.start(cluster, name, seconds=1800) for name in ("claimed", "alone"))
    for job in (first, alone):
        job.cancel()
    last = max(
        (key for key in keys(cluster, f"{place}/{first.job_id}/chk-") if key.endswith("/_metadata")),
        key=lambda key: int(key.split("/chk-")[1].split("/")[0]),
    )
    options = Options(
        input=flights.prepare_input(cluster.s3, cluster.prefix),
        output=f"s3://{cluster.s3.bucket}/{cluster.prefix}tests/claims",
        name="claims",
        records_per_second=200,
        checkpoint_seconds=3600,  # so that the claimed one remains its last
    )
    claims = {"savepointPath": f"s3://{cluster.s3.bucket}/{last.removesuffix('/_metadata')}", "claimMode": "CLAIM"}
    jar = flights.build_jar(cluster.archives)
    second = Job(cluster, cluster.rest.run_jar(jar, options.arguments(), 2, claims))
    try:
        wait_for("the job that claims", 300, lambda: second.restored_from() is not None and second.runs())
        code, output = ops(cluster, "gc", "--jobs", "9", "--json", "--dry-run")
        assert code == 0
        assert {first.job_id, alone.job_id} <= set(json.loads(output)["recent"])
        age(cluster, keys(cluster, f"{place}/"), days=10)
        code, output = ops(cluster, "gc", "--jobs", "9", "--dry-run", "--json")
        found = json.loads(output)
        garbage = {entry["job"] for entry in found["garbage"]}
        assert alone.job_id in garbage and first.job_id not in garbage
        # Its last checkpoint refers to them, in HA storage and in its own metadata
        assert second.job_id in found["needed"][first.job_id] or "/completedCheckpoint" in found["needed"][first.job_id]
        code, output = ops(cluster, "gc", "--jobs", "9")
        assert code == 2 and "nothing was deleted" in output, "there is no terminal for the confirmation"
        code, output = ops(cluster, "gc", "--jobs", "9", "--yes")
        assert code == 0 and f"/{alone.job_id}\n" in output
        assert not [key for key in keys(cluster, f"{place}/{alone.job_id}") if not key.endswith("/")]
        # What the claiming job needs is there
        cluster.lab.ssh(second.taskmanager(), "sudo -n systemctl kill --signal=KILL flink-taskmanager")
        path = f"/jobs/{second.job_id}/checkpoints"
        wait_for("a restore", 300, lambda: cluster.rest.get(path)["counts"]["restored"] > 1 and second.runs())
    finally:
        second.cancel()
    cluster.wait_until_whole()


def test_a_living_cluster_renews_its_mark_and_a_stopped_one_does_not(cluster: Cluster) -> None:
    mark = f"{cluster.lab.name}/ha/{cluster.lab.name}/alive"
    start = "sudo -n systemctl start flink-alive.service"
    for name in ("jm-0", "jm-1"):
        cluster.s3.client().delete_object(Bucket=cluster.s3.bucket, Key=mark)
        cluster.lab.ssh(name, start)
        assert mark in keys(cluster, mark)
        assert "flink-alive.timer" in cluster.lab.ssh(name, "systemctl list-timers --no-legend").stdout
    standby = next(name for name in ("jm-0", "jm-1") if name != cluster.leader())
    cluster.s3.client().delete_object(Bucket=cluster.s3.bucket, Key=mark)
    try:
        cluster.lab.ssh(standby, f"sudo -n systemctl stop flink-jobmanager && {start}")
        assert mark not in keys(cluster, mark)
        assert (
            cluster.lab.ssh(standby, "systemctl is-active flink-jobmanager", check=False).stdout.strip() == "inactive"
        )
    finally:
        cluster.lab.ssh(standby, "sudo -n systemctl start flink-jobmanager")
    cluster.wait_until_whole()

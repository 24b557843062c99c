"""Interrupted, removed or created again, `up` always results in the same cluster. On a separate lab, of which each test
creates what it needs and does not find.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lab import stack
from lab.cluster import Cluster, SlowJob
from lab.lab import Lab
from stand_ins.builds import archives
from tests.engine.issuer import issuing
from tests.engine.test_acme import Server, free_port, signing
from tests.hosts import snapshot
from tests.lab import private_ca
from tests.lab.commands import finish, lab_command, traces

NAME = "test-converge"
SECRET = "client-secret-of-the-test"
UP = ("up", "--name", NAME, "--workers", "2", "--monitoring", "0")

OWN = """
sudo -n /sbin/sysctl -q -w net.core.somaxconn=200
printf '# the end\n\n\n' | sudo -n tee -a /etc/hosts >/dev/null
"""
"""What somebody has set on a host before the program comes: a kernel setting, and text at the end of /etc/hosts."""

before: dict[str, set[str]] = {}
"""What the hosts were before the first `up`."""


@pytest.fixture(scope="module", autouse=True)
def nothing_stays() -> Iterator[None]:
    """The tests create the lab, and it is always removed."""
    Lab(NAME).down()  # an earlier run may have been killed
    try:
        yield
    finally:
        Lab(NAME).down()


def booted() -> Lab:
    """The lab with its hosts; new ones are looked at before anything is installed."""
    lab = Lab(NAME)
    if not lab.exists():
        code, output = finish(600, *UP, "--hosts-only")
        assert code == 0, output
        for host in lab.hosts:
            lab.ssh(host, OWN)
        before.clear()
        before.update(snapshot.take(lab, lab.hosts))
    return lab


def made() -> Cluster:
    """The cluster with its streaming job, created by `up` if it does not exist."""
    booted()
    code, output = finish(900, *UP)
    assert code == 0, output
    lab = Lab(NAME)
    cluster = Cluster(lab, archives.ensure(), stack.declared(lab))
    cluster.wait_until_whole()
    return cluster


FAILS = """
for i in $(seq 100); do
  sudo -n systemctl start --no-block flink-classes
  sudo -n systemctl kill -s KILL flink-classes
  ! sudo -n systemctl is-failed -q flink-classes || exit 0
  sleep 0.1
done
exit 1
"""
"""Has the unit that archives classes fail."""


def interrupt(steps: int, number: signal.Signals) -> int:
    """`up`, which gets a signal when that number of steps is complete; returns its exit code."""
    done = 0
    with lab_command(*UP) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="")
            done += line.startswith("pulumi:") and "created" in line
            if done == steps:
                break
        assert done == steps, "it ended before the signal"
        os.killpg(process.pid, number)
        print(process.communicate(timeout=300)[0])
        return process.returncode


def objects(cluster: Cluster, folder: str) -> list[str]:
    """Keys below a folder of storageUri, without those that only mark folders."""
    prefix = f"{cluster.lab.name}/{folder}/"
    pages = cluster.s3.client().get_paginator("list_objects_v2").paginate(Bucket=cluster.s3.bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return [key for key in keys if not key.endswith("/")]


@pytest.mark.exhaustive  # tests/aws/test_rehearsal.py kills an `up` as well
def test_an_interrupted_up_can_be_run_again() -> None:
    lab = booted()
    if (lab.dir / "pulumi").exists():
        Cluster(lab, archives.ensure()).stack.destroy()
    assert interrupt(10, signal.SIGINT) == 130
    assert interrupt(12, signal.SIGKILL) == -signal.SIGKILL
    assert made().stack.up().changed() == []


@pytest.mark.exhaustive  # test_hosts.py has `down` of a whole lab
def test_down_leaves_nothing_and_up_works_again() -> None:
    lab = made().lab
    assert traces(lab.id)
    code, _ = finish(300, "down", "--name", NAME)
    assert code == 0
    assert traces(lab.id) == []
    assert not lab.dir.exists()
    made()


@contextmanager
def private_storage(lab: Lab, folder: Path) -> Iterator[dict[str, Any]]:
    """Keys of a stack whose storage has a certificate of a CA that nobody knows."""
    url, gateway = urlsplit(lab.s3.endpoint), str(lab.gateway)
    assert url.hostname and url.port
    private_ca.make_certificates(folder, gateway)
    with private_ca.serving(folder, gateway, (url.hostname, url.port)) as port:
        yield {
            "flink:storageEndpoint": f"https://{gateway}:{port}",
            "flink:trustedCertificates": str(folder / "ca.pem"),
        }


@contextmanager
def logins(cluster: Cluster, folder: Path) -> Iterator[dict[str, Any]]:
    """Keys of a stack where people log in by OpenID Connect, and doors have certificates by ACME; both servers have
    certificates of the CA of `private_storage`.
    """
    lab, address, paths = cluster.lab, str(cluster.lab.gateway), (folder / "server.pem", folder / "server.key")
    issuer = {
        **{"host": address, "listen": address, "port": free_port(address), "client": "flink", "secret": SECRET},
        **{"certificate": str(paths[0]), "key": str(paths[1]), "redirects": ["https://flink.example.com/"]},
        **{"people": {}, "audiences": {}, "tokens": {}},
    }
    doors = {name: f"{name}.example.com" for name in cluster.hosts("jobmanager")}
    at = {dns: str(lab.host(name).address) for name, dns in doors.items()}
    server = Server(free_port(address), free_port(), paths[0], address)
    with issuing(folder, issuer), signing(folder, server, paths[1], address, 443, at):
        yield {
            "flink:frontDoorLogin": "oidc",
            "flink:frontDoorOidc": {
                "issuer": f"https://{address}:{issuer['port']}",
                "clientId": "flink",
                "operator": ["operators"],
            },
            stack.FRONT_DOOR_OIDC_SECRET: SECRET,
            "flink:frontDoorAcme": {"directory": server.directory, "names": doors},
            **stack.release(lab, "oauth2proxy", archives.oauth2proxy()),
        }


def test_destroy_leaves_state_and_hosts_as_they_were_and_no_dead_host_blocks_it(tmp_path: Path) -> None:
    """The running job leaves high-availability metadata, which is removed, and checkpoints, which stay. Each host is
    as before the first `up`, except for what `snapshot.STAYS` lists, also of the programs and users of a login by
    OpenID Connect, and of certificates by ACME.
    """
    cluster = made()
    with private_storage(cluster.lab, tmp_path) as keys, logins(cluster, tmp_path) as more:
        # A job that stops with a savepoint would need a TaskManager that a test takes away
        cluster.overrides = keys | more
        cluster.stack.up()
        certificate = "sudo -n find /var/lib/flink-frontdoor -name '*.crt'"
        shown = cluster.lab.ssh("jm-1", f"id flink-login && systemctl is-active flink-login && {certificate}").stdout
        assert "(flink-login)" in shown and "\nactive\n" in shown and "/jm-1.example.com.crt" in shown
        _destroy(cluster)


def _destroy(cluster: Cluster) -> None:
    SlowJob.start(cluster, "destroyed", 600)
    assert objects(cluster, "ha")
    # A unit that has failed is listed as such for ever, unless somebody resets it
    cluster.lab.ssh("jm-0", FAILS)
    cluster.lab.stop("tm-1")
    try:
        steps = cluster.stack.destroy()
        told = [line for line in steps.warnings if "NOT CLEANED" in line]
        assert len(told) == 1 and "tm-1: it is unreachable" in told[0]
        alive = [host for host in cluster.lab.hosts if host.name != "tm-1"]
        for name, lines in snapshot.take(cluster.lab, alive).items():
            assert snapshot.differences(before[name], lines) == [], name
        assert objects(cluster, "ha") == []
        assert objects(cluster, "checkpoints")
    finally:
        cluster.lab.start("tm-1")

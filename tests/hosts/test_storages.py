"""Clusters whose state is on other storages than S3, each with a lab of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import stack
from lab.lab import Lab
from tests.storages import on_hosts, servers

NAME = "test-storages"
pytestmark = pytest.mark.exhaustive  # each has a lab for ten minutes


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Hosts, without a cluster."""
    found = Lab(NAME)
    found.down()  # an earlier run may have been killed
    try:
        found.up(workers=2, monitoring=0)
        yield found
    finally:
        found.down()


def test_oss(lab: Lab) -> None:
    """By a server that speaks OSS's interface (tests/storages/oss_gateway.py): there is none that could be had."""
    storage = servers.oss(lab.dir, str(lab.gateway))
    keys = {
        "flink:ossEndpoint": storage.options["fs.oss.endpoint"],
        "flink:ossAccessKey": storage.options["fs.oss.accessKeyId"],
        "flink:ossSecretKey": storage.options["fs.oss.accessKeySecret"],
    }
    on_hosts.lives(on_hosts.made(lab, storage, keys))


def test_azure(lab: Lab) -> None:
    """By a server that speaks as Data Lake Storage Gen2 does (tests/storages/abfs_gateway.py). Hosts have no key,
    but an identity, as virtual machines have.
    """
    storage = servers.abfs(lab.dir, str(lab.gateway))
    endpoint = {"fs.azure.abfs.endpoint": storage.options["fs.azure.abfs.endpoint"]}
    keys = {
        "flink:flinkConfig": {**stack.shared()["flink:flinkConfig"], **endpoint},
        "flink:trustedCertificates": str(storage.authority),
    }
    with led(lab, storage.metadata):
        on_hosts.lives(on_hosts.made(lab, storage, keys))


@contextmanager
def led(lab: Lab, port: int) -> Iterator[None]:
    """The hosts' metadata server is the one at this port of the gateway."""
    table = f"fl-{lab.id}-metadata"
    rules = f"""
table ip {table} {{
  chain prerouting {{
    type nat hook prerouting priority dstnat
    iifname {lab.network.bridge} ip daddr 169.254.169.254 tcp dport 80 dnat to {lab.gateway}:{port}
  }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "ip", table], check=True)

"""What a host cannot do on S3 is said before Flink starts there, on a lab of its own."""

from __future__ import annotations

import time

import pytest

from lab.cluster import Cluster
from lab.errors import LabError
from lab.lab import Lab
from stand_ins.builds import archives
from tests.measured import Measured

NAME = "test-s3-look"
pytestmark = pytest.mark.exhaustive  # a lab for two minutes; what each answer means is tested without hosts

WRONG = {
    "flink:storageSecretKey": ("another-secret", "expected the storageSecretKey that belongs to storageAccessKey"),
    "flink:storageUri": ("s3://missing/dev", "expected an existing bucket missing"),
    "flink:storageRegion": ("eu-west-1", "bucket flink is in us-east-1: expected storageRegion: us-east-1"),
}


def test_a_cluster_starts_only_where_it_can_write(measured: Measured) -> None:
    lab = Lab(NAME)
    lab.down()  # an earlier run may have been killed
    try:
        lab.up(workers=2, monitoring=0)
        good = Cluster(lab, archives.ensure())
        for key, (value, expected) in WRONG.items():
            began = time.monotonic()
            with pytest.raises(LabError) as error:
                Cluster(lab, archives.ensure(), {key: value}).stack.up()
            said = str(error.value)
            assert expected in said and "m-0: cannot use the storage at s3://" in said and "(storageUri)" in said, said
            assert "another-secret" not in said
            measured(f"{key.removeprefix('flink:')} is refused after {time.monotonic() - began:.0f} s of `up`")
            for host in ("jm-0", "tm-0"):
                assert not lab.ssh(host, "pgrep -u flink java", check=False).stdout, "Flink is not started"
        began = time.monotonic()
        good.stack.up()
        measured(f"`up` with what is right: {time.monotonic() - began:.0f} s")
        assert good.stack.up().changed() == [], "nothing looks again without a change"
        assert not [key for key in _keys(lab) if ".access-" in key]

        pids = {host: _pid(lab, host) for host in ("jm-0", "tm-0")}
        with pytest.raises(LabError, match="expected the storageSecretKey that belongs to storageAccessKey"):
            Cluster(lab, archives.ensure(), {"flink:storageSecretKey": "another-secret"}).stack.up()
        assert {host: _pid(lab, host) for host in pids} == pids, "what runs goes on"
        good.stack.up()
        assert {host: _pid(lab, host) for host in pids} == pids
    finally:
        lab.down()


def _pid(lab: Lab, host: str) -> str:
    return lab.ssh(host, f"systemctl show -p MainPID --value flink-{'job' if host[0] == 'j' else 'task'}manager").stdout


def _keys(lab: Lab) -> list[str]:
    return [item["Key"] for item in lab.s3.client().list_objects_v2(Bucket="flink").get("Contents", [])]

"""A monitoring host on AWS: a stack with one comes up with the documented rights, and its data outlives its machine."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import pytest

from lab.cluster import wait_for
from stand_ins.builds import archives
from tests.aws.inventory import client, everything
from tests.aws.rehearsal import Rehearsal

pytestmark = [pytest.mark.root, pytest.mark.exhaustive]  # a cluster of its own, and a machine that is replaced
WORKERS = 1
BOUND = 300


@pytest.fixture(scope="module")
def watched(rehearsal: Rehearsal, before: set[str]) -> Rehearsal:
    """The rehearsal, with a cluster and a monitoring host. `before`: the account was empty."""
    for name, archive in archives.monitoring().items():
        rehearsal.changes |= {
            f"flink:{name}Version": archive.version,
            f"flink:{name}Url": f"{rehearsal.lab.mirror_url}/{archive.path.name}",
            f"flink:{name}Checksum": f"sha512:{archive.sha512}",
        }
    rehearsal.changes |= {"flink:workers": WORKERS, "flink:monitoringHosts": 1, "flink:monitoringType": "t3.small"}
    rehearsal.up("with a monitoring host")
    rehearsal.wait_until_whole(WORKERS)
    return rehearsal


def series(cluster: Rehearsal, query: str, at: float | None = None) -> dict[str, float]:
    """Prometheus's answer at the front door, by host."""
    when = "" if at is None else f"&time={at}"
    found: dict[str, Any] = cluster.rest.get(f"/prometheus/api/v1/query?query={quote(query)}{when}")
    return {each["metric"].get("host", ""): float(each["value"][1]) for each in found["data"]["result"]}


def lines(cluster: Rehearsal, query: str) -> int:
    """How many lines the store of logs finds, at the front door."""
    found: dict[str, str] = cluster.rest.get(f"/logs/select/logsql/query?query={quote(f'{query} | count() n')}")
    return int(found["n"])


def volumes(cluster: Rehearsal) -> set[str]:
    """The monitoring machine's volumes that outlive it."""
    (machine,) = [id for name, id in cluster.instances().items() if name.endswith("mon-0")]
    ec2 = client("ec2", cluster.cloud.endpoint, cluster.cloud.region)
    ((found,),) = [each["Instances"] for each in ec2.describe_instances(InstanceIds=[machine])["Reservations"]]
    return {
        each["Ebs"]["VolumeId"]
        for each in found["BlockDeviceMappings"]
        if each["DeviceName"] != found["RootDeviceName"]
    }


def test_it_sees_all_hosts_and_keeps_their_logs(watched: Rehearsal) -> None:
    hosts = set(watched.logins)
    assert "mon-0" in hosts and len(hosts) == 7
    for job in ("node", "logs"):
        up = f'up{{job="{job}"}} == 1'
        wait_for(f"targets of {job}", BOUND, lambda up=up: series(watched, up).keys() == hosts)  # type: ignore[misc]
    for host in sorted(hosts):
        query = f'{{host="{host}"}}'
        wait_for(f"lines of {host}", BOUND, lambda query=query: lines(watched, query) > 0)  # type: ignore[misc]


def test_metrics_and_logs_are_there_after_its_machine_was_replaced(watched: Rehearsal) -> None:
    wait_for("a first value", BOUND, lambda: "tm-0" in series(watched, 'up{job="flink"} == 1'))
    until = time.time()
    earlier = f'{{host="tm-0"}} _time:<{time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))}'
    wait_for("lines of tm-0", BOUND, lambda: lines(watched, earlier) > 0)
    known, kept, machines, running = lines(watched, earlier), volumes(watched), watched.instances(), watched.processes()
    assert len(kept) == 1
    watched.changes["flink:monitoringType"] = "t3a.small"
    watched.up("another machine for monitoring")
    now = watched.instances()
    assert [name for name in machines if machines[name] != now.get(name)] == [
        name for name in machines if name.endswith("mon-0")
    ]
    assert volumes(watched) == kept
    assert {name: start for name, start in watched.processes().items() if name in running} == running
    wait_for("Prometheus", BOUND, lambda: "tm-0" in series(watched, 'up{job="flink"} == 1'))
    assert series(watched, 'up{job="flink"}', until)["tm-0"] == 1
    assert lines(watched, earlier) >= known
    # It goes on with what is new
    wait_for("a new value", BOUND, lambda: series(watched, "max by (host) (timestamp(up))").get("tm-0", 0) > until)
    assert watched.up("no change after it", refresh=True).changes() == {}


def test_destroy_removes_it_and_its_data(watched: Rehearsal, before: set[str]) -> None:
    """Those of the stack `dev`, which keeps nothing."""
    watched.destroy()
    assert everything(watched.cloud.endpoint, watched.cloud.region) == before

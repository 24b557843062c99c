"""The result of `make up`: daemons, versions, configuration, firewall, the job's result, and no readable secret."""

import socket
import urllib.request

import pytest
import yaml

from components.host import Role
from components.roles import ROLES
from lab import flights, flights_data
from lab.cluster import Cluster
from lab.rest import Rest
from tests.lab import start_cluster

CLASSES = {
    "jobmanager": "StandaloneSessionClusterEntrypoint",
    "taskmanager": "TaskManagerRunner",
    "zookeeper": "QuorumPeerMain",
}


def test_every_host_runs_its_daemon_and_nothing_else(cluster: Cluster) -> None:
    for host in cluster.lab.hosts:
        shown = cluster.lab.ssh(host, "sudo -n /opt/java/bin/jps").stdout
        assert {line.split()[1] for line in shown.splitlines()} - {"Jps"} == {CLASSES[host.role]}, host.name
        assert cluster.lab.ssh(host, "systemctl --failed --no-legend").stdout == "", host.name


def test_every_daemon_runs_the_declared_version(cluster: Cluster) -> None:
    for url in cluster.urls:
        assert Rest([url]).get("/overview")["flink-version"] == cluster.archives.flink.version
    for host in cluster.lab.hosts:
        cluster.lab.ssh(host, f"/opt/java-{cluster.archives.java.version}/bin/java -version")
        opened = cluster.lab.ssh(
            host, "sudo -n sh -c 'ls -l /proc/[0-9]*/fd /proc/[0-9]*/exe 2>/dev/null; true'"
        ).stdout
        assert f"/opt/java-{cluster.archives.java.version}/bin/java" in opened, host.name
        if host.role == "zookeeper":
            assert f"/opt/zookeeper-{cluster.archives.zookeeper.version}/" in opened, host.name
        else:
            assert f"/opt/flink-{cluster.archives.flink.version}/" in opened, host.name


def test_every_flink_daemon_runs_the_configuration_that_is_on_its_disk(cluster: Cluster) -> None:
    for name in cluster.hosts("taskmanager"):
        found = cluster.rest.get(f"/taskmanagers/{name}")
        expected = yaml.safe_load(cluster.lab.ssh(name, "cat /var/lib/flink/launch/current/conf/config.yaml").stdout)
        assert found["dataPort"] == expected["taskmanager.data.port"] == 6121
        assert found["slotsNumber"] == expected["taskmanager.numberOfTaskSlots"] == 2
    for name, url in zip(cluster.hosts("jobmanager"), cluster.urls, strict=True):
        running = {entry["key"]: entry["value"] for entry in Rest([url]).get("/jobmanager/config")}
        expected = yaml.safe_load(cluster.lab.ssh(name, "cat /var/lib/flink/launch/current/conf/config.yaml").stdout)
        differ = {
            key
            for key, value in expected.items()
            if running.get(key, "").strip("'") not in (str(value), str(value).lower())
        }
        assert not differ, name
        assert running["jobmanager.rpc.address"] == name


def test_one_jobmanager_leads_and_the_other_stands_by(cluster: Cluster) -> None:
    leading = [host["name"] for host in cluster.lab.status()["hosts"] if host["leader"]]
    assert len(leading) == 1


def test_no_daemon_runs_with_anything_else_than_what_is_on_its_disk(cluster: Cluster) -> None:
    daemons = {role.value: ROLES[role].daemon for role in Role}
    for host in cluster.lab.hosts:
        daemon = daemons[host.role]
        assert daemon
        expected = cluster.lab.ssh(host, ["sudo", "-n", "/usr/local/lib/flink/fingerprint", *daemon.inputs]).stdout
        running = cluster.lab.ssh(host, f"sudo -n cat /run/{daemon.unit}/fingerprint").stdout
        assert expected == running != "", host.name


def test_the_ensemble_has_one_leader(cluster: Cluster) -> None:
    ask = "exec 3<>/dev/tcp/localhost/2181; printf srvr >&3; cat <&3"
    shown = [cluster.lab.ssh(name, ["bash", "-c", ask]).stdout for name in cluster.hosts("zookeeper")]
    modes = sorted(line.split()[1] for text in shown for line in text.splitlines() if line.startswith("Mode:"))
    assert modes == ["follower", "follower", "leader"]
    assert all(f"Zookeeper version: {cluster.archives.zookeeper.version}" in text for text in shown)


def test_all_slots_are_registered(cluster: Cluster) -> None:
    assert cluster.rest.get("/overview")["slots-total"] == 2 * len(cluster.hosts("taskmanager"))


def reaches(cluster: Cluster, client: str, server: str, port: int, seconds: int) -> bool:
    """Whether a connection succeeds within these seconds; the firewall drops others without an answer."""
    ask = ["timeout", str(seconds), "bash", "-c", f"exec 3<>/dev/tcp/{server}/{port}"]
    return cluster.lab.ssh(client, ask, check=False).returncode == 0


@pytest.mark.parametrize(
    ("client", "server", "port", "expected"),
    [
        ("tm-0", "jm-0", 6123, True),
        ("tm-0", "jm-0", 8081, False),
        ("jm-1", "jm-0", 8081, True),
        ("tm-0", "tm-1", 6121, True),
        ("zk-0", "tm-1", 6121, False),
        ("tm-0", "zk-0", 2181, True),
        ("tm-0", "zk-0", 2888, False),
        ("zk-0", "zk-1", 3888, True),
        ("zk-0", "jm-0", 22, False),
        ("jm-0", "tm-0", 22, True),
        ("tm-0", "tm-1", 9249, False),
    ],
)
def test_hosts_enforce_the_port_table(cluster: Cluster, client: str, server: str, port: int, expected: bool) -> None:
    assert reaches(cluster, client, server, port, 30 if expected else 2) is expected


def test_operators_reach_the_web_ui_and_not_the_ensemble(cluster: Cluster) -> None:
    addresses = {host.name: host.address for host in cluster.lab.hosts}
    socket.create_connection((addresses["jm-0"], 8081), timeout=60).close()
    socket.create_connection((addresses["tm-0"], 9249), timeout=60).close()
    with pytest.raises(TimeoutError):
        socket.create_connection((addresses["zk-0"], 2181), timeout=2)


def test_the_jobs_result_is_what_another_tool_computes(cluster: Cluster, printed: dict[str, str]) -> None:
    report = flights.run(cluster.lab)
    assert report.job_id is None, "make up has computed it already"
    flights.check(report.rows, flights.reference_rows())
    for line in flights_data.table(report.rows[:10]):
        assert line in printed["up"]


def test_a_second_up_runs_nothing_restarts_nothing_and_says_so(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cluster.processes()
    steps = cluster.stack.up()
    assert steps.changed() == []
    assert f"resources: {steps.totals['same']} unchanged" in capsys.readouterr().out
    assert cluster.processes() == before


def test_no_secret_is_in_the_state_or_in_what_was_printed(cluster: Cluster, printed: dict[str, str]) -> None:
    secrets = {
        "S3 secret": cluster.lab.s3.secret_key,
        "private key": cluster.lab.private_key.read_text().splitlines()[2],
        "passphrase": (cluster.stack.folder / "passphrase").read_text().strip(),
    }
    texts = {"output": printed["up"]}
    for path in (cluster.stack.folder / "state").rglob("*"):
        if path.is_file():
            texts[str(path)] = path.read_text(errors="replace")
    texts["stack file"] = cluster.stack.file.read_text()
    assert any(path.endswith(".json") for path in texts)
    for kind, secret in secrets.items():
        assert len(secret) > 15
        assert not [where for where, text in texts.items() if secret in text], kind


def test_no_secret_is_in_argv_or_readable_by_others_on_a_host(cluster: Cluster) -> None:
    secret = cluster.lab.s3.secret_key
    for name in [*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")]:
        arguments = cluster.lab.ssh(name, "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
        assert secret not in arguments
        readable = cluster.lab.ssh(
            name, f"grep -rlF -e {secret} /etc /var/log /var/lib/flink /opt/flink/ 2>/dev/null", check=False
        )
        assert readable.stdout == "", name
        shown = cluster.lab.ssh(name, "stat -c '%a %U' /etc/flink/credentials.env").stdout
        assert shown.strip() == "600 flink"


def test_start_cluster_works_over_passwordless_ssh(cluster: Cluster) -> None:
    start_cluster.works(cluster)


def test_the_web_ui_is_served(cluster: Cluster) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(cluster.urls[0], timeout=60) as answer:
        assert b"Apache Flink Web Dashboard" in answer.read()

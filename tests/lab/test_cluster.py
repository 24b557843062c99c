"""The result of `make up`: daemons, versions, configuration, firewall, the job's result, and no readable secret."""

import shlex

import pytest
import yaml

from components import ports
from components.flink import encryption
from components.host import Role
from components.roles import ROLES
from components.zookeeper.zoo_cfg import SERVING
from lab import flights, flights_data, front_door
from lab.cluster import Cluster
from tests.lab import port_table, start_cluster, strangers

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
    for name in cluster.hosts("jobmanager"):
        assert cluster.ask(name, "/overview")["flink-version"] == cluster.archives.flink.version
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
    for name in cluster.hosts("jobmanager"):
        running = {entry["key"]: entry["value"] for entry in cluster.ask(name, "/jobmanager/config")}
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
        serving = [SERVING] if host.role == Role.ZOOKEEPER.value else []
        inputs = [*daemon.inputs, *serving, *encryption.inputs(Role(host.role))]
        expected = cluster.lab.ssh(host, ["sudo", "-n", "/usr/local/lib/flink/fingerprint", *inputs]).stdout
        running = cluster.lab.ssh(host, f"sudo -n cat /run/{daemon.unit}/fingerprint").stdout
        assert expected == running != "", host.name


def test_the_ensemble_has_one_leader(cluster: Cluster) -> None:
    assert sorted(cluster.zookeeper_modes().values()) == ["follower", "follower", "leader"]
    for name in cluster.hosts("zookeeper"):
        shown = cluster.lab.ssh(name, "sudo -n journalctl -u zookeeper -o cat --no-pager | grep -m1 zookeeper.version=")
        assert f"zookeeper.version={cluster.archives.zookeeper.version}-" in shown.stdout, name


def test_all_slots_are_registered(cluster: Cluster) -> None:
    assert cluster.rest.get("/overview")["slots-total"] == 2 * len(cluster.hosts("taskmanager"))


def test_hosts_enforce_the_port_table(cluster: Cluster) -> None:
    """From every role to every role; a client host: test_client.py."""
    said = port_table.differences(cluster.lab, ports.FRONT_DOOR.number)
    # Three roles, operators and a stranger, to three roles, on twelve ports
    assert said == ["180 connections"]


CIRCLES = {
    **dict.fromkeys(("tm-data", "tm-rpc", "jm-rpc", "blob", "metrics-query"), "internal"),
    "rest": "rest",
    **dict.fromkeys(("zk-client", "zk-quorum", "zk-election"), "zookeeper"),
}
"""Port → whose certificates it asks for."""
OTHERS = {
    **dict.fromkeys(("ssh", "zk-ssh", "client-ssh", "monitoring-ssh"), "SSH"),
    **dict.fromkeys(("prometheus", "who-leads"), "plain text (docs/security.md)"),
    "front-door": "a login: test_front_door.py",
}


def test_nobody_speaks_plain_text_or_has_a_certificate_of_another_circle(cluster: Cluster) -> None:
    """On every port, from a host that the firewall admits."""
    assert {port.name for port in ports.table(ports.FRONT_DOOR.number)} == {*CIRCLES, *OTHERS}, "a port without a test"
    lab, number, state = cluster.lab, ports.numbers(), cluster.stack.exported(secrets=True)
    (first,) = [name for name, mode in cluster.zookeeper_modes().items() if mode == "leader"]
    internal = [("jm-1", number[name]) for name in ("jm-rpc", "blob", "metrics-query")]
    internal += [("tm-0", number[name]) for name in ("tm-rpc", "metrics-query")]
    found = strangers.answers(lab, state, "jm-0", internal, "internal", "rest")
    found |= strangers.answers(lab, state, "tm-0", [("tm-1", number["tm-data"])], "internal")
    found |= strangers.answers(lab, state, "jm-0", [("jm-1", number["rest"])], "rest", "internal")
    found |= strangers.answers(
        lab, state, "jm-0", [("zk-0", number["zk-client"])], "zookeeper", "internal", "rest", says="srvr"
    )
    quorum = [(first, number["zk-quorum"]), *((f"zk-{index}", number["zk-election"]) for index in range(3))]
    found |= strangers.answers(lab, state, "zk-0", quorum, "zookeeper", folder="/etc/zookeeper/tls")
    # Flink tells who speaks plain HTTP where https is
    assert found.pop(f"jm-1:{number['rest']} plain text").startswith("answered b'HTTP/1.1 301 ")
    assert all(said.startswith(("closed", "refused")) for said in found.values()), found
    # Five ways of a stranger, and one for each other circle
    assert len(found) == 5 * (len(internal) + 1 + 1 + 1 + len(quorum)) - 1 + len(internal) + 1 + 2


def test_a_certificate_has_the_names_of_its_host_only(cluster: Cluster) -> None:
    """So that who verifies names is not fooled by another host of the cluster; within `internal` nobody does."""
    number = ports.numbers()
    for circle, port in (("rest", ("jm-1", number["rest"])), ("zookeeper", ("zk-0", number["zk-client"]))):
        own, other = (strangers.handshake(cluster.lab, "jm-0", circle, port, name) for name in (port[0], "tm-0"))
        assert own == "TLSv1.3"
        assert "CERTIFICATE_VERIFY_FAILED" in other and "mismatch" in other, other


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
        **{name: (front_door.folder(cluster.lab) / name).read_text().strip() for name in ("password", "hash")},
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
    """The storage's key, the front door's password and its hash, and private keys of whatever circle."""
    place = front_door.folder(cluster.lab)
    secrets = [cluster.lab.s3.secret_key, *((place / name).read_text().strip() for name in ("password", "hash"))]
    patterns = " ".join(f"-e {shlex.quote(secret)}" for secret in [*secrets, "PRIVATE KEY-----"])
    places = "/etc /run /var/log /var/lib /opt/flink/ /opt/caddy/ /usr/local /tmp"
    for host in cluster.lab.hosts:
        arguments = cluster.lab.ssh(host, "sudo -n cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").stdout
        assert "java" in arguments and not [secret for secret in secrets if secret in arguments], host.name
        search = f"sudo -n -u nobody grep -rIlF --exclude=*.java {patterns} {places} 2>/dev/null"
        assert cluster.lab.ssh(host, search, check=False).stdout == "", host.name
        assert cluster.lab.ssh(host, search.replace("-u nobody ", ""), check=False).stdout, "root finds some"
    for name in [*cluster.hosts("jobmanager"), *cluster.hosts("taskmanager")]:
        shown = cluster.lab.ssh(name, "stat -c '%a %U' /etc/flink/credentials.env").stdout
        assert shown.strip() == "600 flink"


def test_start_cluster_works_over_passwordless_ssh(cluster: Cluster) -> None:
    start_cluster.works(cluster)

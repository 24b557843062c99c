"""The files that are installed on hosts: golden files, and rules for all of them.

`UPDATE_GOLDEN=1 pytest tests/unit/test_config.py` rewrites the golden files.
"""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product
from pathlib import Path

import pytest
import yaml

from components import naming, ports
from components.existing.hosts import _host
from components.flink import discovery, firewall, start_cluster
from components.flink.config_yaml import config_yaml, flink_config
from components.flink.settings import HistorySettings
from components.flink.topology import Members
from components.flink.unit import flink_unit
from components.host import Role
from components.jobmanager import history
from components.logs import collector, store
from components.monitoring import alerts, exporter, grafana, targets
from components.monitoring.component import prometheus_unit
from components.remote import File, script_text
from components.roles import ROLES
from components.storage import S3, Storage
from components.taskmanager.component import arguments
from components.zookeeper.zoo_cfg import zoo_cfg, zookeeper_unit
from tests.golden import same
from tests.unit.program import SEVEN, host, load, write_inventory

GOLDEN = Path(__file__).parent / "golden"
S3_SERVER = S3(plugin="flink-s3-fs-native", region="eu-central-1", endpoint="http://10.9.9.1:7070", path_style=True)
STORAGE = Storage(uri="s3://flink/dev", backends=[S3_SERVER])


@pytest.fixture
def every_role(tmp_path: Path):
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "cl-0", "mon-0")])
    found = load(tmp_path, javaOptions="-XX:+UseG1GC", taskManagerConfig={"taskmanager.network.retries": 3})
    return found.cluster, Members(tuple(_host(entry) for entry in found.site.hosts))


def golden(name: str, text: str) -> None:
    same(GOLDEN / name, text)


def test_golden_texts(every_role) -> None:
    settings, cluster = every_role
    addresses = {host.name: str(host.address) for host in cluster.hosts}
    by_role = {role: [addresses[name] for name in cluster.names(role)] for role in Role}
    golden(
        "jobmanager-config.yaml",
        config_yaml(flink_config(Role.JOBMANAGER, settings, STORAGE, cluster, memory_mib=1600)),
    )
    taskmanager = config_yaml(flink_config(Role.TASKMANAGER, settings, STORAGE, cluster, memory_mib=2048, slots=2))
    golden("taskmanager-config.yaml", taskmanager)
    golden("masters", start_cluster.masters(cluster))
    golden("client-config.yaml", config_yaml(flink_config(Role.CLIENT, settings, STORAGE, cluster)))
    golden("workers", start_cluster.workers(cluster))
    alone = Members(tuple(host for host in cluster.hosts if host.role is not Role.MONITORING))
    golden("zoo.cfg", zoo_cfg(settings, alone))
    golden("zoo-monitored.cfg", zoo_cfg(settings, cluster))
    golden("prometheus.yml", targets.prometheus_yml(settings.cluster_id, "mon-0", tls=False))
    golden("prometheus-tls.yml", targets.prometheus_yml(settings.cluster_id, "mon-0", tls=True))
    door = targets.Door(tls=True, url="https://flink.example.com")
    golden("prometheus-behind.yml", targets.prometheus_yml(settings.cluster_id, "mon-0", tls=True, door=door))
    golden("flink-prometheus-behind.service", prometheus_unit(settings.monitoring, data_disk=True, door=door))
    golden("targets-behind.json", "".join(targets.files(settings.cluster_id, cluster, doors=True).values()))
    golden("targets.json", "".join(targets.files(settings.cluster_id, cluster).values()))
    golden("flink-prometheus.service", prometheus_unit(settings.monitoring, data_disk=False))
    golden("flink-alertmanager.service", alerts.unit(data_disk=True))
    golden("flink-exporter.service", exporter.exporter_unit(tls=True))
    golden(
        "storage.sh",
        exporter.storage_script(STORAGE.servers, {"proxy": "http://10.0.0.9:3128", "direct": "10.0.0.0/8"}),
    )
    builtin = collector.Builtin(url="https://mon-0:9428/logs/insert/opentelemetry", tls=True)
    for role in (Role.JOBMANAGER, Role.ZOOKEEPER):
        text = collector.agent_yaml(
            settings.cluster_id, cluster.names(role)[0], role, front_door=True, builtin=builtin, monitored=True
        )
        golden(f"{role.value}-logs.yaml", text)
        golden(f"{role.value}-flink-logs.service", collector.unit(role, front_door=True))
    shown = replace(settings, history=HistorySettings())
    golden("flink-history.service", history.unit(shown))
    golden("history-config.yaml", history.config(shown, STORAGE, cluster, HistorySettings()))
    golden("flink-grafana.service", grafana.unit(data_disk=True, reads=["its configuration"]))
    golden("grafana.ini", grafana.ini(settings.cluster_id, door, "a secret of the doors"))
    provisioned = grafana.provisioned(door, None)
    golden("grafana-datasource.yaml", provisioned[f"{grafana.FOLDER}/provisioning/datasources/prometheus.yaml"])
    golden("flink-logstore.service", store.unit(settings.logs, tls=True, data_disk=True))
    golden("flink-jobmanager.service", flink_unit(Role.JOBMANAGER, settings, memory_mib=1600, high_availability=True))
    golden("flink-taskmanager.service", flink_unit(Role.TASKMANAGER, settings, memory_mib=2048))
    golden("zookeeper.service", zookeeper_unit(settings, data_disk=False))
    unmonitored: dict[Role, list[str]] = {**by_role, Role.MONITORING: []}
    readers = settings.metrics_readers(monitoring=False)
    for role in Role:
        if role is not Role.MONITORING:
            text = firewall.rules(role, unmonitored, settings.operator_cidrs, metrics=readers)
            golden(f"{role.value}-firewall.nft", text)
        golden(f"{role.value}-firewall-monitored.nft", firewall.rules(role, by_role, settings.operator_cidrs))


def test_shipped_java_flags_are_kept(every_role) -> None:
    settings, cluster = every_role
    text = config_yaml(flink_config(Role.TASKMANAGER, settings, STORAGE, cluster, memory_mib=2048, slots=2))
    flags = yaml.safe_load(text)["env.java.opts.all"].split()
    assert len([flag for flag in flags if flag.startswith("--add-")]) == 19
    assert flags[-1] == "-XX:+UseG1GC"


def test_no_configuration_holds_a_credential(every_role) -> None:
    settings, cluster = every_role
    for role in (role for role, row in ROLES.items() if row.runs_flink):
        keys = yaml.safe_load(config_yaml(flink_config(role, settings, STORAGE, cluster, memory_mib=2048, slots=2)))
        assert not [key for key in keys if "access-key" in key or "secret" in key]


def test_every_port_that_flink_opens_is_fixed(every_role) -> None:
    settings, cluster = every_role
    jobmanager = yaml.safe_load(config_yaml(flink_config(Role.JOBMANAGER, settings, STORAGE, cluster, memory_mib=1600)))
    text = config_yaml(flink_config(Role.TASKMANAGER, settings, STORAGE, cluster, memory_mib=2048, slots=2))
    taskmanager = yaml.safe_load(text)
    of_jobmanager = {
        *("jobmanager.rpc.port", "high-availability.jobmanager.port", "blob.server.port"),
        "rest.port",
    }
    of_both = {"metrics.internal.query-service.port", "metrics.reporter.prom.port"}
    table = {port.number for port in ports.TABLE}
    for keys, found in (
        (of_jobmanager | of_both, jobmanager),
        ({"taskmanager.rpc.port", "taskmanager.data.port"} | of_both, taskmanager),
    ):
        assert {found[key] for key in keys} <= table


def test_without_zookeeper_taskmanagers_know_the_jobmanager(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"))
    found = load(tmp_path)
    cluster = Members(tuple(_host(entry) for entry in found.site.hosts))
    keys = yaml.safe_load(
        config_yaml(flink_config(Role.TASKMANAGER, found.cluster, STORAGE, cluster, memory_mib=2048, slots=2))
    )
    assert keys["high-availability.type"] == "NONE"
    assert keys["jobmanager.rpc.address"] == "jm-0"


def test_names_sort_by_number_not_by_letter(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), *[host(f"tm-{i}") for i in (10, 2, 1)])
    cluster = Members(tuple(_host(entry) for entry in load(tmp_path).site.hosts))
    assert cluster.names(Role.TASKMANAGER) == ["tm-1", "tm-2", "tm-10"]


def test_server_ids_come_from_names() -> None:
    assert [naming.server_id(name) for name in ("zk-0", "zk-1", "zk-12", "keeper07")] == [1, 2, 13, 8]


@pytest.mark.parametrize(("client", "server"), list(product(Role, Role)))
def test_each_pair_of_roles_reaches_what_it_needs_and_no_more(every_role, client: Role, server: Role) -> None:
    jm, tm, zk, cl, mon = Role
    expected = {
        (jm, jm): {22, 6123, 6124, 6125, 8081}, (jm, tm): {22, 6122, 6125}, (jm, zk): {2181},
        (tm, jm): {6123, 6124}, (tm, tm): {6121, 6122}, (tm, zk): {2181},
        (zk, jm): set(), (zk, tm): set(), (zk, zk): {2181, 2888, 3888},
        (cl, jm): {8081}, (cl, tm): set(), (cl, zk): {2181}, (cl, cl): set(),
        (jm, cl): set(), (tm, cl): set(), (zk, cl): set(),
        (mon, cl): {8888, 9100}, (mon, mon): {8888, 9100, 9428}, (mon, zk): {7000, 8888, 9100},
        **{(mon, role): {8888, 9100, 9249} for role in (jm, tm)},
        **{(role, mon): {9428} for role in (jm, tm, zk, cl)},
    }  # fmt: skip
    cluster = every_role[1]
    by_role = {role: [str(host.address) for host in cluster.of(role)] for role in Role}
    rules = firewall.rules(server, by_role, ["198.51.100.0/24"])
    address = by_role[client][0]
    opened = set()
    for line in rules.splitlines():
        if "tcp dport" in line:
            networks = line.split("{")[1].split("}")[0].split(",")
            if any(ip_address(address) in ip_network(network.strip()) for network in networks):
                opened.add(int(line.split("dport ")[1].split()[0]))
    assert opened == expected[client, server]


@pytest.mark.parametrize("role", list(Role))
def test_no_port_is_open_to_everyone(every_role, role: Role) -> None:
    cluster = every_role[1]
    by_role = {r: [str(host.address) for host in cluster.of(r)] for r in Role}
    rules = firewall.rules(role, by_role, ["198.51.100.0/24"])
    assert "policy drop" in rules
    assert all("saddr" in line for line in rules.splitlines() if "tcp dport" in line)


def test_members_change_with_the_list_and_configuration_does_not(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "tm-2")])
    seen = {}
    for count in (2, 3):
        found = load(tmp_path, workers=count)
        cluster = Members(tuple(_host(entry) for entry in found.site.hosts))
        known = discovery.Known(
            {entry.name: str(entry.address) for entry in cluster.hosts},
            {entry.name: str(entry.ssh.host_key) for entry in cluster.hosts},
        )
        jobmanager = cluster.of(Role.JOBMANAGER)[0]
        seen[count] = (
            config_yaml(flink_config(Role.JOBMANAGER, found.cluster, STORAGE, cluster, memory_mib=1600)),
            discovery.text(jobmanager, found.cluster, cluster, known),
        )
    assert seen[2][0] == seen[3][0]
    assert "tm-2" in seen[3][1] and "tm-2" not in seen[2][1]


def test_names_in_dns_leave_nothing_to_tell_but_a_hosts_own(every_role) -> None:
    """What one more worker changes on hosts that find each other by DNS, behind their provider's firewall."""
    settings, cluster = every_role
    named = Members(tuple(replace(host, dns_name=f"{host.name}.x.internal") for host in cluster.hosts))
    settings = replace(settings, firewall=False)
    for role in Role:
        host = named.of(role)[0]
        keys = {entry.name: str(entry.ssh.host_key) for entry in named.hosts} if ROLES[role].logs_in else {}
        text = discovery.text(host, settings, named, discovery.Known({host.name: "10.0.0.5"}, keys))
        assert f"10.0.0.5 {host.name}.x.internal {host.name}'" in text
        assert ("tm-1" in text) is ROLES[role].logs_in, role
    host = named.of(Role.TASKMANAGER)[0]
    assert "from=" not in start_cluster.trust_text(host, settings, [], ["ssh-ed25519 AAAA x"])
    assert 'from="10.0.0.5",restrict,pty ssh-ed25519 AAAA x' in start_cluster.trust_text(
        host, settings, ["10.0.0.5"], ["ssh-ed25519 AAAA x"]
    )
    # Debian gives a host's own name to its loopback
    assert 'from="10.0.0.5,127.0.0.1,::1",restrict,pty ssh-ed25519 AAAA x' in start_cluster.trust_text(
        named.of(Role.JOBMANAGER)[0], settings, ["10.0.0.5"], ["ssh-ed25519 AAAA x"]
    )
    assert "RequiresMountsFor=/var/lib/zookeeper/data" in zookeeper_unit(settings, data_disk=True)
    assert "server.1=zk-0.x.internal:2888:3888" in zoo_cfg(settings, named)
    unit = " ".join(arguments(named.of(Role.TASKMANAGER)[0]))
    assert "taskmanager.host=tm-0.x.internal -D taskmanager.resource-id=tm-0" in unit


def test_jobmanagers_log_in_on_the_port_of_each_hosts_sshd(every_role) -> None:
    settings, cluster = every_role
    settings = replace(settings, firewall=False)
    ports = {"tm-1": 2222}
    members = Members(tuple(replace(host, sshd_port=ports.get(host.name, 22)) for host in cluster.hosts))
    keys = {host.name: f"key-of-{host.name}" for host in members.hosts}
    files = {file.path: file.text for file in start_cluster.files(members.of(Role.JOBMANAGER)[0], members, keys)}
    assert files["/var/lib/flink/.ssh/config"] == "Host tm-1\n  Port 2222\n" + start_cluster.SSH_CONFIG
    known = files["/var/lib/flink/.ssh/known_hosts"].splitlines()
    assert "[tm-1]:2222 key-of-tm-1" in known and "tm-0 key-of-tm-0" in known and "tm-1 key-of-tm-1" not in known


def test_values_are_quoted_and_nothing_runs_before_the_last_line(every_role) -> None:
    text = script_text(
        every_role[1].hosts[0],
        "files.sh",
        {"what": "a'b; reboot", "list": ["x y", "$z"]},
        [File(path="/a b", text="$HOME\n")],
    )
    assert "what='a'\"'\"'b; reboot'" in text
    assert "list=('x y' '$z')" in text
    assert "write_file '/a b' 0644 root:root <<'END_OF_FILE'\n$HOME\nEND_OF_FILE" in text
    assert text.splitlines()[-1] == 'main "$@" </dev/null'


def test_a_file_cannot_end_the_script(every_role) -> None:
    with pytest.raises(ValueError, match="END_OF_FILE"):
        script_text(every_role[1].hosts[0], "files.sh", {}, [File(path="/a", text="x\nEND_OF_FILE\nreboot\n")])


def test_networks_that_overlap_are_named_once(every_role) -> None:
    rules = firewall.rules(Role.JOBMANAGER, {Role.JOBMANAGER: ["10.9.9.10"]}, ["10.0.0.0/8", "fd00::/8"])
    assert "ip saddr { 10.0.0.0/8 } tcp dport 22" in rules
    assert "ip6 saddr { fd00::/8 } tcp dport 22" in rules

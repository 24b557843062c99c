"""ZooKeeper over TLS: what is in its files, and in the options of Flink's client."""

from pathlib import Path

from components.circles import Circle
from components.existing.hosts import _host
from components.flink.config_yaml import flink_config
from components.flink.topology import Members
from components.host import Role
from components.roles import ROLES
from components.zookeeper.zoo_cfg import inputs, zoo_cfg, zookeeper_unit
from tests.host_steps import with_scripts
from tests.unit.program import load
from tests.unit.test_config import STORAGE
from tests.unit.test_program import run, stdin

SERVERS = ("zk-0", "zk-1", "zk-2")


def settings_of(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))


def test_servers_require_certificates_and_nothing_is_a_password(folder: Path) -> None:
    loaded = load(folder, tls=True)
    cluster, members = loaded.cluster, Members(tuple(_host(entry) for entry in loaded.site.hosts))
    found = settings_of(zoo_cfg(cluster, members))
    assert found["secureClientPort"] == "2181" and "clientPort" not in found
    assert found["sslQuorum"] == "true" and not [key for key in found if "portUnification" in key]
    assert found["enforce.auth.enabled"] == "true" and found["enforce.auth.schemes"] == "x509"
    for prefix in ("ssl", "ssl.quorum"):
        assert found[f"{prefix}.clientAuth"] == "need"
        assert found[f"{prefix}.enabledProtocols"] == found[f"{prefix}.protocol"] == "TLSv1.3"
        assert found[f"{prefix}.keyStore.location"] == "/etc/zookeeper/tls/zookeeper/identity.pem"
    assert not [key for key in found if "password" in key.lower()]
    both = settings_of(zoo_cfg(cluster, members, plain_text=True))
    expected = {**found, "clientPort": "2181", "client.portUnification": "true"}
    for key in ("secureClientPort", "enforce.auth.enabled", "enforce.auth.schemes"):
        del expected[key]
    assert both == expected


def test_servers_restart_after_a_change_of_what_they_read(folder: Path) -> None:
    cluster = load(folder, tls=True).cluster
    unit = zookeeper_unit(cluster, data_disk=False)
    assert "QuorumPeerMain /etc/zookeeper/serving.cfg\n" in unit
    assert " ".join(inputs(cluster)) in unit and "/etc/zookeeper/serving.cfg" in inputs(cluster)
    assert "/etc/zookeeper/tls/zookeeper/keystore.p12" in inputs(cluster)


def test_flinks_client_has_its_own_identity_where_there_is_an_ensemble(folder: Path) -> None:
    loaded = load(folder, tls=True, javaOptions="-XX:+UseG1GC")
    hosts = [_host(entry) for entry in loaded.site.hosts]
    alone = Members(tuple(host for host in hosts if host.role is not Role.ZOOKEEPER))
    for role in (Role.JOBMANAGER, Role.TASKMANAGER, Role.CLIENT):
        assert Circle.ZOOKEEPER in ROLES[role].circles
        options = flink_config(role, loaded.cluster, STORAGE, Members(tuple(hosts)))["env.java.opts.all"]
        assert "-XX:+UseG1GC -Dzookeeper.client.secure=true " in options
        assert "-Dzookeeper.ssl.keyStore.location=/etc/flink/tls/zookeeper/identity.pem " in options
        assert "password" not in options
        assert "zookeeper" not in flink_config(role, loaded.cluster, STORAGE, alone)["env.java.opts.all"]
    assert "zookeeper" not in str(
        flink_config(Role.JOBMANAGER, load(folder).cluster, STORAGE, Members(tuple(hosts)))["env.java.opts.all"]
    )


def test_plain_text_is_refused_one_server_after_the_other_after_the_rollout(folder: Path) -> None:
    found = run(folder, tls=True)
    for name in SERVERS:
        assert "point both.cfg" in with_scripts(stdin(found, f"{name}-config"))
        assert "health=(zookeeper 2181 " in stdin(found, f"{name}-secured")
    assert not [name for name in run(folder) if "secured" in name]

"""The configuration: every problem is refused, all at once, each with its key and what is expected."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import settings
from components.flink import failover, sizing
from components.host import Role
from tests.unit.program import SEVEN, configuration, host, load, refused, write_inventory

RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7"


def test_a_good_configuration_is_taken(folder: Path) -> None:
    found = load(folder)
    assert [entry.name for entry in found.site.hosts] == list(SEVEN)
    assert found.cluster.cluster_id == "dev"
    assert found.cluster.flink.url.endswith("/flink/flink-2.3.0/flink-2.3.0-bin-scala_2.12.tgz")
    assert found.cluster.flink.checksum == f"sha512:{found.cluster.flink.url}.sha512"
    assert found.cluster.java.checksum == f"sha256:{found.cluster.java.url}.sha256.txt"
    assert "jdk-17.0.15%2B6/OpenJDK17U-jdk_{arch}_linux_hotspot_17.0.15_6.tar.gz" in found.cluster.java.url
    assert found.storage.plugin == "flink-s3-fs-hadoop"


def test_all_problems_are_reported_together(folder: Path) -> None:
    told = refused(folder, storageUri="http://x", failoverSeconds=2, jobManagerMemory="lots", flinkVersion="1.20.0")
    assert "has 4 problems; nothing was changed" in told
    for key in ("storageUri", "failoverSeconds", "jobManagerMemory", "flinkVersion"):
        assert re.search(rf"- {key}: .*expected", told), told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"workerz": 1}, "workerz: is not a key of this program"),
        ({"Workers": 1}, "Workers: is not a key of this program: expected workers"),
        ({"workers": "two"}, "workers: 'two' has the wrong type: expected integer"),
        ({"firewall": "maybe"}, "firewall: 'maybe' has the wrong type: expected boolean"),
        ({"operatorCidrs": {"a": 1}}, "operatorCidrs: .* has the wrong type: expected array"),
        ({"workers": 3}, "workers: 3 is out of range: expected 0 to 2"),
        ({"workers": -1}, "workers: -1 is out of range"),
        ({"operatorCidrs": ["0.0.0.0/0"]}, "operatorCidrs: 0.0.0.0/0 is the whole internet"),
        ({"operatorCidrs": ["::/0"]}, "operatorCidrs: ::/0 is the whole internet"),
        ({"operatorCidrs": ["10.0.0.1/8"]}, "operatorCidrs: '10.0.0.1/8' is not a network"),
        ({"operatorCidrs": None}, "operatorCidrs: is missing"),
        ({"inventory": None}, "inventory: is missing"),
        ({"inventory": "/nowhere.yaml"}, "inventory: /nowhere.yaml cannot be read"),
        ({"storageUri": None}, "storageUri: '' is on no kind of storage that is known: expected s3://bucket/prefix"),
        ({"storagePlugin": "s3"}, "storagePlugin: 's3' is unknown: expected flink-s3-fs-native"),
        ({"storagePlugin": "flink-s3-fs-native", "flinkVersion": "2.2.1"}, "not part of Flink 2.2.1"),
        ({"storageAccessKey": "AK"}, "storageSecretKey: is missing"),
        ({"storageEndpoint": "minio:9000"}, "storageEndpoint: 'minio:9000' is not the URL of a server"),
        ({"flinkChecksum": "abc"}, "flinkChecksum: 'abc' is not a checksum"),
        ({"javaVersion": "8.0.1+1"}, "javaVersion: '8.0.1\\+1' is not a JDK for Flink 2.x"),
        ({"zookeeperVersion": "3.4.14"}, "zookeeperVersion: '3.4.14' is not supported"),
        ({"jobManagerMemory": "512m"}, "jobManagerMemory: 512m is too small"),
        ({"jobManagerMemory": "3g"}, "jobManagerMemory: 3072m does not fit on jm-0, which has 2048 MiB: expected"),
        ({"taskManagerMemory": "8g"}, "taskManagerMemory: 8192m does not fit on tm-0"),
        ({"zookeeperHeap": "1g"}, "zookeeperHeap: 1024m does not fit on zk-0"),
        ({"taskManagerSlots": -2}, "taskManagerSlots: -2 is out of range"),
        ({"clusterId": "a/b"}, "clusterId: 'a/b' is not a valid name"),
        ({"clusterId": "job-result-store"}, "clusterId: 'job-result-store' is a folder that all clusters of a storage"),
        ({"clusterId": "application-result-store"}, "'application-result-store' is a folder that all clusters of"),
        ({"javaOptions": "-Da='b'"}, "javaOptions: has the character \"'\""),
        ({"flinkConfig": {"rest.port": 80}}, "flinkConfig: rest.port is set by this program"),
        ({"flinkConfig": {"rest": {"port": 80}}}, "flinkConfig: rest.port is set by this program"),
        ({"taskManagerConfig": {"taskmanager.numberOfTaskSlots": 9}}, "Config: taskmanager.numberOfTaskSlots"),
        ({"jobManagerConfig": {"env.java.opts.all": "-X"}}, "jobManagerConfig: env.java.opts.all is set by"),
        ({"flinkConfig": {"jobmanager.heap.size": "1g"}}, "heap.size is not supported: expected jobManagerMemory"),
        ({"flinkConfig": {"security.ssl.internal.keystore-password": "x"}}, "would be stored in plain text"),
        ({"flinkConfig": {"fs.s3a.secret.key": "x"}}, "would be stored in plain text"),
        ({"flinkConfig": {"taskmanager.memory.flink.size": "1g"}}, "expected taskManagerMemory"),
        ({"javaOptions": "-Xlog:gc:file=/var/log/%t"}, "javaOptions: has the character '%'"),
        ({"operatorCidrs": [10]}, "operatorCidrs: 10 is not a network"),
        ({"storageAccessKey": "a'b", "storageSecretKey": "x"}, "storageAccessKey: is not a key of a storage"),
        ({"zookeeperConfig": {"dataDir": "/x"}}, "zookeeperConfig: dataDir is set by this program"),
        ({"readyTimeoutSeconds": 1}, "readyTimeoutSeconds: 1 is out of range"),
        ({"failoverSeconds": 1000}, "failoverSeconds: 1000 is out of range: expected 5 to 600"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    assert re.search(told, refused(folder, **changes)), refused(folder, **changes)


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        ([host("jm-0"), host("jm-1"), host("tm-0")], "2 JobManagers and no zookeeper: expected 3, 5 or 7"),
        ([host("jm-0"), host("jm-1"), host("tm-0"), host("zk-0")], "has 1 zookeeper: expected 3, 5 or 7"),
        ([host("jm-0"), host("jm-1"), host("tm-0"), host("zk-0"), host("zk-1")], "has 2 zookeeper: expected 3"),
        ([host(n) for n in ("jm-0", "jm-1", "tm-0", "zk-0", "zk-1", "zk-2", "zk-3")], "has 4 zookeeper"),
        ([host(n) for n in ("jm-0", "tm-0", "zk-0", "zk-1", "zk-2")], "a single jobmanager"),
        ([host("tm-0")], "has no jobmanager"),
        ([host("jm-0")], "has no taskmanager"),
        ([host("jm-0"), host("tm-0", address="10.0.0.300")], "tm-0 address: '10.0.0.300' is not an IP address"),
        ([host("jm-0"), host("tm-0", address="127.0.0.1")], "127.0.0.1 is unreachable from other hosts"),
        ([host("jm-0"), host("tm-0", address="10.9.9.10")], "tm-0 address: 10.9.9.10 is used twice"),
        ([host("jm-0"), host("tm-0"), host("tm-0", address="10.9.9.9")], "tm-0 name: tm-0 is used twice"),
        ([host("jm-0"), host("tm-0", hostKey=None)], "tm-0 hostKey: is missing: expected the output of `ssh-keyscan"),
        ([host("jm-0"), host("tm-0", hostKey="ssh-dss AAAAB3")], "tm-0 hostKey: 'ssh-dss AAAAB3' is not a public"),
        ([host("jm-0"), host("tm-0", hostKey=RSA)], "tm-0 hostKey: is of type ssh-rsa, .* ssh-ed25519 or ecdsa-sha2"),
        ([host("jm-0"), host("tm-0", jump={"address": "b.example", "hostKey": RSA})], "tm-0 jump hostKey: is of type"),
        ([host("jm-0"), host("tm-0", role="worker")], "tm-0 role: 'worker' is not a role: expected jobmanager"),
        ([host("jm-0"), host("tm-0", name="TM_0")], "is not a short host name"),
        ([host("jm-0"), host("tm-0", memoryMiB=1200)], "taskManagerMemory: tm-0 has 1200 MiB, which leaves"),
        ([host("jm-0"), host("tm-0", cpus="two")], "tm-0 cpus: 'two' has the wrong type: expected int"),
        ([host("jm-0"), host("tm-0", ram=1)], "tm-0 ram: is unknown: expected one of"),
        ([host("jm-0"), host("tm-0", privateKeyFile="gone")], "privateKeyFile: .*gone cannot be read: No such file"),
        ([host("jm-0"), host("tm-0", privateKeyFile="inventory.yaml")], "inventory.yaml is not a private key"),
        ([host("jm-0"), host("tm-0", port=2222)], "tm-0 port: 2222 is not open in the host firewall: expected 22"),
        ([host("jm-0"), host("tm-0", port=70000)], "tm-0 port: 70000 is out of range"),
        ([host("jm-0"), host("tm-0", jump={"address": "b.example"})], "tm-0 jump hostKey: is missing"),
        (["jm-0"], "inventory host number 1: 'jm-0' is not a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_inventory_is_refused(tmp_path: Path, hosts: list[Any], told: str) -> None:
    write_inventory(tmp_path, *hosts)
    assert re.search(told, refused(tmp_path)), refused(tmp_path)


def test_ensemble_names_must_give_distinct_ids(tmp_path: Path) -> None:
    servers = [host("zk-0"), host("zk-1", name="other-0"), host("zk-2")]
    write_inventory(tmp_path, host("jm-0"), host("jm-1"), host("tm-0"), *servers)
    assert "expected a different number at the end" in refused(tmp_path)


def test_one_key_file_that_is_missing_is_one_problem(tmp_path: Path) -> None:
    write_inventory(tmp_path, ssh={"user": "admin", "privateKeyFile": "gone"})
    assert refused(tmp_path).count("cannot be read") == 1


def test_no_problem_shows_a_private_key(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"))
    assert "nobody's" not in refused(tmp_path)


def test_one_jobmanager_needs_no_zookeeper(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"))
    assert {entry.role for entry in load(tmp_path).site.hosts} == {Role.JOBMANAGER, Role.TASKMANAGER}


def test_workers_takes_the_first_ones(folder: Path) -> None:
    assert [entry.name for entry in load(folder, workers=1).site.hosts if entry.role is Role.TASKMANAGER] == ["tm-0"]


def test_every_default_is_of_its_type() -> None:
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    for key, entry in settings.schema().items():
        assert type(entry["default"]) is kinds[entry["type"]], key
        assert entry["description"].endswith("."), key


def test_other_namespaces_are_not_ours(folder: Path) -> None:
    settings.load({**configuration(folder), "aws:region": "eu-central-1"}, stack="dev")


@pytest.mark.parametrize(
    ("text", "mib"), [("1600m", 1600), ("4g", 4096), ("2 GB", 2048), ("1024k", 1), ("1t", 1048576)]
)
def test_memory_sizes(text: str, mib: int) -> None:
    assert sizing.mib(text) == mib


@pytest.mark.parametrize("text", ["", "1600", "x", "-1m", "1.5g"])
def test_what_is_not_a_memory_size(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number and a unit"):
        sizing.mib(text)


@pytest.mark.parametrize("budget", range(failover.MINIMUM_SECONDS, 61))
def test_timings_are_ones_that_zookeeper_and_flink_grant(budget: int) -> None:
    found = failover.timings(budget)
    assert 2 * found.tick_time <= found.session_timeout <= 20 * found.tick_time
    assert found.session_timeout <= budget * 1000 / 2
    assert found.heartbeat_interval * 2 < found.heartbeat_timeout <= budget * 1000 / 2
    assert found.retry_wait * found.retry_attempts >= 30_000
    assert found.init_limit * found.tick_time >= 10_000


def test_no_other_key_may_be_a_secret(folder: Path) -> None:
    with pytest.raises(settings.ConfigError, match="flinkConfig: is a secret, but is stored"):
        settings.load(configuration(folder), stack="dev", secrets={"flinkConfig", "storageSecretKey"})


def test_a_key_with_a_passphrase_is_refused(folder: Path) -> None:
    (folder / "key").unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", folder / "key"], check=True)
    assert "key has a passphrase: expected a key without one" in refused(folder)


def test_a_secret_key_in_plain_text_is_refused(folder: Path) -> None:
    both = {"storageAccessKey": "AK", "storageSecretKey": "in-plain-text"}
    with pytest.raises(settings.ConfigError, match="storageSecretKey: is in plain text") as error:
        settings.load(configuration(folder, **both), stack="dev")
    assert "in-plain-text" not in str(error.value)
    settings.load(configuration(folder, **both), stack="dev", secrets={"storageSecretKey"})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"my.password": ["hush"]}, "flinkSecrets: my.password has no text"),
        ({"my.password": "hush\nrest.port: 1"}, "flinkSecrets: my.password has no text"),
        ({"parallelism.default": "hush"}, "flinkSecrets: parallelism.default is not supported: expected flinkConfig"),
        ({"s3.secret-key": "hush"}, "flinkSecrets: s3.secret-key is set by this program"),
        ({"env.my.password": "hush"}, "flinkSecrets: env.my.password is for Flink's scripts"),
        ({"web.port": "hush"}, "flinkSecrets: web.port is not supported"),
        ({"other.password": "hush"}, "flinkSecrets: other.password is also in another key"),
        ("hush", "flinkSecrets: a secret has the wrong type: expected object"),
    ],
)
def test_a_wrong_secret_option_is_refused_without_its_value(folder: Path, options: Any, told: str) -> None:
    given = configuration(folder, flinkSecrets=options, flinkConfig={"other.password": True})
    with pytest.raises(settings.ConfigError) as error:
        settings.load(given, stack="dev", secrets={"flinkSecrets"})
    assert told in str(error.value) and "hush" not in str(error.value)


def test_secret_options_in_plain_text_are_refused(folder: Path) -> None:
    options = {"my.password": "hush", "my.url.token": "https://me:hush@example.org"}
    with pytest.raises(
        settings.ConfigError, match="flinkSecrets: is in plain text: expected `pulumi config set"
    ) as error:
        settings.load(configuration(folder, flinkSecrets=options), stack="dev")
    assert "hush" not in str(error.value)
    found = settings.load(configuration(folder, flinkSecrets=options), stack="dev", secrets={"flinkSecrets"})
    assert found.cluster.secret_options == ("my.password", "my.url.token")

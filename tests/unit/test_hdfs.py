"""HDFS: what is refused before anything is touched, and what hosts get."""

import base64
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from settings import load as load_settings
from tests.unit.program import SEVEN, configuration, host, load, refused, write_inventory
from tests.unit.test_program import run, stdin
from tests.unit.test_storages import text_of

URI = "hdfs://nn-0.example.org:8020/flink/dev"


def keytab(*principals: str) -> str:
    """In base64: a removed entry, and one with a key for each principal."""
    content = b"\x05\x02" + struct.pack(">i6x", -6)
    for principal in principals:
        name, _, realm = principal.partition("@")
        parts = [realm, *name.split("/")]
        texts = b"".join(struct.pack(">H", len(part)) + part.encode() for part in parts)
        entry = struct.pack(">H", len(parts) - 1) + texts + struct.pack(">IIBHH32s", 1, 0, 1, 18, 32, b"k" * 32)
        content += struct.pack(">i", len(entry)) + entry
    return base64.b64encode(content).decode()


KEYTAB = keytab("flink/nn@X", "flink@X", "flink@EXAMPLE.COM")
SERVICE = {
    "dfs.nameservices": "prod, other",
    "dfs.ha.namenodes.prod": "nn1,nn2",
    "dfs.namenode.rpc-address.prod.nn1": "nn-1:8020",
    "dfs.namenode.rpc-address.prod.nn2": "nn-2:9000",
    "dfs.client.failover.proxy.provider.prod": "a.Provider",
}
KERBEROS = {"hadoop.security.authentication": "kerberos", "dfs.namenode.kerberos.principal": "nn/_HOST@EXAMPLE.COM"}
MOUNTS = {
    "fs.viewfs.mounttable.all.link./flink": "hdfs://prod/flink",
    "fs.viewfs.mounttable.all.link./old": "hdfs://gone/flink",
    "fs.viewfs.mounttable.all.homedir": "/home",
}
NO_S3: dict[str, Any] = {"storageUri": URI}


def site(properties: dict[str, str]) -> str:
    lines = [f"<property><name>{key}</name><value>{value}</value></property>" for key, value in properties.items()]
    return f"<configuration>{''.join(lines)}</configuration>\n"


@pytest.fixture
def conf(folder: Path) -> Path:
    """A folder with a configuration of Hadoop."""
    made = folder / "hadoop"
    made.mkdir()
    (made / "core-site.xml").write_text(site({"fs.defaultFS": "hdfs://prod"}))
    (made / "hdfs-site.xml").write_text(site(SERVICE))
    return made


def test_flink_finds_hadoops_client_and_nothing_of_s3_is_there(folder: Path) -> None:
    found = run(folder, **NO_S3, hadoopUser="etl")
    assert found["jm-0-hadoop"].inputs["stdin"].count("hadoop-3.4.2/hadoop-3.4.2.tar.gz")
    assert "plugin=()" in stdin(found, "jm-0-flink").splitlines()
    variables = text_of(found, "tm-0-credentials", "/etc/flink/credentials.env").splitlines()
    jars = "/usr/local/lib/flink/hadoop/3.4.2"
    assert variables[:3] == [
        f"HADOOP_CLASSPATH='{jars}/hadoop-client-api.jar:{jars}/hadoop-client-runtime.jar:{jars}/commons-logging.jar'",
        "HADOOP_CONF_DIR='/etc/flink/hadoop'",
        "HADOOP_USER_NAME='etl'",
    ]
    launch = stdin(found, "tm-0-config")
    assert f"storage_environment=(HADOOP_CLASSPATH={jars}/" in launch
    config = yaml.safe_load(text_of(found, "jm-0-config", "/etc/flink/config.yaml"))
    assert config["high-availability.storageDir"] == f"{URI}/ha"
    assert not [key for key in config if key.startswith(("s3.", "fs.s3a."))]
    access = stdin(found, "tm-0-storage-access")
    assert f"uris=({URI})" in access and "keys=(storageUri)" in access
    assert not [name for name in found if name.startswith("zk-") and ("hadoop" in name or "storage" in name)]
    assert "releases=(java flink hadoop)" in stdin(found, "jm-0-clean") + stdin(found, "jm-0-probe")
    assert "releases=(java zookeeper)" in stdin(found, "zk-0-probe")


def test_hadoops_configuration_is_on_hosts_and_another_one_restarts_daemons(folder: Path, conf: Path) -> None:
    changes: dict[str, Any] = {"storageUri": "hdfs://prod/flink", "hadoopConf": str(conf)}
    found = run(folder, **changes)
    assert text_of(found, "jm-0-storage-hdfs", "/etc/flink/hadoop/hdfs-site.xml") == site(SERVICE).rstrip()
    before = text_of(found, "jm-0-credentials", "/etc/flink/credentials.env")
    (conf / "hdfs-site.xml").write_text(site({**SERVICE, "dfs.client.use.datanode.hostname": "true"}))
    assert text_of(run(folder, **changes), "jm-0-credentials", "/etc/flink/credentials.env") != before


def test_a_client_reads_the_same_storage_as_whoever_logs_in(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "cl-0")])
    found = run(tmp_path, **NO_S3, hadoopUser="etl")
    profile = text_of(found, "cl-0-storage-hdfs", "/etc/profile.d/flink-storage.sh")
    assert "export HADOOP_CONF_DIR='/etc/flink/hadoop'" in profile and "HADOOP_USER_NAME" not in profile
    assert "cl-0-credentials" not in found and "cl-0-storage-access" not in found


def test_the_namenodes_of_a_nameservice_are_its_servers(folder: Path, conf: Path) -> None:
    storage = load(folder, storageUri="hdfs://prod/flink", hadoopConf=str(conf)).storage
    assert storage.servers == ("tcp://nn-1:8020,nn-2:9000",)
    assert load(folder, **NO_S3).storage.servers == ("tcp://nn-0.example.org:8020",)


def test_the_keytab_is_a_secret_that_only_daemons_have(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "cl-0")])
    conf = tmp_path / "conf"
    conf.mkdir()
    (conf / "core-site.xml").write_text(site(KERBEROS))
    (tmp_path / "krb5.conf").write_text("[libdefaults]\n default_realm = EXAMPLE.COM\n")
    changes: dict[str, Any] = {
        **NO_S3,
        "hadoopConf": str(conf),
        "kerberosPrincipal": "flink@EXAMPLE.COM",
        "kerberosKeytab": KEYTAB,
        "kerberosConf": str(tmp_path / "krb5.conf"),
    }
    found = run(tmp_path, **changes)
    for name, entry in found.items():
        has = KEYTAB in repr(entry.inputs)
        assert has == (name in {f"{each}-storage-hdfs" for each in SEVEN if not each.startswith("zk")}), name
    step = found["tm-0-storage-hdfs"].inputs["stdin"]
    assert isinstance(step, dict), "a secret"
    assert "write_file /etc/flink/hadoop/keytab.base64 0600 flink:flink" in step["value"]
    config = yaml.safe_load(text_of(found, "tm-0-config", "/etc/flink/config.yaml"))
    assert config["security.kerberos.login.keytab"] == "/etc/flink/hadoop/keytab"
    assert config["security.kerberos.login.principal"] == "flink@EXAMPLE.COM"
    assert "-Djava.security.krb5.conf=/etc/flink/hadoop/krb5.conf" in config["env.java.opts.all"].split()


def test_a_hadoop_that_is_there_is_not_installed(folder: Path) -> None:
    found = run(folder, **NO_S3, hadoopHome="/opt/cloudera/hadoop/")
    assert "jm-0-hadoop" not in found
    step = stdin(found, "jm-0-storage-hdfs").splitlines()
    assert "home=/opt/cloudera/hadoop" in step and "jars=/usr/local/lib/flink/hadoop/home" in step


def test_several_kinds_in_one_cluster_have_the_keys_of_each(folder: Path) -> None:
    found = run(folder, haUri=URI, storageRegion="eu-west-1", hadoopUser="etl")
    config = yaml.safe_load(text_of(found, "jm-0-config", "/etc/flink/config.yaml"))
    assert config["high-availability.storageDir"] == f"{URI}/ha"
    assert config["execution.checkpointing.dir"] == "s3://flink/dev/checkpoints/dev"
    assert config["s3.endpoint.region"] == "eu-west-1"
    assert "plugin=flink-s3-fs-hadoop" in stdin(found, "tm-0-flink").splitlines()
    assert f"uris=({URI})" in stdin(found, "tm-0-storage-access"), "S3 is not looked at"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"storageRegion": "eu-west-1"}, "storageRegion: is for S3, and no place is there .*: expected no such key"),
        ({"storageEndpoint": "http://x:9000"}, "storageEndpoint: is for S3, and no place is there"),
        ({"storageUri": "hdfs:///flink"}, "storageUri: 'hdfs:///flink' is not an HDFS URI: expected hdfs://NAMESERV"),
        ({"storageUri": "hdfs://nn-0:8020"}, "storageUri: .* is not an HDFS URI"),
        ({"storageUri": "hdfs://nn-0:8020/"}, "storageUri: .* is not an HDFS URI"),
        ({"storageUri": "hdfs://nn-0:99999/x"}, "storageUri: .* is not an HDFS URI"),
        ({"storageUri": "hdfs://nn-0:8020/a/../b"}, "storageUri: .* is not an HDFS URI"),
        ({"storageUri": "hdfs://nn-0:8020/a b"}, "storageUri: .* is not an HDFS URI"),
        ({"storageUri": "hdfs://prod/x"}, "storageUri: .*prod is no nameservice of hadoopConf .dfs.nameservices: none"),
        ({"storageUri": "viewfs://all/x"}, r"hadoopConf has no fs\.viewfs\.mounttable\.all"),
        ({"hadoopVersion": "2.10.2"}, "hadoopVersion: '2.10.2' is not supported: expected a release such as 3.4.2"),
        ({"hadoopUrl": "hadoop.tgz"}, "hadoopUrl: 'hadoop.tgz' is not a URL"),
        ({"hadoopChecksum": "abc"}, "hadoopChecksum: 'abc' is not a checksum"),
        ({"hadoopHome": "hadoop"}, "hadoopHome: 'hadoop' is not a folder of hosts: expected an absolute path"),
        ({"hadoopHome": "/opt/h", "hadoopUrl": "https://x/h.tgz"}, "hadoopUrl: has no effect with hadoopHome"),
        ({"hadoopConf": "nowhere"}, "hadoopConf: .*nowhere has no core-site.xml: expected a folder"),
        ({"hadoopUser": "a b"}, "hadoopUser: 'a b' is not a user name"),
        ({"kerberosPrincipal": "flink@X"}, "kerberosKeytab: is missing: expected it with kerberosPrincipal"),
        ({"kerberosConf": "krb5.conf"}, "kerberosPrincipal: is missing: expected it with kerberosConf"),
        ({"archiveCopies": True}, "archiveCopies: needs URLs that hosts sign, which only S3 has"),
        ({"flinkConfig": {"security.kerberos.login.principal": "x"}}, "is set by this program"),
    ],
)
def test_a_wrong_value_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    said = refused(folder, **{**NO_S3, **changes})
    assert re.search(told, said), said


def test_a_key_of_hdfs_without_a_place_there_is_refused(folder: Path) -> None:
    said = refused(folder, hadoopUser="etl", kerberosPrincipal="flink@X")
    for key in ("hadoopUser", "kerberosPrincipal"):
        assert f"{key}: is for HDFS, and no place is there (storageUri: 's3://flink/dev'): expected no such key" in said
    assert "a place such as hdfs://NAMESERVICE/path" in said


def test_a_keytab_must_be_a_secret_and_is_never_shown(folder: Path) -> None:
    principal: dict[str, Any] = {"kerberosPrincipal": "flink@X", "kerberosKeytab": KEYTAB}
    said = refused(folder, **NO_S3, **principal)
    assert "kerberosKeytab: is in plain text: expected `pulumi config set --secret kerberosKeytab`" in said
    with pytest.raises(ConfigError) as error:
        load_settings(
            configuration(folder, **NO_S3, **{**principal, "kerberosKeytab": "not a keytab"}),
            stack="dev",
            secrets=["kerberosKeytab"],
        )
    assert "kerberosKeytab: is not a keytab in base64: expected the output of `base64 -w0" in str(error.value)
    assert "not a keytab'" not in str(error.value) and KEYTAB not in said


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("core-site.xml", "<configuration>", r"core-site.xml is not XML \(.*\): expected a file of Hadoop's"),
        ("core-site.xml", "<html/>", "core-site.xml has <html>: expected <configuration>"),
        ("core-site.xml", site({"fs.s3a.secret.key": "x"}), "has fs.s3a.secret.key, which every user of the hosts"),
        ("core-site.xml", site(KERBEROS), "kerberosPrincipal: is missing: hadoop.security.authentication is kerb"),
        ("hdfs-site.xml", site({**SERVICE, "dfs.namenode.rpc-address.prod.nn2": ""}), "has no dfs.namenode.rpc-addr"),
        (
            "hdfs-site.xml",
            site({**SERVICE, "dfs.client.failover.proxy.provider.prod": ""}),
            "has no dfs.client.failover.proxy.provider.prod: expected org.apache.hadoop.hdfs",
        ),
        ("hdfs-site.xml", site({"dfs.nameservices": "a,b"}), r"prod is no nameservice of .*dfs.nameservices: a, b\)"),
    ],
)
def test_a_wrong_configuration_of_hadoop_is_refused(folder: Path, conf: Path, name: str, text: str, told: str) -> None:
    (conf / name).write_text(text)
    said = refused(folder, storageUri="hdfs://prod/x", hadoopConf=str(conf))
    assert re.search(told, said), said


def test_kerberos_must_be_asked_for_in_hadoops_configuration(folder: Path, conf: Path) -> None:
    values = configuration(folder, storageUri="hdfs://prod/x", hadoopConf=str(conf), kerberosPrincipal="flink@X")
    values["flink:kerberosKeytab"] = KEYTAB
    with pytest.raises(ConfigError, match=r"hadoopConf: has hadoop.security.authentication simple, and there is"):
        load_settings(values, stack="dev", secrets=["kerberosKeytab"])


def kerberized(folder: Path, conf: Path, site_properties: dict[str, str], **changes: Any) -> str:
    """What is said of a stack with Kerberos."""
    (conf / "core-site.xml").write_text(site(site_properties))
    values = configuration(
        folder, **{"storageUri": "hdfs://prod/x", "hadoopConf": str(conf), "kerberosKeytab": KEYTAB, **changes}
    )
    with pytest.raises(ConfigError) as error:
        load_settings(values, stack="dev", secrets=["kerberosKeytab"])
    return str(error.value)


def test_the_namenodes_principal_must_be_known(folder: Path, conf: Path) -> None:
    only = {"hadoop.security.authentication": "kerberos"}
    said = kerberized(folder, conf, only, kerberosPrincipal="flink@X")
    assert "hadoopConf: has no dfs.namenode.kerberos.principal, and hadoop.security.authentication is kerb" in said


def test_a_keytab_of_somebody_else_is_refused(folder: Path, conf: Path) -> None:
    said = kerberized(folder, conf, KERBEROS, kerberosPrincipal="etl@EXAMPLE.COM")
    assert (
        "kerberosKeytab: has no key of etl@EXAMPLE.COM (kerberosPrincipal), but of flink/nn@X, flink@X, "
        "flink@EXAMPLE.COM: expected its keytab" in said
    )
    cut = base64.b64encode(base64.b64decode(KEYTAB)[:63]).decode()
    said = kerberized(folder, conf, KERBEROS, kerberosPrincipal="etl@EXAMPLE.COM", kerberosKeytab=cut)
    assert "kerberosKeytab: is not a keytab in base64: expected the output of `base64 -w0" in said


def test_a_mount_table_leads_somewhere(folder: Path, conf: Path) -> None:
    (conf / "core-site.xml").write_text(site(MOUNTS))
    found = load(folder, storageUri="viewfs://all/flink/dev", hadoopConf=str(conf)).storage
    assert found.servers == ("tcp://nn-1:8020,nn-2:9000",)
    said = refused(folder, storageUri="viewfs://all/flinks", hadoopConf=str(conf))
    assert "viewfs://all/flinks: hadoopConf has no fs.viewfs.mounttable.all.link.… for it, but for /flink, /old" in said
    said = refused(folder, storageUri="viewfs://all/old/x", hadoopConf=str(conf))
    assert "storageUri: hdfs://gone/flink: gone is no nameservice of hadoopConf (dfs.nameservices: prod, other)" in said
    (conf / "core-site.xml").write_text(site({**MOUNTS, "fs.viewfs.mounttable.all.linkFallback": "hdfs://prod/"}))
    assert load(folder, storageUri="viewfs://all/flinks", hadoopConf=str(conf))


def test_it_is_refused_on_aws_where_rights_are_those_of_a_bucket(folder: Path) -> None:
    said = refused(folder, provider="aws", inventory=None, storageUri=URI)
    assert "storageUri: 'hdfs://nn-0.example.org:8020/flink/dev' is not on S3, where provider aws gives hosts" in said

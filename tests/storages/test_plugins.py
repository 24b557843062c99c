"""Flink's own plugins with each storage's server: what Flink does with files, and what a FileSink does (Files.java)."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from components.storage.base import hadoop_site
from stand_ins.builds import flink_storages, hadoop
from tests.storages import servers
from tests.storages.servers import Storage, running

HERE = Path(__file__).parent
FILES = ["absent", "written", "kept", "large", "sought", "listed", "listed-many", "status", "renamed", "deleted"]
FILES += ["deleted-all", "not-found"]
SINK = [
    "unpublished",
    "unpublished",
    "continued",
    "continued",
    *2 * ["resumed", "published", "published-again"],
    "removed",
]
LOGGING = """rootLogger.level = WARN
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.target = SYSTEM_ERR
"""
pytestmark = pytest.mark.exhaustive  # half a minute each, and what they start is built from Go modules and npm


def used(flink: Path, folder: Path, storage: Storage, *words: str) -> "subprocess.CompletedProcess[str]":
    """Files.java with the storage's plugin and options."""
    conf, plugins = folder / "conf", folder / "plugins"
    shutil.rmtree(plugins, ignore_errors=True)
    conf.mkdir(exist_ok=True)
    (conf / "config.yaml").write_text(json.dumps(storage.options))
    (conf / "log4j.properties").write_text(LOGGING)
    (conf / "hosts").write_text(f"127.0.0.1 localhost {' '.join(storage.names)}\n")
    more = ""
    if storage.plugin:
        (plugins / storage.plugin).mkdir(parents=True)
        jar = f"{storage.plugin}-{flink_storages.VERSION}.jar"
        (plugins / storage.plugin / jar).symlink_to(flink_storages.jars() / jar)
        if storage.hadoop:
            with zipfile.ZipFile(plugins / storage.plugin / "hadoop-site.jar", "w") as site:
                site.writestr("core-site.xml", hadoop_site(storage.hadoop))
    else:
        plugins.mkdir()
        more = "".join(f":{hadoop.jars() / jar}" for jar in hadoop.CLIENT)
    opens = re.findall(r"--add-(?:opens|exports)[= ]\S+?=ALL-UNNAMED", (flink / "conf/config.yaml").read_text())
    argv = ["java", "-Xmx384m", "-XX:TieredStopAtLevel=1", *" ".join(opens).split()]
    argv += [f"-Dlog4j.configurationFile={conf}/log4j.properties", "-cp", f"{flink}/lib/*{more}"]
    if storage.authority:
        store = conf / "trusted.p12"
        if not store.exists():
            keytool = ["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", str(storage.authority)]
            keytool += ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit"]
            subprocess.run(keytool, check=True, capture_output=True)
        argv[1:1] = [f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit"]
    if storage.names:
        argv.insert(1, f"-Djdk.net.hosts.file={conf}/hosts")
    argv += [str(HERE / "Files.java"), storage.uri, *words]
    variables = {"FLINK_CONF_DIR": str(conf), "FLINK_PLUGINS_DIR": str(plugins), **storage.variables}
    return subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize(
    "make",
    [
        servers.hadoop,
        servers.oss,
        servers.gcs,
        servers.gcs_by_identity,
        servers.abfs,
        servers.abfs_by_identity,
        servers.azurite,
    ],
)
def test_flink_does_what_it_needs_with_files(make: Callable[[Path, str], Storage], flink: Path, tmp_path: Path) -> None:
    storage = make(tmp_path, "127.0.0.1")
    (tmp_path / "state").mkdir()
    with running(storage, tmp_path):
        assert steps(used(flink, tmp_path, storage, "files")) == FILES
        begun = used(flink, tmp_path, storage, "begin", str(tmp_path / "state"))
        if storage.recoverable:
            again, resumed = (
                used(flink, tmp_path, storage, mode, str(tmp_path / "state")) for mode in ("again", "resume")
            )
            assert [*steps(begun), *steps(again), *steps(resumed)] == SINK
        else:
            # wasb: no exactly-once FileSink
            assert "Recoverable writers on Hadoop" in begun.stderr


def steps(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.split("\n") if line in FILES + SINK]


def test_the_servers_refuse_who_has_no_key(flink: Path, tmp_path: Path) -> None:
    """Otherwise the tests would pass without a key, too."""
    storage = servers.oss(tmp_path, "127.0.0.1")
    wrong = Storage(storage.uri, [], {**storage.options, "fs.oss.accessKeySecret": "another"}, storage.plugin)
    with running(storage, tmp_path):
        done = used(flink, tmp_path, wrong, "files")
        refused = requests.get(storage.options["fs.oss.endpoint"], timeout=5, proxies={"http": ""})
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr
    assert refused.status_code == 403
    assert "<Code>AccessDenied</Code>" in refused.text

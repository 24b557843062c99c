"""Flink's own plugins with each storage's server: what Flink does with files, and what a FileSink does (Files.java)."""

import json
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from stand_ins.builds import archives, flink_storages, hadoop
from tests.storages import servers
from tests.storages.servers import Storage, running

HERE = Path(__file__).parent
STEPS = ["absent", "written", "kept", "large", "sought", "listed", "listed-many", "status", "renamed", "deleted"]
STEPS += ["unpublished", "resumed", "published", "published-again", "small", "deleted-all", "not-found"]
SINK = {"unpublished", "resumed", "published", "published-again", "small"}
LOGGING = """rootLogger.level = WARN
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.target = SYSTEM_ERR
"""
pytestmark = pytest.mark.exhaustive  # half a minute each, and what they start is built from Go modules and npm


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flink's classes and its configuration file."""
    home = tmp_path_factory.mktemp("flink")
    wanted = re.compile(r"[^/]+/(lib/(flink-dist|log4j)[^/]*\.jar|conf/config\.yaml)")
    with tarfile.open(archives.ensure().flink.path) as archive:
        members = [entry for entry in archive if wanted.fullmatch(entry.name)]
        archive.extractall(home, members, filter="data")
    return next(home.iterdir())


def used(flink: Path, folder: Path, storage: Storage) -> "subprocess.CompletedProcess[str]":
    """Files.java with the storage's plugin and options."""
    conf, plugins = folder / "conf", folder / "plugins"
    conf.mkdir()
    (conf / "config.yaml").write_text(json.dumps(storage.options))
    (conf / "log4j.properties").write_text(LOGGING)
    (conf / "hosts").write_text(f"127.0.0.1 localhost {' '.join(storage.names)}\n")
    more = ""
    if storage.plugin:
        (plugins / storage.plugin).mkdir(parents=True)
        jar = f"{storage.plugin}-{flink_storages.VERSION}.jar"
        (plugins / storage.plugin / jar).symlink_to(flink_storages.jars() / jar)
    else:
        plugins.mkdir()
        more = "".join(f":{hadoop.jars() / jar}" for jar in hadoop.CLIENT)
    opens = re.findall(r"--add-(?:opens|exports)[= ]\S+?=ALL-UNNAMED", (flink / "conf/config.yaml").read_text())
    argv = ["java", "-Xmx384m", "-XX:TieredStopAtLevel=1", *" ".join(opens).split()]
    argv += [f"-Dlog4j.configurationFile={conf}/log4j.properties", "-cp", f"{flink}/lib/*{more}"]
    if storage.names:
        argv.insert(1, f"-Djdk.net.hosts.file={conf}/hosts")
    argv += [str(HERE / "Files.java"), storage.uri, "recoverable" if storage.recoverable else "no-recoverable"]
    variables = {"FLINK_CONF_DIR": str(conf), "FLINK_PLUGINS_DIR": str(plugins), **storage.variables}
    return subprocess.run(argv, env={**os.environ, **variables}, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize("make", [servers.hadoop, servers.oss, servers.gcs, servers.azurite])
def test_flink_does_what_it_needs_with_files(make: Callable[[Path, str], Storage], flink: Path, tmp_path: Path) -> None:
    storage = make(tmp_path, "127.0.0.1")
    with running(storage, tmp_path):
        done = used(flink, tmp_path, storage)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = [step for step in STEPS if storage.recoverable or step not in SINK]
    assert [line for line in done.stdout.split("\n") if line in STEPS] == expected
    if not storage.recoverable:
        # wasb: no exactly-once FileSink
        assert "no-recoverable-writer: Recoverable writers" in done.stdout


def test_the_servers_refuse_who_has_no_key(flink: Path, tmp_path: Path) -> None:
    """Otherwise the tests would pass without a key, too."""
    storage = servers.oss(tmp_path, "127.0.0.1")
    wrong = Storage(storage.uri, [], {**storage.options, "fs.oss.accessKeySecret": "another"}, storage.plugin)
    with running(storage, tmp_path):
        done = used(flink, tmp_path, wrong)
        refused = requests.get(storage.options["fs.oss.endpoint"], timeout=5, proxies={"http": ""})
    assert done.returncode != 0
    assert "SignatureDoesNotMatch" in done.stderr
    assert refused.status_code == 403
    assert "<Code>AccessDenied</Code>" in refused.text

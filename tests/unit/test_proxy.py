"""The proxy: what downloads use, what reaches Flink, and what is refused."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError
from components.flink import config_yaml, proxy
from components.host import Role
from components.sources import SCRIPTS
from components.storage import S3, Storage
from tests.unit.program import load, write_inventory

PROXY = "http://10.0.0.2:3128"
SHOWS = "#!/bin/bash\necho ${http_proxy-none} ${https_proxy-none} ${no_proxy-none} ${HTTPS_PROXY-none} $1\n"


def fetched(folder: Path, environment: str, values: str, **variables: str) -> str:
    """The proxies that curl gets; `environment` is in place of /etc/environment."""
    (folder / "curl").write_text(SHOWS)
    (folder / "curl").chmod(0o755)
    (folder / "environment").write_text(environment)
    text = (SCRIPTS / "proxy.sh").read_text().replace("/etc/environment", str(folder / "environment"))
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    script = f"set -euo pipefail\n{values}\n{text}\nfetch URL\n"
    return subprocess.run(
        ["bash", "-s"], input=script, env={**path, **variables}, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_download_uses_the_stacks_proxy_else_the_hosts_own(tmp_path: Path) -> None:
    own = "LANG=C\nhttp_proxy=http://a:1\nexport HTTPS_PROXY=\"http://b:2\"\nno_proxy='localhost,.x'\n"
    assert fetched(tmp_path, "", "proxy= direct=") == "none none none none URL"
    assert fetched(tmp_path, own, "proxy= direct=") == "http://a:1 http://b:2 localhost,.x none URL"
    assert fetched(tmp_path, own, "proxy= direct=", http_proxy="http://c:3").startswith("http://c:3 http://b:2 ")
    stacks = fetched(tmp_path, own, f"proxy={PROXY} direct=.y", HTTPS_PROXY="http://d:4")
    assert stacks == f"{PROXY} {PROXY} .y none URL"


@pytest.mark.parametrize(
    "line",
    [
        "http_proxy=http://a:1",  # the last line of a file may have no end
        "  \texport http_proxy=http://a:1\n",
        "http_proxy=http://a:1  # of the office\n",
        "http_proxy='http://a:1' # of the office\r\n",
        "# http_proxy=http://b:2\nhttp_proxy=http://a:1 ",
    ],
)
def test_lines_of_etc_environment_are_read_as_pam_reads_them(tmp_path: Path, line: str) -> None:
    assert fetched(tmp_path, line, "proxy= direct=") == "http://a:1 none none none URL"


@pytest.mark.parametrize(
    ("host", "entries", "direct"),
    [
        ("s3.example.org", ("example.org",), True),
        ("s3.example.org", (".example.org",), True),
        ("s3.example.org", ("s3.example.org",), True),
        ("s3.example.organic", (".example.org",), False),
        ("notexample.org", ("example.org",), False),
        ("10.0.0.5", ("10.0.0.0/8",), True),
        ("10.0.0.5", ("11.0.0.0/8", "x"), False),
        ("fd00::5", ("fd00::/8",), True),
        ("s3.example.org", ("*",), True),
        ("s3.example.org", (), False),
    ],
)
def test_names_domains_and_networks_are_reached_without_it(host: str, entries: tuple[str, ...], direct: bool) -> None:
    assert proxy.is_direct(host, entries) is direct


def of(backend: S3) -> Storage:
    return Storage(uri="s3://b/x", backends=[backend])


def test_the_storage_is_reached_through_it_unless_it_is_named(tmp_path: Path) -> None:
    write_inventory(tmp_path)
    cluster = load(tmp_path, httpProxy=PROXY, noProxy=[".internal"]).cluster
    storage = of(S3(region="eu-central-1"))
    assert proxy.storage_options(cluster, storage) == {"fs.s3a.proxy.host": "10.0.0.2", "fs.s3a.proxy.port": 3128}
    assert proxy.storage_options(cluster, of(S3(region="x", endpoint="http://s3.internal:9000"))) == {}
    assert proxy.storage_options(cluster, of(S3(region="x", plugin="flink-s3-fs-presto"))) == {}
    assert proxy.storage_options(replace(cluster, http_proxy=""), storage) == {}
    members: Any = type("Nobody", (), {"reached_as": lambda self, role: ["jm-0"], "high_availability": False})()
    found = config_yaml.flink_config(Role.TASKMANAGER, cluster, storage, members)
    assert found["fs.s3a.proxy.port"] == 3128


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"httpProxy": "http://me:secret@10.0.0.2:3128"}, "httpProxy: contains a user or a password"),
        ({"httpProxy": "10.0.0.2:3128"}, "httpProxy: '10.0.0.2:3128' is not a proxy"),
        ({"httpProxy": f"{PROXY}\n"}, "is not a proxy"),
        ({"noProxy": ["x"]}, "noProxy: has no effect without httpProxy"),
        ({"httpProxy": PROXY, "noProxy": ["a,b"]}, "noProxy: 'a,b' is not a name or an address"),
        ({"httpProxy": PROXY, "noProxy": ["$(reboot)"]}, "is not a name or an address"),
    ],
)
def test_what_is_not_a_proxy_is_refused(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    write_inventory(tmp_path)
    with pytest.raises(ConfigError) as error:
        load(tmp_path, **changes)
    assert told in str(error.value) and "secret" not in str(error.value).replace("storageSecret", "")

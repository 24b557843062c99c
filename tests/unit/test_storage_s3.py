"""Settings of S3: what is refused, and which options each plugin gets."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.program import load, refused
from tests.unit.test_program import run, stdin
from tests.unit.test_storages import text_of

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
KMS = {"storageEncryption": "sse-kms", "storageKmsKey": KEY}
PLUGINS = {
    "flink-s3-fs-hadoop": ("fs.s3a.encryption.", {"algorithm": "SSE-KMS", "key": KEY}, {"algorithm": "AES256"}),
    "flink-s3-fs-native": ("s3.sse.", {"type": "sse-kms", "kms.key-id": KEY}, {"type": "sse-s3"}),
    "flink-s3-fs-presto": (
        "presto.s3.sse.",
        {"enabled": True, "type": "KMS", "kms-key-id": KEY},
        {"enabled": True, "type": "S3"},
    ),
}


def encryption(folder: Path, plugin: str, **changes: Any) -> dict[str, Any]:
    """The options of encryption in a TaskManager's config.yaml, without their prefix."""
    found = run(folder, storagePlugin=plugin, **changes)
    config = yaml.safe_load(text_of(found, "tm-0-config", "/etc/flink/config.yaml"))
    prefix = PLUGINS[plugin][0]
    assert not [key for key in config if "sse" in key.split(".") and not key.startswith(prefix)]
    return {key.removeprefix(prefix): value for key, value in config.items() if key.startswith(prefix)}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_each_plugin_is_told_how_to_encrypt_in_its_own_words(folder: Path, plugin: str) -> None:
    _, with_key, with_s3 = PLUGINS[plugin]
    assert encryption(folder, plugin, **KMS) == with_key
    assert encryption(folder, plugin, storageEncryption="sse-s3") == with_s3
    assert encryption(folder, plugin) == {}


@pytest.mark.parametrize(
    "endpoint", ["s3-fips.us-gov-west-1", "s3.dualstack.eu-central-1", "s3-fips.dualstack.us-east-2"]
)
def test_another_endpoint_of_amazons_needs_its_region(folder: Path, endpoint: str) -> None:
    url, region = f"https://{endpoint}.amazonaws.com", endpoint.rpartition(".")[2]
    assert load(folder, storageEndpoint=url, storageRegion=region).storage.servers == (url,)
    told = refused(folder, storageEndpoint=url)
    assert f"storageRegion: is not set, and storageEndpoint is in {region}: expected {region}" in told
    assert "storageRegion: is 'eu-west-3'" in str(refused(folder, storageEndpoint=url, storageRegion="eu-west-3"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"storageUri": "s3://my.bucket/x"}, "storageUri: 'my.bucket' has a dot: "),
        ({"checkpointsUri": "s3://my.bucket/x"}, "checkpointsUri: 'my.bucket' has a dot: "),
        ({"storageUri": "s3://logs--euc1-az1--x-s3/x"}, "a directory bucket (S3 Express One Zone), which "),
        ({"storageEncryption": "kms"}, "storageEncryption: 'kms' is unknown: expected sse-s3 or sse-kms"),
        ({**KMS, "storageEndpoint": "http://x:9000"}, "storageEndpoint: 'http://x:9000' is plain text: storageEncrypt"),
        ({"storageKmsKey": KEY}, "storageKmsKey: has no effect: expected storageEncryption: sse-kms as well"),
        ({**KMS, "storageEncryption": "sse-s3"}, "storageKmsKey: has no effect: "),
        ({**KMS, "storageKmsKey": "my key"}, "storageKmsKey: 'my key' is not a KMS key: expected its ARN"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    assert told in refused(folder, **changes)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_a_plugin_cannot_do_is_said_at_preview(folder: Path, plugin: str) -> None:
    said = load(folder, storagePlugin=plugin).warnings
    assert [plugin in text and "FileSink" in text for text in said] == ([True] if "hadoop" not in plugin else [])


def test_what_can_work_is_not_refused(folder: Path) -> None:
    load(folder, storageUri="s3://my.bucket/x", storagePathStyle=True)
    load(folder, storageUri="s3://logs--euc1-az1--x-s3/x", storagePlugin="flink-s3-fs-native")
    for key in (KEY, "alias/flink", KEY.replace("key/1", "alias/a1"), KEY.rpartition("/")[2]):
        load(folder, **{**KMS, "storageKmsKey": key})


def test_entropy_is_part_of_the_option_and_of_nothing_else(folder: Path) -> None:
    found = run(folder, checkpointEntropy=True, keepState=False)
    config = yaml.safe_load(text_of(found, "tm-0-config", "/etc/flink/config.yaml"))
    assert config["execution.checkpointing.dir"] == "s3://flink/dev/checkpoints/dev/_entropy_"
    assert (config["s3.entropy.key"], config["s3.entropy.length"]) == ("_entropy_", 4)
    assert "_entropy_" not in config["execution.checkpointing.savepoint-dir"]
    assert "s3://flink/dev/checkpoints/dev " in stdin(found, "dev-purge") and "entropy" not in stdin(found, "dev-purge")


# The look before Flink starts


def looked(folder: Path, host: str = "tm-0", **changes: Any) -> dict[str, Any]:
    """What the step that starts a daemon tells the host tool of the storage; nothing if it does not look."""
    found = run(folder, **changes)
    assert not [name for name in found if name.startswith("zk-") and "\nlook=" in str(found[name].inputs.get("stdin"))]
    line = next((line for line in stdin(found, f"{host}-service").splitlines() if line.startswith("look=")), "")
    return json.loads(shlex.split(line.removeprefix("look="))[0]) if line else {}


def test_hosts_look_at_s3_as_the_plugin_reaches_it(folder: Path) -> None:
    assert looked(folder, storagePathStyle=True, storageEndpoint="https://s3:9000") == {
        "host": "tm-0",
        "places": {"storageUri": "s3://flink/dev"},
        "server": "https://s3:9000",
        "region": "us-east-1",
        "pathStyle": True,
        "encryption": "",
        "kmsKey": "",
        "followsRegion": False,
        "proxy": "",
        "certificates": "",
        "store": ["-cacerts"],
    }
    apart = {"haUri": "s3://flink-ha/dev", "savepointsUri": "hdfs://nn:8020/savepoints"}
    found = looked(folder, "jm-0", **KMS, **apart, storageEndpoint="", storageRegion="eu-central-1")
    assert found["places"] == {"storageUri": "s3://flink/dev", "haUri": "s3://flink-ha/dev"}
    assert (found["server"], found["followsRegion"]) == ("https://s3.eu-central-1.amazonaws.com", True)
    assert (found["encryption"], found["kmsKey"]) == ("sse-kms", KEY)


def test_the_look_goes_through_the_proxy_only_if_flink_does(folder: Path) -> None:
    proxy = {"httpProxy": "http://10.0.0.1:3128", "storageEndpoint": "https://s3.example.org"}
    assert looked(folder, **proxy)["proxy"] == "http://10.0.0.1:3128"
    assert looked(folder, **proxy, noProxy=["example.org"])["proxy"] == ""
    assert looked(folder, **proxy, storagePlugin="flink-s3-fs-native")["proxy"] == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"flinkConfig": {"fs.s3a.aws.credentials.provider": "org.example.Own"}},
        {"flinkConfig": {"s3.assumed.role.arn": "arn:aws:iam::1:role/x"}},
        {"taskManagerConfig": {"fs.s3a.bucket.flink.endpoint": "https://elsewhere"}},
        {"storageUri": "s3://logs--euc1-az1--x-s3/x", "storagePlugin": "flink-s3-fs-native"},
    ],
)
def test_where_the_host_tool_cannot_know_flink_itself_looks(folder: Path, changes: dict[str, Any]) -> None:
    assert looked(folder, **changes) == {}
    place = changes.get("storageUri", "s3://flink/dev")
    assert f"uris=({place})" in stdin(run(folder, **changes), "tm-0-storage-access")


def test_options_that_change_nothing_of_that_do_not_matter(folder: Path) -> None:
    changes: dict[str, Any] = {"flinkConfig": {"s3.upload.max.concurrent.uploads": 8, "fs.s3a.connection.maximum": 100}}
    assert looked(folder, **changes)
    assert "tm-0-storage-access" not in run(folder, **changes)

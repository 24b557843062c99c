"""Settings of S3: what is refused, and which options each plugin gets."""

from __future__ import annotations

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

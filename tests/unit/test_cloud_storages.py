"""OSS and Azure: what is refused before anything is touched, and what hosts get."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.program import Recorded, refused
from tests.unit.test_program import run, stdin
from tests.unit.test_storages import text_of

NONE_OF_S3: dict[str, Any] = {"storageRegion": "", "storageAccessKey": "", "storageSecretKey": ""}
OSS: dict[str, Any] = {
    **NONE_OF_S3,
    "storageUri": "oss://bucket/flink",
    "ossEndpoint": "https://oss-cn-hangzhou-internal.aliyuncs.com/",
    "ossAccessKey": "LTAIexample",
    "ossSecretKey": "the-secret",
}
AZURE: dict[str, Any] = {**NONE_OF_S3, "storageUri": "abfss://flink@account.dfs.core.windows.net/dev"}
KEY = "A" * 86 + "=="


def config(found: dict[str, Recorded]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text_of(found, "jm-0-config", "/etc/flink/config.yaml"))
    return loaded


def of_storage(found: dict[str, Recorded]) -> dict[str, Any]:
    return {key: value for key, value in config(found).items() if key.startswith(("s3.", "fs.", "gs."))}


def test_oss_gets_its_keys_from_the_environment(folder: Path) -> None:
    found = run(folder, **OSS)
    assert of_storage(found) == {
        "fs.oss.endpoint": "https://oss-cn-hangzhou-internal.aliyuncs.com",
        "fs.oss.accessKeyId": "${env.OSS_ACCESS_KEY_ID}",
        "fs.oss.accessKeySecret": "${env.OSS_ACCESS_KEY_SECRET}",
        "fs.oss.buffer.dir": "/var/lib/flink/tmp/oss",
    }
    assert config(found)["high-availability.storageDir"] == "oss://bucket/flink/ha"
    variables = text_of(found, "tm-0-credentials", "/etc/flink/credentials.env").splitlines()
    assert variables[:2] == ["OSS_ACCESS_KEY_ID='LTAIexample'", "OSS_ACCESS_KEY_SECRET='the-secret'"]
    assert "flink-oss-fs-hadoop" in stdin(found, "jm-0-flink")
    assert "storage=https://oss-cn-hangzhou-internal.aliyuncs.com" in stdin(found, "jm-0-probe").splitlines()
    assert "uris=(oss://bucket/flink)" in stdin(found, "tm-0-storage-access")
    site = "<property><name>fs.file.impl</name><value>org.apache.hadoop.fs.LocalFileSystem</value></property>"
    assert f"sites=(flink-oss-fs-hadoop '<configuration>{site}</configuration>')" in stdin(found, "tm-0-flink")
    for name, step in found.items():
        assert "the-secret" not in str(step.inputs.get("stdin", "")) or name.endswith("-credentials"), name


def test_oss_is_reached_through_a_proxy(folder: Path) -> None:
    options = of_storage(run(folder, **OSS, httpProxy="http://proxy.example.org:3128"))
    assert (options["fs.oss.proxy.host"], options["fs.oss.proxy.port"]) == ("proxy.example.org", 3128)


def test_azure_needs_nothing_but_the_identity_of_hosts(folder: Path) -> None:
    found = run(folder, **AZURE)
    assert of_storage(found) == {
        "fs.azure.account.auth.type": "OAuth",
        "fs.azure.account.oauth.provider.type": "org.apache.hadoop.fs.azurebfs.oauth2.MsiTokenProvider",
        "fs.azure.account.oauth2.msi.tenant": "",
        "fs.azure.account.oauth2.client.id": "",
        "fs.azure.buffer.dir": "/var/lib/flink/tmp/azure",
    }
    assert "storage=https://account.dfs.core.windows.net" in stdin(found, "jm-0-probe").splitlines()
    assert "jm-0-credentials" not in found
    assert "sites=(flink-azure-fs-hadoop" in stdin(found, "tm-0-flink")
    assert "'abfss://flink@account.dfs.core.windows.net/dev'" in stdin(found, "tm-0-storage-access") or (
        "uris=(abfss://flink@account.dfs.core.windows.net/dev)" in stdin(found, "tm-0-storage-access")
    )
    own = of_storage(run(folder, **AZURE, azureClientId="00000000-0000-4000-8000-00000000000a"))
    assert own["fs.azure.account.oauth2.client.id"] == "00000000-0000-4000-8000-00000000000a"


@pytest.mark.parametrize(
    "uri", ["abfss://flink@account.dfs.core.windows.net/x", "wasbs://f-1@abc.blob.core.windows.net"]
)
def test_azure_gets_its_key_from_the_environment(folder: Path, uri: str) -> None:
    found = run(folder, **{**AZURE, "storageUri": uri, "azureStorageKey": KEY})
    host = uri.partition("@")[2].partition("/")[0]
    assert of_storage(found) == {
        f"fs.azure.account.key.{host}": "${env.AZURE_STORAGE_KEY}",
        "fs.azure.buffer.dir": "/var/lib/flink/tmp/azure",
    }
    variables = text_of(found, "tm-0-credentials", "/etc/flink/credentials.env").splitlines()
    assert variables[0] == f"AZURE_STORAGE_KEY='{KEY}'"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({**OSS, "ossEndpoint": ""}, "ossEndpoint: is missing: expected the URL of the bucket's region, such as https"),
        ({**OSS, "ossEndpoint": "oss-cn-hangzhou"}, "ossEndpoint: 'oss-cn-hangzhou' is not the URL of a server"),
        ({**OSS, "ossAccessKey": ""}, "ossAccessKey: is missing: expected both keys of a RAM user"),
        ({**OSS, "ossSecretKey": ""}, "ossSecretKey: is missing: expected both keys of a RAM user"),
        ({**OSS, "ossSecretKey": "it's"}, "ossSecretKey: is not a key of a storage"),
        ({**OSS, "storageUri": "oss://Bucket/x"}, "storageUri: 'oss://Bucket/x' is not an OSS URI: expected oss://b"),
        ({**OSS, "storageUri": "s3://b/x"}, "ossEndpoint: is for OSS, and no place is there .storageUri: 's3://b/x'"),
        ({**OSS, "storageEndpoint": "http://x"}, "storageEndpoint: is for S3, and no place is there"),
        ({**OSS, "flinkConfig": {"fs.oss.endpoint": "x"}}, "fs.oss.endpoint"),
        (
            {**AZURE, "storageUri": "abfss://account.dfs.core.windows.net/x"},
            "storageUri: .* is not a URI of a container",
        ),
        (
            {**AZURE, "azureStorageKey": "short"},
            "azureStorageKey: is not the key of a storage account: expected 64 bytes",
        ),
        ({**AZURE, "azureClientId": "flink"}, "azureClientId: 'flink' is not an id"),
        (
            {**AZURE, "azureStorageKey": KEY, "azureClientId": "00000000-0000-4000-8000-00000000000a"},
            "azureClientId: has no effect with azureStorageKey",
        ),
        (
            {**AZURE, "storageUri": "wasbs://flink@account.blob.core.windows.net/x"},
            "storageUri: .* needs azureStorageKey: expected it, or abfss://",
        ),
        (
            {**AZURE, "azureStorageKey": KEY, "haUri": "abfss://flink@other.dfs.core.windows.net/x"},
            "azureStorageKey: is of one account, and places are in account.dfs.core.windows.net, other.dfs",
        ),
        ({**AZURE, "flinkConfig": {"fs.azure.account.key.x": "y"}}, "fs.azure.account.key.x"),
    ],
)
def test_what_is_refused(folder: Path, changes: dict[str, Any], told: str) -> None:
    said = refused(folder, **changes)
    assert re.search(told, said), said
    assert "the-secret" not in said

"""Azure: what is refused before anything is touched, and what hosts get."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.program import Recorded, refused
from tests.unit.test_program import run, stdin
from tests.unit.test_storages import text_of

NONE_OF_S3: dict[str, Any] = {"storageRegion": "", "storageAccessKey": "", "storageSecretKey": ""}
AZURE: dict[str, Any] = {**NONE_OF_S3, "storageUri": "abfss://flink@account.dfs.core.windows.net/dev"}
KEY = "A" * 86 + "=="


def config(found: dict[str, Recorded]) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text_of(found, "jm-0-config", "/etc/flink/config.yaml"))
    return loaded


def of_storage(found: dict[str, Recorded]) -> dict[str, Any]:
    return {key: value for key, value in config(found).items() if key.startswith(("s3.", "fs.", "gs."))}


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

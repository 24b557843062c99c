"""OSS, Google Cloud Storage and Azure: what is refused before anything is touched, and what hosts get."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.storage import Gcs
from tests.unit.program import SEVEN, Recorded, host, refused, write_inventory
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
GCS: dict[str, Any] = {**NONE_OF_S3, "storageUri": "gs://bucket/flink"}
AZURE: dict[str, Any] = {**NONE_OF_S3, "storageUri": "abfss://flink@account.dfs.core.windows.net/dev"}
KEY = "A" * 86 + "=="
ACCOUNT: dict[str, str] = {
    "type": "service_account",
    "project_id": "ours",
    "private_key_id": "0123456789abcdef",
    "private_key": "-----BEGIN PRIVATE KEY-----\nthe-secret\n-----END PRIVATE KEY-----\n",
    "client_email": "flink@ours.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
CREDENTIALS = json.dumps(ACCOUNT, indent=2)


def credentials(**fields: str | None) -> str:
    """The key file with other fields; None: without it."""
    return json.dumps({name: text for name, text in {**ACCOUNT, **fields}.items() if text is not None})


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


def test_google_needs_nothing_but_the_identity_of_hosts(folder: Path) -> None:
    found = run(folder, **GCS)
    assert of_storage(found) == {}
    assert "flink-gs-fs-hadoop" in stdin(found, "jm-0-flink")
    assert "storage=https://storage.googleapis.com" in stdin(found, "jm-0-probe").splitlines()
    assert "jm-0-credentials" not in found
    assert "uris=(gs://bucket/flink)" in stdin(found, "tm-0-storage-access")
    assert "sites=(flink" not in stdin(found, "tm-0-flink")
    own = run(folder, **GCS, gcsEndpoint="https://storage-lab.p.googleapis.com/")
    assert of_storage(own) == {"gs.storage.root.url": "https://storage-lab.p.googleapis.com"}


def test_google_gets_a_key_as_a_file_of_the_daemons_user(folder: Path) -> None:
    found = run(folder, **GCS, gcsCredentials=CREDENTIALS)
    assert of_storage(found) == {}
    for name in ("jm-0", "tm-0"):
        written = stdin(found, f"{name}-storage-gcs")
        assert "write_file /etc/flink/gcs/key.json 0600 flink:flink <<" in written
        assert json.loads(text_of(found, f"{name}-storage-gcs", "/etc/flink/gcs/key.json")) == ACCOUNT
        variables = text_of(found, f"{name}-credentials", "/etc/flink/credentials.env").splitlines()
        assert variables[0] == "GOOGLE_APPLICATION_CREDENTIALS='/etc/flink/gcs/key.json'"
        assert re.fullmatch("FLINK_GCS_KEY='[0-9a-f]{16}'", variables[1])
    for name, step in found.items():
        assert "the-secret" not in str(step.inputs.get("stdin", "")) or name.endswith("-storage-gcs"), name
    same = run(folder, **GCS, gcsCredentials=json.dumps(ACCOUNT))
    assert stdin(same, "tm-0-credentials") == stdin(found, "tm-0-credentials"), "blanks restart nothing"
    other = run(folder, **GCS, gcsCredentials=json.dumps({**ACCOUNT, "private_key_id": "fedcba9876543210"}))
    assert stdin(other, "tm-0-credentials") != stdin(found, "tm-0-credentials"), "another key restarts daemons"
    elsewhere = run(folder, **GCS, gcsCredentials=credentials(token_uri="https://tokens.example.org/token"))
    assert of_storage(elsewhere) == {"gs.token.server.url": "https://tokens.example.org/token"}
    assert "absent=(gcs" not in stdin(found, "tm-0-system")


@pytest.mark.parametrize(
    ("key", "says", "told"),
    [
        (CREDENTIALS, "TokenResponseException: 400 Bad Request", "that Google still has this key of flink@ours.iam"),
        (
            CREDENTIALS,
            "GoogleJsonResponseException: 403 Forbidden",
            "expected flink@ours.iam.gserviceaccount.com with the r",
        ),
        (
            "",
            "GoogleJsonResponseException: 401 Unauthorized",
            "expected an instance with a service account and the scope",
        ),
        ("", "IOException: The specified bucket does not exist", "expected a bucket of this name"),
        (
            "",
            "java.net.UnknownHostException: x",
            "that this host reaches https://storage.googleapis.com and the metadata",
        ),
    ],
)
def test_what_google_refuses_is_explained(key: str, says: str, told: str) -> None:
    hints = Gcs(account=ACCOUNT["client_email"], key=key or None).hints
    assert told in next(hint for pattern, hint in hints.items() if re.search(pattern, says))


def test_a_host_without_a_daemon_gets_no_key(tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in (*SEVEN, "cl-0")])
    found = run(tmp_path, **GCS, gcsCredentials=CREDENTIALS)
    assert "cl-0-config" in found and "tm-0-storage-gcs" in found
    assert not {"cl-0-storage-gcs", "cl-0-credentials", "cl-0-storage-access"} & set(found)


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
        ({**GCS, "gcsEndpoint": "x"}, "gcsEndpoint: 'x' is not the URL of a server"),
        ({**GCS, "storageUri": "gs://b_/x/"}, "storageUri: 'gs://b_/x' is not a URI of Google Cloud Storage"),
        ({**GCS, "flinkConfig": {"fs.gs.storage.root.url": "x"}}, "fs.gs.storage.root.url"),
        (
            {**GCS, "gcsCredentials": "the-secret"},
            "gcsCredentials: is not JSON: expected the JSON file that `gcloud iam",
        ),
        ({**GCS, "gcsCredentials": '["the-secret"]'}, "gcsCredentials: is JSON without fields: expected the JSON file"),
        (
            {**GCS, "gcsCredentials": credentials(type="authorized_user")},
            "gcsCredentials: is of the type 'authorized_user': expected service_account",
        ),
        ({**GCS, "gcsCredentials": credentials(type=None)}, "gcsCredentials: has no type: expected service_account"),
        ({**GCS, "gcsCredentials": credentials(client_email=None)}, "gcsCredentials: has no client_email: expected th"),
        ({**GCS, "gcsCredentials": credentials(private_key="")}, "gcsCredentials: has no private_key: expected the"),
        (
            {**GCS, "gcsCredentials": credentials(private_key="the-secret")},
            "gcsCredentials: has a private_key that is not in PEM",
        ),
        (
            {**GCS, "gcsCredentials": credentials(token_uri="x")},
            "gcsCredentials: has a token_uri that is not a URL: exp",
        ),
        (
            {**OSS, "gcsCredentials": CREDENTIALS},
            "gcsCredentials: is for Google Cloud Storage, and no place is there .storageUri: 'oss://bucket/flink'",
        ),
        (
            {**GCS, "flinkConfig": {"gs.auth.service.account.json.keyfile": "/x"}},
            "gs.auth.service.account.json.keyfile",
        ),
        ({**GCS, "archiveCopies": True}, "archiveCopies: .*needs URLs that hosts sign, which only S3 has"),
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

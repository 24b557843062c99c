"""How what Flink's file systems for S3 write is encrypted, with the options that they get. The server is moto, which
shows it of each object.
"""

import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from components.storage import S3
from host_tool.java import SHORT_LIVED
from stand_ins.builds import archives

pytestmark = pytest.mark.exhaustive  # which options there are is tested in tests/unit; this is what they do

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
LOGIN = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
PLUGINS = ("flink-s3-fs-hadoop", "flink-s3-fs-native")
"""Those that are in the archive of a lab."""


@dataclass(frozen=True)
class Server:
    """An S3 server with TLS: what KMS encrypts may not travel in plain text."""

    url: str
    certificate: Path
    trust_store: Path

    def client(self) -> Any:
        keys: Any = {f"aws_{part}": "testing" for part in ("access_key_id", "secret_access_key")}
        return boto3.client("s3", "eu-central-1", endpoint_url=self.url, verify=str(self.certificate), **keys)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with a bucket."""
    folder = tmp_path_factory.mktemp("server")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3")])
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=9))
    certificate = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    nothing = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, nothing)
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    trusted = pkcs12.serialize_java_truststore([pkcs12.PKCS12Certificate(certificate, b"s3")], nothing)
    (folder / "trusted.p12").write_bytes(trusted)
    app, tls = DomainDispatcherApplication(create_backend_app), (folder / "certificate.pem", folder / "key.pem")
    running = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=(str(tls[0]), str(tls[1])))
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        found = Server(f"https://127.0.0.1:{running.port}", tls[0], folder / "trusted.p12")
        found.client().create_bucket(Bucket="flink", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield found
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture(scope="module")
def flink(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Flink's classes and these plugins."""
    home = tmp_path_factory.mktemp("flink")
    wanted = re.compile(rf"[^/]+/(lib/(flink-dist|log4j)|opt/({'|'.join(PLUGINS)}))[^/]*\.jar")
    with tarfile.open(archives.ensure().flink.path) as archive:
        archive.extractall(home, [entry for entry in archive if wanted.fullmatch(entry.name)], filter="data")
    return next(home.iterdir())


def write(flink: Path, folder: Path, backend: S3, trust_store: Path, uri: str) -> None:
    """Write an object as Flink does."""
    plugin = folder / "plugins" / backend.plugin
    plugin.mkdir(parents=True)
    (jar,) = (flink / "opt").glob(f"{backend.plugin}-*.jar")
    (plugin / jar.name).symlink_to(jar)
    (folder / "config.yaml").write_text(yaml.safe_dump(dict(backend.options)))
    done = subprocess.run(
        [
            *(
                "java",
                *SHORT_LIVED,
                f"-Djavax.net.ssl.trustStore={trust_store}",
                "-Djavax.net.ssl.trustStoreType=PKCS12",
            ),
            *("-cp", f"{flink}/lib/*", Path(__file__).with_name("Put.java"), uri),
        ],
        env={**os.environ, **LOGIN, "FLINK_CONF_DIR": str(folder), "FLINK_PLUGINS_DIR": str(plugin.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("plugin", PLUGINS)
@pytest.mark.parametrize(
    ("encryption", "key", "expected"),
    [("sse-kms", KEY, ("aws:kms", KEY)), ("sse-s3", "", ("AES256", None))],
    ids=["sse-kms", "sse-s3"],
)
def test_what_is_written_is_encrypted_as_the_key_says(
    server: Server,
    flink: Path,
    tmp_path: Path,
    plugin: str,
    encryption: str,
    key: str,
    expected: tuple[str, str | None],
) -> None:
    name = f"{plugin}-{encryption}"
    backend = S3(
        region="eu-central-1", plugin=plugin, endpoint=server.url, path_style=True, encryption=encryption, kms_key=key
    )
    write(flink, tmp_path, backend, server.trust_store, f"s3://flink/dev/{name}")
    found = server.client().head_object(Bucket="flink", Key=f"dev/{name}")
    assert (found.get("ServerSideEncryption"), found.get("SSEKMSKeyId")) == expected

"""Certificates that a stack's hosts trust: what is refused, what reaches hosts, and downloads with them."""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from components.existing.hosts import _host
from components.flink import trusted
from components.flink.config_yaml import config_yaml, flink_config
from components.flink.topology import Members
from components.flink.unit import inputs
from components.host import Role
from components.sources import SCRIPTS
from components.storage import S3, Storage
from tests.lab import private_ca
from tests.unit.program import SEVEN, host, load, refused, write_inventory
from tests.unit.test_probe import PROBE

NOW = datetime.now(UTC)
STORAGE = Storage(
    uri="s3://flink/dev",
    backends=[S3(region="eu-central-1", endpoint="https://10.9.9.1:7070", path_style=True)],
)


def made(name: str, begins: int = -1, ends: int = 365) -> tuple[str, str]:
    """A certificate that is valid for these days from now, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW + timedelta(days=begins)).not_valid_after(NOW + timedelta(days=ends))
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    return pem, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_inventory(tmp_path, *map(host, (*SEVEN, "cl-0")))
    return tmp_path


def test_the_certificates_of_the_file_without_what_is_between_them(folder: Path) -> None:
    one, two = made("CA 1")[0], made("CA 2")[0]
    (folder / "ca.pem").write_text(f"subject=CN = CA 1\r\n{one}\n# the next\n{two}{one}")
    found = load(folder, trustedCertificates=str(folder / "ca.pem")).cluster
    assert found.trusted_certificates == one + two
    assert load(folder).cluster.trusted_certificates == ""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda: made("x")[0] + made("x")[1], "has a private key: expected certificates only"),
        (lambda: made("x")[1], "has a private key"),
        (lambda: "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n", "has a private key"),
        (lambda: "", "has no certificates that can be read: expected PEM"),
        (lambda: "<html>Not found</html>", "has no certificates that can be read"),
        (lambda: made("x")[0].replace("MII", "MIJ"), "has no certificates that can be read"),
        (lambda: made("x")[0] + "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n", "has a block X509 CRL"),
        (lambda: made("x")[0] + made("old", -9, -1)[0], "certificate 2 (CN=old) expired on "),
        (lambda: made("new", 1)[0], "certificate 1 (CN=new) is valid from "),
        (lambda: made("x")[0] * 2 + "".join(made(str(each))[0] for each in range(300)), "expected 100000 at most"),
    ],
)
def test_what_is_no_certificate_that_is_valid_is_refused(folder: Path, content: Callable[[], str], told: str) -> None:
    text = content()
    (folder / "ca.pem").write_text(text)
    found = refused(folder, trustedCertificates=str(folder / "ca.pem"))
    # Long paths are shown without their middle
    assert "trustedCertificates: " in found and "ca.pem' " in found and told in found
    for line in text.splitlines():
        assert line.startswith("-----") or len(line) < 40 or line not in found, "no key in a message"


def test_a_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "ca.der").write_bytes(b"\x30\x82\xff")
    for name, told in (("none.pem", "No such file"), ("folder", "not a regular file"), ("ca.der", "is not text")):
        assert told in refused(folder, trustedCertificates=str(folder / name)), name


def test_only_one_trust_store_is_named(folder: Path) -> None:
    (folder / "ca.pem").write_text(made("x")[0])
    own = "-Djavax.net.ssl.trustStore=/etc/own.jks"
    for key, value in (("javaOptions", own), ("taskManagerConfig", {"env.java.opts.taskmanager": own})):
        assert f"{key}: names a trust store, and so does trustedCertificates" in refused(
            folder, trustedCertificates=str(folder / "ca.pem"), **{key: value}
        )


def test_one_that_expires_soon_is_a_warning(folder: Path) -> None:
    (folder / "ca.pem").write_text(made("x", ends=20)[0])
    cluster, root = {"trustedCertificates": str(folder / "ca.pem")}, folder
    assert any("a certificate expires on" in warning for warning in load(root, **cluster).warnings)


def test_jvms_of_all_roles_with_flink_use_the_store_and_daemons_restart_with_it(folder: Path) -> None:
    (folder / "ca.pem").write_text(made("x")[0])
    found = load(folder, trustedCertificates=str(folder / "ca.pem"), javaOptions="-XX:+UseG1GC")
    settings, members = found.cluster, Members(tuple(_host(entry) for entry in found.site.hosts))
    option = f"-Djavax.net.ssl.trustStore={trusted.STORE}"
    for role in (Role.JOBMANAGER, Role.TASKMANAGER, Role.CLIENT):
        text = config_yaml(flink_config(role, settings, STORAGE, members, memory_mib=2048))
        assert f"{option} -Djavax.net.ssl.trustStoreType=JKS -XX:+UseG1GC" in text
    for role in (Role.JOBMANAGER, Role.TASKMANAGER):
        assert trusted.PEM in inputs(role, settings) and trusted.PEM not in inputs(role, load(folder).cluster)
    assert trusted.download_libraries(load(folder).cluster) == ("proxy.sh",)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"whole")

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_downloads_and_the_probe_trust_them_and_check_the_rest(tmp_path: Path) -> None:
    private_ca.make_certificates(tmp_path, "127.0.0.1")
    pem, other = (tmp_path / "ca.pem").read_text(), made("another")[0]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    Thread(target=server.serve_forever, daemon=True).start()

    def run(head: str, scripts: tuple[str, ...], end: str) -> "subprocess.CompletedProcess[str]":
        code = "\n".join((SCRIPTS / name).read_text() for name in scripts)
        code = code.replace("/run/flink-steps", str(tmp_path)).replace("/etc/environment", "/dev/null")
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return subprocess.run(
            ["bash", "-s"],
            input=f"{head}\n{code}\n{end}\n",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        with private_ca.serving(tmp_path, "127.0.0.1", ("127.0.0.1", server.server_port)) as port:
            for given, expected in ((pem, "whole"), (other + pem, "whole"), (other, "")):
                done = run(
                    f"set -euo pipefail\nhost=x step=x.sh proxy= direct= trusted='{given}'",
                    ("lib.sh", "proxy.sh", "trusted_fetch.sh"),
                    f"fetch -fsS --retry 1 https://127.0.0.1:{port}/ https://127.0.0.1:{port}/ | head -c 5",
                )
                assert done.stdout == expected, done.stderr
                probe = PROBE.replace("storage=", f"storage=https://127.0.0.1:{port} trusted='{given}'")
                done = run(probe, ("lib.sh", "proxy.sh", "trusted_fetch.sh", "probe.sh"), "apply")
                assert ("the certificate of the storage" in done.stderr) == (expected == ""), done.stderr
    finally:
        server.shutdown()
        server.server_close()

"""REST over TLS: with a certificate of the circle's authority on both sides, and with the name that was asked for."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from host_tool import identity, zookeeper
from host_tool.rest import JobManager, JobManagers

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Authority:
    """An authority, and hosts' folders with its certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
        self.certificate = self._certificate(self.name, self.key, x509.BasicConstraints(True, None))

    def _certificate(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType, days: int = 1
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        built = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        built = built.serial_number(x509.random_serial_number()).add_extension(extension, critical=False)
        built = built.not_valid_before(now - timedelta(days=9)).not_valid_after(now + timedelta(days=days))
        return built.sign(self.key, hashes.SHA256())

    def host(self, folder: Path, name: str, days: int = 1) -> Path:
        """The identity of a host, valid for so many days."""
        key, circle = ec.generate_private_key(ec.SECP256R1()), folder / "rest"
        names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))])
        made = self._certificate(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, names, days)
        circle.mkdir(parents=True, exist_ok=True)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (circle / "identity.pem").write_bytes(private + made.public_bytes(Encoding.PEM))
        (circle / "authorities.pem").write_bytes(self.certificate.public_bytes(Encoding.PEM))
        return folder


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """A server that answers every request, and requires certificates; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "rest" / "identity.pem")
    context.load_verify_locations(folder / "rest" / "authorities.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with plain:
                    try:
                        with context.wrap_socket(plain, server_side=True) as secured:
                            secured.recv(4096)
                            secured.sendall(ANSWER)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            thread.join()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The identities of this host, whose daemon runs with TLS."""
    (tmp_path / "launch" / "current").mkdir(parents=True)
    (tmp_path / "launch" / "current" / "release").write_text("flink-2.3.0+tls\n")
    monkeypatch.setattr("host_tool.identity.LAUNCHES", str(tmp_path / "launch"))
    monkeypatch.setattr("host_tool.identity.FOLDER", str(tmp_path / "tls"))
    identity._contexts.clear()
    return tmp_path / "tls"


def answer(port: int, name: str = "localhost") -> str:
    try:
        return JobManager(name, port).get("/overview").text
    except OSError as error:
        return str(error)


def test_both_sides_prove_who_they_are(here: Path, tmp_path: Path) -> None:
    authority = Authority()
    with serving(authority.host(tmp_path / "server", "localhost")) as port:
        assert "No such file" in answer(port), "without an identity there is no request"
        Authority().host(here, "jm-0")
        assert "certificate verify failed" in answer(port), "a server of another authority"
        authority.host(here, "jm-0")
        assert answer(port) == answer(port, "127.0.0.1") == "{}", "the new files are read"
        assert JobManagers(["localhost"], port).json("/overview") == {}
        assert JobManager("localhost", port).url("/a") == f"https://localhost:{port}/a"


def test_a_name_that_is_not_in_the_certificate_is_refused(here: Path, tmp_path: Path) -> None:
    authority = Authority()
    authority.host(here, "jm-0")
    with serving(authority.host(tmp_path / "server", "jm-1")) as port:
        assert "Hostname mismatch" in answer(port)


def test_expired_certificates_are_refused(here: Path, tmp_path: Path) -> None:
    authority = Authority()
    authority.host(here, "jm-0")
    with serving(authority.host(tmp_path / "server", "localhost", days=-1)) as port:
        assert "certificate has expired" in answer(port)


def test_zookeeper_is_asked_with_the_identity_of_its_host_if_it_is_to_use_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("host_tool.zookeeper.CONFIGURATION", str(tmp_path / "zoo.cfg"))
    monkeypatch.setattr("host_tool.zookeeper.IDENTITIES", str(tmp_path / "own"))
    authority = Authority()
    with serving(authority.host(tmp_path / "server", "localhost")) as port:
        assert zookeeper.ask("localhost", port, "srvr") == "", "in plain text"
        (tmp_path / "zoo.cfg").write_text("tickTime=1250\nsecureClientPort=2181\n")
        assert zookeeper.ask("localhost", port, "srvr") == "", "it has no identity"
        authority.host(tmp_path / "own", "zk-0")
        (tmp_path / "own" / "rest").rename(tmp_path / "own" / "zookeeper")
        assert zookeeper.ask("localhost", port, "srvr") == ANSWER.decode()
        (tmp_path / "zoo.cfg").write_text("clientPort=2181\n")
        assert zookeeper.ask("localhost", port, "srvr") == ""


def test_what_runs_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("host_tool.identity.LAUNCHES", str(tmp_path))
    assert not identity.runs_with_tls()
    for launch, release in (("expected", "flink-2.3.0+tls"), ("current", "flink-2.3.0")):
        (tmp_path / launch).mkdir()
        (tmp_path / launch / "release").write_text(f"{release}\n")
        assert identity.runs_with_tls() is (launch == "expected")

"""What somebody who is not part of a cluster gets at a port with TLS."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from lab.lab import Lab

# The server's alert comes with the first read, because in TLS 1.3 it verifies the client after the handshake
_PROGRAM = """
import json, socket, ssl, sys, tempfile
asked = json.load(sys.stdin)

def plain(host, port):
    return socket.create_connection((host, port), 20)

def context(versions, own):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(asked["folder"] + "/authorities.pem")
    made.maximum_version = versions
    if own:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(own)
            file.flush()
            made.load_cert_chain(file.name)
    return made

def tls(versions=ssl.TLSVersion.TLSv1_3, own=""):
    return lambda host, port: context(versions, own).wrap_socket(plain(host, port))

def read(path):
    with open(path) as file:
        return file.read()

ways = {
    "plain text": plain,
    "no certificate": tls(),
    "another authority": tls(own=asked["stranger"]),
    "expired": tls(own=asked["expired"]),
    "TLS 1.2": tls(ssl.TLSVersion.TLSv1_2, read(asked["folder"] + "/identity.pem")),
    **{"of " + path: tls(own=read(path)) for path in asked["others"]},
}
found = {}
for host, port in asked["ports"]:
    for name, connect in ways.items():
        try:
            connection = connect(host, port)
            connection.settimeout(20)
            connection.sendall(asked["says"].encode())
            answer = connection.recv(1000)
            # An alert of TLS, in plain text, is no answer of the daemon
            said = "closed" if not answer or answer[0] == 21 else "answered " + repr(answer)
        except ssl.SSLError as error:
            said = "refused " + (error.reason or str(error))
        except OSError as error:
            said = "closed" if isinstance(error, ConnectionError) else repr(error)
        found[f"{host}:{port} {name}"] = said
print(json.dumps(found))
"""


def answers(
    lab: Lab,
    state: dict[str, Any],
    host: str,
    ports: list[tuple[str, int]],
    circle: str,
    *others: str,
    folder: str = "/etc/flink/tls",
    says: str = "GET / HTTP/1.0\r\n\r\n" * 8,
) -> dict[str, str]:
    """What each way to connect to the ports of a circle gets, from a host of the cluster, which its firewall admits.
    `state`: of the stack, with secrets. `others`: circles whose certificates of this host are tried, too. `says`: what
    the server would answer.
    """
    asked = {
        "says": says,
        "folder": f"{folder}/{circle}",
        "others": [f"{folder}/{other}/identity.pem" for other in others],
        "stranger": _signed(),
        "expired": _signed(_authority(state, circle)),
        "ports": ports,
    }
    program = f"sudo -n python3 -c {shlex.quote(_PROGRAM)} <<<{shlex.quote(json.dumps(asked))}"
    found: dict[str, str] = json.loads(lab.ssh(host, program, timeout=300).stdout)
    return found


def _authority(state: dict[str, Any], circle: str) -> tuple[Any, x509.Certificate]:
    """The key and the certificate of an authority that the hosts of a circle trust."""
    named = re.compile(rf"-{circle}-authority-\d+$")
    found = [each for each in state["resources"] if named.search(each["urn"])]
    keys = [each["outputs"]["privateKeyPem"] for each in found if each["type"].endswith(":PrivateKey")]
    certificates = [each["outputs"]["certPem"] for each in found if each["type"].endswith(":SelfSignedCert")]
    known = [load_pem_private_key(_text(each).encode(), None) for each in keys]
    certificate = x509.load_pem_x509_certificate(_text(certificates[0]).encode())
    (key,) = (each for each in known if each.public_key() == certificate.public_key())
    return key, certificate


def _text(output: Any) -> str:
    """A text in a state, also of a secret."""
    return str(json.loads(output["plaintext"])) if isinstance(output, dict) else str(output)


def _signed(authority: tuple[Any, x509.Certificate] | None = None) -> str:
    """A key and its own certificate, which no authority of the cluster has signed; or which one has, and which expired
    a minute ago.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jm-0")])
    now = datetime.now(UTC)
    issuer, signer = (authority[1].subject, authority[0]) if authority else (name, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("jm-0")]), critical=False)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + (timedelta(minutes=-1) if authority else timedelta(days=1)))
        .sign(signer, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (private + certificate.public_bytes(Encoding.PEM)).decode()


_HANDSHAKE = """
import json, socket, ssl, sys
asked = json.load(sys.stdin)
context = ssl.create_default_context(cafile=asked["folder"] + "/authorities.pem")
context.load_cert_chain(asked["folder"] + "/identity.pem")
try:
    with context.wrap_socket(socket.create_connection(asked["port"], 20), server_hostname=asked["name"]) as made:
        print(made.version())
except ssl.SSLCertVerificationError as error:
    print(error)
"""


def handshake(lab: Lab, host: str, circle: str, port: tuple[str, int], name: str) -> str:
    """The version of TLS that a host agrees on with a port where it expects `name`, with its own certificate; or why it
    refuses.
    """
    asked = {"folder": f"/etc/flink/tls/{circle}", "port": port, "name": name}
    words = f"sudo -n python3 -c {shlex.quote(_HANDSHAKE)}"
    return lab.ssh(host, words, input=json.dumps(asked)).stdout.strip()

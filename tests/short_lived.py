"""A PKI whose certificates live for minutes: the command of `tlsSigner` in tests.

`python short_lived.py FOLDER` reads a request from stdin and prints the certificate of the authority of
FLINK_TLS_CIRCLE, which is valid for FLINK_TLS_MINUTES. It needs no package of this project's.
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CIRCLES = ("internal", "rest", "zookeeper", "monitoring")


def setting(folder: Path, minutes: int) -> dict[str, Any]:
    """The setting `tlsSigner`, with an authority for each circle; the folder gets those that are missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for circle in CIRCLES:
        if not (folder / f"{circle}.pem").exists():
            _create(folder, circle)
    return {
        "command": [sys.executable, str(Path(__file__).resolve()), str(folder)],
        "authorities": {circle: str(folder / f"{circle}.pem") for circle in CIRCLES},
        "minutes": minutes,
    }


def _create(folder: Path, circle: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"short-lived {circle}")])
    built = _built(name, name, key.public_key(), timedelta(days=1))
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    (folder / f"{circle}.key").touch(0o600)
    (folder / f"{circle}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / f"{circle}.pem").write_bytes(built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))


def _built(subject: x509.Name, issuer: x509.Name, key: Any, life: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + life)
    )


def sign(request: str, folder: Path, circle: str, life: timedelta) -> str:
    """The certificate, in PEM."""
    asked = x509.load_pem_x509_csr(request.encode())
    authority = x509.load_pem_x509_certificate((folder / f"{circle}.pem").read_bytes())
    key: Any = load_pem_private_key((folder / f"{circle}.key").read_bytes(), None)
    names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    built = _built(asked.subject, authority.subject, asked.public_key(), life)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    built = built.add_extension(names, critical=False).add_extension(usage, critical=False)
    return built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


if __name__ == "__main__":
    minutes = timedelta(minutes=int(os.environ["FLINK_TLS_MINUTES"]))
    print(sign(sys.stdin.read(), Path(sys.argv[1]), os.environ["FLINK_TLS_CIRCLE"], minutes), end="")

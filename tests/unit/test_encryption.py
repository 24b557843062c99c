"""TLS between daemons: periods, authorities, what is where; and the stand-in's certificates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from components.circles import Circle, circles
from components.existing.hosts import _host
from components.flink import encryption
from components.flink.config_yaml import flink_config
from components.flink.topology import Members
from components.flink.unit import flink_unit, inputs
from components.host import Role
from components.roles import ROLES
from stand_ins.aws_plugin import tls
from stand_ins.aws_plugin.resource import Refused
from tests.unit.program import load, refused
from tests.unit.test_config import STORAGE
from tests.unit.test_program import run, stdin

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_period_is_two_thirds_of_the_life_of_a_certificate() -> None:
    def at(days: float) -> str:
        return encryption.period(BEGAN.isoformat(), timedelta(days=90), BEGAN + timedelta(days=days))

    assert at(0) == at(59.9) == "90-days-0"
    assert at(60) == at(119) == "90-days-1"
    assert at(600) == "90-days-10"

    def after(minutes: float) -> str:
        return encryption.period(BEGAN.isoformat(), timedelta(minutes=6), BEGAN + timedelta(minutes=minutes))

    assert after(0) == after(3.99) == "6-minutes-0" and after(4) == "6-minutes-1"
    assert encryption.period(BEGAN.isoformat(), timedelta(days=3), BEGAN) != at(0), (
        "another length is another certificate"
    )


def test_only_daemons_of_flink_have_keys_and_no_password_is_in_config_yaml(folder: Path) -> None:
    loaded = load(folder, tls=True)
    cluster, members = loaded.cluster, Members(tuple(_host(entry) for entry in loaded.site.hosts))
    for role in Role:
        if not ROLES[role].runs_flink:
            continue
        keys = flink_config(role, cluster, STORAGE, members)
        for circle in (Circle.INTERNAL, Circle.REST):
            found = f"security.ssl.{circle.value}.enabled" in keys
            assert found is (circle in ROLES[role].circles), (role, circle)
        assert not [key for key in keys if "password" in key]
    for role in (Role.JOBMANAGER, Role.TASKMANAGER):
        assert {*encryption.inputs(role)} < {*inputs(role, cluster)}
        assert " ".join(encryption.inputs(role)) in flink_unit(role, cluster, memory_mib=1600)


def test_without_tls_there_is_none_of_it(folder: Path) -> None:
    found = run(folder)
    assert not [name for name in found if "tls" in name or "authority" in name or "certificate" in name]
    assert "tls" not in stdin(found, "jm-0-config").partition("# Files")[0].partition("write_files")[0]


@pytest.mark.parametrize(("number", "trusted"), [(1, [1, 2]), (2, [1, 2, 3]), (7, [6, 7, 8])])
def test_the_authority_before_and_the_next_one_are_trusted_as_well(
    folder: Path, number: int, trusted: list[int]
) -> None:
    found = run(folder, tls=True, tlsAuthority=number)
    made = [name for name, one in found.items() if one.type == "tls:index/selfSignedCert:SelfSignedCert"]
    assert sorted(name.rpartition("/")[2] for name in made) == sorted(
        f"dev-{circle.value}-authority-{each}" for circle in circles(monitored=False) for each in trusted
    )
    hosts = {"jm-0", "jm-1", "tm-0", "tm-1", "zk-0", "zk-1", "zk-2"}
    for what in ("tls-request", "tls"):
        assert {name.removesuffix(f"-{what}") for name in found if name.endswith(f"-{what}")} == hosts
    assert f"of authority {number}" in stdin(found, "tm-0-tls-request")
    assert "dns:tm-0,ip:10.9.9.100,dns:localhost" in stdin(found, "tm-0-tls-request")


@pytest.mark.parametrize(
    ("key", "value"),
    [("certificateDays", 0), ("certificateDays", 826), ("tlsAuthority", 0), ("tlsAuthority", 10_001)],
)
def test_values_out_of_range_are_refused(folder: Path, key: str, value: int) -> None:
    assert f"{key}: {value} is out of range" in refused(folder, tls=True, **{key: value})


def test_options_of_tls_are_the_programs_own(folder: Path) -> None:
    assert "security.ssl.protocol" in refused(folder, flinkConfig={"security.ssl.protocol": "TLSv1"})


# The stand-in

ANY: Any = None


def private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def authority(key: ec.EllipticCurvePrivateKey) -> str:
    inputs = {
        "privateKeyPem": private(key),
        "isCaCertificate": True,
        "allowedUses": ["cert_signing"],
        "subject": {"commonName": "an authority"},
        "validityPeriodHours": 24.0,
    }
    return str(tls.SelfSignedCert().create("ca", inputs, ANY)[1]["certPem"])


def request() -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    built = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tm-0")])
    )
    built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName("tm-0")]), critical=False)
    return key, built.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def sign(authority_key: ec.EllipticCurvePrivateKey, authority_pem: str, request_pem: str) -> x509.Certificate:
    inputs = {
        "certRequestPem": request_pem,
        "caPrivateKeyPem": private(authority_key),
        "caCertPem": authority_pem,
        "allowedUses": ["digital_signature", "server_auth", "client_auth"],
        "validityPeriodHours": 48.0,
    }
    outputs = tls.LocallySignedCert().create("host", inputs, ANY)[1]
    return x509.load_pem_x509_certificate(str(outputs["certPem"]).encode())


def test_a_signed_certificate_has_the_names_of_its_request_and_verifies() -> None:
    signer = ec.generate_private_key(ec.SECP256R1())
    issuer = authority(signer)
    key, asked = request()
    made = sign(signer, issuer, asked)
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(issuer.encode()))
    assert made.public_key() == key.public_key()
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["tm-0"]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(hours=48)


def test_what_the_plugin_refuses_is_refused() -> None:
    signer, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Refused, match="doesn't match parent's PublicKey"):
        sign(other, authority(signer), request()[1])
    with pytest.raises(Refused, match="certRequestPem"):
        sign(signer, authority(signer), "ok")
    with pytest.raises(Refused, match='expected "CERTIFICATE REQUEST", got "NEW CERTIFICATE REQUEST"'):
        sign(signer, authority(signer), request()[1].replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"))
    assert tls.SelfSignedCert().check({"allowedUses": ["flying"], "validityPeriodHours": -1.0})
    assert not tls.SelfSignedCert().check({"allowedUses": ["cert_signing"], "validityPeriodHours": 0.0})

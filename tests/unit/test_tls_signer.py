"""Certificates that a command of the operator's signs, and what it may print."""

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pulumi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.circles import Circle
from components.flink import authorities
from tests import short_lived
from tests.unit.program import Mocks, configuration, entry, load, mocked, refused
from toolbox.paths import REPO

EXAMPLE = REPO / "examples" / "tls-signer" / "sign.sh"
NAMES = ["jm-0", "10.9.9.10", "localhost"]
LIFE = timedelta(days=90)


class Pki:
    """An authority; `issuer` has signed it."""

    def __init__(self, issuer: "Pki | None" = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {id(self)}")])
        signer = issuer or self
        self.certificate = signer.sign(self.name, self.key.public_key(), x509.BasicConstraints(True, None))

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def sign(
        self,
        name: x509.Name,
        key: Any,
        extension: x509.ExtensionType,
        days: float = 90.0,
        age: timedelta = timedelta(hours=1),
        more: Sequence[x509.ExtensionType] = (),
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        built = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
        built = built.serial_number(x509.random_serial_number()).add_extension(extension, critical=True)
        for each in more:
            built = built.add_extension(each, critical=False)
        built = built.not_valid_before(now - age).not_valid_after(now + timedelta(days=days))
        return built.sign(self.key, hashes.SHA256())

    def answer(
        self, request: str, names: list[str] = NAMES, days: float = 90.0, age: timedelta = timedelta(hours=1)
    ) -> str:
        asked = x509.load_pem_x509_csr(request.encode())
        made = self.sign(asked.subject, asked.public_key(), _alternative(names), days, age)
        return made.public_bytes(Encoding.PEM).decode()


def _alternative(names: list[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    )


def request() -> str:
    built = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jm-0")])
    )
    built = built.add_extension(_alternative(NAMES), critical=False)
    return built.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def said(pem: str, asked: str, trusted: str) -> str:
    try:
        authorities.check(pem, asked, NAMES, trusted, LIFE)
    except ValueError as error:
        return str(error)
    return "accepted"


def test_an_answer_is_a_certificate_of_the_request_that_leads_to_a_trusted_authority() -> None:
    root, asked = Pki(), request()
    middle = Pki(root)
    found = authorities.check(root.answer(asked), asked, NAMES, Pki().pem + root.pem, LIFE)
    assert found.pem.count("BEGIN CERTIFICATE") == 1
    assert datetime.fromisoformat(found.ends) > datetime.now(UTC) + timedelta(days=89)
    chain = middle.answer(asked) + middle.pem
    assert authorities.check(f"signed by us\n{chain}", asked, NAMES, root.pem, LIFE).pem == chain, "only certificates"


def test_other_answers_are_refused_and_say_why() -> None:
    root, asked = Pki(), request()
    middle = Pki(root)
    assert "no certificate in PEM" in said("", asked, root.pem)
    assert "no certificate in PEM" in said("Error: permission denied", asked, root.pem)
    assert "of another key" in said(root.answer(request()), asked, root.pem)
    assert "of another key" in said(root.pem + root.answer(asked), asked, root.pem), "its own comes first"
    assert "of another authority" in said(Pki().answer(asked), asked, root.pem)
    assert "of another authority" in said(middle.answer(asked), asked, root.pem), "without its chain"
    assert "of another authority" in said(middle.answer(asked) + Pki(root).pem, asked, root.pem)
    assert "without 10.9.9.10, localhost" in said(root.answer(asked, ["jm-0"]), asked, root.pem)
    assert "before `up` would renew it" in said(root.answer(asked, days=59), asked, root.pem)


def test_an_answer_that_daemons_would_not_accept_is_refused() -> None:
    root, asked = Pki(), request()
    read = x509.load_pem_x509_csr(asked.encode())

    def answered(by: Pki, *more: x509.ExtensionType) -> str:
        one = by.sign(read.subject, read.public_key(), _alternative(NAMES), more=more)
        return one.public_bytes(Encoding.PEM).decode()

    def uses(*found: x509.ObjectIdentifier) -> x509.ExtendedKeyUsage:
        return x509.ExtendedKeyUsage(found)

    server, client = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
    assert "is not for clientAuth" in said(answered(root, uses(server)), asked, root.pem)
    assert "is not for serverAuth" in said(answered(root, uses(client)), asked, root.pem)
    assert said(answered(root, uses(client, server)), asked, root.pem) == "accepted"
    assert "may sign others" in said(answered(root, x509.BasicConstraints(True, None)), asked, root.pem)
    # Signed by one that may not
    host = Pki()
    one = root.sign(host.name, host.key.public_key(), x509.BasicConstraints(False, None))
    found = said(answered(host) + one.public_bytes(Encoding.PEM).decode(), asked, root.pem)
    assert "of another authority" in found
    # By one that ends first
    middle = Pki()
    short = root.sign(middle.name, middle.key.public_key(), x509.BasicConstraints(True, None), days=20)
    found = said(answered(middle) + short.public_bytes(Encoding.PEM).decode(), asked, root.pem)
    assert "of an authority that expires before it" in found


def test_an_answer_stays_one_until_the_next_period() -> None:
    """Each `up` looks at it again, so what was accepted must not be refused some weeks later."""
    root, asked = Pki(), request()
    for age in (0, 31, 59, 89):
        assert said(root.answer(asked, days=90 - age, age=timedelta(days=age)), asked, root.pem) == "accepted", age


@pytest.mark.parametrize(("valid", "accepted"), [(6, True), (4.1, True), (3.9, False)])
def test_certificates_may_live_for_minutes(tmp_path: Path, valid: float, accepted: bool) -> None:
    """As long as they are valid until the next period, and signed as `tests.short_lived` does it."""
    known = short_lived.setting(tmp_path, 6)
    asked, trusted = request(), Path(known["authorities"]["rest"]).read_text()
    pem = short_lived.sign(asked, tmp_path, "rest", timedelta(minutes=valid))
    try:
        found = authorities.check(pem, asked, NAMES, trusted, timedelta(minutes=6))
    except ValueError as error:
        assert not accepted and "expected 0:06:00 (certificateDays, or minutes of tlsSigner)" in str(error)
    else:
        assert accepted and datetime.fromisoformat(found.ends) <= datetime.now(UTC) + timedelta(minutes=6)


def test_the_example_signs(tmp_path: Path) -> None:
    script = tmp_path / "sign.sh"
    script.write_text(EXAMPLE.read_text())
    for _ in range(2):
        subprocess.run(["bash", script, "init"], check=True)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")} == {0o600}
    for circle in Circle:
        asked = request()
        environment = {**os.environ, "FLINK_TLS_CIRCLE": circle.value, "FLINK_TLS_DAYS": "90"}
        argv = ["bash", str(script)]
        done = subprocess.run(argv, input=asked, env=environment, check=True, capture_output=True, text=True)
        own, other = ((tmp_path / f"{each}.pem").read_text() for each in (circle.value, _another(circle)))
        assert said(done.stdout, asked, own) == "accepted"
        assert "of another authority" in said(done.stdout, asked, other)


def _another(circle: Circle) -> str:
    return next(each.value for each in Circle if each is not circle)


# Settings


def signer(folder: Path, **changes: Any) -> dict[str, Any]:
    """The setting, with an authority for each circle."""
    places = {}
    for circle in Circle:
        (folder / f"{circle.value}.pem").write_text(Pki().pem)
        places[circle.value] = str(folder / f"{circle.value}.pem")
    return {"command": ["./sign.sh", "--days 90"], "authorities": places, **changes}


def test_the_command_is_asked_for_each_host_and_what_else_it_prints_ends_the_program(folder: Path) -> None:
    """In the mocks every command prints `ok`."""
    asked: dict[str, Any] = {}

    class Asked(Mocks):
        def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
            asked[args.name] = args.inputs
            return super().new_resource(args)

    pulumi.runtime.set_all_config(configuration(folder, tls=True, tlsSigner=signer(folder)))
    with pytest.raises(pulumi.RunError, match=r"the command of tlsSigner printed for the circle \w+: no certificate"):
        mocked(lambda: entry(REPO / "__main__.py"), Asked(), stack="dev", preview=False)
    assert not [name for name in asked if "authority" in name], "nothing that signs is in the state"
    inputs = asked["jm-0-rest-certificate"]
    assert inputs["create"] == "./sign.sh '--days 90'"
    assert inputs["environment"]["FLINK_TLS_CIRCLE"] == "rest" and inputs["environment"]["FLINK_TLS_DAYS"] == "90"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"command": "step ca sign"}, "tlsSigner command"),
        ({"command": []}, "tlsSigner command"),
        ({"command": [""]}, "tlsSigner command"),
        ({"command": None}, "tlsSigner command"),
        ({"authorities": {}}, "tlsSigner authorities"),
        ({"authorities": {"rest": "rest.pem"}}, "expected a file with certificates for each of internal"),
        ({"authorities": "rest.pem"}, "tlsSigner authorities"),
        ({"key": "x"}, "tlsSigner key: is unknown"),
        ({"minutes": 2}, "tlsSigner minutes: 2 is too small: expected 3 or more"),
        ({"minutes": 1441}, "tlsSigner minutes: 1441 is out of range: expected 1440 or less"),
        ({"minutes": "9"}, "tlsSigner minutes: '9' has the wrong type: expected int"),
    ],
)
def test_other_settings_are_refused(folder: Path, changes: dict[str, Any], expected: str) -> None:
    assert expected in refused(folder, tls=True, tlsSigner=signer(folder, **changes))


def test_files_are_certificates_and_no_circle_trusts_anothers_authority(folder: Path) -> None:
    known = signer(folder)
    path = folder / "rest.pem"
    for text, expected in (
        ("", "no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "no certificate in PEM"),
        (Pki().pem + "-----BEGIN PRIVATE KEY-----\n", "has a private key"),
        ((folder / "internal.pem").read_text() + Pki().pem, "trusts an authority of internal"),
    ):
        path.write_text(text)
        problem = refused(folder, tls=True, tlsSigner=known)
        assert "tlsSigner authorities rest: " in problem and expected in problem
    path.unlink()
    assert "rest.pem cannot be read" in refused(folder, tls=True, tlsSigner=known)
    assert "expected tls: true" in refused(folder, tlsSigner=signer(folder))
    assert load(folder, tls=True, tlsSigner=signer(folder)).cluster.tls_signer

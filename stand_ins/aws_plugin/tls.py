"""TLS: private keys and certificates. The types of `pulumi-resource-tls`, which knows no cloud."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stand_ins.aws_plugin.resource import Aws, Refused, Resource, failures_of_choice, is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

_Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "P224": ec.SECP224R1,
    "P256": ec.SECP256R1,
    "P384": ec.SECP384R1,
    "P521": ec.SECP521R1,
}
_CURVE, _BITS = "P224", 2048
"""The official plugin's defaults; both are outputs, whatever the algorithm is."""
_SMALLEST = 1024
"""Bits of the smallest RSA key that Go's library creates (and Python's)."""


class StateOnly(Resource):
    """What exists in the state only: every change replaces."""

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """Only the state exists."""
        return dict(state)

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Every change replaces."""
        raise AssertionError(f"{self.kind}: is never updated")

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """The state forgets it."""


class PrivateKey(StateOnly):
    """A private key that is created once and exists only in the state: its id is the SHA-1 of its public key."""

    token = "tls:index/privateKey:PrivateKey"
    kind = "TLS Private Key"
    args = "pulumi_tls.private_key:PrivateKeyArgs"
    replaces = frozenset({"algorithm", "ecdsaCurve", "rsaBits"})
    secrets = frozenset({"privateKeyPem", "privateKeyOpenssh", "privateKeyPemPkcs8"})
    computed = secrets | {
        "publicKeyOpenssh",
        "publicKeyPem",
        "publicKeyFingerprintMd5",
        "publicKeyFingerprintSha256",
    }

    def check(self, inputs: Object) -> list[Failure]:
        """The supported algorithms and curves."""
        choices = {"algorithm": ("RSA", "ECDSA", "ED25519"), "ecdsaCurve": tuple(_CURVES)}
        found = failures_of_choice(inputs, choices)
        bits = inputs.get("rsaBits")
        if isinstance(bits, float | int) and bits < _SMALLEST:
            found.append(Failure("rsaBits", f"an RSA key has at least {_SMALLEST} bits; got {int(bits)}"))
        return found

    def preview(self, inputs: Object) -> Object:
        """The defaults."""
        return {"ecdsaCurve": inputs.get("ecdsaCurve", _CURVE), "rsaBits": inputs.get("rsaBits", _BITS)}

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create a key."""
        settings = self.preview(inputs)
        key = _generate(inputs["algorithm"], settings["ecdsaCurve"], int(settings["rsaBits"]))
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha1(der, usedforsecurity=False).hexdigest(), {**settings, **_forms(key)}


_USAGES = {
    "digital_signature": "digital_signature",
    "content_commitment": "content_commitment",
    "key_encipherment": "key_encipherment",
    "data_encipherment": "data_encipherment",
    "key_agreement": "key_agreement",
    "cert_signing": "key_cert_sign",
    "crl_signing": "crl_sign",
}
"""The plugin's names of key usages → those of the library."""
_EXTENDED = {
    "server_auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "client_auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "code_signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email_protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
}


class Certificate(StateOnly):
    """What the types of certificates have in common.

    Like the official plugin, it does not renew by itself: in a preview of the program the engine compares inputs, and
    `readyForRenewal` is none (pulumi-tls issue 39).
    """

    computed = frozenset({"certPem", "validityStartTime", "validityEndTime", "keyAlgorithm", "readyForRenewal"})

    def check(self, inputs: Object) -> list[Failure]:
        """The uses that this stand-in knows, and a period that is not negative."""
        known = {**_USAGES, **_EXTENDED}
        found = []
        uses = inputs.get("allowedUses")
        for use in uses if isinstance(uses, list) else []:
            if isinstance(use, str) and not is_unknown(use) and use not in known:
                found.append(Failure("allowedUses", f"the stand-in does not know the use {use!r}"))
        hours = inputs.get("validityPeriodHours")
        if isinstance(hours, float | int) and hours < 0:
            found.append(Failure("validityPeriodHours", f"must be at least 0, got: {int(hours)}"))
        return found

    def preview(self, inputs: Object) -> Object:
        """The defaults."""
        defaults: Object = {"earlyRenewalHours": 0, "isCaCertificate": False, "setSubjectKeyId": False}
        return {key: inputs.get(key, value) for key, value in defaults.items()}


class SelfSignedCert(Certificate):
    """A certificate that its own key signs, such as that of an authority."""

    token = "tls:index/selfSignedCert:SelfSignedCert"
    kind = "Self Signed Certificate"
    args = "pulumi_tls.self_signed_cert:SelfSignedCertArgs"
    replaces = frozenset(
        {
            "allowedUses",
            "dnsNames",
            "ipAddresses",
            "isCaCertificate",
            "maxPathLength",
            "privateKeyPem",
            "setAuthorityKeyId",
            "setSubjectKeyId",
            "subject",
            "uris",
            "validityPeriodHours",
        }
    )

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create and sign it."""
        key: Any = load_pem_private_key(str(inputs["privateKeyPem"]).encode(), password=None)
        subject = _name(inputs.get("subject"))
        if inputs.get("isCaCertificate") and not list(subject):
            raise Refused("Invalid Certificate Subject: must contain at least one Distinguished Name")
        id, outputs = _signed(inputs, subject, key.public_key(), [], subject, key)
        return id, {**self.preview(inputs), **outputs}


class CertRequest(StateOnly):
    """A request for a certificate, signed by its key."""

    token = "tls:index/certRequest:CertRequest"
    kind = "Certificate Request"
    args = "pulumi_tls.cert_request:CertRequestArgs"
    replaces = frozenset({"dnsNames", "ipAddresses", "privateKeyPem", "subject", "uris"})
    computed = frozenset({"certRequestPem", "keyAlgorithm"})

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create and sign it."""
        key: Any = load_pem_private_key(str(inputs["privateKeyPem"]).encode(), password=None)
        builder = x509.CertificateSigningRequestBuilder().subject_name(_name(inputs.get("subject")))
        if names := _alternatives(inputs):
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        pem = builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()
        id = hashlib.sha1(pem.encode(), usedforsecurity=False).hexdigest()
        return id, {"certRequestPem": pem, "keyAlgorithm": _algorithm(key.public_key())}


def _alternatives(inputs: Object) -> list[x509.GeneralName]:
    def texts(key: str) -> list[str]:
        found = inputs.get(key)
        return [str(text) for text in found] if isinstance(found, list) else []

    found: list[x509.GeneralName] = [x509.DNSName(text) for text in texts("dnsNames")]
    return [*found, *(x509.IPAddress(ipaddress.ip_address(text)) for text in texts("ipAddresses"))]


class LocallySignedCert(Certificate):
    """A certificate for a request, signed by an authority."""

    token = "tls:index/locallySignedCert:LocallySignedCert"
    kind = "Locally Signed Certificate"
    args = "pulumi_tls.locally_signed_cert:LocallySignedCertArgs"
    replaces = frozenset(
        {
            "allowedUses",
            "caCertPem",
            "caPrivateKeyPem",
            "certRequestPem",
            "isCaCertificate",
            "maxPathLength",
            "setSubjectKeyId",
            "validityPeriodHours",
        }
    )
    computed = Certificate.computed | {"caKeyAlgorithm"}

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Sign it, with the names in the request."""
        text = str(inputs["certRequestPem"])
        kind = re.search("-----BEGIN (.+)-----", text)
        # The library also takes the older name NEW CERTIFICATE REQUEST
        if kind and kind[1] != "CERTIFICATE REQUEST":
            raise Refused(
                "Failed to parse certificate request PEM: invalid PEM type - expected"
                f' "CERTIFICATE REQUEST", got "{kind[1]}"'
            )
        try:
            request = x509.load_pem_x509_csr(text.encode())
        except ValueError as error:
            raise Refused(f"Failed to parse PEM: certRequestPem: {error}") from None
        if not request.is_signature_valid:
            raise Refused("the signature of the certificate request is not valid")
        authority = x509.load_pem_x509_certificate(str(inputs["caCertPem"]).encode())
        key: Any = load_pem_private_key(str(inputs["caPrivateKeyPem"]).encode(), password=None)
        # Go's x509.CreateCertificate verifies what it signed with the authority's public key
        if key.public_key() != authority.public_key():
            raise Refused("Failed to create certificate: x509: provided PrivateKey doesn't match parent's PublicKey")
        named = [
            extension for extension in request.extensions if isinstance(extension.value, x509.SubjectAlternativeName)
        ]
        id, outputs = _signed(inputs, request.subject, request.public_key(), named, authority.subject, key, authority)
        return id, {**self.preview(inputs), **outputs, "caKeyAlgorithm": _algorithm(key.public_key())}


RESOURCES: dict[str, Resource] = {
    kind.token: kind for kind in (PrivateKey(), SelfSignedCert(), CertRequest(), LocallySignedCert())
}


def _signed(
    inputs: Object,
    subject: x509.Name,
    public_key: Any,
    extensions: list[x509.Extension[Any]],
    issuer: x509.Name,
    key: Any,
    authority: x509.Certificate | None = None,
) -> tuple[str, Object]:
    """Id and outputs of a certificate."""
    begins = datetime.now(UTC)
    ends = begins + timedelta(hours=int(inputs["validityPeriodHours"]))
    serial = x509.random_serial_number()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=bool(inputs.get("isCaCertificate")), path_length=None), critical=True)
    )
    uses = {str(use) for use in inputs["allowedUses"]}
    flags = {name: ours in uses for ours, name in _USAGES.items()}
    if any(flags.values()):
        usage = x509.KeyUsage(**flags, encipher_only=False, decipher_only=False)
        builder = builder.add_extension(usage, critical=True)
    if extended := [found for use, found in _EXTENDED.items() if use in uses]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    if inputs.get("setSubjectKeyId") or inputs.get("isCaCertificate"):
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    if authority is not None:
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())  # type: ignore[arg-type]
        builder = builder.add_extension(signer, critical=False)
    for extension in extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    text = builder.sign(key, algorithm).public_bytes(Encoding.PEM).decode()
    return str(serial), {
        "certPem": text,
        "keyAlgorithm": _algorithm(public_key),
        "readyForRenewal": False,
        "validityStartTime": begins.isoformat(),
        "validityEndTime": ends.isoformat(),
    }


def _name(subject: Value) -> x509.Name:
    found = subject if isinstance(subject, dict) else {}
    kinds = {
        "commonName": NameOID.COMMON_NAME,
        "organization": NameOID.ORGANIZATION_NAME,
        "organizationalUnit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    }
    return x509.Name([x509.NameAttribute(kind, str(found[key])) for key, kind in kinds.items() if found.get(key)])


def _algorithm(key: Any) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "ECDSA" if isinstance(key, ec.EllipticCurvePublicKey) else "ED25519"


def _generate(algorithm: str, curve: str, bits: int) -> _Key:
    match algorithm:
        case "RSA":
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)
        case "ECDSA":
            return ec.generate_private_key(_CURVES[curve]())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def _forms(key: _Key) -> Object:
    """The key in every format of the official plugin."""
    # Ed25519 has no traditional format: PKCS#8 instead.
    traditional = not isinstance(key, ed25519.Ed25519PrivateKey)
    pem = PrivateFormat.TraditionalOpenSSL if traditional else PrivateFormat.PKCS8
    public_pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        "privateKeyPem": _private(key, pem),
        "privateKeyPemPkcs8": _private(key, PrivateFormat.PKCS8),
        "publicKeyPem": public_pem.decode(),
        **_openssh_forms(key),
    }


def _openssh_forms(key: _Key) -> Object:
    """OpenSSH's formats; empty for P-224, which it does not support."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP224R1):
        private = public = md5 = sha256 = ""
    else:
        private = _private(key, PrivateFormat.OpenSSH)
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n"
        blob = base64.b64decode(public.split()[1])
        md5 = hashlib.md5(blob, usedforsecurity=False).digest().hex(":")
        sha256 = "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return {
        "privateKeyOpenssh": private,
        "publicKeyOpenssh": public,
        "publicKeyFingerprintMd5": md5,
        "publicKeyFingerprintSha256": sha256,
    }


def _private(key: _Key, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()

"""TLS: private keys. The types of `pulumi-resource-tls`, which knows no cloud."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from stand_ins.aws_plugin.resource import Aws, Resource, failures_of_choice
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object

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


class PrivateKey(Resource):
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

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """Only the state exists."""
        return dict(state)

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Every change replaces."""
        raise AssertionError("a private key is never updated")

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """The state forgets it."""


RESOURCES: dict[str, Resource] = {PrivateKey.token: PrivateKey()}


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

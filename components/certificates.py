"""Certificates in PEM files of the operator's."""

import re
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

LARGEST = 100_000
"""Bytes of all certificates: each step that downloads something on a host has them."""
NOTICE = timedelta(days=30)
"""A certificate that expires within this time, or within a third of its life if that is less, is reported."""

_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)


def trusted(text: str, now: datetime) -> str:
    """The certificates in a text, each once, without what is between them. Raises ValueError unless all are valid now,
    and there is nothing else in the text that PEM can have, such as a private key.
    """
    # Not a word of it in the message
    if _PRIVATE.search(text):
        raise ValueError("has a private key: expected certificates only")
    others = sorted({kind for kind in _BLOCK.findall(text) if kind != "CERTIFICATE"})
    if others:
        raise ValueError(f"has a block {others[0]}: expected BEGIN CERTIFICATE")
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError("has no certificates that can be read: expected PEM, with BEGIN CERTIFICATE") from None
    for number, each in enumerate(found, start=1):
        _check(each, f"certificate {number} ({_subject(each)})", now)
    whole = dict.fromkeys(each.public_bytes(Encoding.PEM).decode() for each in found)
    pem = "".join(whole)
    if len(pem) > LARGEST:
        raise ValueError(f"has {len(whole)} certificates with {len(pem)} bytes: expected {LARGEST} at most")
    return pem


def shown(pem: str) -> list[str]:
    """The certificates for people: subject, the end, and the beginning of the SHA-256 fingerprint."""
    return [
        f"{_subject(each)}, until {each.not_valid_after_utc:%Y-%m-%d}, {each.fingerprint(SHA256()).hex()[:16]}"
        for each in x509.load_pem_x509_certificates(pem.encode())
    ]


def end(pem: str) -> datetime:
    """When the first of them expires."""
    return min(each.not_valid_after_utc for each in x509.load_pem_x509_certificates(pem.encode()))


def notice(life: timedelta) -> timedelta:
    """How long before its end a certificate that is valid for `life` is reported."""
    return min(NOTICE, life / 3)


def first_end(pem: str) -> tuple[datetime, timedelta]:
    """When the first of them expires, and how long before that it is reported."""
    first = min(x509.load_pem_x509_certificates(pem.encode()), key=lambda each: each.not_valid_after_utc)
    return first.not_valid_after_utc, notice(first.not_valid_after_utc - first.not_valid_before_utc)


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key has signed it, and the issuer's name is in it."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether it may sign others (RFC 5280, basic constraints)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def lacks(certificate: x509.Certificate, *uses: x509.ObjectIdentifier) -> list[str]:
    """The names of those uses (RFC 5280, extended key usage) that it is not for. Without the extension it is for
    all.
    """
    try:
        known = {*certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value}
    except x509.ExtensionNotFound:
        return []
    found = set() if ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in known else {*uses} - known
    return sorted(f"{use._name}" for use in found)


def _check(certificate: x509.Certificate, what: str, now: datetime) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        raise ValueError(f"{what} expired on {ends:%Y-%m-%d %H:%M} UTC: expected one that is valid")
    if begins > now:
        raise ValueError(f"{what} is valid from {begins:%Y-%m-%d %H:%M} UTC: expected one that is valid")


def _subject(certificate: x509.Certificate) -> str:
    text = certificate.subject.rfc4514_string()
    return (text if text.isprintable() else repr(text))[:100]


def now() -> datetime:
    """Of this machine."""
    return datetime.now(UTC)

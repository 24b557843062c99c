"""SSH keys: private ones in files, and public ones of hosts."""

import stat
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from . import files
from .problems import Problems

LEAST_RSA_BITS = 2048
"""The shortest that is not withdrawn (NIST SP 800-131A)."""

_LOADERS = {
    "-----BEGIN OPENSSH PRIVATE KEY-----": serialization.load_ssh_private_key,
    "-----BEGIN PRIVATE KEY-----": serialization.load_pem_private_key,
    "-----BEGIN RSA PRIVATE KEY-----": serialization.load_pem_private_key,
    "-----BEGIN EC PRIVATE KEY-----": serialization.load_pem_private_key,
}


def read(path: Path, key: str, problems: Problems) -> str:
    """Text of the private key at `path`. If it is not usable, an empty text, and a problem is recorded for `key`."""
    try:
        text = files.text(path)
        _check(text, path)
    except ValueError as error:
        problems.add(key, str(error))
        return ""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):  # OpenSSH refuses such a file
        problems.warn(key, f"{path} has mode {mode:04o}, so that others may read it: expected 0600")
    return text


def public_key(text: str) -> tuple[str, int]:
    """The public key, as OpenSSH writes it without a comment, of a private key that `read` has accepted; and its bits.

    Raises ValueError for a key of a type that OpenSSH does not have.
    """
    key = _load(text)
    try:
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except (AttributeError, KeyError, ValueError, UnsupportedAlgorithm):
        raise ValueError("is of a type that OpenSSH does not have") from None
    return line.decode(), getattr(key, "key_size", 256)


@cache
def shortest(text: str) -> str:
    """The same private key in the shortest form that Go's SSH client reads: an Ed25519 key in PKCS #8, a third of
    OpenSSH's own form. Other keys, and what is none, as they are.
    """
    try:
        key = _load(text)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        return text
    return _written(key, PrivateFormat.PKCS8) if isinstance(key, ed25519.Ed25519PrivateKey) else text


@cache
def for_openssh(text: str) -> str:
    """The same private key in a form that OpenSSH reads: before 9.6 it reads no Ed25519 key in PKCS #8. That form has a
    random part, so it is not for what is compared with an earlier one.
    """
    if not text.lstrip().startswith("-----BEGIN PRIVATE KEY-----"):
        return text
    key = _load(text)
    return _written(key, PrivateFormat.OpenSSH) if isinstance(key, ed25519.Ed25519PrivateKey) else text


def _written(key: ed25519.Ed25519PrivateKey, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def _load(text: str) -> Any:
    text = text.strip()
    return _LOADERS[text.partition("\n")[0].strip()](text.encode() + b"\n", password=None)


def _check(text: str, path: Path) -> None:
    """Raise ValueError unless the text is a whole private key without a passphrase."""
    header = text.lstrip().partition("\n")[0].strip()
    if header == "-----BEGIN ENCRYPTED PRIVATE KEY-----":
        raise ValueError(f"{path} has a passphrase: expected a key without one")
    if header not in _LOADERS:
        what = (
            "a public key" if text.startswith(("ssh-", "ecdsa-", "-----BEGIN PUBLIC", "sk-")) else "not a private key"
        )
        raise ValueError(f"{path} is {what}: expected a private key in PEM or OpenSSH form")
    try:
        key = _load(text)
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, TypeError) or "Proc-Type: 4,ENCRYPTED" in text:
            raise ValueError(f"{path} has a passphrase: expected a key without one") from None
        raise ValueError(f"{path} is damaged, or of a type that is not known: expected a whole private key") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < LEAST_RSA_BITS:
        raise ValueError(f"{path} has {key.key_size} bits: expected Ed25519, or RSA with {LEAST_RSA_BITS} or more")
    if isinstance(key, dsa.DSAPrivateKey):
        raise ValueError(f"{path} is of type ssh-dss, which no current sshd accepts: expected an Ed25519 key")


def check_host_key(text: str) -> None:
    """Raise ValueError unless the text is a whole public key of the type that the word in front of it says."""
    name, blob = text.split()[:2]
    try:
        serialization.load_ssh_public_key(f"{name} {blob}".encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"is not a whole key of type {name}") from None

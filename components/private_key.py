"""Private keys in files."""

import base64
import contextlib
from pathlib import Path

from .problems import Problems


def read(path: Path, key: str, problems: Problems) -> str:
    """Text of the private key at `path`. If it is not usable, an empty text, and a problem is recorded for `key`."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        problems.add(key, f"{path} cannot be read: {reason}")
        return ""
    if "PRIVATE KEY-----" not in text:
        problems.add(key, f"{path} is not a private key: expected PEM or OpenSSH format")
        return ""
    if _has_passphrase(text):
        problems.add(key, f"{path} has a passphrase: expected a key without one")
        return ""
    return text


def _has_passphrase(key: str) -> bool:
    """Whether a private key is encrypted: PEM has it in a header, OpenSSH's format in the key derivation function."""
    if "BEGIN OPENSSH PRIVATE KEY" not in key:
        return "ENCRYPTED" in key
    body = "".join(line for line in key.splitlines() if not line.startswith("-----"))
    with contextlib.suppress(ValueError):
        return b"bcrypt" in base64.b64decode(body)[:64]
    return False

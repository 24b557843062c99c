"""Private keys in files."""

import base64
import contextlib
from pathlib import Path

from .problems import Problems


def read(path: Path, key: str, problems: Problems) -> str:
    """Text of the private key at `path`; if there is none that can be used, a problem of `key`, and nothing."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        problems.add(key, f"{path} cannot be read: {reason}")
        return ""
    if "PRIVATE KEY-----" not in text:
        problems.add(key, f"{path} is not a private key: expected one in PEM or OpenSSH form")
        return ""
    if _has_passphrase(text):
        problems.add(key, f"{path} has a passphrase: expected a key without one")
        return ""
    return text


def _has_passphrase(key: str) -> bool:
    """Whether a private key is encrypted: PEM says so in its header, OpenSSH's own form names its key function."""
    if "BEGIN OPENSSH PRIVATE KEY" not in key:
        return "ENCRYPTED" in key
    body = "".join(line for line in key.splitlines() if not line.startswith("-----"))
    with contextlib.suppress(ValueError):
        return b"bcrypt" in base64.b64decode(body)[:64]
    return False

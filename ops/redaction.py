"""Removes secrets from text that leaves the operators' machine: values that are known, and what looks like a secret."""

import base64
import re
from collections.abc import Iterable, Iterator

REMOVED = "(removed)"
SHORTEST = 6
"""Shorter values are not looked for: they would be found everywhere."""

_NAME = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|credential|api[._-]?key|access[._-]?key|account[._-]?key|private[._-]?key"
    r"|service-key|auth-params|basic-auth|jaas\.config|http-headers|cookie|authorization)[\w.-]*"
)
"""Names of options that Flink itself hides (GlobalConfiguration.SENSITIVE_KEYS), and more."""
_NO_CLASS = r"(?<!\.java)(?<!exception)(?<!error)"
"""Of a stack trace."""
_PATTERNS = (
    # {"key": "s3.secret-key", "value": "…"}, of Flink's REST API
    (re.compile(rf'("key"\s*:\s*"{_NAME}"\s*,\s*"value"\s*:\s*)"(?:[^"\\]|\\.)*"', re.I), rf'\1"{REMOVED}"'),
    (
        re.compile(
            rf"""(\b{_NAME}{_NO_CLASS}["']?\s*[=:]\s*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|(?:Basic|Bearer)\s+\S+|[^\s"',;]+)""",
            re.I,
        ),
        rf"\1{REMOVED}",
    ),
    (re.compile(r"\b((?:Basic|Bearer)\s+)[\w.~+/=-]{8,}"), rf"\1{REMOVED}"),
    # In a URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/:@'\"]*:[^\s/@'\"]+@", re.I), rf"\1{REMOVED}@"),
    # A hash of a password
    (re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"), REMOVED),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), REMOVED),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"), REMOVED),
    (re.compile(r"(hooks\.slack\.com/services/)[\w/]+"), rf"\1{REMOVED}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), REMOVED),
)


class Redactor:
    """Removes these values, and what looks like a secret."""

    def __init__(self, known: Iterable[str]) -> None:
        # The longest first: one may begin with another
        found = sorted({value for value in known if len(value) >= SHORTEST}, key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(re.escape, found))) if found else None

    def clean(self, text: str) -> str:
        """The text without them."""
        if self._known:
            text = self._known.sub(REMOVED, text)
        for pattern, instead in _PATTERNS:
            text = pattern.sub(instead, text)
        return text


def values(text: str) -> Iterator[str]:
    """The secret values in a secret file: of lines `NAME=VALUE` and `NAME: VALUE`, and lines of one word; also those
    that are again such a text, encoded in base64.
    """
    for line in text.splitlines():
        word = line.strip()
        if not word or word.startswith(("#", "-----")):
            continue
        named = re.match(r"[\w.-]+\s*[=:]\s*(.+)", word)
        value = (named[1] if named else word).strip().strip("'\"")
        if not value or (not named and " " in value):
            continue
        yield value
        if (inner := _decoded(value)) and not inner.isspace():
            yield inner.strip()
            if "\n" in inner or re.search(r"[=:]", inner):
                yield from values(inner)


def _decoded(value: str) -> str:
    if len(value) < 8 or len(value) % 4:
        return ""
    try:
        found = base64.b64decode(value, validate=True).decode()
    except ValueError:
        # No base64, or not of a text
        return ""
    return found if found.isprintable() or "\n" in found else ""

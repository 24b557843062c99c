"""The PKI that signs certificates of hosts, if not the stack itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import Field

from components import files
from components.certificates import is_authority
from components.circles import Circle, circles
from components.flink.authorities import certificates
from components.flink.settings import TlsSigner
from components.problems import Problems, shown
from components.shapes import Shape, fields

KEY = "tlsSigner"
_PUBLIC = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
_ALWAYS = [circle.value for circle in circles(monitored=False)]
_EXPECTED = (
    f"a file with certificates for each of {', '.join(_ALWAYS)}, and for {Circle.MONITORING.value} with a monitoring "
    "host"
)


_FEWEST, _MOST = 3, 24 * 60
"""Minutes of `minutes`: `up` and its rollout end within two thirds of them, and certificateDays is for more."""


class _Signer(Shape):
    command: list[Annotated[str, Field(min_length=1)]] = Field(
        min_length=1, description="a list: the program and its arguments"
    )
    authorities: dict[str, str] = Field(description=_EXPECTED)
    minutes: int = Field(default=0, ge=_FEWEST, le=_MOST, description="minutes for which it signs")


def tls_signer(values: Mapping[str, Any], root: Path, problems: Problems) -> TlsSigner | None:
    """The PKI; None if there is none. What is wrong is added to `problems`."""
    if not values[KEY]:
        return None
    before = len(problems.found)
    if not values["tls"]:
        problems.add(KEY, "signs nothing without TLS: expected tls: true, or no tlsSigner")
    known = fields(_Signer, values[KEY], KEY, problems)
    found = _authorities(known["authorities"], root, problems) if "authorities" in known else {}
    if len(problems.found) > before:
        return None
    return TlsSigner(command=tuple(known["command"]), authorities=found, minutes=known.get("minutes", 0))


def _authorities(places: Mapping[str, str], root: Path, problems: Problems) -> dict[Circle, str]:
    known = {circle.value: circle for circle in Circle}
    where = f"{KEY} authorities"
    if not set(_ALWAYS) <= set(places) <= set(known):
        problems.add(where, f"has {shown(sorted(places))}: expected {_EXPECTED}")
        return {}
    found: dict[Circle, str] = {}
    owners: dict[bytes, str] = {}
    for name, place in places.items():

        def read(place: str = place) -> str:
            text = files.text(files.located(place, root))
            if "PRIVATE KEY" in text:
                raise ValueError(f"{place} has a private key: expected certificates only")
            wrong = [one for one in certificates(text) if not is_authority(one)]
            if wrong:
                name = wrong[0].subject.rfc4514_string()
                raise ValueError(f"{place} has {shown(name)}, which may not sign: expected authorities only")
            return text

        text = problems.catch(f"{where} {name}", read, "")
        for one in certificates(text) if text else []:
            key = one.public_key().public_bytes(*_PUBLIC)
            other = owners.setdefault(key, name)
            if other != name:
                problems.add(
                    f"{where} {name}",
                    f"trusts an authority of {other}: expected others, because what one circle trusts must not open the"
                    " other (docs/security.md)",
                )
        found[known[name]] = text
    return found

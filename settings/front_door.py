"""Settings of the front door."""

from collections.abc import Mapping
from typing import Annotated, Any

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import AfterValidator, Field

from components import certificates, forms, ports
from components.flink.releases import Archive
from components.frontdoor.settings import LOGINS, NONE, OIDC, PORT, ROLES, USERS, FrontDoorSettings, User
from components.problems import Problems, shown
from components.shapes import Shape, fields
from settings.acme import KEY as ACME_KEY
from settings.acme import acme
from settings.openid import KEY as OIDC_KEY
from settings.openid import SECRET as OIDC_SECRET
from settings.openid import openid

FRONT_DOOR_USERS = "frontDoorUsers"
FRONT_DOOR_KEY = "frontDoorKey"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""Those that browsers and Go, in which Caddy is written, know."""
_WORDS = ("default", "import")
"""Caddy takes them for its own at the beginning of a line, even in quotes."""
_OTHERS = (
    "frontDoorPort",
    "frontDoorLogin",
    FRONT_DOOR_USERS,
    "frontDoorNames",
    "frontDoorCertificate",
    FRONT_DOOR_KEY,
    ACME_KEY,
    OIDC_KEY,
    OIDC_SECRET,
)
_SMALLEST_RSA = 2048


def _hash(text: str) -> str:
    # What was found may be a password
    if not forms.PASSWORD_HASH.fits(text):
        raise ValueError(f"is not {forms.PASSWORD_HASH.what}: expected {forms.PASSWORD_HASH.expected}")
    return text


def _role(text: str) -> str:
    if text not in ROLES:
        raise ValueError(f"{shown(text)} is unknown: expected {' or '.join(ROLES)}")
    return text


class _User(Shape):
    # Not strict: a value of another type must not be shown
    password_hash: Annotated[Any, AfterValidator(_hash)] = Field(description=forms.PASSWORD_HASH.expected)
    role: Annotated[str, AfterValidator(_role)] = Field(description=" or ".join(ROLES))


def front_door(
    values: Mapping[str, Any], caddy: Archive, oauth2proxy: Archive, problems: Problems
) -> FrontDoorSettings | None:
    """Settings of the front door; None if there is none. What is wrong is added to `problems`."""
    if not values["frontDoor"]:
        for key in _OTHERS:
            if values[key] and (key, values[key]) not in (("frontDoorPort", PORT), ("frontDoorLogin", USERS)):
                problems.add(key, "has no effect without a front door: expected frontDoor: true, or remove it")
        return None
    port, login = values["frontDoorPort"], values["frontDoorLogin"]
    taken = {each.number for each in (*ports.TABLE, *ports.MONITORING, ports.HISTORY)}
    if not 1 <= port <= 65_535:
        problems.add("frontDoorPort", f"{shown(port)} is out of range: expected 1 to 65535")
    elif port in taken:
        problems.add("frontDoorPort", f"{port} is another port of the cluster: expected one such as {PORT}")
    if login not in LOGINS:
        problems.add("frontDoorLogin", f"{shown(login)} is unknown: expected {', '.join(LOGINS[:-1])} or {LOGINS[-1]}")
    names = []
    for name in values["frontDoorNames"]:
        names.append(problems.catch("frontDoorNames", lambda name=name: forms.DNS_NAME(name), ""))  # type: ignore[misc]
    certificate, served_as = _certificate(values, problems)
    by_acme = acme(values, problems)
    return FrontDoorSettings(
        port=port,
        users=_users(values, login, problems),
        names=tuple(names),
        certificate=certificate,
        key=pulumi.Output.secret(values[FRONT_DOOR_KEY]) if values[FRONT_DOOR_KEY] else None,
        served_as=served_as,
        acme=by_acme,
        oidc=openid(values, login, [*(by_acme.names.values() if by_acme else ()), *names], oauth2proxy, problems),
        caddy=caddy,
    )


def _users(values: Mapping[str, Any], login: str, problems: Problems) -> pulumi.Output[list[User]] | None:
    given = values[FRONT_DOOR_USERS]
    if login == NONE:
        if given:
            problems.add(FRONT_DOOR_USERS, f"has no effect with frontDoorLogin: {NONE}: remove it")
        return None
    if login == OIDC and not given:
        return None
    if not given:
        problems.add(
            FRONT_DOOR_USERS,
            "is missing: expected at least one user with passwordHash and role, or frontDoorLogin: none, with which "
            "everyone in operatorCidrs is an operator",
        )
    users = []
    for name, entry in sorted(given.items()):
        if not forms.LOGIN.fits(name):
            problems.add(FRONT_DOOR_USERS, f"{shown(name)} is not {forms.LOGIN.what}: expected {forms.LOGIN.expected}")
            continue
        if name in _WORDS:
            problems.add(FRONT_DOOR_USERS, f"{shown(name)} is a word of Caddy's configuration: expected another name")
            continue
        known = fields(_User, entry, f"{FRONT_DOOR_USERS}.{name}", _Hidden(problems))
        if len(known) == len(_User.model_fields):
            users.append(User(name=name, password_hash=known["passwordHash"], role=known["role"]))
    return pulumi.Output.secret(users)


class _Hidden(Problems):
    """Adds problems to others, without what was found where that may be a secret."""

    def __init__(self, others: Problems) -> None:
        super().__init__()
        self._others = others

    def add(self, key: str, what: str) -> None:
        """Record a problem."""
        if " is not a mapping" in what:
            what = "is not a mapping: expected passwordHash and role"
        self._others.add(key, what)


def _certificate(values: Mapping[str, Any], problems: Problems) -> tuple[str, str]:
    """Your certificate with its chain, and one of its names; both empty without one."""
    text, key = values["frontDoorCertificate"], values[FRONT_DOOR_KEY]
    if bool(text) != bool(key):
        missing = FRONT_DOOR_KEY if text else "frontDoorCertificate"
        problems.add(missing, "is missing: expected both, or neither for a certificate of the stack's own authority")
    if not text or not key:
        return "", ""
    found = problems.catch("frontDoorCertificate", lambda: _checked(text, key), ("", ""))
    if found[0]:
        ends, notice = certificates.first_end(found[0])
        if ends - certificates.now() < notice:
            problems.warn("frontDoorCertificate", f"expires on {ends:%Y-%m-%d}: expected another one soon")
    return found


def _checked(text: str, key: str) -> tuple[str, str]:
    """The certificate as it is used. Raises ValueError."""
    try:
        chain = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValueError(
            "is no certificate: expected PEM, first yours, then those of the authorities between"
        ) from None
    try:
        private: Any = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise ValueError(f"{FRONT_DOOR_KEY} is no private key: expected PEM without a passphrase") from None
    first = chain[0]
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError(f"{FRONT_DOOR_KEY} has another algorithm: expected ECDSA, Ed25519 or RSA")
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size < _SMALLEST_RSA:
        raise ValueError(f"{FRONT_DOOR_KEY} has {private.key_size} bits: expected {_SMALLEST_RSA} or more")
    if isinstance(private, ec.EllipticCurvePrivateKey) and not isinstance(private.curve, _CURVES):
        raise ValueError(f"{FRONT_DOOR_KEY} is of the curve {private.curve.name}: expected P-256, P-384 or P-521")
    if first.public_key() != private.public_key():
        raise ValueError(f"is not that of {FRONT_DOOR_KEY}: expected a certificate and its own key")
    for above, below in zip(chain[1:], chain, strict=False):
        if not (certificates.signed_by(below, above) and certificates.is_authority(above)):
            raise ValueError(
                f"{shown(above.subject.rfc4514_string())} has not signed the one before: expected the chain in order"
            )
    now = certificates.now()
    for each in chain:
        if each.not_valid_after_utc <= now:
            raise ValueError(f"expired at {each.not_valid_after_utc:%Y-%m-%d %H:%M} UTC: expected a valid one")
        if each.not_valid_before_utc > now:
            raise ValueError(f"is valid from {each.not_valid_before_utc:%Y-%m-%d %H:%M} UTC: expected a valid one")
    if certificates.lacks(first, ExtendedKeyUsageOID.SERVER_AUTH):
        raise ValueError("is not for servers (extended key usage): expected serverAuth")
    try:
        alternatives = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("has no subject alternative names, without which browsers refuse it") from None
    names = alternatives.get_values_for_type(x509.DNSName)
    addresses = [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]
    served = [name.replace("*", "front-door", 1) for name in names if forms.DNS_NAME.fits(name.removeprefix("*."))]
    if not served and not addresses:
        raise ValueError("has neither a DNS name nor an address: expected those of the JobManagers' hosts")
    pem = "".join(each.public_bytes(Encoding.PEM).decode() for each in chain)
    return pem, (served or addresses)[0]

"""Settings of the front door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from ..flink import releases
from ..flink.releases import Archive

PORT = 443
USERS, OIDC, NONE = "users", "oidc", "none"
LOGINS = (USERS, OIDC, NONE)
ROLES = ("viewer", "operator")
"""What a user may do: read only, or also submit, cancel and take savepoints (rights.py)."""


@dataclass(frozen=True, kw_only=True)
class User:
    """A person or a machine that logs in."""

    name: str
    password_hash: str
    """bcrypt's, as `python -m ops password` prints it."""
    role: str
    """One of ROLES."""


@dataclass(frozen=True, kw_only=True)
class Acme:
    """A server from which each front door gets a certificate by ACME (RFC 8555), proving its name by TLS-ALPN-01."""

    directory: str
    """URL of the server's directory, https://."""
    names: Mapping[str, str]
    """Name of each JobManager's host → its DNS name, as browsers and the server reach it."""
    email: str = ""
    """Where the server may write to. Empty: nowhere."""


@dataclass(frozen=True, kw_only=True)
class Oidc:
    """An OpenID Connect server by which people log in, and whose tokens machines have."""

    issuer: str
    """Its URL, https://, with everything that its tokens have as `iss`."""
    client_id: str
    secret: pulumi.Input[str]
    """The client's secret, as a secret."""
    names: Sequence[str]
    """The DNS names of the front door to which the server sends browsers back. Others are redirected to the first."""
    operators: Sequence[str]
    viewers: Sequence[str] = ()
    """The groups with each role."""
    roles_claim: str = "groups"
    """The claim with a person's groups."""
    name_claim: str = "email"
    """The claim with a person's name, for the audit."""
    scopes: Sequence[str] = ("openid", "email", "profile")
    audiences: Sequence[str] = ()
    """Audiences of machines' tokens, besides the client's."""
    session_hours: int = 8
    """Hours after which people log in again."""
    program: Archive = field(default_factory=lambda: releases.default("oauth2proxy"))


@dataclass(frozen=True, kw_only=True)
class FrontDoorSettings:
    """The front door on every JobManager's host. It is not validated here, but in `settings/front_door.py`."""

    port: int = PORT
    users: pulumi.Output[Sequence[User]] | None = None
    """A secret. None: nobody has to log in, or by `oidc` only."""
    oidc: Oidc | None = None
    """None: no login by OpenID Connect."""
    names: Sequence[str] = ()
    """Further DNS names of the JobManagers' hosts, for the certificate."""
    certificate: str = ""
    """Your certificate, with those of the authorities between, as PEM. Empty: the stack's own authority signs one for
    each host."""
    key: pulumi.Output[str] | None = None
    """Its key, a secret."""
    served_as: str = ""
    """One of the names in your certificate."""
    acme: Acme | None = None
    """None: no certificate by ACME."""
    caddy: Archive = field(default_factory=lambda: releases.default("caddy"))

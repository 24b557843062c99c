"""The login by OpenID Connect, as text: the configuration of oauth2-proxy, and what Caddy asks it. Pure.

oauth2-proxy redirects browsers to the issuer, checks what comes back, and keeps who it is in a cookie that it encrypts
with a secret of the stack: a session is valid on the host of each JobManager. It has no network port: Caddy alone
reaches its socket, and asks for each request whether its session, or its token, has one of the groups of a role.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from .settings import Oidc

UNIT = USER = "flink-login"
FOLDER = f"/etc/{UNIT}"
CONFIG, AUTHORITIES = (f"{FOLDER}/{name}" for name in ("oauth2-proxy.toml", "authorities.pem"))
SOCKET = f"/run/{UNIT}/proxy.sock"
COOKIE = "__Host-flink"
"""Browsers take a cookie of such a name from this host by TLS only, and for all of its paths (RFC 6265bis, 4.1.3.2)."""
_ASK = "/oauth2/auth"


@dataclass(frozen=True, kw_only=True)
class Login:
    """What the Caddyfile says of the login."""

    names: Sequence[str]
    sign_in: str
    operators: str
    viewers: str
    """Paths that oauth2-proxy answers with 202 for who has a group of the role, and with 403 for others. Empty: no
    group has it."""
    anybody: str = _ASK
    socket: str = SOCKET
    unit: str = UNIT


def login(oidc: Oidc, port: int) -> Login:
    """The login of a front door on a port."""
    name = oidc.names[0]
    return Login(
        names=oidc.names,
        sign_in=f"{name if port == 443 else f'{name}:{port}'}/oauth2/sign_in",
        operators=_asked(oidc.operators),
        viewers=_asked(oidc.viewers) if oidc.viewers else "",
    )


def _asked(groups: Sequence[str]) -> str:
    # Without a group it would allow everyone
    if not groups:
        raise ValueError("a role needs a group")
    return f"{_ASK}?allowed_groups={','.join(quote(group, safe='') for group in groups)}"


def config(oidc: Oidc, *, cluster: str, secret: str, cookie_secret: str, authorities: bool) -> str:
    """The configuration of oauth2-proxy, with both secrets: not for others to read. `cookie_secret`: 32 bytes in
    base64; `authorities`: whether AUTHORITIES is there.
    """
    options: dict[str, str | bool | Sequence[str]] = {
        "http_address": f"unix://{SOCKET},mode=0660",
        # What a client says of itself in X-Forwarded-… and the like is not read
        "reverse_proxy": False,
        "provider": "oidc",
        "provider_display_name": "OpenID Connect",
        "oidc_issuer_url": oidc.issuer,
        "client_id": oidc.client_id,
        "client_secret": secret,
        "code_challenge_method": "S256",
        "scope": " ".join(oidc.scopes),
        "oidc_groups_claim": oidc.roles_claim,
        "oidc_email_claim": oidc.name_claim,
        # Groups decide
        "email_domains": ["*"],
        # The host is that of the request, one of the names
        "redirect_url": "/oauth2/callback",
        "cookie_name": COOKIE,
        "cookie_secret": cookie_secret,
        "cookie_secure": True,
        "cookie_httponly": True,
        "cookie_samesite": "lax",
        "cookie_expire": f"{oidc.session_hours}h",
        "cookie_csrf_per_request": True,
        "cookie_csrf_per_request_limit": "10",
        # Tokens of the issuer are not needed after the login
        "session_cookie_minimal": True,
        "set_xauthrequest": True,
        "skip_jwt_bearer_tokens": True,
        # 401, as without a token: 403 is for those without a group
        "bearer_token_login_fallback": True,
        "oidc_extra_audiences": oidc.audiences,
        # Targets of requests have codes
        "request_logging": False,
        "banner": f"Flink {cluster}",
        "footer": "-",
        "custom_sign_in_logo": "-",
    }
    if authorities:
        options |= {"provider_ca_files": [AUTHORITIES], "use_system_trust_store": True}
    lines = [f"{name} = {_toml(value)}" for name, value in options.items() if value != ()]
    return "\n".join(["# Managed by Pulumi: changes are overwritten.", *lines, ""])


def _toml(value: str | bool | Sequence[str]) -> str:
    # A JSON text without escapes of two units is one of TOML
    return json.dumps(value if isinstance(value, str | bool) else list(value), ensure_ascii=False)

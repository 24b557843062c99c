"""The login by OpenID Connect at the front door."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pulumi
from pydantic import AfterValidator, Field

from components import forms
from components.flink.releases import Archive
from components.frontdoor.settings import OIDC, Oidc
from components.problems import Problems, shown
from components.shapes import Shape, fields

KEY, SECRET = "frontDoorOidc", "frontDoorOidcSecret"


def _some(groups: list[str]) -> list[str]:
    if not groups:
        raise ValueError("has no group: expected at least one")
    return groups


_Claim = Annotated[str, AfterValidator(forms.CLAIM)]
_Group = Annotated[str, AfterValidator(forms.GROUP)]


class _Openid(Shape):
    issuer: Annotated[str, AfterValidator(forms.ISSUER)] = Field(description=forms.ISSUER.expected)
    client_id: Annotated[str, AfterValidator(forms.CLIENT_ID)] = Field(description="the client's id at the issuer")
    operator: Annotated[list[_Group], AfterValidator(_some)] = Field(description="a list of groups, at least one")
    viewer: list[_Group] = Field(default=[], description="a list of groups")
    roles_claim: _Claim = Field(default="groups", description=forms.CLAIM.expected)
    name_claim: _Claim = Field(default="email", description=forms.CLAIM.expected)
    scopes: list[Annotated[str, AfterValidator(forms.SCOPE)]] = Field(default=[], description="a list of scopes")
    audiences: list[Annotated[str, AfterValidator(forms.CLIENT_ID)]] = Field(
        default=[], description="a list of audiences"
    )
    session_hours: Annotated[int, Field(ge=1, le=168)] = Field(default=8, description="1 to 168")


_OPTIONAL = ("viewer", "rolesClaim", "nameClaim", "scopes", "audiences", "sessionHours")


def openid(
    values: Mapping[str, Any], login: str, names: Sequence[str], program: Archive, problems: Problems
) -> Oidc | None:
    """The settings; None with another login. `names` are those of the front door. What is wrong is added to
    `problems`.
    """
    given, secret = values[KEY], values[SECRET]
    if login != OIDC:
        for key, value in ((KEY, given), (SECRET, secret)):
            if value:
                problems.add(key, f"has no effect with frontDoorLogin: {login}: expected {OIDC}, or remove it")
        return None
    if not names:
        problems.add(
            "frontDoorNames",
            "is missing: expected the DNS names by which browsers reach the front door, since the issuer sends them "
            "back to https://NAME/oauth2/callback",
        )
    if not secret:
        problems.add(SECRET, f"is missing: expected `pulumi config set --secret {SECRET}`, the client's secret")
    elif not forms.CLIENT_SECRET.fits(secret):
        # What was found is a secret
        problems.add(SECRET, f"is not {forms.CLIENT_SECRET.what}: expected {forms.CLIENT_SECRET.expected}")
    if not given:
        problems.add(KEY, f"is missing: expected issuer, clientId and operator, or another frontDoorLogin than {OIDC}")
        return None
    known = fields(_Openid, given, KEY, problems, may_be_missing=_OPTIONAL)
    for role in ("operator", "viewer"):
        if isinstance(known.get(role), list) and len(set(known[role])) < len(known[role]):
            problems.add(f"{KEY} {role}", "has a group twice: expected each once")
    both = sorted(set(known.get("operator", [])) & set(known.get("viewer", [])))
    if both:
        problems.add(f"{KEY} viewer", f"has {shown(both[0])}, and so has operator: expected each group once")
    scopes = known.get("scopes") or list(Oidc.scopes)
    if "openid" not in scopes:
        problems.add(f"{KEY} scopes", "has no openid: expected it, without which the issuer says nothing of who it is")
    if problems.found or not names:
        return None
    return Oidc(
        issuer=known["issuer"],
        client_id=known["clientId"],
        secret=pulumi.Output.secret(secret),
        names=tuple(names),
        operators=tuple(known["operator"]),
        viewers=tuple(known.get("viewer", ())),
        roles_claim=known.get("rolesClaim", Oidc.roles_claim),
        name_claim=known.get("nameClaim", Oidc.name_claim),
        scopes=tuple(scopes),
        audiences=tuple(known.get("audiences", ())),
        session_hours=known.get("sessionHours", Oidc.session_hours),
        program=program,
    )

"""The ACME server that signs certificates of the front door."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from components import forms
from components.frontdoor.settings import PORT, Acme
from components.problems import Problems
from components.shapes import Shape, fields

KEY = "frontDoorAcme"


def _directory(text: str) -> str:
    if not text.startswith("https://"):
        raise ValueError("is not encrypted: expected https:// and the path of the server's directory")
    return forms.DOWNLOAD_URL(text)


class _Acme(Shape):
    directory: Annotated[str, AfterValidator(_directory)] = Field(
        description="the URL of the server's directory, https://"
    )
    names: dict[str, Annotated[str, AfterValidator(forms.DNS_NAME)]] = Field(
        description="the name of each JobManager's host: its DNS name"
    )
    email: Annotated[str, AfterValidator(forms.EMAIL)] = Field(default="", description=forms.EMAIL.expected)


def acme(values: Mapping[str, Any], problems: Problems) -> Acme | None:
    """The server; None if there is none. What is wrong is added to `problems`; the names of hosts are checked by
    `components.composition`, which knows them.
    """
    if not values[KEY]:
        return None
    if values["frontDoorPort"] != PORT:
        problems.add(KEY, f"needs port {PORT}, to which ACME servers connect: expected no other frontDoorPort")
    if values["frontDoorCertificate"]:
        problems.add(KEY, "has no effect with frontDoorCertificate: expected one of both")
    known = fields(_Acme, values[KEY], KEY, problems, may_be_missing=("email",))
    for name, times in Counter(known.get("names", {}).values()).items():
        if times > 1:
            problems.add(f"{KEY} names", f"{name} is there twice: expected one for each host")
    if {"directory", "names"} - set(known):
        return None
    return Acme(directory=known["directory"], names=known["names"], email=known.get("email", ""))

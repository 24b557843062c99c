"""A lab with TLS and a front door: its configuration, and the password of its one user, which is made here."""

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components import ports
from lab.rest import Url
from ops.password import hashed

if TYPE_CHECKING:
    from lab.lab import Lab

USER = "lab"
USERS = "flink:frontDoorUsers"
_COST = 10
"""Of bcrypt: the hosts share one small machine, and the password has 256 bits."""


def folder(lab: "Lab") -> Path:
    """The folder with `password` (mode 0600) and `authorities.pem`."""
    return lab.dir / "front-door"


def is_on(lab: "Lab") -> bool:
    """Whether the lab has TLS and a front door."""
    return (folder(lab) / "password").exists()


def switch(lab: "Lab", on: bool) -> None:
    """Make the password, once, or remove it; the next `up` follows."""
    place = folder(lab)
    if not on:
        for name in ("password", "hash", "authorities.pem"):
            (place / name).unlink(missing_ok=True)
    elif not is_on(lab):
        password = secrets.token_urlsafe(32)
        place.mkdir(mode=0o700, exist_ok=True)
        (place / "hash").write_text(hashed(password, _COST))
        new = place / "new"
        new.touch(mode=0o600)
        new.write_text(f"{password}\n")
        # Last
        new.rename(place / "password")


def configuration(lab: "Lab") -> dict[str, Any]:
    """The configuration of a lab with TLS and a front door, without Caddy's archive; empty without them."""
    if not is_on(lab):
        return {}
    known = {"passwordHash": (folder(lab) / "hash").read_text(), "role": "operator"}
    return {"flink:tls": True, "flink:frontDoor": True, USERS: {USER: known}}


def trust(lab: "Lab", authority: str) -> None:
    """Keep what browsers and tools have to trust: the output frontDoorAuthority."""
    (folder(lab) / "authorities.pem").write_text(authority)


def url(lab: "Lab", address: str) -> Url:
    """The URL of the front door at an address, with its login."""
    password = (folder(lab) / "password").read_text().strip()
    login = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return Url.of(ports.url(address, front_door=ports.FRONT_DOOR.number), folder(lab), login=f"Basic {login}")

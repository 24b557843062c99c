"""Who logs in at the front door of a stack, and how a test asks it."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.rest import Url
from ops.password import hashed

USER = "anna"
USERS = "flink:frontDoorUsers"


@dataclass(frozen=True)
class Login:
    """The one user, with a password that is made here, or was by documented commands."""

    password: str
    hash: str

    @property
    def configuration(self) -> dict[str, Any]:
        """The secret that a stack has of the user."""
        return {USERS: {USER: {"passwordHash": self.hash, "role": "operator"}}}

    @classmethod
    def new(cls) -> Login:
        """A new password."""
        password = secrets.token_urlsafe(32)
        return cls(password, hashed(password, 10))

    def urls(self, outputs: Mapping[str, Any], folder: Path) -> list[Url]:
        """The front doors that a stack reports, with the login; `folder` gets what has to be trusted."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "authorities.pem").write_text(str(outputs["frontDoorAuthority"]))
        login = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        return [Url.of(str(url), folder, login=f"Basic {login}") for url in outputs["webUi"]]

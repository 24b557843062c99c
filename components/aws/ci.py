"""The CI system to which AWS reports a machine that has ended (healing.py): its address and its token."""

import re
from dataclasses import dataclass

from ..forms import Form

GITHUB = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/api/v3)?/repos/[\w.-]+/[\w.-]+/actions/workflows/[\w.-]+/dispatches",
    re.ASCII,
)
GITLAB = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]+)?(?:/[\w.-]+)*/api/v4/projects/(?:[0-9]+|[\w.%-]+)/trigger/pipeline", re.ASCII
)
EXPECTED = (
    "https://api.github.com/repos/OWNER/REPOSITORY/actions/workflows/heal.yml/dispatches or "
    "https://gitlab.com/api/v4/projects/ID/trigger/pipeline"
)
REF = Form("a branch", r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", "one such as main")
TOKEN = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, kw_only=True)
class HealingSettings:
    """Whom AWS tells about a machine that has ended."""

    url: str
    ref: str
    """The branch whose code runs."""
    token: str
    """A secret."""

    @property
    def on_github(self) -> bool:
        """GitHub, not GitLab."""
        return GITHUB.fullmatch(self.url) is not None

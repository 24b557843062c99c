"""The configuration's proxy."""

import re
from collections.abc import Mapping
from typing import Any

from components.problems import Problems

_PROXY = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?", re.ASCII)
_DIRECT = re.compile(r"[A-Za-z0-9*.:/_-]{1,253}", re.ASCII)


def proxy_settings(values: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """`http_proxy` and `no_proxy`; what is wrong is added to `problems`."""
    url, direct = values["httpProxy"], values["noProxy"]
    if "@" in url:
        problems.add(
            "httpProxy", "contains a user or a password, which every host would show: expected http://HOST:PORT"
        )
    elif url and not _PROXY.fullmatch(url):
        problems.add("httpProxy", f"{url!r} is not a proxy: expected http://HOST:PORT")
    if direct and not url:
        problems.add("noProxy", "has no effect without httpProxy: leave it out")
    for entry in direct:
        if not isinstance(entry, str) or not _DIRECT.fullmatch(entry):
            problems.add("noProxy", f"{entry!r} is neither a name nor an address: expected one such as .example.org")
    return {"http_proxy": url.removesuffix("/"), "no_proxy": tuple(direct)}

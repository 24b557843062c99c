"""The configuration's proxy."""

from collections.abc import Mapping
from typing import Any

from components import forms
from components.problems import Problems
from components.storage import Storage


def proxy_settings(values: Mapping[str, Any], storage: Storage, problems: Problems) -> dict[str, Any]:
    """`http_proxy` and `no_proxy`; what is wrong is added to `problems`."""
    url, direct = values["httpProxy"], values["noProxy"]
    if "@" in url:
        problems.add(
            "httpProxy", "contains a user or a password, which every host would show: expected http://HOST:PORT"
        )
    elif url:
        problems.catch("httpProxy", lambda: forms.PROXY_URL(url), "")
    if direct and not url:
        problems.add("noProxy", "has no effect without httpProxy: leave it out")
    for entry in direct:
        problems.catch("noProxy", lambda entry=entry: forms.DIRECT(entry), "")  # type: ignore[misc]
    if url:
        for backend in storage.backends:
            if why := backend.without_proxy:
                problems.warn("httpProxy", f"only archives are downloaded through it: {why}")
    return {"http_proxy": url.removesuffix("/"), "no_proxy": tuple(direct)}

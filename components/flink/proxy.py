"""What the proxy of a stack means to steps and to Flink."""

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..storage import Storage
from .settings import ClusterSettings


def values(settings: ClusterSettings) -> dict[str, str]:
    """Values of the library `proxy.sh`."""
    return {"proxy": settings.http_proxy, "direct": ",".join(settings.no_proxy)}


def storage_options(settings: ClusterSettings, storage: Storage) -> Mapping[str, Any]:
    """Keys of config.yaml with which the storage is reached through the proxy; none if it is reached directly."""
    if not settings.http_proxy:
        return {}
    found: dict[str, Any] = {}
    for uri in storage.uris:
        backend = storage.at(uri)
        if not is_direct(urlsplit(backend.server(uri)).hostname or "", settings.no_proxy):
            found |= backend.through(settings.http_proxy)
    return found


def is_direct(host: str, no_proxy: tuple[str, ...]) -> bool:
    """Whether a host is reached without the proxy, as curl decides it (curl(1), --noproxy)."""
    for entry in no_proxy:
        name = entry.lstrip("*").lstrip(".").lower()
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:
            continue
    return False

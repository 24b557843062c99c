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
    host = urlsplit(storage.server).hostname or ""
    if not settings.http_proxy or is_direct(host, settings.no_proxy):
        return {}
    return storage.at(storage.uri).through(settings.http_proxy)


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

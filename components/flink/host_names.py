"""The program's lines in /etc/hosts."""

from collections.abc import Mapping

from ..host import Host
from .topology import Members


def hosts_block(host: Host, members: Members, addresses: Mapping[str, str]) -> str:
    """Lines for /etc/hosts on `host`, sorted by name: hosts without a DNS name, and itself, because Java resolves its
    own name before the network is up. `addresses`: short name → address.
    """
    listed = [other for other in members.hosts if other is host or not other.dns_name]
    names = {other.name: f"{other.dns_name} {other.name}".strip() for other in listed}
    return "\n".join(f"{addresses[name]} {names[name]}" for name in sorted(names))

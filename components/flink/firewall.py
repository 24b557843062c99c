"""The firewall of a host, from the table of ports."""

from collections.abc import Mapping, Sequence

from .. import ports
from ..host import Role
from ..templates import render


def rules(
    role: Role,
    addresses: Mapping[Role, Sequence[str]],
    operators: Sequence[str],
    front_door: int = 0,
    metrics: Sequence[str] = (),
) -> str:
    """The nftables rules of a host of `role`, with the port of the front door, if there is one; `addresses` also
    say whether there is a monitoring host. `metrics`: networks that read metrics.
    """
    found = []
    for port in ports.listening(role, front_door, bool(addresses.get(Role.MONITORING))):
        clients = ports.sources(port, addresses, operators, metrics)
        found.append(
            {
                "name": port.name,
                "number": port.number,
                "ip4": [client for client in clients if ":" not in client],
                "ip6": [client for client in clients if ":" in client],
            }
        )
    return render("firewall.nft.j2", rules=found)


def ssh_clients(role: Role, addresses: Mapping[Role, Sequence[str]], operators: Sequence[str]) -> list[str]:
    """Addresses and networks from which the firewall of a host of `role` accepts SSH."""
    return [
        client
        for port in ports.listening(role)
        if port.number == ports.number("ssh")
        for client in ports.sources(port, addresses, operators)
    ]

"""The data center's packet rules, as one nftables table of the lab: security groups, public addresses, NAT.

All traffic of a launched host passes through this machine (`lab.cloud_machines`). So these rules apply to all of it,
and a host can neither see nor change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from lab.network import Network
from stand_ins.aws_cloud.api import Instance, Rule, Snapshot
from stand_ins.aws_cloud.known import PUBLIC

METADATA = "169.254.169.254"
"""The address of the metadata service."""
RESOLVER = "169.254.169.253"
"""The addresses of Amazon's resolver; one is the VPC's second address."""


@dataclass(frozen=True)
class Ports:
    """The ports of this machine's servers for hosts, at its address on the bridge."""

    metadata: int
    resolver: int


def table_name(network: Network) -> str:
    """The name of the table; `lab.network.down` removes it by this name."""
    return f"flinklab_{network.lab_id}_aws"


def table(network: Network, ports: Ports, snapshot: Snapshot) -> str:
    """The table, as a file for `nft -f` that replaces the existing one."""
    living = sorted((each for each in snapshot.instances.values() if each.lives), key=lambda each: each.id)
    name, bridge, gateway = table_name(network), network.bridge, network.gateway
    outside = [each.private for each in living if each.public or each.subnet in snapshot.outside]
    return f"""
table ip {name} {{}}
delete table ip {name}
table ip {name} {{
    set hosts {{ {_elements("type ipv4_addr", [each.private for each in living])} }}
    set outside {{ {_elements("type ipv4_addr", outside)} }}
    map public {{ {_elements("type ipv4_addr : ipv4_addr", _public(living))} }}

    # This machine is everybody who is outside of the VPC: it reaches hosts by their public addresses, and only so
    chain operator {{
        type nat hook output priority -100
        dnat to ip daddr map @public
    }}
    chain operator_out {{
        type filter hook output priority filter
        ip daddr {PUBLIC} reject with icmp host-unreachable
        oifname "{bridge}" icmp type redirect drop
        oifname "{bridge}" ip daddr @hosts ct state new ct status & dnat == 0 reject with icmp net-unreachable
    }}
    chain services {{
        type nat hook prerouting priority dstnat
        iifname "{bridge}" ip daddr {METADATA} tcp dport 80 dnat to {gateway}:{ports.metadata}
        iifname "{bridge}" ip daddr {RESOLVER} udp dport 53 dnat to {gateway}:{ports.resolver}
        iifname "{bridge}" ip daddr {RESOLVER} tcp dport 53 dnat to {gateway}:{ports.resolver}
    }}
    chain outside_of_vpc {{
        type filter hook forward priority filter
        ip daddr {PUBLIC} reject with icmp host-unreachable
        ip daddr 169.254.0.0/16 reject with icmp host-unreachable
        ip saddr @hosts oifname != "{bridge}" ip saddr != @outside reject with icmp net-unreachable
    }}
    chain sources {{
        type nat hook postrouting priority srcnat
        oifname "{bridge}" ip daddr @hosts ct status & dnat == dnat ip saddr != @hosts snat to {gateway}
        ip saddr @hosts oifname != "{bridge}" masquerade
    }}

    # What has come so far has the source that security groups are about
    chain security_groups {{
        type filter hook postrouting priority srcnat + 50
        oifname "{bridge}" ip daddr @hosts jump arrivals
    }}
    chain arrivals {{
        ct state established,related accept
        {_verdicts(living)}
        drop
    }}
{_chains(living, snapshot.groups)}
}}
"""


def _elements(kind: str, elements: Iterable[str]) -> str:
    """The content of a set or map; nft does not accept an empty list of elements."""
    text = ", ".join(elements)
    return f"{kind}; elements = {{ {text} }};" if text else f"{kind};"


def _public(living: Iterable[Instance]) -> list[str]:
    return [f"{each.public} : {each.private}" for each in living if each.public]


def _verdicts(living: Iterable[Instance]) -> str:
    pairs = ", ".join(f"{each.private} : jump {_chain(each)}" for each in living)
    return f"ip daddr vmap {{ {pairs} }}" if pairs else ""


def _chain(instance: Instance) -> str:
    return instance.id.replace("-", "_")


def _chains(living: list[Instance], groups: Mapping[str, tuple[Rule, ...]]) -> str:
    members: dict[str, list[str]] = {}
    for instance in living:
        for group in instance.groups:
            members.setdefault(group, []).append(instance.private)
    lines = []
    for instance in living:
        ways = [rule for group in instance.groups for rule in groups.get(group, ())]
        accepts = sorted({line for rule in ways for line in _accepts(rule, members)})
        lines += [f"    chain {_chain(instance)} {{", *(f"        {line}" for line in accepts), "    }"]
    return "\n".join(lines)


def _accepts(rule: Rule, members: Mapping[str, list[str]]) -> Iterator[str]:
    what = f"ip protocol {rule.protocol}" if rule.protocol else ""
    if rule.ports:
        low, high = rule.ports
        what = f"{rule.protocol} dport {low}" if low == high else f"{rule.protocol} dport {low}-{high}"
    for cidr in rule.cidrs:
        yield f"ip saddr {IPv4Network(cidr, strict=False)} {what} accept".replace("  ", " ")
    for group in rule.groups:
        if addresses := ", ".join(sorted(members.get(group, []))):
            yield f"ip saddr {{ {addresses} }} {what} accept".replace("  ", " ")

"""How a VPC's addresses are cut into subnets. Pure functions."""

import ipaddress
from dataclasses import dataclass

CUT = 3
"""Bits that a subnet's prefix is longer than the VPC's, which gives eight of equal size. The first are the zones'
public subnets, those from the fifth on the private ones, and two stay free: so neither a zone more nor a NAT gateway
nor a bastion moves an existing subnet.
"""
MOST_ZONES = 3
FIRST_PRIVATE = 4

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html and …/subnet-sizing.html
LARGEST, SMALLEST = 16, 28
RESERVED = 5
"""Addresses of every subnet that AWS keeps: network, router, DNS, one for later, broadcast."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The subnets that a VPC has room for, in the order of its zones; which of them there are is not said here."""

    public: tuple[ipaddress.IPv4Network, ...]
    private: tuple[ipaddress.IPv4Network, ...]


def plan(cidr: str) -> Plan:
    """The subnets of the VPC `cidr`. Raises ValueError for what AWS takes for no VPC, or too small for such subnets."""
    vpc = _vpc(cidr)
    longest = SMALLEST - CUT
    if vpc.prefixlen > longest:
        raise ValueError(
            f"{cidr} is too small: it is cut into {2**CUT} subnets, which AWS wants to be /{SMALLEST} or larger; "
            f"expected /{LARGEST} to /{longest}"
        )
    blocks = tuple(vpc.subnets(prefixlen_diff=CUT))
    return Plan(public=blocks[:MOST_ZONES], private=blocks[FIRST_PRIVATE : FIRST_PRIVATE + MOST_ZONES])


def _vpc(cidr: str) -> ipaddress.IPv4Network:
    """`cidr` as a network that AWS takes for a VPC."""
    try:
        found = ipaddress.IPv4Interface(cidr)
    except ValueError:
        raise ValueError(f"{cidr!r} is not an IPv4 network: expected one such as 10.20.0.0/16") from None
    if found.ip != found.network.network_address:
        raise ValueError(f"{cidr} has bits set beyond its prefix: expected {found.network}")
    if found.network.prefixlen < LARGEST:
        raise ValueError(f"{cidr} is larger than a VPC can be: expected /{LARGEST} to /{SMALLEST - CUT}")
    first = found.network.network_address
    if first.is_loopback or first.is_link_local or first.is_multicast or first.is_reserved or first.packed[0] == 0:
        raise ValueError(f"{cidr} cannot be a VPC's: expected a private network such as 10.20.0.0/16")
    return found.network

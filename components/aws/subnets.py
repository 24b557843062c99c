"""How the addresses of a VPC are divided into subnets. Pure functions."""

import ipaddress
from dataclasses import dataclass

CUT = 3
"""Bits by which the prefix of a subnet is longer than that of the VPC, which gives eight subnets of equal size. The
first three are the public subnets of the zones, the fifth to seventh the private ones, and two are unused. So adding a
zone, a NAT gateway or a bastion moves no existing subnet.
"""
MOST_ZONES = 3
FIRST_PRIVATE = 4

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html and …/subnet-sizing.html
LARGEST, SMALLEST = 16, 28
RESERVED = 5
"""Addresses that AWS reserves in every subnet: network, router, DNS, future use, broadcast."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The subnets for which a VPC has room, in the order of its zones. Not all of them have to be created."""

    public: tuple[ipaddress.IPv4Network, ...]
    private: tuple[ipaddress.IPv4Network, ...]


def plan(cidr: str) -> Plan:
    """The subnets of the VPC `cidr`. Raises ValueError if AWS accepts no such VPC, or if it is too small."""
    vpc = _vpc(cidr)
    longest = SMALLEST - CUT
    if vpc.prefixlen > longest:
        raise ValueError(
            f"{cidr} is too small: it is divided into {2**CUT} subnets, which must be /{SMALLEST} or larger: "
            f"expected /{LARGEST} to /{longest}"
        )
    blocks = tuple(vpc.subnets(prefixlen_diff=CUT))
    return Plan(public=blocks[:MOST_ZONES], private=blocks[FIRST_PRIVATE : FIRST_PRIVATE + MOST_ZONES])


def _vpc(cidr: str) -> ipaddress.IPv4Network:
    """`cidr` as a network that AWS accepts for a VPC."""
    try:
        found = ipaddress.IPv4Interface(cidr)
    except ValueError:
        raise ValueError(f"{cidr!r} is not an IPv4 network: expected one such as 10.20.0.0/16") from None
    if found.ip != found.network.network_address:
        raise ValueError(f"{cidr} has host bits set: expected {found.network}")
    if found.network.prefixlen < LARGEST:
        raise ValueError(f"{cidr} is too large for a VPC: expected /{LARGEST} to /{SMALLEST - CUT}")
    if "/" in cidr and str(found.network) != cidr:
        # A netmask, or a number with a leading zero, neither of which AWS accepts
        raise ValueError(f"{cidr!r} is not in the notation of AWS: expected {found.network}")
    first = found.network.network_address
    if first.is_loopback or first.is_link_local or first.is_multicast or first.is_reserved or first.packed[0] == 0:
        raise ValueError(f"{cidr} is not allowed for a VPC: expected a private network such as 10.20.0.0/16")
    return found.network

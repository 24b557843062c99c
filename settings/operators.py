"""The networks that operators come from."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from components.aws.declaration import OWN_ADDRESS
from components.problems import Problems, shown

METRICS_CIDRS = "metricsCidrs"
NOBODY = "none"
"""In METRICS_CIDRS: nobody, where operators would be the default."""
_EXPECTED = {"operatorCidrs": "the networks of your operators", METRICS_CIDRS: "those of your Prometheus"}
SHORTEST_PREFIX = {4: 8, 6: 16}
"""Shortest allowed prefix of an operator network by IP version: a company may own 10.0.0.0/8, but nothing larger."""


def operator_cidrs(values: Mapping[str, Any], problems: Problems) -> tuple[str, ...]:
    """The operators' networks, sorted. Invalid and overly large ones are added to `problems`."""
    own = [text for text in values["operatorCidrs"] if text == OWN_ADDRESS and values["provider"] == "aws"]
    good = _networks("operatorCidrs", [text for text in values["operatorCidrs"] if text not in own], problems)
    # With Session Manager on AWS nobody connects from a network
    if not values["operatorCidrs"] and values["access"] != "ssm":
        problems.add("operatorCidrs", "is missing: expected the networks that may connect to SSH and the web UI")
    return tuple(sorted([*own, *good]))


def metrics_cidrs(values: Mapping[str, Any], problems: Problems) -> tuple[str, ...] | None:
    """The networks whose Prometheus reads metrics, sorted; None if the key is not set."""
    given = values[METRICS_CIDRS]
    if not given:
        return None
    if NOBODY in given:
        if len(given) > 1:
            problems.add(METRICS_CIDRS, f"has {NOBODY} and others: expected one or the other")
        return ()
    return tuple(sorted(_networks(METRICS_CIDRS, given, problems)))


def _networks(key: str, given: Sequence[Any], problems: Problems) -> list[str]:
    good = []
    for text in given:
        try:
            network = ipaddress.ip_network(text if isinstance(text, str) else "")
        except ValueError:
            problems.add(key, f"{shown(text)} is not a network: expected one such as 198.51.100.0/24")
            continue
        if network.version == 6 and (network.network_address.ipv4_mapped or network.network_address.scope_id):
            problems.add(key, f"{text} is no network that packets come from: expected it as IPv4, or without a zone")
            continue
        # Also catches two halves of the internet; no operators need networks of this size
        if network.prefixlen < SHORTEST_PREFIX[network.version]:
            what = "the whole internet" if network.prefixlen == 0 else "a large part of the internet"
            problems.add(key, f"{text} is {what}: expected {_EXPECTED[key]}")
        good.append(str(network))
    return good

"""Placement groups: which machines of a role share hardware.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/placement-strategies.html
"""

from ..problems import Problems

STRATEGIES = ("spread", "partition", "cluster")

PER_ZONE = 7
"""Running instances of a spread group in a zone, and partitions of a partition group."""


def check(key: str, strategy: str, count: int, zones: int, zones_key: str, problems: Problems) -> None:
    """Check the strategy for `count` machines in so many zones. `zones_key` is the key that sets these."""
    if not strategy:
        return
    if strategy not in STRATEGIES:
        problems.add(key, f"{strategy!r} is unknown: expected {', '.join(STRATEGIES)}, or none")
    elif strategy == "spread" and -(-count // zones) > PER_ZONE:
        problems.add(
            key,
            f"spread puts at most {PER_ZONE} machines into a zone, and {count} in {zones} zones are "
            f"{-(-count // zones)}: expected {PER_ZONE * zones} machines at most, or partition",
        )
    elif strategy == "cluster" and zones > 1:
        problems.add(key, f"cluster is for machines in one zone, and they are in {zones}: expected {zones_key}: 1")


def name(stack: str, prefix: str, strategy: str) -> str:
    """Name of a role's group. Another strategy is another group: machines move from one to the other one by one."""
    return f"flink-{stack}-{prefix}-{strategy}"

"""Which hosts make a cluster."""

from collections.abc import Mapping

from ..host import Role
from ..problems import Problems


def check(found: Mapping[Role, tuple[str, int]], problems: Problems) -> None:
    """Two JobManagers need an ensemble that can lose a server, and a single one has no use for it. `found` has, for
    each role, the key that says the count, and the count.
    """
    jobmanagers, (key, servers) = found[Role.JOBMANAGER][1], found[Role.ZOOKEEPER]
    if jobmanagers > 1 and not servers:
        problems.add(key, f"has {jobmanagers} JobManagers and no zookeeper: expected three for an election")
    elif servers and (servers < 3 or servers % 2 == 0):
        problems.add(
            key, f"has {servers} zookeeper: expected 3, 5 or 7, since only an odd ensemble gains from each server"
        )
    if servers and jobmanagers == 1:
        problems.add(
            found[Role.JOBMANAGER][0],
            "has an ensemble and a single jobmanager: expected a second one to take over, or no zookeeper",
        )

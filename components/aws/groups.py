"""What AWS's part of the configuration calls each role's machines: a row for each role."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..host import Role


@dataclass(frozen=True, kw_only=True)
class GroupKeys:
    """Keys of the configuration for the machines of a role."""

    count: str
    instance_type: str
    disk: str
    """Size of the root volume."""
    least: int
    """How many there must be."""
    most: int
    zones: str = ""
    """How many zones they are spread over; without such a key over all."""
    spot: str = ""
    """Whether they are spot instances; without such a key they are not."""


GROUPS: Mapping[Role, GroupKeys] = {
    Role.JOBMANAGER: GroupKeys(
        count="jobManagers", instance_type="jobManagerType", disk="jobManagerDiskGiB", least=1, most=9
    ),
    Role.TASKMANAGER: GroupKeys(
        count="workers",
        instance_type="taskManagerType",
        disk="taskManagerDiskGiB",
        least=1,
        most=1000,
        zones="taskManagerZones",
        spot="taskManagerSpot",
    ),
    Role.ZOOKEEPER: GroupKeys(
        count="zookeepers", instance_type="zookeeperType", disk="zookeeperDiskGiB", least=0, most=7
    ),
    Role.CLIENT: GroupKeys(count="clients", instance_type="clientType", disk="clientDiskGiB", least=0, most=20),
}

if missing := set(Role) - set(GROUPS):
    raise NotImplementedError(f"components/aws/groups.py has no row for {', '.join(sorted(missing))}")

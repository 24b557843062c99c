"""The configuration keys for the machines of each role: a row for each role."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..host import Role


@dataclass(frozen=True, kw_only=True)
class GroupKeys:
    """Configuration keys for the machines of a role."""

    count: str
    instance_type: str
    disk: str
    """Size of the root volume."""
    least: int
    """Minimum of `count`."""
    most: int
    """Maximum of `count`."""
    zones: str = ""
    """Number of zones over which they are spread. Without such a key: all zones."""
    types: str = ""
    """Instance types of equal rank, in the order of preference. Without such a key: the one of `instance_type`."""
    spot: str = ""
    """Whether they are spot instances. Without such a key: on-demand."""
    spot_fallback: str = ""
    """Whether on-demand instances are as good where AWS has no spot instance."""
    policies: str = ""
    """ARNs of managed policies: what they may do besides using the storage. Without such a key: nothing."""
    security_groups: str = ""
    """Ids of security groups that they are in besides the stack's own. Without such a key: none."""
    iops: str = ""
    """IOPS of the root volume. Without such a key: what every volume has."""
    throughput: str = ""
    """Throughput of the root volume, likewise."""
    instance_store: str = ""
    """Whether the daemon uses the disks of the machine itself. Without such a key: it does not."""
    placement: str = ""
    """Strategy of the machines' placement group. Without such a key: they are in none."""

    rebalance: str = ""
    """Whether a rebalance recommendation drains a spot instance, too."""
    data: str = ""
    """Size of the volume for data that outlives the machine. Without such a key: the role has no such data."""
    data_iops: str = ""
    """IOPS of that volume. Without such a key: what every volume has."""
    data_throughput: str = ""
    """Throughput of that volume, likewise."""
    snapshots: str = ""
    """Days for which snapshots of that volume are kept. Without such a key: there are none."""

    @property
    def all(self) -> tuple[str, ...]:
        """All keys, with the count first."""
        names = (self.count, self.instance_type, self.types, self.disk, self.zones, self.spot, self.spot_fallback)
        own = (self.iops, self.throughput, self.instance_store, self.placement, self.rebalance)
        data = (self.data, self.data_iops, self.data_throughput, self.snapshots)
        return tuple(filter(None, (*names, *own, *data, self.policies, self.security_groups)))


GROUPS: Mapping[Role, GroupKeys] = {
    Role.JOBMANAGER: GroupKeys(
        count="jobManagers",
        instance_type="jobManagerType",
        disk="jobManagerDiskGiB",
        least=1,
        most=9,
        policies="jobManagerPolicyArns",
        security_groups="jobManagerSecurityGroups",
        placement="jobManagerPlacement",
    ),
    Role.TASKMANAGER: GroupKeys(
        count="workers",
        instance_type="taskManagerType",
        types="taskManagerTypes",
        disk="taskManagerDiskGiB",
        least=1,
        most=1000,
        zones="taskManagerZones",
        spot="taskManagerSpot",
        spot_fallback="taskManagerSpotFallback",
        policies="taskPolicyArns",
        security_groups="taskSecurityGroups",
        iops="taskManagerDiskIops",
        throughput="taskManagerDiskThroughput",
        instance_store="taskManagerInstanceStore",
        placement="taskManagerPlacement",
        rebalance="taskManagerRebalance",
    ),
    Role.ZOOKEEPER: GroupKeys(
        count="zookeepers",
        instance_type="zookeeperType",
        disk="zookeeperDiskGiB",
        least=0,
        most=7,
        placement="zookeeperPlacement",
        data="zookeeperDataGiB",
        data_iops="zookeeperDataIops",
        data_throughput="zookeeperDataThroughput",
        snapshots="zookeeperSnapshotDays",
    ),
    Role.CLIENT: GroupKeys(count="clients", instance_type="clientType", disk="clientDiskGiB", least=0, most=20),
    Role.MONITORING: GroupKeys(
        count="monitoringHosts",
        instance_type="monitoringType",
        disk="monitoringDiskGiB",
        least=0,
        most=1,
        data="monitoringDataGiB",
    ),
}

if missing := set(Role) - set(GROUPS):
    raise NotImplementedError(f"components/aws/groups.py has no row for {', '.join(sorted(missing))}")

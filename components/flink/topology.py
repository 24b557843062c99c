"""The list of members of a cluster."""

from dataclasses import dataclass

from ..host import Host, Role
from ..roles import ROLES


@dataclass(frozen=True)
class Members:
    """The hosts of a cluster, by role, sorted by name."""

    hosts: tuple[Host, ...]

    def of(self, role: Role) -> list[Host]:
        """Hosts of a role, `tm-2` before `tm-10`."""
        return sorted((host for host in self.hosts if host.role is role), key=lambda host: (len(host.name), host.name))

    def names(self, role: Role) -> list[str]:
        """Short names of the hosts of a role."""
        return [host.name for host in self.of(role)]

    def reached_as(self, role: Role) -> list[str]:
        """Names by which the hosts of a role are reached."""
        return [host.reached_as for host in self.of(role)]

    def by_role(self) -> dict[Role, list[str]]:
        """Role → short host names."""
        return {role: self.names(role) for role in Role}

    @property
    def high_availability(self) -> bool:
        """Whether there is an ensemble, so that a standby JobManager can take over."""
        return bool(self.of(Role.ZOOKEEPER))

    @property
    def monitored(self) -> bool:
        """Whether there is a monitoring host, so that every host shows its metrics to it."""
        return bool(self.of(Role.MONITORING))

    @property
    def accepting_logins(self) -> list[Host]:
        """The hosts to which hosts of JobManagers log in, as start-cluster.sh does."""
        return [host for role in Role if ROLES[role].accepts_logins for host in self.of(role)]

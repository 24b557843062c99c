"""The list of a cluster's members."""

from dataclasses import dataclass

from ..host import Host, Role
from ..roles import ROLES


@dataclass(frozen=True)
class Members:
    """The hosts of a cluster, by role and in the order of their names."""

    hosts: tuple[Host, ...]

    def of(self, role: Role) -> list[Host]:
        """Hosts of a role, `tm-2` before `tm-10`."""
        return sorted((host for host in self.hosts if host.role is role), key=lambda host: (len(host.name), host.name))

    def names(self, role: Role) -> list[str]:
        """Short names of the hosts of a role."""
        return [host.name for host in self.of(role)]

    def reached_as(self, role: Role) -> list[str]:
        """Names under which the hosts of a role are reached."""
        return [host.reached_as for host in self.of(role)]

    def by_role(self) -> dict[Role, list[str]]:
        """Short names, of every role."""
        return {role: self.names(role) for role in Role}

    @property
    def high_availability(self) -> bool:
        """Whether there is an ensemble, and so another JobManager can take over."""
        return bool(self.of(Role.ZOOKEEPER))

    @property
    def accepting_logins(self) -> list[Host]:
        """Those that JobManagers' hosts log in to, as start-cluster.sh does."""
        return [host for role in Role if ROLES[role].accepts_logins for host in self.of(role)]

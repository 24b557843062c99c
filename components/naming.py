"""Names of resources: a host's own name, then what is done there. Stable: nothing depends on a position in a list.
And the tags of what costs money, so that it can be found, and charged to somebody.
"""

from dataclasses import dataclass

from .host import Host

PROJECT = "flink"
"""Name of the Pulumi project, namespace of its keys, and the tag `project` of what is created."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Whose a stack is. `expires` is empty unless the stack is ephemeral."""

    project: str
    stack: str
    owner: str
    expires: str = ""

    def tags(self, name: str, role: str = "") -> dict[str, str]:
        """Tags of the resource that AWS's console shows as `name`; empty ones are left out."""
        found = {
            "Name": name,
            "project": self.project,
            "stack": self.stack,
            "owner": self.owner,
            "role": role,
            "expires": self.expires,
        }
        return {key: value for key, value in found.items() if value}


def type_token(module: str, kind: str) -> str:
    """Pulumi type of a component, such as `flink:flink:JobManager`."""
    return f"flink:{module}:{kind}"


def step(host: Host, what: str) -> str:
    """Name of one step on one host, such as `tm-0-java`."""
    return f"{host.name}-{what}"


def server_id(name: str) -> int:
    """A ZooKeeper server's id from its name: zk-0 is 1. It must not shift when another server leaves the list.

    Raises ValueError for a name without a number at its end.
    """
    digits = name[len(name.rstrip("0123456789")) :]
    if not digits:
        raise ValueError(f"{name!r} has no number at its end: expected names such as zk-0, zk-1, zk-2")
    if int(digits) > 254:
        raise ValueError(f"{name!r} gives the id {int(digits) + 1}: ZooKeeper has ids from 1 to 255")
    return int(digits) + 1

"""Names of resources: the name of a host, then the step. They are stable, because none depends on a position in a list.
Also the tags by which billable resources are found and charged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .host import Host

PROJECT = "flink"
"""Name of the Pulumi project, namespace of its keys, and value of the tag `project`."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Identity and owner of a stack. `expires` is empty unless the stack is ephemeral; `more` are tags of the user."""

    project: str
    stack: str
    owner: str
    expires: str = ""
    more: Mapping[str, str] = field(default_factory=dict)

    def tags(self, name: str, role: str = "") -> dict[str, str]:
        """Tags of the resource that the AWS console shows as `name`, without empty ones."""
        found = {
            "Name": name,
            "project": self.project,
            "stack": self.stack,
            "owner": self.owner,
            "role": role,
            "expires": self.expires,
        }
        return {**self.more, **{key: value for key, value in found.items() if value}}


OWN_TAGS = ("Name", "project", "stack", "owner", "role", "expires")
"""The keys in `Labels.tags`."""


def type_token(module: str, kind: str) -> str:
    """Pulumi type of a component, such as `flink:flink:JobManager`."""
    return f"flink:{module}:{kind}"


def step(host: Host, what: str) -> str:
    """Name of one step on one host, such as `tm-0-java`."""
    return f"{host.name}-{what}"


def numbered(what: str, number: int) -> str:
    """The name of something that another number replaces; the first one has none, as in earlier versions."""
    return what if number == 1 else f"{what}-{number}"


def server_id(name: str) -> int:
    """Id of a ZooKeeper server, from its name: zk-0 has 1. So it does not change when another server leaves the list.

    Raises ValueError if the name has no number at its end, or too large a number.
    """
    digits = name[len(name.rstrip("0123456789")) :]
    if not digits:
        raise ValueError(f"{name!r} has no number at its end: expected names such as zk-0, zk-1, zk-2")
    if int(digits) > 254:
        raise ValueError(f"{name!r} gives the id {int(digits) + 1}: expected 1 to 255, the ids that ZooKeeper allows")
    return int(digits) + 1

"""Names of resources: a host's own name, then what is done there. Stable: nothing depends on a position in a list."""

from components.host import Host


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
        raise ValueError(f"{name!r} has no number at its end: wanted names such as zk-0, zk-1, zk-2")
    if int(digits) > 254:
        raise ValueError(f"{name!r} gives the id {int(digits) + 1}: ZooKeeper has ids from 1 to 255")
    return int(digits) + 1

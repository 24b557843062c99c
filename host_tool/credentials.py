"""The daemons' credentials of the storage, which only their user and root can read."""

from __future__ import annotations

FILE = "/etc/flink/credentials.env"


def variables(path: str = FILE) -> dict[str, str]:
    """Environment variables; none if the host has its own identity, such as an instance profile."""
    found = {}
    try:
        with open(path) as file:
            for line in file:
                name, is_set, value = line.strip().partition("=")
                if is_set:
                    found[name] = value.strip("'")
    except FileNotFoundError:
        pass
    return found

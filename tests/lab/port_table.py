"""The table of ports as hosts enforce it: from every role, from operators and from a stranger, to every role."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from components import ports
from components.host import Role
from components.ports import OPERATORS
from lab.lab import Lab

STRANGER = "stranger"
"""An address in the hosts' network that is nobody's."""
_STRANGERS = 9
"""Its last byte: before those of the hosts (docs/lab.md)."""
_ONLY_THE_LEADER = {"zk-quorum"}
"""Ports on which not every host of their role listens: it is enough that the firewall admits the connection."""
_CLOSED_SECONDS, _OPEN_SECONDS = 3, 60

# All at once: the firewall drops what it does not admit, so each such attempt takes its whole time
_PROGRAM = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
asked = json.load(sys.stdin)

def attempt(target):
    host, port, seconds = target
    try:
        socket.create_connection((host, port), seconds, (asked["from"], 0) if asked["from"] else None).close()
        return "open"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "dropped"

with ThreadPoolExecutor(100) as pool:
    print(json.dumps(list(pool.map(attempt, asked["targets"]))))
"""


def differences(lab: Lab, front_door: int) -> list[str]:
    """Connections that are not as the table says, and how many were tried, as the first line."""
    table = ports.table(front_door)
    numbers = sorted({port.number for port in table})
    hosts: dict[str, list[str]] = {}
    for each in lab.hosts:
        hosts.setdefault(each.role, []).append(each.name)
    # Source → from where it is tried: a host, an address of this machine, or this machine as it is
    sources = {**{role: names[0] for role, names in hosts.items()}, OPERATORS: "", STRANGER: ""}
    tried: dict[str, list[tuple[str, int, str]]] = {}
    for source in sources:
        for role, names in hosts.items():
            # Another host than the source
            if names[-1] == sources[source]:
                continue
            for number in numbers:
                admitted = [
                    port
                    for port in table
                    if port.number == number and Role(role) in port.listens and source in port.clients
                ]
                expected = "open" if admitted else "dropped"
                if {port.name for port in admitted} & _ONLY_THE_LEADER:
                    expected = "open or refused"
                tried.setdefault(source, []).append((names[-1], number, expected))
    with _stranger(lab) as address, ThreadPoolExecutor(len(sources)) as pool:
        own = {STRANGER: address}
        asked = {
            source: pool.submit(_ask, lab, sources[source], own.get(source, ""), tried[source]) for source in tried
        }
        found = {source: answer.result() for source, answer in asked.items()}
    lines = [f"{sum(len(targets) for targets in tried.values())} connections"]
    for source, targets in tried.items():
        for (host, number, expected), said in zip(targets, found[source], strict=True):
            if said not in expected.split(" or "):
                lines.append(f"{source} to {host}:{number}: {said}, expected {expected}")
    return lines


def _ask(lab: Lab, host: str, address: str, targets: list[tuple[str, int, str]]) -> list[str]:
    """What each connection becomes, from a host or from this machine."""
    addresses = {each.name: each.address for each in lab.hosts}
    asked = {
        "from": address,
        "targets": [
            (name if host else addresses[name], number, _CLOSED_SECONDS if expected == "dropped" else _OPEN_SECONDS)
            for name, number, expected in targets
        ],
    }
    if host:
        words = f"python3 -c {shlex.quote(_PROGRAM)}"
        said = lab.ssh(host, words, input=json.dumps(asked), timeout=300).stdout
    else:
        command = [sys.executable, "-c", _PROGRAM]
        done = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, check=True, timeout=300)
        said = done.stdout
    answers: list[str] = json.loads(said)
    return answers


@contextmanager
def _stranger(lab: Lab) -> Iterator[str]:
    """An address of this machine in the hosts' network, which is in no `operatorCidrs`."""
    address = lab.network.address(_STRANGERS)
    words = ["ip", "address"]
    subprocess.run([*words, "replace", f"{address}/32", "dev", lab.network.bridge], check=True)
    try:
        yield address
    finally:
        subprocess.run([*words, "del", f"{address}/32", "dev", lab.network.bridge], check=True)

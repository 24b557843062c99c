"""What the program tells a host to connect to is open to it in the table of ports: a stand-in on the loopback, as tests
of the host tool have, has no firewall.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from components import ports
from components.host import Role
from tests.unit import test_aws_program, test_program
from tests.unit.program import ROLES, SEVEN, Recorded, host, write_inventory
from tests.unit.test_front_door import USERS

PEERS = {"config": ("others", "port"), "spot": ("jobmanagers", "metricsPort")}
"""Step → the keys of its facts for the host tool: names of other hosts, and the port on which they are asked."""

_FACTS = re.compile(r'^\{\n  ".*?^\}$', re.DOTALL | re.MULTILINE)

NO_CONNECTION = (
    # Shared lines of config.yaml: where a daemon of this host would listen
    (Role.CLIENT, "high-availability.jobmanager.port: 6123"),
    (Role.CLIENT, "metrics.internal.query-service.port: 6125"),
    (Role.CLIENT, "metrics.reporter.prom.port: 9249"),
    # start-cluster.sh, which people run on JobManagers, has the same file everywhere
    (Role.TASKMANAGER, "jm-0:8081"),
    (Role.TASKMANAGER, "jm-1:8081"),
    # The host tool is the same everywhere
    (Role.CLIENT, "TASKMANAGER_RPC = 6122"),
    (Role.ZOOKEEPER, "TASKMANAGER_RPC = 6122"),
    (Role.MONITORING, "TASKMANAGER_RPC = 6122"),
    # Not the port of Grafana: how often a start looks whether it may
    (
        Role.TASKMANAGER,
        "echo 'for ((i = 0; i < 3000; i++)); do [ -e /var/lib/flink/launch/hold ] || break; sleep 0.2; done "
        "# rollout.sh'",
    ),
)
"""Lines with the number of a port that the host neither listens on nor may connect to."""


def steps(found: dict[str, Recorded]) -> Iterator[tuple[str, Role, str, str]]:
    """Host, role, what the step does, and its script."""
    for name, entry in found.items():
        prefix, number, what = (*name.split("-", 2), "", "")[:3]
        if entry.type == "command:remote:Command" and prefix in ROLES and number.isdigit():
            yield f"{prefix}-{number}", Role(ROLES[prefix][0]), what, test_program.stdin(found, name)


def closed(found: dict[str, Recorded], table: tuple[ports.Port, ...]) -> list[str]:
    """Everything in the scripts of hosts that leads to a port that the table does not open for them."""
    wrong = []
    for name, role, what, text in steps(found):
        reached = {port.number for port in table if role in port.listens or role in port.clients}
        for number in {port.number for port in table} - reached:
            for line in re.findall(rf"^.*(?<![\d.]){number}(?![\d.]).*$", text, re.MULTILINE):
                if (role, line.strip().replace(".dev.flink.internal", "")) not in NO_CONNECTION:
                    wrong.append(f"{name}-{what}: {line.strip()}")
        for facts in map(json.loads, _FACTS.findall(text)):
            wrong += [f"{name}-{what}: {peer}:{number}" for peer, number in peers(what, facts)
                      if not opens(table, role, peer, number)]  # fmt: skip
    return wrong


def peers(what: str, facts: Mapping[str, Any]) -> list[tuple[str, int]]:
    """The other hosts in a step's facts, with the port on which they are asked."""
    hosts, port = PEERS.get(what, ("", ""))
    named = {key for key, value in facts.items() if isinstance(value, list) and any(map(_role, value))}
    assert named <= {hosts}, f"{what}: {named} name hosts: which port is asked there, by PEERS?"
    return [(peer, facts[port]) for peer in facts.get(hosts, ())]


def opens(table: tuple[ports.Port, ...], role: Role, peer: str, number: int) -> bool:
    """Whether hosts of a role may connect to a port of `peer`."""
    return any(port.number == number and _role(peer) in port.listens and role in port.clients for port in table)


def _role(name: object) -> Role | None:
    found = re.match(r"(jm|tm|zk|cl|mon)-\d+(\.|$)", str(name))
    return Role(ROLES[found[1]][0]) if found else None


@pytest.mark.parametrize("monitored", [False, True])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("door", [False, True])
def test_no_step_leads_to_a_port_that_is_closed_to_its_host(
    folder: Path, tls: bool, door: bool, monitored: bool
) -> None:
    write_inventory(folder, *[host(name) for name in (*SEVEN, "cl-0", *(["mon-0"] if monitored else []))])
    changes: dict[str, Any] = {"frontDoor": True, "frontDoorUsers": USERS} if door else {}
    found = test_program.run(folder, tls=tls, **changes)
    assert {role for _, role, _, _ in steps(found)} == {
        role for role in Role if monitored or role is not Role.MONITORING
    }
    assert closed(found, ports.table(443 if door else 0, monitoring=monitored)) == []


def test_what_watches_a_spot_instance_asks_where_it_may() -> None:
    found = test_aws_program.run("dev", taskManagerSpot=True, taskManagerRebalance=True)
    assert any(peers(what, json.loads(_FACTS.findall(text)[0])) for _, _, what, text in steps(found) if what == "spot")
    assert closed(found, ports.table(rebalance=True)) == []
    # It would be noticed: without the rule of taskManagerRebalance, the watch asks a closed port
    assert [line for line in closed(found, ports.table()) if line.startswith("tm-0-spot: jm-0.")] == [
        "tm-0-spot: jm-0.dev.flink.internal:9249"
    ]

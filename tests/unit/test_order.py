"""Each step runs after the steps that make the users which its files and units have: on a slow machine a step that was
always second is first one day.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from tests.unit.aws_mocks import Recording, Registered
from tests.unit.program import ROLES, SEVEN, Mocks, configuration, entry, host, mocked, write_inventory
from tests.unit.test_front_door import WITH_OIDC

COMMAND = "command:remote:Command"
SYSTEM = {"root", "systemd-journal"}
"""On every host before the first step."""
EVERYTHING = {**WITH_OIDC, "frontDoor": True, "tls": True, "history": True, "grafana": True}


def registered(folder: Path, **changes: object) -> dict[str, Registered]:
    """The steps of the program on nine hosts with their dependencies, by name."""
    write_inventory(folder, *map(host, (*SEVEN, "cl-0", "mon-0")))
    mocks = Mocks()
    recording = Recording(mocks)
    pulumi.runtime.set_all_config(configuration(folder, **changes), ["flink:frontDoorOidcSecret"])
    program = Path(__file__).parents[2] / "__main__.py"
    mocked(lambda: entry(program), mocks, stack="dev", preview=False, monitor=recording)
    return recording.found


def text(step: Registered) -> str:
    given = step.inputs["stdin"]
    return str(given["value"] if isinstance(given, dict) else given)


def made(script: str, what: str) -> set[str]:
    """The users, with a group of their name, that a step makes."""
    values = dict(re.findall(r"^(\w+)='?([\w-]+)'?$", script, re.MULTILINE))
    if what == "system":
        return {values["user"]}
    found = {values["user"]} if values.get("own_user") == "true" or what == "front-door" else set()
    return found | ({values["login_unit"]} if "login_unit" in values else set())


def used(script: str) -> set[str]:
    """The users and groups that a step needs, for files that it writes and units that it starts."""
    found: set[str] = set()
    for names in re.findall(r"^(?:User|Group|SupplementaryGroups)=(.*)$", script, re.MULTILINE):
        found |= set(names.split())
    for owner, group in re.findall(r"^\s*write_file \S+ \d+ ([\w-]+):([\w-]+)", script, re.MULTILINE):
        found |= {owner, group}
    return found - SYSTEM


def before(steps: dict[str, Registered], key: str) -> set[str]:
    """All that a resource depends on, directly or not."""
    found: set[str] = set()
    todo = [key]
    while todo:
        for other in steps[todo.pop()].after - found:
            found.add(other)
            if other in steps:
                todo.append(other)
    return found


def unordered(steps: dict[str, Registered]) -> Iterator[str]:
    """Step and user for each user that may not be there yet."""
    scripts = {
        (*one.name.split("-", 2)[:2], one.name.split("-", 2)[2]): (key, text(one))
        for key, one in steps.items()
        if one.type == COMMAND and one.name.partition("-")[0] in ROLES
    }
    for (role, number, what), (key, script) in scripts.items():
        there = made(script, what)
        for (other_role, other_number, other), (other_key, other_script) in scripts.items():
            if (other_role, other_number) == (role, number) and other_key in before(steps, key):
                there |= made(other_script, other)
        yield from (f"{role}-{number}-{what}: {user}" for user in sorted(used(script) - there))


def test_without_the_front_door_again_the_agent_of_logs_needs_no_group_of_it(folder: Path) -> None:
    """`system` ends the door, and leaves its user: the agent may have the group until its own step comes, which is
    after that one. So no agent is ever started with a group that is not there.
    """
    agents = [f"{COMMAND}/jm-{number}-logs" for number in (0, 1)]
    steps = registered(folder, **WITH_OIDC)
    assert all("flink-frontdoor" in used(text(steps[agent])) for agent in agents)
    # Another run of the program has another stack
    steps = registered(folder)
    for agent in agents:
        system = agent.replace("-logs", "-system")
        assert not {"flink-frontdoor"} & used(text(steps[agent])) and "/var/log/flink-frontdoor" not in text(
            steps[agent]
        )
        assert system in before(steps, agent)
        assert re.search(r"^absent=\(.*\bfrontdoor\b", text(steps[system]), re.MULTILINE)
    assert not [key for key, one in steps.items() if one.type == COMMAND and "userdel" in text(one)]


@pytest.mark.parametrize(
    "changes", [pytest.param({}, id="as it comes"), pytest.param(EVERYTHING, id="with everything")]
)
def test_a_step_comes_after_those_that_make_its_users(folder: Path, changes: dict[str, object]) -> None:
    steps = registered(folder, **changes)
    needing = {key for key, one in steps.items() if one.type == COMMAND and used(text(one))}
    assert {f"{COMMAND}/jm-0-{what}" for what in ("service", "logs", "exporter")} <= needing
    assert not list(unordered(steps))

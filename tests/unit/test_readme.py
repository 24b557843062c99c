"""README and docs/ are correct: tables are fresh, links resolve, commands, roles and fields exist."""

import argparse
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from components import ports
from components.aws import subnets
from components.existing import inventory
from components.flink import failover
from components.host import Role
from docs import keys
from lab import __main__ as lab_commands
from tests.unit.program import Recorded
from tests.unit.test_aws_program import SIZES, run

ROOT = keys.ROOT
README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs/configuration.md"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LAB_COMMANDS = {
    name
    for action in lab_commands._parser()._actions
    if isinstance(action, argparse._SubParsersAction)
    for name in action.choices
}
LINK = re.compile(r"!?\[[^]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """Markdown without its code blocks and code spans."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings: lower case, hyphens for spaces, no other punctuation."""
    without_code = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(without_code)}


@pytest.mark.parametrize("name", keys.TABLES)
def test_tables_are_what_the_code_says(name: str) -> None:
    path, _make = keys.TABLES[name]
    assert keys.written(name) == path.read_text(), f"{path.name} is stale: run `.venv/bin/python docs/keys.py`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_resolves(page: Path) -> None:
    for link in LINK.findall(prose(page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_exists(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)\b", text, re.MULTILINE)) <= targets
    assert set(re.findall(r"python -m lab ([a-z]+)", text)) <= LAB_COMMANDS
    for module in re.findall(r"python (docs/\w+\.py)", text):
        assert (ROOT / module).exists(), module


def test_every_command_of_the_lab_is_documented() -> None:
    section = (ROOT / "docs/lab.md").read_text().partition("## Commands")[2].partition("\n## ")[0]
    assert set(re.findall(r"python -m lab ([a-z]+)", section)) == LAB_COMMANDS


def test_every_field_of_the_inventory_is_documented() -> None:
    section = CONFIGURATION.read_text().partition("## Inventory")[2].partition("\n## ")[0]
    assert set(inventory.FIELDS) <= set(re.findall(r"`(\w+)`", section))


def test_the_readme_is_short_and_leads_to_every_document() -> None:
    text = README.read_text()
    assert text.count("\n") < 200
    linked = {name.partition("#")[0] for name in LINK.findall(prose(text))}
    assert {f"docs/{page.name}" for page in ROOT.glob("docs/*.md")} <= linked


def test_the_inventory_of_the_readme_is_one_that_the_program_reads() -> None:
    example = README.read_text().partition("### 2. Inventory")[2].partition("```yaml\n")[2].partition("```")[0]
    hosts = yaml.safe_load(example)["hosts"]
    assert {host["role"] for host in hosts} <= set(map(str, Role))
    assert all(set(host) <= set(inventory.FIELDS) for host in hosts)


def test_every_role_is_documented_where_readers_look() -> None:
    for page, heading in ((README, "### 1. Hosts"), (CONFIGURATION, "## Roles")):
        section = page.read_text().partition(heading)[2].partition("\n#")[0]
        assert set(map(str, Role)) <= set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)), page.name


def test_the_own_hosts_stack_of_the_readme_meets_no_file_that_is_for_aws() -> None:
    section = README.read_text().partition("## On your own hosts")[2].partition("\n## ")[0]
    names = re.findall(r"pulumi stack init (\S+)", section)
    assert names
    assert not [name for name in names if (ROOT / f"Pulumi.{name}.yaml").exists()]


def test_the_picture_has_the_ports_of_the_table() -> None:
    picture = (ROOT / "docs/images/cluster.svg").read_text()
    shown = {int(number) for number in re.findall(r'class="port">(\d+)<', picture)}
    assert shown == {port.number for port in ports.table(ports.FRONT_DOOR.number)}


def test_the_picture_of_the_network_has_the_ports_and_subnets_that_it_has() -> None:
    picture = (ROOT / "docs/images/aws.svg").read_text()
    shown = {int(number) for number in re.findall(r'class="port">(\d+)<', picture)}
    own = ports.table(ports.FRONT_DOOR.number)
    assert shown == {port.number for port in own if ports.OPERATORS in port.clients}
    drawn = re.findall(r"(?:public|private) ([\d./]+)<", picture)
    plan = subnets.plan("10.0.0.0/16")
    assert drawn == [str(subnet) for subnet in (*plan.private, *plan.public)]


def counts(found: dict[str, Recorded]) -> dict[str, int]:
    """The number of resources in the table of docs/aws.md."""

    def of(suffix: str) -> list[Recorded]:
        return [entry for entry in found.values() if entry.type.endswith(suffix)]

    machines = of(":Instance")
    return {
        "EC2 instances": len(machines),
        "public IPv4 addresses": sum(it.inputs["associatePublicIpAddress"] for it in machines) + len(of(":Eip")),
        "data volumes of ZooKeeper": len(of(":Volume")),
        "NAT gateways": len(of(":NatGateway")),
        "subnets": len(of(":Subnet")),
        "security groups": len(of(":SecurityGroup")),
        "names in Route 53": len(of(":Record")),
        "SSH key pairs, made by Pulumi": len(of(":PrivateKey")),
    }


@pytest.mark.parametrize(("column", "stack"), [(0, "dev"), (1, "prod")])
def test_what_is_created_on_aws_is_reported(column: int, stack: str) -> None:
    section = (ROOT / "docs/aws.md").read_text().partition("## What is created")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \| (\d+) \|$", section, re.MULTILINE)
    assert {row[0]: int(row[1 + column]) for row in rows} == counts(run(stack))


def test_the_reported_quota_is_what_the_machines_have() -> None:
    told = re.search(r"`dev` needs (\d+), `prod` (\d+)", " ".join((ROOT / "docs/aws.md").read_text().split()))
    assert told
    for stack, number in zip(("dev", "prod"), told.groups(), strict=True):
        types = [it.inputs["instanceType"] for it in run(stack).values() if it.type.endswith(":Instance")]
        assert int(number) == sum(SIZES[name][0] for name in types)


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"\((\d{4}-[\w-]+\.md)\)", (folder / "README.md").read_text())
    assert listed == sorted(path.name for path in folder.glob("0*.md"))


def test_the_worked_example_of_the_failover_budget_is_right() -> None:
    example = (ROOT / "docs/operations.md").read_text().partition("Worked example, 15 s")[2].partition("\n\n")[0]
    found = failover.timings(15)
    for told in (
        f"session is {found.session_timeout} ms",
        f"tick {found.session_timeout} / 6 = {found.tick_time} ms",
        f"= {found.init_limit} ticks",
        f"= {found.sync_limit} ticks",
    ):
        assert told in " ".join(example.split())


def test_the_license_is_the_unchanged_apache_license() -> None:
    digest = subprocess.run(["sha256sum", ROOT / "LICENSE"], capture_output=True, text=True, check=True).stdout[:64]
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"

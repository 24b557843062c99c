"""The table of roles is complete, and what it names exists."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from components import ports, resources
from components.aws.groups import GROUPS
from components.flink.context import declare_of
from components.flink.settings import ClusterSettings
from components.host import Role
from components.roles import ROLES, Row, needed_mib
from tests.unit.program import host, load, write_inventory

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ClusterSettings(cluster_id="dev", operator_cidrs=("198.51.100.0/24",))


@pytest.mark.parametrize("role", list(Role))
def test_every_role_has_a_row_a_folder_and_a_group_on_aws(role: Role) -> None:
    row = ROLES[role]
    assert callable(declare_of(role))
    assert (ROOT / "components" / role.value).is_dir()
    assert GROUPS[role].count
    assert ports.listening(role), f"a {role} would not accept logins"
    assert needed_mib(role, SETTINGS) > 256
    assert row.memory_on(SETTINGS, 16384) >= row.memory(SETTINGS)


def test_a_row_that_leaves_something_out_is_an_error() -> None:
    known = {field.name: getattr(ROLES[Role.CLIENT], field.name) for field in dataclasses.fields(Row)}
    required = [field.name for field in dataclasses.fields(Row) if field.default is dataclasses.MISSING]
    assert {"runs_flink", "uses_storage", "logs_in", "accepts_logins", "replacement", "teardown"} <= set(required)
    for name in required:
        with pytest.raises(TypeError, match=name):
            Row(**{key: value for key, value in known.items() if key != name})


def test_names_and_units_are_those_of_one_role() -> None:
    for values in (
        [row.prefix for row in ROLES.values()],
        [row.title for row in ROLES.values()],
        [row.unit for row in ROLES.values() if row.unit],
    ):
        assert len(set(values)) == len(values)


def test_a_folder_of_templates_or_scripts_is_that_of_a_role() -> None:
    for name in ("config_templates", "host_scripts"):
        folders = {path.name for path in resources.folder(name).iterdir() if path.is_dir()}
        assert folders - {"java", "tls", "frontdoor", "logs", "storage"} <= set(Role), name


def test_nothing_branches_on_a_role_but_the_table_and_the_roles_own_folders() -> None:
    """`if` and conditional expressions that compare with a Role; comprehensions may select one role's hosts."""
    own = {ROOT / "components" / role.value for role in Role}
    found = []
    for path in sorted((ROOT / "components").rglob("*.py")):
        if path.parent in own or path.name == "roles.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.If | ast.IfExp) and "Role." in ast.unparse(node.test):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node.test)}")
    assert not found


def test_a_client_is_a_host_with_flink_and_no_daemon(tmp_path: Path) -> None:
    write_inventory(tmp_path, host("jm-0"), host("tm-0"), host("cl-0"))
    found = {entry.name: entry.role for entry in load(tmp_path).site.hosts}
    assert found["cl-0"] is Role.CLIENT
    row = ROLES[Role.CLIENT]
    assert row.daemon is None and row.runs_flink and not row.uses_storage and not row.logs_in

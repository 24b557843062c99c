"""Which part of the repository may import which: code on users' machines does not depend on developers' tools."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolbox.paths import REPO

USERS = {"components", "settings"}
"""What Pulumi runs."""

MAY_IMPORT: dict[str, set[str]] = {
    "components": set(),
    "settings": {"components"},
    "host_tool": set(),
    "automation": set(),
    "ops": {"automation", "components"},
    "branches": {"automation", "ops", *USERS},
    "toolbox": set(),
    "stand_ins": {"toolbox"},
    # Instances are hosts of a lab
    "stand_ins/aws_cloud": {"stand_ins", "toolbox", "lab"},
    "lab": {"stand_ins", "toolbox", "automation", "ops", *USERS},
    "drill": {"lab", "stand_ins", "toolbox", "automation", "ops"},
    "bench": {"drill", "lab", "stand_ins", "toolbox", "automation", "ops", "components"},
}
"""By folder; each may also import itself. Tests may import everything."""

OURS = {folder.partition("/")[0] for folder in MAY_IMPORT} | {"tests", "docs"}


def imported(file: Path) -> Iterator[str]:
    """The modules of this repository that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] in OURS)


def folder_of(file: Path) -> str:
    """The most specific of the folders above that contains it."""
    parts = file.relative_to(REPO).parts
    return max((it for it in MAY_IMPORT if parts[: len(Path(it).parts)] == Path(it).parts), key=len)


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_part_imports_only_what_it_stands_on(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder.partition("/")[0]}
    files = [file for file in (REPO / folder).rglob("*.py") if folder_of(file) == folder]
    assert files
    wrong = [
        f"{file.relative_to(REPO)}: {module}"
        for file in files
        for module in imported(file)
        if module.partition(".")[0] not in allowed
    ]
    assert not wrong


def test_nothing_that_the_lab_stands_on_needs_the_data_centre_which_stands_on_the_lab() -> None:
    files = [file for folder in ("lab", "stand_ins") for file in (REPO / folder).rglob("*.py")]
    outside = [file for file in files if folder_of(file) != "stand_ins/aws_cloud"]
    assert not [file for file in outside for module in imported(file) if module.startswith("stand_ins.aws_cloud")]


def test_there_is_one_module_called_engine() -> None:
    found = [str(file.relative_to(REPO)) for part in sorted(OURS) for file in (REPO / part).rglob("engine.py")]
    assert found == ["automation/engine.py"]


def test_folders_with_tests_are_packages() -> None:
    """Without it pytest may refuse the second of two files of the same name: it depends on the order of imports."""
    folders = {file.parent for file in (REPO / "tests").rglob("test_*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []

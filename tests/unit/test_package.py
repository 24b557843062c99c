"""The components as a package for other programs: its imports, its defaults, and the contents of the wheel."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import components
import settings
from components.flink import failover, releases, sizing
from components.flink.settings import ClusterSettings
from components.storage import S3

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "components").rglob("*.py"))
OUTSIDE = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_components_import_nothing_from_the_root_of_the_repository(path: Path) -> None:
    """Only relative imports, so that the folder can have another name in the wheel."""
    depth = len(path.relative_to(ROOT / "components").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level <= depth, f"line {node.lineno} leaves the package"
            names = [] if node.level else [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        assert not [name for name in names if name.partition(".")[0] in OUTSIDE], f"line {node.lineno}"


def _name(requirement: str) -> str:
    return re.split(r"[^a-z-]", requirement)[0]


def test_public_names_are_there_and_say_what_they_are() -> None:
    for name in components.__all__:
        assert getattr(components, name).__doc__, name
    with pytest.raises(AttributeError, match="nothing"):
        components.nothing  # noqa: B018


def test_defaults_are_those_of_the_configuration() -> None:
    """They are defined twice: for stacks, and for programs that use the components."""
    schema = {key: entry["default"] for key, entry in settings.schema().items()}
    found = ClusterSettings(cluster_id="dev", operator_cidrs=())
    assert {name: schema[f"{name}Version"] for name in releases.DEFAULT_VERSIONS} == releases.DEFAULT_VERSIONS
    assert found.timings == failover.timings(schema["failoverSeconds"])
    assert found.jobmanager_mib == sizing.mib(schema["jobManagerMemory"])
    assert found.zookeeper_heap_mib == sizing.mib(schema["zookeeperHeap"])
    for name, key in {
        "firewall": "firewall",
        "java_options": "javaOptions",
        "rollout": "rollout",
        "max_unavailable": "maxUnavailable",
        "repair": "repair",
        "common_config": "flinkConfig",
        "jobmanager_config": "jobManagerConfig",
        "taskmanager_config": "taskManagerConfig",
        "zookeeper_config": "zookeeperConfig",
        "ready_timeout_seconds": "readyTimeoutSeconds",
        "keep_state": "keepState",
    }.items():
        assert getattr(found, name) == schema[key], key
    assert (found.taskmanager_mib, found.taskmanager_slots) == (None, None)
    storage = S3(region="us-east-1")
    assert (storage.endpoint, storage.path_style) == (schema["storageEndpoint"], schema["storagePathStyle"])


def test_the_wheel_needs_what_the_program_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wheel = {*project["dependencies"], *project["optional-dependencies"]["aws"]}
    names = {_name(entry) for entry in wheel}
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.in").read_text().splitlines()]
    program = {_name(line): line for line in lines if line}
    # `ops` and `branches`, which need them, are not in the wheel
    program.pop("boto")
    program.pop("bcrypt")
    assert names == set(program)
    exact = [
        line for name, line in program.items() if name != "pulumi"
    ]  # the engine that the lab builds pins its minor
    assert {line.replace(" ", "") for line in exact} <= wheel

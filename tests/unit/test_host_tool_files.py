"""The host tool as installed on hosts: which modules where, and that they equal the sources except for comments."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from components.flink import host_tool, unit
from components.flink.settings import ClusterSettings
from components.host import Role
from components.roles import ROLES
from components.sources import SCRIPTS, python_without_comments

SETTINGS = ClusterSettings(cluster_id="dev", operator_cidrs=("198.51.100.0/24",))
SOURCES = sorted((Path(__file__).resolve().parents[2] / "host_tool").glob("*.py"))


def program(source: str) -> str:
    """The meaning of a source, without docstrings and comments."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                left = [
                    one
                    for one in body
                    if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
                    and not isinstance(one, ast.Pass)
                ]
                setattr(node, name, left)
    return ast.dump(tree)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_comments_are_left_out_and_nothing_else(path: Path) -> None:
    source = path.read_text()
    shipped = python_without_comments(source)
    assert program(shipped) == program(source)
    assert len(shipped) < len(source)
    compile(shipped, path.name, "exec")


def test_what_looks_like_a_comment_in_a_text_stays() -> None:
    source = (
        'def f():\n    """Doc."""\n\n\nX = """\n# no comment\n\n"""\n# comment\nclass E(Exception):\n    """Doc."""\n'
    )
    assert (
        python_without_comments(source)
        == 'def f():\n    pass\nX = """\n# no comment\n\n"""\nclass E(Exception):\n    pass\n'
    )


def test_every_module_has_its_place() -> None:
    shipped = {Path(file.path).name for row in ROLES.values() for file in host_tool.files(row)}
    # spot.py: components/taskmanager/spot.py; unpack.py: host_scripts/release.sh
    assert {path.name for path in SOURCES} - {"__main__.py", "flink_host.py", "spot.py", "unpack.py"} == {
        name for name in shipped if name.endswith(".py")
    }
    assert {path.name for path in SCRIPTS.glob("java/*.java")} == {name for name in shipped if name.endswith(".java")}


@pytest.mark.parametrize("role", Role)
def test_hosts_of_every_role_can_run_it(role: Role, tmp_path: Path) -> None:
    """Below another folder, with the same interpreter options."""
    for file in host_tool.files(ROLES[role]):
        path = tmp_path / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text.replace('"/usr/local/lib/flink"', repr(str(tmp_path / "usr/local/lib/flink"))))
    tool = tmp_path / "usr/local/lib/flink/flink-host"
    first, second, *_ = tool.read_text().splitlines()
    assert first == "#!/usr/bin/env -S python3 -I -S -X utf8" and second.startswith("# Managed by Pulumi")

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        argv: list[str | Path] = [sys.executable, "-I", "-S", "-X", "utf8", tool, *words]
        return subprocess.run(argv, capture_output=True, text=True, input='{"host": "h", "user": "u"}', check=False)

    assert run("--help").returncode == 0
    assert (run("joins", "zookeeper", "1").returncode, run("joins", "rest", "1").returncode) == (1, 1)
    done = run("rollout")
    assert done.returncode == 1
    assert ("does not work on hosts of this role" in done.stderr) is not ROLES[role].logs_in, done.stderr


def test_the_facts_of_a_daemon_are_what_the_tool_reads() -> None:
    assert unit.daemon_json(Role.TASKMANAGER, SETTINGS, ["jm-0"]) == (
        '{\n  "unit": "flink-taskmanager",\n  "user": "flink",\n  "inputs": [\n    "/etc/flink/credentials.env",\n'
        '    "/etc/systemd/system/flink-taskmanager.service",\n    "/var/lib/flink/launch/current"\n  ],\n'
        '  "health": "registered",\n  "port": 6123,\n  "others": [\n    "jm-0"\n  ],\n  "metricsPort": 9249\n}\n'
    )

"""The components as a package: the wheel in an environment without anything else, and another Pulumi program that uses
it, run by the real engine. There are no hosts: a plugin that does nothing replaces SSH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from stand_ins.plugins import SILENT_COMMAND
from tests import tool_environment
from toolbox.paths import REPO

EXAMPLE = REPO / "examples/own-program"
HOSTS = ("jm-0", "jm-1", "zk-0", "zk-1", "zk-2", "tm-0", "tm-1", "tm-2")

# Run by the environment's own Python. An inline program, because there is no language host here (decision 1)
RUN = """
import json, runpy, sys
from pulumi import automation as auto

program, pulumi, config = sys.argv[1], sys.argv[2], json.load(sys.stdin)
stack = auto.create_or_select_stack(
    "prod",
    project_name="own-flink",
    program=lambda: runpy.run_path(program, run_name="__main__"),
    opts=auto.LocalWorkspaceOptions(pulumi_command=auto.PulumiCommand(root=pulumi)),
)
stack.set_all_config({key: auto.ConfigValue(value, secret=secret) for key, (value, secret) in config.items()})
found = {}
stack.preview(color="never", on_event=lambda event: found.update(
    {event.resource_pre_event.metadata.urn.rpartition("::")[2]: event.resource_pre_event.metadata.op.value}
    if event.resource_pre_event else {}))
result = stack.up(color="never")
again = stack.up(color="never")
print(json.dumps({
    "preview": found,
    "up": result.summary.resource_changes,
    "again": again.summary.resource_changes,
    "outputs": {key: output.value for key, output in result.outputs.items()},
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), str(REPO))
    return next(folder.glob("flink_standalone-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, its dependencies, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip(str(folder / "bin/python"), "install", str(wheel))
    return folder / "bin/python"


def pip(python: str, *words: str) -> None:
    argv = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *words]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_wheel_has_every_file_that_the_components_read(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        packed = set(opened.namelist())
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPO, check=True, capture_output=True, text=True).stdout
    expected = {
        name.replace("components/", "", 1)
        for name in tracked.split("\0")
        if name.startswith(("components/", "config_templates/", "host_scripts/", "host_tool/"))
    }
    assert {f"flink_standalone/{name}" for name in expected} <= packed
    assert not [name for name in packed if not name.startswith("flink_standalone")]


def test_another_program_makes_a_cluster_on_hosts_of_its_own(python: Path, tmp_path: Path) -> None:
    assert len((EXAMPLE / "__main__.py").read_text().splitlines()) <= 32
    environment = tool_environment.made(tmp_path / "user", "test")
    SILENT_COMMAND.install(tmp_path / "user/plugins")
    program = shutil.copytree(EXAMPLE, tmp_path / "program")
    keys = {name: f"ssh-ed25519 AAAA{name}" for name in HOSTS}
    config = {
        "own-flink:hostKeys": (json.dumps(keys), False),
        "own-flink:privateKey": ("-----BEGIN OPENSSH PRIVATE KEY-----\nnobody's\n", True),
    }
    pulumi = Path(shutil.which("pulumi", path=environment["PATH"]) or "").resolve().parents[1]
    done = subprocess.run(
        [python, "-I", "-c", RUN, program / "__main__.py", pulumi],
        cwd=program,
        env={**os.environ, **environment},
        input=json.dumps(config),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["preview"].values()) == {"create"}
    for name in HOSTS:
        assert {f"{name}-probe", f"{name}-system", f"{name}-service", f"{name}-clean"} <= set(found["preview"])
    assert set(found["up"]) == {"create"}
    assert set(found["again"]) == {"same"}
    assert found["outputs"] == {"overview": "{}"}

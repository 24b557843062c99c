"""The program in the real engine, as far as possible without a host: previews, which never connect."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from automation.steps import Steps
from lab.errors import LabError
from lab.stack import LabStack
from settings import PLAIN_TEXT
from stand_ins.plugins import SILENT_COMMAND
from tests.unit.program import SEVEN, host, write_inventory


@pytest.fixture
def preview(tmp_path: Path) -> Iterator[Any]:
    """A function: previews a stack of hosts that do not exist, with changes to its configuration."""
    write_inventory(tmp_path)
    s3 = SimpleNamespace(
        bucket="flink",
        endpoint="http://10.9.9.1:7480",
        region="us-east-1",
        access_key="AK",
        secret_key="not-to-be-seen",
    )
    lab = SimpleNamespace(
        dir=tmp_path,
        name="preview",
        gateway="10.9.9.1",
        s3=s3,
        mirror_url="http://10.9.9.1:7481",
        monitoring=lambda: None,
    )
    archives = SimpleNamespace(
        **{
            name: SimpleNamespace(version=version, path=Path(f"{name}.tgz"), sha512="a" * 128)
            for name, version in (("flink", "2.3.0"), ("zookeeper", "3.9.5"), ("java", "17.0.15+6"))
        }
    )

    def run(**changes: Any) -> Steps:
        return made(**changes).preview()

    def made(**changes: Any) -> LabStack:
        overrides = {f"flink:{key}": value for key, value in changes.items()}
        return LabStack(lab, archives, overrides, SILENT_COMMAND)  # type: ignore[arg-type]

    run.made = made  # type: ignore[attr-defined]
    yield run


def test_a_preview_shows_every_step_and_connects_to_nothing(preview: Any) -> None:
    steps = preview()
    assert set(steps.operations.values()) == {"create"}
    assert {name for name in steps.operations if name.endswith("-service")} == {f"{name}-service" for name in SEVEN}


def test_a_preview_without_tls_says_once_that_connections_are_plain_text(preview: Any) -> None:
    for tls, times in ((False, 1), (True, 0)):
        said: list[str] = []
        preview.made(tls=tls).preview(tell=said.append)
        # The engine also has the last message beside the row of the stack
        assert "\n".join(said).partition("Diagnostics:")[2].count(PLAIN_TEXT) == times, said


def test_a_wrong_configuration_is_refused_whole_and_registers_nothing(preview: Any) -> None:
    with pytest.raises(LabError) as error:
        preview(failoverSeconds=1, workrs=3, operatorCidrs=["0.0.0.0/0"], jobManagerMemory="9g")
    said = str(error.value)
    assert "has 5 problems; nothing was changed" in said  # the memory does not suffice for either JobManager
    for key in ("failoverSeconds", "workrs", "operatorCidrs", "jobManagerMemory"):
        assert said.count(f"- {key}: ") in (1, 2), said


def test_two_jobmanagers_without_an_ensemble_are_refused(preview: Any, tmp_path: Path) -> None:
    write_inventory(tmp_path, *[host(name) for name in SEVEN if not name.startswith("zk")])
    with pytest.raises(LabError, match="2 JobManagers and no zookeeper"):
        preview()


def test_the_engine_itself_refuses_a_wrong_type(preview: Any) -> None:
    with pytest.raises(LabError, match="'workers' must be of type 'integer'"):
        preview(workers="two")


def test_secret_options_are_encrypted_wherever_the_engine_stores_them(preview: Any, tmp_path: Path) -> None:
    """Set as documented: `pulumi config set --secret --path`."""
    SILENT_COMMAND.install(tmp_path / "pulumi" / "plugins")
    values = {"my.service.password": "hush: 'hush' # 12", "other.token": "12e3"}
    said: list[str] = []
    stack = preview.made(flinkSecrets=values)
    stack.preview(diff=True, tell=said.append)
    stack.up()
    options = yaml.safe_load(stack.file.read_text())["config"]["flink:flinkSecrets"]
    assert [set(options[name]) for name in values] == [{"secure"}, {"secure"}]
    written = set(re.findall(r"FLINK_SECRET_CONFIG='([^']+)'", json.dumps(stack.state())))
    assert [yaml.safe_load(base64.b64decode(text)) for text in written] == [values]
    kept = [path.read_bytes() for path in stack.folder.rglob("*") if path.is_file()]
    for text in [values["my.service.password"], *written]:
        assert text not in "\n".join(said)
        assert not any(text.encode() in content for content in kept)
    # One of them is removed, then the last one
    stack = preview.made(flinkSecrets={"other.token": "12e3"})
    stack.up()
    assert [*yaml.safe_load(stack.file.read_text())["config"]["flink:flinkSecrets"]] == ["other.token"]
    stack = preview.made()
    stack.up()
    assert "flinkSecrets" not in stack.file.read_text()
    assert "FLINK_SECRET_CONFIG='" not in json.dumps(stack.state())


def test_plain_text_for_a_secret_option_is_refused_with_the_command(preview: Any) -> None:
    stack = preview.made(flinkSecrets={"my.service.password": "hush"})
    stack._configuration["flink:flinkSecrets"], stack._secrets = stack._secrets.pop("flink:flinkSecrets"), {}
    with pytest.raises(LabError) as error:
        stack.preview()
    assert """pulumi config set --secret --path 'flinkSecrets["OPTION"]'""" in str(error.value)
    assert "hush" not in str(error.value)


def test_a_preview_shows_a_changed_setting_once(preview: Any, tmp_path: Path) -> None:
    SILENT_COMMAND.install(tmp_path / "pulumi" / "plugins")
    preview.made().up()
    check_shown_once(preview.made(taskManagerConfig={"taskmanager.network.retries": 3}), workers=2)


def test_an_up_says_what_became_of_all_resources_above_all_if_that_was_nothing(
    preview: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    SILENT_COMMAND.install(tmp_path / "pulumi" / "plugins")

    def last() -> str:
        return capsys.readouterr().out.splitlines()[-1]

    count = preview.made().up().totals["create"]
    assert last() == f"pulumi:      resources: {count} created"
    preview.made().up()
    assert last() == f"pulumi:      resources: {count} unchanged"
    preview.made().destroy()
    assert last() == f"pulumi:      resources: {count} deleted"


def check_shown_once(changed: LabStack, workers: int) -> None:
    """Fail unless `pulumi preview --diff` shows the new retries once, however many hosts use them."""
    shown: list[str] = []
    changed.preview(diff=True, tell=shown.append)
    print("\n".join(shown))
    assert [line.strip() for line in shown if "network.retries" in line] == ["+ taskmanager.network.retries: 3"]
    steps = changed.preview()
    assert steps.operations["tm-1-config"] == steps.operations["tm-1-service"] == "update"
    assert {name for name, kind in steps.operations.items() if kind != "same"} == {
        *(f"tm-{index}-{step}" for index in range(workers) for step in ("config", "service")),
        "jm-0-rollout",
        "jm-0-cluster",
    }
    # The three lines at the top of each script, which describe it
    assert len(shown) < 40 + 2 * (workers + 1) * 25


def test_an_engine_that_is_killed_while_it_writes_leaves_a_state_that_can_be_read(preview: Any, tmp_path: Path) -> None:
    preview()
    state = tmp_path / "pulumi" / "state"
    files = [path for path in state.rglob("*") if path.is_file()]
    assert files and not [path for path in files if path.suffix == ".attrs"]
    for path in files:  # as an earlier version may leave it
        path.with_name(f"{path.name}.attrs").write_bytes(b"")
    preview()


def test_a_preview_shows_nothing_of_what_did_not_change(preview: Any, tmp_path: Path) -> None:
    SILENT_COMMAND.install(tmp_path / "pulumi" / "plugins")
    preview.made().up()
    assert set(preview().operations.values()) == {"same"}

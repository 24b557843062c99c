"""The table of Flink's options is what the release says."""

import shutil

import pytest

from components.flink import releases
from settings.flink_options import table
from toolbox import flink_options
from toolbox.flink_options import VERSION


def test_it_is_of_the_release_that_stacks_have() -> None:
    assert releases.DEFAULT_VERSIONS["flink"] == VERSION
    assert f"flink-{VERSION}." in flink_options.TABLE.read_text().partition("\n")[0]


def test_it_has_names_types_and_secrets() -> None:
    assert table().types["execution.checkpointing.interval"] == "duration"
    assert table().replaced["state.checkpoints.dir"] == "execution.checkpointing.dir"
    assert {"password", "token", "fs.azure.account.key"} <= set(table().sensitive)
    # An old name of one option that is an option of its own
    assert "rest.port" not in table().replaced


@pytest.mark.exhaustive
def test_generating_it_again_changes_nothing() -> None:
    release = flink_options.archive(VERSION)
    if not release.exists() or not shutil.which("java"):
        pytest.skip("the lab's cache has no release, or there is no java")
    assert flink_options.table(release) == flink_options.TABLE.read_text()

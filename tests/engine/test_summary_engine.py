"""Summaries of real previews by the real engine, as reviewers see them. `UPDATE_GOLDEN=1` rewrites them."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation as auto

from branches import changes, summary
from branches.changes import Changes
from lab.stack import LabStack
from stand_ins.plugins import SILENT_COMMAND
from tests.engine.test_program_engine import check_shown_once, preview
from tests.golden import same
from tests.unit.program import PRIVATE_KEY, SEVEN, host, write_inventory

__all__ = ["preview"]  # a fixture

GOLDEN = Path(__file__).parent / "golden"
SECRET = "a-storage-key-that-nobody-may-see"


def seen(stack: LabStack) -> Changes:
    """The summary of a preview of the stack."""
    events: list[auto.EngineEvent] = []
    stack.preview(on_event=events.append)
    return changes.read(events)


def check(name: str, found: Changes) -> str:
    """Compare with the golden file, and check that it has no secrets; returns the text."""
    text = summary.markdown(found, stack="preview")
    same(GOLDEN / f"{name}.md", text)
    for hidden in (SECRET, PRIVATE_KEY.splitlines()[1], base64.b64encode(SECRET.encode()).decode()[:20]):
        for output in (text, json.dumps(found.json())):
            assert hidden not in output
    return text


@pytest.fixture
def stack(preview: Any, tmp_path: Path) -> Any:
    """The stack with 20 workers, created."""
    others = [name for name in SEVEN if not name.startswith("tm")]
    # The last one has no number, as names may be
    workers = [*(host(f"tm-{index}") for index in range(20)), host("tm-20", name="tm-a")]
    write_inventory(tmp_path, *[host(name) for name in others], *workers)
    SILENT_COMMAND.install(tmp_path / "pulumi" / "plugins")

    def made(secret: str = SECRET, **more: Any) -> LabStack:
        found: LabStack = preview.made(**{"workers": 20, **more})
        found._secrets = dict.fromkeys(found._secrets, secret)
        return found

    return made


def test_previews_of_a_cluster_with_20_workers(stack: Any) -> None:
    """One stack, and the summaries of its changes."""
    first = seen(stack())
    check("creation", first)
    assert (first.verdict.value, first.restarts) == ("changes", [])
    stack().up()

    none = seen(stack())
    check("no-change", none)
    assert none.verdict.value == "none"

    retries = {"taskmanager.network.retries": 3}
    check_shown_once(stack(taskManagerConfig=retries), workers=20)
    line = seen(stack(taskManagerConfig=retries))
    assert check("one-line", line).count("network.retries") == 1
    assert line.restarts == [f"tm-{index}" for index in range(20)]

    more = seen(stack(workers=21))
    check("a-worker-more", more)
    assert more.restarts == []
    assert [one.name for one in more.of(changes.Kind.CREATE) if one.name.startswith("tm-a-service")]

    upgrade = seen(stack(flinkVersion="2.4.0"))
    check("another-release", upgrade)
    assert {name.partition("-")[0] for name in upgrade.restarts} == {"jm", "tm"}

    moved = seen(stack(storageUri="s3://flink/elsewhere"))
    check("storage-moved", moved)
    assert moved.verdict.value == "dangerous"

    key = seen(stack(secret="another-key-that-nobody-may-see"))
    assert "another-key" not in check("another-secret", key)
    assert {name.partition("-")[0] for name in key.restarts} <= {"jm", "tm"}

    waits = seen(stack(readyTimeoutSeconds=700))
    check("nothing-restarts", waits)
    assert waits.restarts == []

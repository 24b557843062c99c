"""How a state continues without what a killed engine has left pending (automation.pending). No engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from automation import pending
from automation.pending import ChangedError, Operation, PendingError

AWS = "urn:pulumi:dev::flink::pulumi:providers:aws::default"


def urn(type: str, name: str) -> str:
    return f"urn:pulumi:dev::flink::{type}::{name}"


def resource(type: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": urn(type, name), "type": type, "custom": True, "inputs": {"size": 1}, **more}


def instance(name: str, **more: Any) -> dict[str, Any]:
    return resource("aws:ec2/instance:Instance", name, provider=f"{AWS}::1234", **more)


def deployment(*pending_operations: tuple[str, dict[str, Any]], resources: Any = ()) -> dict[str, Any]:
    operations = [{"type": kind, "resource": it} for kind, it in pending_operations]
    return {"manifest": {"time": "t"}, "resources": list(resources), "pending_operations": operations}


PROVIDER = {"urn": AWS, "type": "pulumi:providers:aws", "custom": True, "id": "1234"}
STEPS = [
    ("creating", resource("command:remote:Command", "tm-0-java")),
    ("updating", resource("command:remote:Command", "tm-0-conf", id="a")),
    ("deleting", resource("command:local:Command", "tm-0", id="b")),
    ("creating", resource("pulumi:index:Stash", "dev-declared")),
    ("creating", {"urn": urn("flink:flink:Cluster", "dev"), "type": "flink:flink:Cluster", "custom": False}),
    ("creating", resource("tls:index/privateKey:PrivateKey", "admin")),
    ("updating", instance("tm-0", id="i-0")),
    ("deleting", instance("tm-1", id="i-1")),
]


def test_what_can_run_again_is_cleared_without_a_question_to_anybody() -> None:
    kept = [PROVIDER, instance("tm-0", id="i-0"), instance("tm-1", id="i-1")]
    before = deployment(*STEPS, resources=kept)
    found = pending.plan(before)
    assert [it.name for it in found.cleared] == [it["urn"].rpartition("::")[2] for _, it in STEPS]
    assert found.deployment == {"manifest": {"time": "t"}, "resources": kept}
    assert before["pending_operations"], "the argument is not changed"
    (line,) = found.lines()
    assert line.startswith("an earlier run was killed: 8 operations cleared") and "and 3 more" in line


def test_without_pending_operations_there_is_nothing_to_say() -> None:
    empty: list[dict[str, Any]] = [{}, {"resources": []}, deployment()]
    for it in empty:
        found = pending.plan(it)
        assert not found and found.lines() == []


def test_a_creation_that_nobody_can_look_for_is_not_cleared() -> None:
    with pytest.raises(PendingError, match=r"nobody can look .* tm-0 \(creating\)"):
        pending.plan(deployment(("creating", instance("tm-0"))))


def test_what_was_created_is_adopted_behind_all_that_it_depends_on() -> None:
    subnet = resource("aws:ec2/subnet:Subnet", "a", id="subnet-0")
    new = instance("tm-0", dependencies=[subnet["urn"]], parent=urn("flink:aws:Machines", "m"))
    other = resource("command:remote:Command", "other", id="c")
    found = pending.plan(
        deployment(("creating", new), resources=[PROVIDER, subnet, other]), lambda *_: {new["urn"]: ["i-7"]}
    )
    adopted = {**new, "id": "i-7", "outputs": {"size": 1, "id": "i-7"}}
    assert found.deployment["resources"] == [PROVIDER, subnet, adopted, other]
    (line,) = found.lines()
    assert "1 created resource adopted into the state (tm-0 i-7)" in line


def test_what_was_not_created_is_cleared() -> None:
    found = pending.plan(deployment(("creating", instance("tm-0"))), lambda *_: {})
    assert [str(it) for it in found.cleared] == ["tm-0 (creating)"] and not found.adopted


def test_of_two_that_may_be_it_none_is_adopted_and_both_are_named() -> None:
    new = instance("tm-0")
    found = pending.plan(deployment(("creating", new)), lambda *_: {new["urn"]: ["i-7", "i-8"]})
    assert found.deployment["resources"] == [] and "pending_operations" not in found.deployment
    (line,) = found.lines()
    assert line.startswith("NOT ADOPTED: aws:ec2/instance:Instance tm-0: i-7 i-8") and "ops orphans" in line


def test_a_replacement_is_adopted_and_the_one_before_is_deleted() -> None:
    old, new = instance("tm-0", id="i-0"), instance("tm-0", inputs={"size": 2})
    found = pending.plan(deployment(("creating", new), resources=[old]), lambda *_: {new["urn"]: ["i-7"]})
    one, other = found.deployment["resources"]
    assert (one["id"], one.get("delete"), other["id"], other.get("delete")) == ("i-0", True, "i-7", None)


def test_a_replacement_of_what_was_deleted_first_takes_its_place() -> None:
    old, new = instance("tm-0", id="i-0", pendingReplacement=True), instance("tm-0")
    found = pending.plan(deployment(("creating", new), resources=[old]), lambda *_: {new["urn"]: ["i-7"]})
    assert [it["id"] for it in found.deployment["resources"]] == ["i-7"]


def test_a_surplus_one_that_a_later_run_has_created_again_is_named() -> None:
    there, new = instance("tm-0", id="i-0"), instance("tm-0")
    found = pending.plan(deployment(("creating", new), resources=[there]), lambda *_: {new["urn"]: ["i-7"]})
    assert found.deployment["resources"] == [there]
    assert found.lines()[0].startswith("NOT ADOPTED")


class FakeStack:
    """What `settle` needs of a stack."""

    name = "dev"

    def __init__(self, *exports: dict[str, Any]) -> None:
        self.exports = list(exports)
        self.asked: list[str] = []
        self.imported: dict[str, Any] = {}
        self.error: Exception | None = None

    def exported(self) -> dict[str, Any]:
        return {"version": 3, "deployment": self.exports.pop(0)}

    def pulumi(self, *words: str, stdin: str) -> None:
        self.asked.append(" ".join(words))
        self.imported = json.loads(stdin)

    def refresh(self, recorder: Any, *, targets: list[str]) -> None:
        self.asked.append(f"refresh {' '.join(targets)}")
        if self.error:
            raise self.error


def test_the_state_is_copied_and_then_replaced(tmp_path: Path) -> None:
    new = instance("tm-0")
    before = deployment(STEPS[0], ("creating", new))
    stack: Any = FakeStack(before, before)
    found = pending.settle(stack, tmp_path / "states", lambda *_: {new["urn"]: ["i-7"]})
    assert stack.asked == ["stack import", f"refresh {new['urn']}"]
    assert [it["id"] for it in stack.imported["deployment"]["resources"]] == ["i-7"]
    assert stack.imported["version"] == 3 and "pending_operations" not in stack.imported["deployment"]
    (copy,) = (tmp_path / "states").iterdir()
    assert json.loads(copy.read_text())["deployment"] == before
    assert (copy.stat().st_mode & 0o777, copy.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert str(copy) in found.lines()[0]


def test_a_refresh_that_has_failed_after_an_adoption_is_repeated_by_the_next_run(tmp_path: Path) -> None:
    new = instance("tm-0", inputs={"size": 1, "__defaults": []})
    read = instance("tm-1", id="i-1", outputs={"size": 1, "id": "i-1", "arn": "a"})
    before = deployment(("creating", new), resources=[read])
    killed: Any = FakeStack(before, before)
    killed.error = RuntimeError("killed")
    with pytest.raises(RuntimeError):
        pending.settle(killed, tmp_path, lambda *_: {new["urn"]: ["i-7"]})
    left = killed.imported["deployment"]
    # The engine keeps no pending operation that is imported
    assert "pending_operations" not in left and pending.unread(left) == [new["urn"]]

    stack: Any = FakeStack(left)
    found = pending.settle(stack, tmp_path)
    assert stack.asked == [f"refresh {new['urn']}"]
    assert found.lines() == ["an earlier run was killed: 1 resource adopted before, now refreshed (tm-0)"]

    (adopted,) = [it for it in left["resources"] if it["urn"] == new["urn"]]
    adopted["outputs"] = {"size": 1, "id": "i-7", "arn": "a"}
    assert not pending.plan(left)


def test_what_is_no_plugins_resource_is_never_refreshed() -> None:
    step = resource("command:remote:Command", "tm-0-java", id="a", outputs={"size": 1, "id": "a"})
    gone = instance("tm-0", id="i-0", delete=True, outputs={"size": 1, "id": "i-0"})
    assert pending.unread(deployment(resources=[step, gone, PROVIDER])) == []


def test_a_state_that_somebody_changes_meanwhile_is_left_alone(tmp_path: Path) -> None:
    stack: Any = FakeStack(deployment(STEPS[0]), deployment(STEPS[0], resources=[PROVIDER]))
    with pytest.raises(ChangedError, match="its state changed meanwhile"):
        pending.settle(stack, tmp_path)
    assert stack.asked == []


def test_without_pending_operations_the_state_is_only_read(tmp_path: Path) -> None:
    stack: Any = FakeStack(deployment())
    assert not pending.settle(stack, tmp_path / "states")
    assert stack.asked == [] and not (tmp_path / "states").exists()


@pytest.mark.parametrize(("kind", "type", "repeatable"), [
    ("creating", "aws:ec2/instance:Instance", False),
    ("updating", "aws:ec2/instance:Instance", True),
    ("creating", "gcp:compute/instance:Instance", False),
    ("reading", "gcp:compute/instance:Instance", True),
])  # fmt: skip
def test_only_a_creation_by_a_plugin_that_makes_things_needs_somebody_to_look(
    kind: str, type: str, repeatable: bool
) -> None:
    assert Operation(kind, resource(type, "x")).repeatable is repeatable

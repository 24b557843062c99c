"""The stacks of branches in the real engine, from the first `up` to the last `sweep`, with failures."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from pulumi_command import local

from automation import workspace
from branches import __main__, comment
from branches.errors import INTERRUPTED, BranchesError, LockedError, UsageError
from branches.starts import From
from ops import __main__ as ops
from tests.aws import scale
from tests.aws.aws_client import REGION
from tests.aws.inventory import client
from tests.aws.limits import document, limit, report
from tests.engine.branch_stacks import BOUND, CONTENT, NOW, SECRET, World, failing, one, staying, wait_for

STACK = "br-feature--x"
BRANCH = "feature/x"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        yield World(tmp_path, patch)


def tags(world: World, stack: str = STACK) -> dict[str, str]:
    found: dict[str, str] = json.loads(world.tags_file(stack).read_text())["tags"]
    return found


def test_a_branch_has_a_stack_from_up_to_down(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[dict[str, str]] = []

    def program() -> None:
        seen.append(tags(world))
        one()

    made = world.up(BRANCH, program)
    assert (made.stack, made.created, made.changes) == (STACK, True, {"create": 1})
    # It is tagged before the program declares anything
    assert seen == [
        {
            "flink:ephemeral": "true",
            "flink:branch": BRANCH,
            "flink:commit": "c0ffee",
            "flink:expires": "2030-01-31T20:00:00Z",
        }
    ]
    assert made.outputs == {"webUi": ["http://192.0.2.1:8081"], "password": "[secret]"}
    (entry,) = world.stacks().list()
    assert (entry.stack, entry.locked, entry.trouble) == (STACK, False, "")
    assert entry.mark == made.mark and entry.resources

    again = world.up(BRANCH, one, commit="beef", ttl=timedelta(days=1))
    assert (again.created, again.changes) == (False, {})
    assert tags(world)["flink:expires"] == "2030-02-01T12:00:00Z"
    assert tags(world)["flink:commit"] == "beef"

    text = comment.markdown(BRANCH, again.stack, again.mark, again.outputs, NOW)
    assert SECRET not in "".join([text, *world.said, repr(made), repr(again), *capsys.readouterr()])

    assert world.stacks().down(BRANCH) == STACK
    # Nothing of the stack is left: no state, backup, lock, tag or file of the engine
    assert world.files == []
    assert not list((world.folder / "home").rglob("*-workspace.json"))
    assert world.stacks().list() == []
    assert world.stacks().down(BRANCH) == ""


def test_a_half_created_stack_is_listed_and_can_be_completed_or_removed(world: World) -> None:
    with pytest.raises(BranchesError, match="no such luck") as error:
        world.up(BRANCH, failing)
    assert STACK in str(error.value)
    (entry,) = world.stacks().list()
    assert entry.mark is not None and entry.mark.branch == BRANCH
    assert world.up(BRANCH, one).changes == {}
    with pytest.raises(BranchesError):
        world.up(BRANCH, failing)
    assert world.stacks().down(BRANCH) == STACK
    assert world.files == []


def test_a_killed_engine_leaves_a_lock_and_the_message_says_the_way_on(world: World) -> None:
    with world.tool("slow", "up", BRANCH) as tool:
        world.wait_until_slow()
        (entry,) = world.stacks().list()
        assert entry.locked
        with pytest.raises(LockedError, match=r"Wait until that run has ended\. If it was killed") as error:
            world.up(BRANCH)
        (holder,) = world.holders
        assert f"process {holder}, since" in str(error.value)
        os.kill(holder, signal.SIGKILL)
        assert tool.wait(BOUND) == 1

    for operation in (lambda: world.up(BRANCH), lambda: world.stacks().down(BRANCH)):
        with pytest.raises(LockedError, match=f"process {holder}, which no longer exists") as error:
            operation()
        assert error.value.code == 3
    swept = world.stacks().sweep(now=NOW + timedelta(days=9999))
    assert [entry.stack for entry, why in swept.failed if "is locked" in why] == [STACK]
    assert f"`pulumi cancel --yes --stack {STACK}`" in str(error.value)
    world.pulumi("cancel", "--yes", "--stack", STACK)

    world.said.clear()
    world.up(BRANCH)
    cleared = [said for said in world.said if "an earlier run was killed: 1 operation cleared, to run again" in said]
    assert len(cleared) == 1 and "slow (creating)" in cleared[0]
    assert not any("Attempting to deploy" in said or "pending operations" in said for said in world.said)
    world.said.clear()
    world.up(BRANCH)
    assert not any("earlier run" in said or "pending" in said for said in world.said), "it is said once"
    assert world.stacks().down(BRANCH) == STACK
    assert world.files == []


def test_what_a_killed_engine_was_making_does_not_keep_a_stack_from_going(world: World) -> None:
    with world.tool("slow", "up", BRANCH):
        world.wait_until_slow()
        os.kill(world.holders[0], signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{world.holders[0]}").exists())
    world.pulumi("cancel", "--yes", "--stack", STACK)
    assert world.stacks().down(BRANCH) == STACK
    assert any("an earlier run was killed" in said and "slow (creating)" in said for said in world.said)
    assert not any("Attempting to deploy" in said for said in world.said)
    assert world.files == []


def test_users_of_the_cli_clear_with_a_command_what_a_killed_engine_has_left_pending(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    def pending(*options: str) -> tuple[int, str]:
        code = ops.main(["pending", "--stack", STACK, *options])
        return code, "".join(capsys.readouterr())

    with world.tool("slow", "up", BRANCH):
        world.wait_until_slow()
        os.kill(world.holders[0], signal.SIGKILL)
        wait_for(lambda: not Path(f"/proc/{world.holders[0]}").exists())
    code, said = pending("--yes")
    assert code == 2 and "locked by another run" in said and "`pulumi cancel`" in said
    world.pulumi("cancel", "--yes", "--stack", STACK)
    assert pending("--dry-run") == (1, "creating: command:local:Command slow\n")
    code, said = pending()
    assert code == 2 and "nothing was changed: expected --yes" in said
    code, said = pending("--yes")
    assert code == 0 and "an earlier run was killed: 1 operation cleared" in said
    # One more of the attempt while the stack was locked
    *_, copy = sorted((world.folder / "home" / "flink-states").iterdir())
    assert str(copy) in said and "pending_operations" in copy.read_text()
    assert pending("--yes") == (0, f"stack {STACK} has no pending operations\n")
    world.said.clear()
    world.up(BRANCH)
    assert not any("earlier run" in said or "Attempting" in said for said in world.said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_tool_waits_for_the_engine_and_leaves_a_stack_that_can_be_used(
    world: World, number: signal.Signals
) -> None:
    with world.tool("slow", "up", BRANCH) as tool:
        world.wait_until_slow()
        tool.send_signal(number)
        (world.waits / "go").touch()
        said = tool.communicate(timeout=BOUND)[1]
        assert tool.returncode == INTERRUPTED, said
    assert "interrupted: pulumi begins no further step" in said
    assert "the same command continues" in said
    assert world.locks == []
    world.up(BRANCH)
    assert world.stacks().down(BRANCH) == STACK


def test_a_stack_that_is_not_ours_is_left_alone(world: World) -> None:
    def theirs() -> None:
        local.Command("theirs", create="true", delete="true")

    world.up(BRANCH, theirs)
    world.tags_file(STACK).unlink()
    before = sorted((path, path.read_bytes()) for path in world.files)
    for operation in (lambda: world.up(BRANCH), lambda: world.stacks().down(BRANCH)):
        with pytest.raises(BranchesError, match="`up` did not create it"):
            operation()
    (entry,) = world.stacks().list()
    assert entry.mark is None and "no readable tag flink:ephemeral" in entry.trouble
    swept = world.stacks().sweep(now=NOW + timedelta(days=99))
    assert [it.stack for it, _ in swept.failed] == [STACK] and not swept.removed
    assert before == sorted((path, path.read_bytes()) for path in world.files)


def test_a_stack_of_another_branch_is_left_alone(world: World) -> None:
    world.up(BRANCH)
    world.tag(STACK, {**tags(world), "flink:branch": "feature/y"})
    for operation in (lambda: world.up(BRANCH), lambda: world.stacks().down(BRANCH)):
        with pytest.raises(BranchesError, match="belongs to the branch 'feature/y'"):
            operation()


def test_an_up_that_was_killed_before_it_had_marked_its_stack_is_taken_up_again(world: World) -> None:
    world.pulumi("stack", "init", STACK)
    (entry,) = world.stacks().list()
    assert entry.mark is None
    with pytest.raises(BranchesError, match="`up` did not create it"):
        world.stacks().down(BRANCH)
    assert world.up(BRANCH).changes == {"create": 1}
    assert world.stacks().list()[0].mark


def test_tags_that_cannot_be_read_are_said_and_nothing_is_done(world: World) -> None:
    world.up(BRANCH)
    world.tags_file(STACK).write_text("{")
    (entry,) = world.stacks().list()
    assert "no readable tag" in entry.trouble
    swept = world.stacks().sweep(now=NOW + timedelta(days=99))
    assert [it.stack for it, _ in swept.failed] == [STACK]
    with pytest.raises(BranchesError, match="`pulumi stack tag set flink:ephemeral true --stack br-feature--x`"):
        world.stacks().down(BRANCH)
    # The remedy in the message works
    world.pulumi("stack", "tag", "set", "flink:ephemeral", "true", "--stack", STACK)
    world.tag(STACK, {**tags(world), "flink:branch": BRANCH, "flink:expires": "soon"})
    (entry,) = world.stacks().list()
    assert "flink:expires='soon'" in entry.trouble
    swept = world.stacks().sweep(now=NOW + timedelta(days=99))
    assert [it.stack for it, _ in swept.failed] == [STACK]
    assert world.stacks().down(BRANCH) == STACK


def test_sweep_removes_what_has_expired_continues_after_a_failure_and_changes_nothing_else(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.up("stuck", staying, ttl=timedelta(minutes=1))
    world.up("old", ttl=timedelta(minutes=1))
    world.pulumi("stack", "init", "br-young")
    world.tag("br-young", {**tags(world, "br-old"), "flink:branch": "young", "flink:expires": "2030-02-01T00:00:00Z"})
    world.pulumi("stack", "init", "dev")
    # A tag alone does not make it the stack of a branch
    world.tag("dev", tags(world, "br-old"))
    (world.waits / "stay").touch()
    later = NOW + timedelta(minutes=1)

    def names() -> set[str]:
        return {it["name"] for it in json.loads(world.pulumi("stack", "ls", "--json"))}

    monkeypatch.setattr(__main__, "_stacks", world.stacks)
    monkeypatch.setattr(__main__, "_now", lambda: later)
    everything = {"br-old", "br-stuck", "br-young", "dev"}
    assert __main__.main(["sweep", "--dry-run"]) == 0
    assert names() == everything
    assert "would be removed: br-old (branch old, expires 0 s ago)" in capsys.readouterr().out.replace(
        "in 0 s", "0 s ago"
    )

    assert __main__.main(["sweep"]) == 4
    out = capsys.readouterr().out
    assert names() == everything - {"br-old"}
    assert "removed: br-old" in out and "NOT REMOVED: br-stuck" in out and "young" not in out
    assert "command:local:Command thing" in out  # the remaining stack
    assert "1 removed, 1 not, 1 have not expired" in out

    (world.waits / "stay").unlink()
    assert __main__.main(["sweep", "--json"]) == 0
    assert names() == {"br-young", "dev"}
    found = json.loads(capsys.readouterr().out)
    assert [it["branch"] for it in found["removed"]] == ["stuck"] and found["failed"] == []


def test_sweep_leaves_a_stack_that_was_renewed_since_it_looked(world: World) -> None:
    world.up(BRANCH, ttl=timedelta(minutes=1))
    stacks = world.stacks()
    listed = stacks.list()
    world.tag(STACK, {**tags(world), "flink:expires": "2030-02-01T00:00:00Z"})
    stacks.list = lambda: listed  # type: ignore[method-assign]
    assert [it.stack for it in stacks.sweep(now=NOW + timedelta(minutes=2)).kept] == [STACK]


def test_another_machine_continues_with_the_state_and_the_passphrase_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def salt() -> str:
        state = json.loads((world.state / ".pulumi/stacks/flink" / f"{STACK}.json").read_text())
        assert SECRET not in json.dumps(state)
        found: str = state["checkpoint"]["latest"]["secrets_providers"]["state"]["salt"]
        return found

    world.up(BRANCH)
    made_with = salt()
    shutil.rmtree(world.folder / "home")
    monkeypatch.setenv("PULUMI_HOME", str(world.folder / "other-home"))
    assert world.up(BRANCH).changes == {}
    assert salt() == made_with

    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another one")
    with pytest.raises(BranchesError, match="incorrect passphrase"):
        world.stacks().down(BRANCH)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    with pytest.raises(BranchesError, match="PULUMI_CONFIG_PASSPHRASE"):
        world.stacks().down(BRANCH)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "passed on")
    assert world.stacks().down(BRANCH) == STACK
    assert world.files == []


def test_secrets_in_the_file_of_all_branches_reach_the_program_and_nobody_else(world: World) -> None:
    world.pulumi("stack", "init", "elsewhere")
    by_hand = world.folder / "by-hand"
    world.pulumi("config", "set", "flink:storageSecretKey", SECRET, "--secret", "--stack", "elsewhere")
    content = yaml.safe_load((by_hand / "Pulumi.elsewhere.yaml").read_text())
    assert SECRET not in str(content)
    seen: list[Any] = []

    def program() -> None:
        pulumi.Config("flink").require_secret("storageSecretKey").apply(seen.append)
        one()

    for _ in range(2):
        world.up(BRANCH, program, content=content)
    assert set(seen) == {SECRET}
    assert SECRET not in "".join(world.said)
    assert world.stacks().down(BRANCH) == STACK


def test_down_needs_nothing_of_a_checkout_that_is_broken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.up(BRANCH)
    broken = world.folder / "broken"
    broken.mkdir()
    (broken / "Pulumi.yaml").write_text("name: [\n")
    (broken / "__main__.py").write_text("this is no program\n")
    monkeypatch.setattr(workspace, "REPO", broken)
    monkeypatch.setenv("PULUMI_RUN_PROGRAM", "true")
    assert [it.stack for it in world.stacks().list()] == [STACK]
    assert world.stacks().down(BRANCH) == STACK


def test_a_branch_whose_name_begins_with_a_dash(world: World) -> None:
    made = world.up("--help")
    assert tags(world, made.stack)["flink:branch"] == "--help"
    assert world.stacks().down("--help") == made.stack


def test_what_is_refused_is_refused_before_anything_is_made(world: World) -> None:
    for branch, changes in (("no branch", ()), (BRANCH, ("storageSecretKey=x",)), (BRANCH, ("workrs=1",))):
        with pytest.raises(UsageError):
            world.up(branch, changes=changes)
    with pytest.raises(BranchesError, match="'workers' must be of type 'integer'"):
        world.up(BRANCH, content={"config": {**CONTENT["config"], "flink:workers": "two"}})
    assert world.stacks().down(BRANCH) == STACK  # it was created, and tagged; the engine has refused the rest


def test_jobs_start_from_a_snapshot_only_if_it_is_there(world: World) -> None:
    seen: list[dict[str, object]] = []

    def program() -> None:
        seen.append(pulumi.Config("flink").require_object("jobs"))
        one()

    with scale.moto() as endpoint:
        s3 = client("s3", endpoint, REGION)
        s3.create_bucket(Bucket="prod", CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket="prod", Key="x/savepoint-1/_metadata", Body=b"")
        # As docs/branches.md says: the secret is encrypted in the file
        world.pulumi("stack", "init", "ephemeral")
        world.pulumi("config", "set", "--secret", "flink:storageSecretKey", SECRET, "--stack", "ephemeral")
        content = yaml.safe_load((world.folder / "by-hand" / "Pulumi.ephemeral.yaml").read_text())
        world.pulumi("stack", "rm", "--yes", "--remove-backups", "--stack", "ephemeral")
        content["config"] |= {
            **CONTENT["config"],
            "flink:jobs": {"counts": {"jar": "a.jar"}, "plain": {"jar": "b.jar"}},
            "flink:storageEndpoint": endpoint,
            "flink:storageRegion": REGION,
            "flink:storagePathStyle": True,
            "flink:storageAccessKey": "test",
        }

        def up(*savepoints: str, **more: str) -> None:
            world.up(BRANCH, program, content=content, start=From(savepoints, **more))

        before = world.files
        with pytest.raises(BranchesError, match="has no complete savepoint or checkpoint at s3://prod/x/savepoint-2"):
            up("counts=s3://prod/x/savepoint-2")
        with pytest.raises(BranchesError, match="stack nowhere: this backend has none"):
            up(stack="nowhere")
        with pytest.raises(UsageError, match=f"--from-stack {STACK}: that is the branch's own stack"):
            up(stack=STACK)
        assert world.files == before and seen == [], "nothing was created"
        up("counts=s3://prod/x/savepoint-1")
        assert seen == [
            {"counts": {"jar": "a.jar", "initialSavepoint": "s3://prod/x/savepoint-1"}, "plain": {"jar": "b.jar"}}
        ]
        with pytest.raises(BranchesError, match="has no complete savepoint"):
            up("counts=s3://prod/x/savepoint-2")
        assert [entry.stack for entry in world.stacks().list()] == [STACK], "an existing stack stays"
        assert SECRET not in "".join(world.said)
        assert world.stacks().down(BRANCH) == STACK


@pytest.fixture
def on_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A backend in S3, and no passphrase; the API's URL. The user is `test`, and may do anything."""
    with scale.moto() as endpoint:
        for key, value in {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": REGION}.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        place = {"LocationConstraint": REGION}
        client("s3", endpoint, REGION).create_bucket(Bucket="state", CreateBucketConfiguration=place)
        monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://state?region={REGION}&s3ForcePathStyle=true")
        monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
        yield endpoint


def key(endpoint: str, name: str) -> tuple[str, str]:
    """A new key with this alias: its ARN, and the provider of secrets that uses it."""
    keys = client("kms", endpoint, REGION)
    found = keys.create_key()["KeyMetadata"]
    keys.create_alias(AliasName=f"alias/{name}", TargetKeyId=found["KeyId"])
    return found["Arn"], f"awskms://alias/{name}?region={REGION}"


def test_branches_need_the_documented_rights_to_their_state_and_no_passphrase(world: World, on_s3: str) -> None:
    """As docs/ci.md describes it."""
    arn, provider = key(on_s3, "pulumi-flink-branches")
    limit(on_s3, "test", [document("state-branches-policy", BUCKET="state", KEYARN=arn)])
    content = {**CONTENT, "secretsprovider": provider}
    assert world.up(BRANCH, content=content).outputs["password"] == "[secret]"
    assert world.up(BRANCH, content=content).changes == {}
    (entry,) = world.stacks().list()
    assert entry.mark and entry.locked is None
    s3 = client("s3", on_s3, REGION)
    text = s3.get_object(Bucket="state", Key=f".pulumi/stacks/flink/{STACK}.json")["Body"].read()
    found = json.loads(text)["checkpoint"]["latest"]["secrets_providers"]
    assert found["type"] == "cloud" and found["state"]["url"] == provider
    assert SECRET.encode() not in text
    assert world.stacks().down(BRANCH) == STACK
    left = [it["Key"] for it in s3.list_objects_v2(Bucket="state")["Contents"]]
    assert left == [".pulumi/meta.yaml"]
    assert report(on_s3, "test")[1] == []


def test_a_preview_reads_the_state_of_its_own_stack_only(
    world: World, on_s3: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    previews = pytest.importorskip("branches.previews")
    checkout = world.folder / "checkout"
    checkout.mkdir()
    shutil.copy(workspace.REPO / "Pulumi.yaml", checkout)
    arns = {}
    for stack in ("dev", "prod"):
        arns[stack], provider = key(on_s3, f"pulumi-flink-{stack}")
        world.pulumi("stack", "init", stack, "--secrets-provider", provider)
        content = {**yaml.safe_load((world.folder / "by-hand" / f"Pulumi.{stack}.yaml").read_text()), **CONTENT}
        (checkout / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(content))
        with workspace.opened(stack, content, run=one) as it:
            it.up()
    for module in (workspace, previews):
        monkeypatch.setattr(module, "REPO", checkout)
    monkeypatch.setattr(previews.preview, "__kwdefaults__", {"run": one})
    limit(on_s3, "test", [document("state-preview-policy", BUCKET="state", STACK="dev", KEYARN=arns["dev"])])
    assert __main__.main(["preview", "--stack", "dev"]) == 0
    assert report(on_s3, "test")[1] == []
    capsys.readouterr()
    assert __main__.main(["preview", "--stack", "prod"]) == 1
    assert "StatusCode: 403" in capsys.readouterr().err
    asked, refused = report(on_s3, "test")
    print(*asked, "REFUSED", *refused, sep="\n")
    assert any("stacks/flink/prod.json" in it for it in refused)


def test_a_preview_says_by_its_code_whether_something_would_change_and_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    previews = pytest.importorskip("branches.previews")
    checkout = world.folder / "checkout"
    checkout.mkdir()
    shutil.copy(workspace.REPO / "Pulumi.yaml", checkout)
    (checkout / "Pulumi.dev.yaml").write_text(yaml.safe_dump(CONTENT))
    for module in (workspace, previews):
        monkeypatch.setattr(module, "REPO", checkout)
    monkeypatch.setattr(previews.preview, "__kwdefaults__", {"run": one})

    file = world.folder / "summary.md"
    assert __main__.main(["preview", "--stack", "dev", "--summary", str(file)]) == 1
    assert "`pulumi stack init dev`" in capsys.readouterr().err
    assert file.read_text().startswith("### The preview of `dev` failed\n\n```\nstack dev: this backend has none")
    assert __main__.main(["preview", "--stack", "nowhere"]) == 2
    assert "there is no Pulumi.nowhere.yaml in this checkout; it has dev" in capsys.readouterr().err

    world.pulumi("stack", "init", "dev")
    before = sorted((path, path.read_bytes()) for path in world.files)
    assert __main__.main(["preview", "--stack", "dev", "--summary", str(file)]) == 10
    assert capsys.readouterr().out == "" and "thing" in file.read_text()
    assert __main__.main(["preview", "--stack", "dev", "--json"]) == 10
    assert json.loads(capsys.readouterr().out)["stack"] == "dev"
    assert before == sorted((path, path.read_bytes()) for path in world.files)

    with workspace.opened("dev", CONTENT, run=one) as stack:
        stack.up()
    assert __main__.main(["preview", "--stack", "dev", "--refresh"]) == 0
    monkeypatch.setattr(previews.preview, "__kwdefaults__", {"run": failing})
    assert __main__.main(["preview", "--stack", "dev"]) == 10
    assert SECRET not in "".join(capsys.readouterr()) + file.read_text()


def test_a_tool_that_is_interrupted_twice_does_not_wait(world: World) -> None:
    with world.tool("slow", "up", BRANCH) as tool:
        world.wait_until_slow()
        assert tool.stderr
        tool.send_signal(signal.SIGINT)
        while "interrupted: pulumi" not in tool.stderr.readline():
            pass
        tool.send_signal(signal.SIGINT)
        said = tool.communicate(timeout=BOUND)[1]
        assert tool.returncode == INTERRUPTED, said
    assert world.locks == []
    world.up(BRANCH)
    assert world.stacks().down(BRANCH) == STACK

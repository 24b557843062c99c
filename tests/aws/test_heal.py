"""`branches heal` with the real engine and moto: what it creates again, and what it leaves to a person. Without
machines: a plugin that does nothing runs the steps on hosts. The state is in S3, and CI has the rights of docs/ci.md.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.exceptions import ClientError
from pulumi import automation as auto

from automation.engine import Engine
from automation.stack import Stack
from automation.workspace import opened, recorded
from branches import heal, previews
from branches.errors import BranchesError, LockedError
from branches.heal import Healed, Healer
from tests import doors, tool_environment
from tests.aws import limits, stack
from tests.aws.inventory import client, machines
from tests.aws.scale import moto
from tests.unit.test_summary import step

REGION = "eu-central-1"
NAME = "dev"
TOKEN = "a-token-that-nobody-may-see"
WAIT = timedelta(minutes=20)
INSTANCE, COMMAND = "aws:ec2/instance:Instance", "command:remote:Command"
COPY = "command:remote:CopyToRemote"


HEALER = "ci-flink-heal"
"""The identity of CI."""


class World:
    """The stack `dev`, which heals by GitHub."""

    def __init__(self, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.endpoint = endpoint
        self._patch = monkeypatch
        limits.make_boundary(endpoint, "flink-boundary", "boundary-policy")
        place = {"LocationConstraint": REGION}
        client("s3", endpoint, REGION).create_bucket(Bucket="state", CreateBucketConfiguration=place)
        keys = client("kms", endpoint, REGION)
        key = keys.create_key()["KeyMetadata"]
        keys.create_alias(AliasName=f"alias/pulumi-flink-{NAME}", TargetKeyId=key["KeyId"])
        # The state is written at the end of each operation only: here no run is killed
        for variable in ("PULUMI_EXPERIMENTAL", "PULUMI_SKIP_CHECKPOINTS"):
            monkeypatch.setenv(variable, "true")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("PULUMI_BACKEND_URL", f"s3://state?region={REGION}&s3ForcePathStyle=true")
        places = {"BUCKET": "state", "STACK": NAME, "KEYARN": key["Arn"]}
        names = ("read", *limits.DEPLOY, "heal", "state-heal")
        limits.limit(endpoint, HEALER, [limits.document(f"{it}-policy", **places) for it in names])
        self.now = datetime.now(UTC)
        self.said: list[str] = []
        self.content: dict[str, Any] = {
            "secretsprovider": f"awskms://alias/pulumi-flink-{NAME}?region={REGION}",
            "config": {
                **stack.base(NAME),
                **stack.at(endpoint),
                "aws:region": REGION,
                "flink:owner": "me",
                # There are no hosts that make keys and requests
                "flink:tls": False,
                "flink:operatorCidrs": ["198.51.100.0/24"],
                "flink:permissionsBoundary": limits.policy_arn("flink-boundary"),
                # Few resources are fast
                "flink:jobManagers": 1,
                "flink:zookeepers": 0,
                "flink:healingUrl": "https://api.github.com/repos/o/r/actions/workflows/heal.yml/dispatches",
            },
        }
        monkeypatch.setattr(previews, "content", lambda name: self.content)

    @contextmanager
    def opened(self, create: bool = False) -> Iterator[Stack]:
        with opened(NAME, self.content, create=create, engine=Engine()) as it:
            yield it

    def create(self) -> None:
        with self.opened(create=True) as it:
            it.pulumi("config", "set", "--secret", "healingToken", TOKEN)
            ((_, users),) = doors.Login.new().configuration.items()
            for name, value in users[doors.USER].items():
                it.pulumi("config", "set", "--secret", "--path", f"frontDoorUsers.{doors.USER}.{name}", "--", value)
            # The encrypted token, as in a stack's file in the repository
            folder = Path(it.workspace.work_dir)
            self.content = yaml.safe_load((folder / f"Pulumi.{NAME}.yaml").read_text())
            it.up()

    def heal(self, **more: Any) -> Healed:
        healer = Healer(engine=Engine(), say=self.said.append, now=lambda: self.now)
        with self._patch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", HEALER)
            return healer.heal(NAME, wait=WAIT, **more)

    def lose(self, host: str) -> None:
        client("ec2", self.endpoint, REGION).terminate_instances(InstanceIds=[self.machines()[f"{NAME}-{host}"]])

    def machines(self) -> dict[str, str]:
        return machines(self.endpoint, REGION)

    def calls(self) -> list[dict[str, Any]]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.endpoint}/lab/calls") as answer:
            return list(json.loads(answer.read()))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with moto() as endpoint:
        variables = {**stack.VARIABLES, **tool_environment.made(tmp_path, "test")}
        for plugin in stack.WITHOUT_HOSTS:
            plugin.install(tmp_path / "plugins")
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        yield World(endpoint, monkeypatch)


def test_the_life_of_a_stack_that_heals(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with recorded(Engine()) as it:
        it.pulumi("stack", "ls")  # the first use of a bucket writes a file of the backend's own
    assert world.heal() == Healed(NAME, why="the stack has no machines")
    world.create()
    before = world.machines()
    # Another stack's state, in the same backend
    s3 = client("s3", world.endpoint, REGION)
    copy = {"Bucket": "state", "CopySource": {"Bucket": "state", "Key": f".pulumi/stacks/flink/{NAME}.json"}}
    s3.copy_object(**copy, Key=".pulumi/stacks/flink/prod.json")

    # The end of a machine is a request to GitHub, with the token and the inputs of the workflow
    world.lose("tm-1")
    (call,) = world.calls()
    assert call["url"].endswith("/heal.yml/dispatches") and call["headers"]["Authorization"] == f"Bearer {TOKEN}"
    assert call["body"] == {"ref": "main", "inputs": {"stack": NAME, "instance": before["dev-tm-1"]}}
    assert world.heal().lost == ("tm-1",)
    after = world.machines()
    assert {name for name in before if before[name] != after[name]} == {"dev-tm-1"}

    # The rule has the new machine
    assert world.heal() == Healed(NAME, why="no machine is missing")
    world.lose("tm-1")
    assert world.calls()[-1]["body"]["inputs"]["instance"] == after["dev-tm-1"]

    # Something else in this checkout, which nobody has deployed
    content = world.content
    world.content = {**content, "config": {**content["config"], "flink:workers": 3}}
    with pytest.raises(BranchesError, match=r"would change more: .*create tm-2"):
        world.heal()
    world.content = content

    # A machine that dies again and again: the stack's history has what was created
    monkeypatch.setattr(heal, "MOST", 1)
    with pytest.raises(BranchesError, match="tm-1 was created again 1 times within 6 hours"):
        world.heal()
    world.now += heal.WITHIN + timedelta(hours=1)
    assert world.heal(dry_run=True).lost == ("tm-1",)
    assert "dev-tm-1" not in world.machines() and "dev-tm-2" not in world.machines()

    # `destroy` deletes the rule first: no machine's end is reported, and an interrupted one is not reversed
    told = len(world.calls())
    with world.opened() as it:
        _destroy_partly(it)
        world.lose("jm-0")
        with pytest.raises(BranchesError, match="would change more"):
            world.heal()
        it.destroy()
    assert world.heal() == Healed(NAME, why="the stack has no machines")
    assert world.machines() == {} and len(world.calls()) == told
    assert limits.report(world.endpoint, HEALER)[1] == []
    own = boto3.Session(aws_access_key_id=HEALER, aws_secret_access_key="-", region_name=REGION)
    with pytest.raises(ClientError, match="AccessDenied"):
        own.client("s3", endpoint_url=world.endpoint).get_object(Bucket="state", Key=".pulumi/stacks/flink/prod.json")


def _destroy_partly(it: Stack) -> None:
    """`destroy` of the rules and their targets only, as if it had been interrupted then."""
    urns = [each["urn"] for each in it.export()["resources"] if each["type"].endswith(("EventRule", "EventTarget"))]
    it.pulumi("destroy", "--yes", "--skip-preview", *(word for urn in urns for word in ("--target", urn)))


# Without the engine


def test_it_waits_while_another_run_has_the_stack_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = datetime.now(UTC), []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)
        slept.append(seconds)

    def locked(*_: object) -> Healed:
        if len(slept) < 3:
            raise LockedError("locked")
        return Healed(NAME)

    monkeypatch.setattr(Healer, "_heal", locked)
    healer = Healer(engine=None, say=print, now=lambda: now, sleep=sleep)  # type: ignore[arg-type]
    with pytest.raises(LockedError):
        healer.heal(NAME, wait=timedelta(seconds=heal.PAUSE_SECONDS))
    assert slept == [heal.PAUSE_SECONDS]
    assert healer.heal(NAME, wait=WAIT) == Healed(NAME)


def test_only_what_was_healed_recently_counts() -> None:
    now = datetime.now(UTC)
    times = [now - timedelta(hours=hours) for hours in (1, 2, 7)]
    history = [{"message": "heal: tm-1 tm-10", "startTime": it.isoformat()} for it in times]
    history += [{"message": "tm-1", "startTime": now.isoformat()}, {"startTime": now.isoformat()}]
    heal.check_loop(NAME, history, ["tm-1"], now)
    history.append({"message": "heal: tm-1", "startTime": now.isoformat()})
    heal.check_loop(NAME, history, ["tm-10"], now)
    with pytest.raises(BranchesError, match="tm-1 was created again 3 times"):
        heal.check_loop(NAME, history, ["tm-1"], now)


def found(*events: auto.EngineEvent) -> Any:
    from branches import changes

    return changes.read(events)


def test_what_follows_from_the_return_of_a_machine_is_allowed() -> None:
    lost = ["tm-1", "zk-0"]
    heal.check_nothing_else(
        NAME,
        found(
            step("create", INSTANCE, "tm-1", new={}),
            step("create-replacement", COMMAND, "tm-1-config", old={}, new={}),
            step("update", "aws:route53/record:Record", "tm-1", old={"a": 1}, new={"a": 2}),
            step("create-replacement", "aws:ec2/volumeAttachment:VolumeAttachment", "zk-0-data", old={}, new={}),
            step("create-replacement", COPY, "tm-1-scripts", old={}, new={}),
            step("update", COPY, "jm-0-scripts", old={"connection": "a"}, new={"connection": "b"}),
            step("update", COMMAND, "jm-0-cluster", old={"stdin": "a"}, new={"stdin": "b"}),
            step("update", heal._RULE, "healing-0", old={"eventPattern": "a"}, new={"eventPattern": "b"}),
        ),
        lost,
    )


@pytest.mark.parametrize(
    "event",
    [
        step("create", INSTANCE, "tm-10", new={}),
        step("create-replacement", INSTANCE, "tm-0", old={}, new={}),
        step("delete", INSTANCE, "tm-2", old={}),
        step("update", INSTANCE, "tm-0", old={"tags": {}}, new={"tags": {"a": "b"}}),
        step("delete", COMMAND, "tm-2-config", old={}),
        step("create-replacement", COPY, "tm-2-scripts", old={}, new={}),
        step("create", heal._RULE, "healing-0", new={}),
        step("create-replacement", "aws:ebs/volume:Volume", "tm-1-data", old={}, new={}),
        step("update", COMMAND, "tm-0-service", old={"create": "x runs=a"}, new={"create": "x runs=b"}),
    ],
)
def test_anything_else_is_left_to_a_person(event: auto.EngineEvent) -> None:
    with pytest.raises(BranchesError, match="would change more"):
        heal.check_nothing_else(NAME, found(step("create", INSTANCE, "tm-1", new={}), event), ["tm-1"])


def test_pending_operations_are_left_to_a_person() -> None:
    urn = "urn:pulumi:dev::flink::aws:ec2/instance:Instance::tm-1"
    state = {"pending_operations": [{"type": "deleting", "resource": {"urn": urn, "type": INSTANCE}}]}
    with pytest.raises(BranchesError, match="killed"):
        heal.check_nothing_is_pending(NAME, state)

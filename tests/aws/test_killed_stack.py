"""What a killed engine leaves on AWS is found by its tags and adopted, and nothing stays behind: real engine, moto."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from automation.deployment import AWS_PROVIDER
from automation.pending import unread
from automation.stack import Stack as EngineStack
from lab.errors import LabError
from lab.stack import Stack
from ops.aws import Aws
from tests import engines
from tests.aws import limits
from tests.aws import stack as aws_stack
from tests.aws.inventory import client, everything, machines
from tests.aws.stack import REGION, without_hosts
from tests.aws.test_balancer_stack import certificate
from tests.aws.test_refused_machines import attach_foreign_policy

KEY = aws_stack.VARIABLES["AWS_ACCESS_KEY_ID"]
OPTIONS = {
    "flink:taskManagerPlacement": "spread",
    "flink:versionDays": 7,
    "flink:zookeeperSnapshotDays": 7,
    "flink:healingUrl": "https://api.github.com/repos/o/r/actions/workflows/heal.yml/dispatches",
}
"""Keys that create resources of further types."""
SECRETS = {"healingToken": "a-token"}
CREATE, CHANGE, DESTROY = 4, 3, 3
"""How often each operation is killed."""


def state_file(folder: Path) -> Path:
    return folder / "state" / ".pulumi" / "stacks" / "flink" / "dev.json"


def orphans(stack: Stack, endpoint: str) -> list[str]:
    """What `python -m ops orphans` lists. A state that is empty does not name the API's address."""
    provider = {"type": AWS_PROVIDER, "inputs": {"region": REGION, "endpoints": json.dumps([_all_at(endpoint)])}}
    aws = Aws("dev", {"resources": [provider]}, variables=aws_stack.VARIABLES)
    return [f"{it.type} {it.id}" for it in aws.orphans(stack.exported(secrets=False)).found]


def _all_at(endpoint: str) -> dict[str, str]:
    return dict.fromkeys(aws_stack.SERVICES, endpoint)


@pytest.mark.exhaustive  # three minutes; the rehearsal kills its runs, too
def test_everything_that_aws_has_created_is_adopted(
    endpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the engine had been killed when all creations were under way: AWS has them, the state does not. And the
    next run before it could refresh what it had adopted.
    """
    limits.make_boundary(endpoint, "flink-boundary", "boundary-policy")
    # With the options that create resources of other types
    changes = {
        "flink:workers": 2,
        "flink:privateSubnets": True,
        "flink:natGateways": "one",
        "flink:bastion": True,
        "flink:access": "ssm",
        "flink:operatorCidrs": [],
        **OPTIONS,
        "flink:zones": 2,
        "flink:frontDoor": True,
        "flink:frontDoorLogin": "none",
        "flink:frontDoorLoadBalancer": {"certificateArn": certificate(endpoint)},
        "flink:permissionsBoundary": limits.policy_arn("flink-boundary"),
    }
    it = without_hosts(tmp_path, endpoint, changes, secrets=SECRETS)
    # Noted, not refused: one run shows all that is missing
    documents = [
        limits.document(f"{name}-policy") for name in ("read", *limits.DEPLOY, "options", "load-balancer", "heal")
    ]
    limits.limit(endpoint, KEY, documents, enforced=False)
    it.up()
    assert orphans(it, endpoint) == []
    before = everything(endpoint, REGION)
    ids = forget(state_file(tmp_path))
    assert len({type for type, _ in ids}) > 15
    listed = orphans(it, endpoint)
    assert {line.partition(" ")[0] for line in listed} > {"aws:ec2/instance:Instance", "aws:iam/role:Role"}

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(EngineStack, "refresh", killed)
        it.up()
    assert set(unread(it.exported(secrets=False))) == {urn for type, urn in ids if not _is_setting(type)}

    capfd.readouterr()
    steps = it.up()
    printed = capfd.readouterr().out
    assert everything(endpoint, REGION) == before, "nothing was created a second time, or lost"
    assert "resources adopted before, now refreshed" in printed
    assert unread(it.exported(secrets=False)) == []
    assert "pending operations" not in printed and "NOT ADOPTED" not in printed
    now = {(r["type"], r["urn"]): r.get("id") for r in it.exported(secrets=False)["resources"]}
    # The plugin makes up the id of a target, whenever it is registered
    lasting = {key: id for key, id in ids.items() if "lb/targetGroupAttachment:" not in key[0]}
    assert {key: now[key] for key in lasting} == lasting and ids.keys() <= now.keys()
    assert {type for (type, _), kind in steps.changes().items() if kind == "create" and type.startswith("aws:")} == {
        type for type, _ in ids if _is_setting(type)
    }
    assert orphans(it, endpoint) == []
    assert it.up().changes() == {}
    foreign = attach_foreign_policy(endpoint)
    it.destroy()
    client("iam", endpoint, REGION).delete_policy(PolicyArn=foreign)
    assert orphans(it, endpoint) == []
    asked, refused = limits.report(endpoint, KEY)
    # The interface of a NAT gateway: AWS deletes it with the gateway, the stand-in does so for moto
    assert [it for it in refused if "ec2:DeleteNetworkInterface" not in it] == [], "more than docs/iam allows"
    assert {
        "elasticloadbalancing:CreateListener",
        "ec2:AttachVolume",
        "ec2:CreateNatGateway",
        "ec2:ReleaseAddress",
    } <= {each.action for each in asked}


class Killed(Exception):
    """Instead of a refresh."""


def killed(*_: object, **__: object) -> None:
    raise Killed


def forget(file: Path) -> dict[tuple[str, str], str]:
    """Rewrite a state as if the engine had been killed before it could record any resource on AWS; gives their ids."""
    content = json.loads(file.read_text())
    deployment = content["checkpoint"]["latest"]
    pending, kept, ids, gone = [], [], {}, set()
    for resource in deployment["resources"]:
        urns = {*resource.get("dependencies", []), resource.get("deletedWith", "")}
        if resource["type"].startswith("aws:"):
            ids[resource["type"], resource["urn"]] = resource["id"]
            made = {
                key: value for key, value in resource.items() if key not in ("id", "outputs", "created", "modified")
            }
            deps = {"": resource.get("dependencies") or [], **(resource.get("propertyDependencies") or {})}
            # Of what is simply written again the state knows nothing afterwards, so nothing can depend on it
            deps = {key: [it for it in urns or [] if not _is_setting(it)] for key, urns in deps.items()}
            made["dependencies"], made["propertyDependencies"] = deps.pop(""), deps
            pending.append({"resource": made, "type": "creating"})
            gone.add(resource["urn"])
        elif urns & gone:
            gone.add(resource["urn"])
        else:
            kept.append(resource)
    deployment |= {"resources": kept, "pending_operations": pending}
    file.write_text(json.dumps(content))
    return ids


def _is_setting(name: str) -> bool:
    """Whether a URN or type is of a part of a bucket, a role or a target group, which has no existence of its own."""
    return bool(re.search(r"iam/rolePolicy:|s3/bucket[A-Z]\w+:|lb/targetGroupAttachment:", name))


@pytest.mark.exhaustive  # the rehearsal kills its runs, too
def test_a_run_that_was_killed_at_any_moment_leaves_nothing_on_aws_that_the_state_does_not_know(
    endpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(10**6))
    chance, log = random.Random(seed), [f"KILL_SEED={seed}"]
    before, file = everything(endpoint, REGION), state_file(tmp_path)
    left: list[Any] = []

    def until_completed(operation: Callable[[], Any], kills: int, writes: int) -> Any:
        for _ in range(kills):
            with engines.killed_after(file, chance.randint(1, writes)) as happened:
                try:
                    operation()
                except LabError:
                    if not happened.is_set():
                        raise
            left.extend(json.loads(file.read_text())["checkpoint"]["latest"].get("pending_operations") or [])
        log.append(capfd.readouterr().out)
        steps = operation()
        log.append(capfd.readouterr().out)
        assert "Attempting to deploy or update resources" not in log[-1]
        assert not json.loads(file.read_text())["checkpoint"]["latest"].get("pending_operations")
        return steps

    try:
        it = without_hosts(tmp_path, endpoint, OPTIONS, secrets=SECRETS)
        until_completed(it.up, CREATE, 60)
        assert len(machines(endpoint, REGION)) == _instances(endpoint) == len(_hosts(it))
        assert orphans(it, endpoint) == []
        assert it.up(refresh=True).changes() == {}

        more = {"flink:workers": 3, "flink:taskManagerType": "t3a.large"}
        it = without_hosts(tmp_path, endpoint, {**OPTIONS, **more}, secrets=SECRETS)
        until_completed(it.up, CHANGE, 40)
        assert len(machines(endpoint, REGION)) == _instances(endpoint) == len(_hosts(it))
        assert orphans(it, endpoint) == []
        assert it.up(refresh=True).changes() == {}

        until_completed(it.destroy, DESTROY, 60)
        assert orphans(it, endpoint) == []
        assert everything(endpoint, REGION) == before
        assert left, "no kill has left anything pending"
    finally:
        print("\n".join(log))


def _hosts(stack: Stack) -> list[str]:
    return [name for names in stack.outputs()["hosts"].values() for name in names]


def _instances(endpoint: str) -> int:
    """Those that run, however they are called."""
    running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    found = client("ec2", endpoint, REGION).describe_instances(Filters=running)["Reservations"]
    return sum(len(it["Instances"]) for it in found)

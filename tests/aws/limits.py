"""Limits an identity in the stand-in for AWS to documents of docs/iam, and reads what it asked for."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from stand_ins.aws_cloud.evaluation import Asked, Policy
from tests.aws.inventory import client
from toolbox.paths import REPO

ACCOUNT = "123456789012"
"""moto's."""

DEPLOY = ("deploy", "deploy-identity", "deploy-storage")
BRANCHES = ("branches-read", "branches", "branches-identity", "branches-storage")
"""The documents that belong together, without `-policy`."""


def document(name: str, **places: str) -> Policy:
    """A document of docs/iam, with these values in its places."""
    text = (REPO / "docs" / "iam" / f"{name}.json").read_text()
    for place, value in {"ACCOUNT": ACCOUNT, **places}.items():
        text = text.replace(place, value)
    found: Policy = json.loads(text)
    return found


def policy_arn(name: str) -> str:
    """ARN of a policy of the account."""
    return f"arn:aws:iam::{ACCOUNT}:policy/{name}"


def make_boundary(endpoint: str, name: str, of: str) -> None:
    """Create the policy that an administrator creates once, from a document of docs/iam."""
    iam = client("iam", endpoint, "us-east-1")
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document(of)))


def limit(endpoint: str, key: str, policies: list[Policy], *, enforced: bool = True) -> None:
    """From now on the identity may do what the policies allow. If not `enforced`, it is only noted what it may not."""
    _call(endpoint, "", json.dumps({"key": key, "policies": policies, "enforced": enforced}).encode())


def report(endpoint: str, key: str) -> tuple[list[Asked], list[str]]:
    """What the identity asked for, and what it was not permitted."""
    found = json.loads(_call(endpoint, f"?key={key}"))
    return [Asked(it["action"], it["resource"], it["context"]) for it in found["asked"]], found["refused"]


def _call(endpoint: str, query: str, body: bytes | None = None) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(urllib.request.Request(f"{endpoint}/lab/rights{query}", data=body), timeout=60) as answer:
        return answer.read()

"""The requests of a deploying identity, from moto's record of requests, as the actions of an IAM policy.

https://docs.getmoto.org/en/latest/docs/configuration/recorder/index.html
"""

from __future__ import annotations

import base64
import json
import re
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from stand_ins.aws_cloud.authorization import FREE, Request
from stand_ins.aws_cloud.evaluation import listed


@contextmanager
def recorded(endpoint: str) -> Iterator[None]:
    """moto records all requests until the end of the block, after those of earlier blocks."""
    _recorder(endpoint, "start-recording")
    try:
        yield
    finally:
        _recorder(endpoint, "stop-recording")


def asked(endpoint: str, access_key: str) -> set[str]:
    """The recorded actions of this access key."""
    entries = _entries(_recorder(endpoint, "download-recording"))
    return {action for entry in entries for action in _actions(entry, access_key)}


def refused(actions: Iterable[str], policy: Mapping[str, Any]) -> set[str]:
    """The actions that no statement of the policy allows on any resource."""
    allowed = [
        pattern.lower()
        for statement in policy["Statement"]
        if statement["Effect"] == "Allow"
        for pattern in listed(statement.get("Action"))
    ]
    return {action for action in actions if not any(fnmatchcase(action.lower(), pattern) for pattern in allowed)}


def _recorder(endpoint: str, what: str) -> str:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    method = "GET" if what.startswith("download") else "POST"
    request = urllib.request.Request(f"{endpoint}/moto-api/recorder/{what}", method=method)
    with direct.open(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def _entries(text: str) -> Iterator[Mapping[str, Any]]:
    """The entries, one by one. Not by lines: of two parallel requests, moto writes both entries, then both breaks."""
    decoder, place = json.JSONDecoder(), 0
    while (begin := text.find("{", place)) >= 0:
        entry, place = decoder.raw_decode(text, begin)
        yield entry


def _actions(entry: Mapping[str, Any], access_key: str) -> set[str]:
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    signed = re.search(r"Credential=([^/]+)/\d+/([^/]*)/([a-z0-9-]+)/aws4_request", headers.get("authorization", ""))
    if not signed or signed[1] != access_key:
        return set()
    body = base64.b64decode(entry["body"]) if entry["body_encoded"] else entry["body"].encode()
    target = headers.get("x-amz-target", "")
    request = Request(signed[3], signed[2], entry["method"], entry["url"], body, target)
    return {request.action} - FREE

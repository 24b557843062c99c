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
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import botocore.session

REST = ("dlm", "route53", "s3")
"""Services whose operations are identified by method and path, not by name."""

UNLIKELY = ("CopyObject", "ListDirectoryBuckets", "RenameObject", "UploadPartCopy")
"""Operations that only a header or the host's name distinguishes from others, and that nothing here uses."""

OTHER_NAMES = {
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:DeleteBucketLifecycle": ("s3:PutLifecycleConfiguration",),
    "s3:DeleteBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:DeleteBucketOwnershipControls": ("s3:PutBucketOwnershipControls",),
    "s3:DeleteBucketTagging": ("s3:PutBucketTagging",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:DeletePublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:GetBucketLifecycle": ("s3:GetLifecycleConfiguration",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:PutBucketLifecycle": ("s3:PutLifecycleConfiguration",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    # Every identity may call this
    "sts:GetCallerIdentity": (),
}
"""Operations whose action has another name:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
"""


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
        for pattern in _list(statement.get("Action", []))
    ]
    return {action for action in actions if not any(fnmatchcase(action.lower(), pattern) for pattern in allowed)}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


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


def _actions(entry: Mapping[str, Any], access_key: str) -> tuple[str, ...]:
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    signed = re.search(r"Credential=([^/]+)/\d+/[^/]*/([a-z0-9-]+)/aws4_request", headers.get("authorization", ""))
    if not signed or signed[1] != access_key:
        return ()
    service = signed[2]
    if service in REST:
        operation = _rest_operation(service, entry["method"], entry["url"])
    elif target := headers.get("x-amz-target"):
        operation = target.rpartition(".")[2]
    else:
        body = base64.b64decode(entry["body"]).decode() if entry["body_encoded"] else entry["body"]
        operation = parse_qs(body)["Action"][0]
    action = f"{service}:{operation}"
    return OTHER_NAMES.get(action, (action,))


def _rest_operation(service: str, method: str, url: str) -> str:
    """The operation that matches best: the one with the most of its query in the request's."""
    parts = urlsplit(url)
    query = set(parse_qs(parts.query, keep_blank_values=True))
    found = [
        (len(expected), operation)
        for operation, verb, path, expected in _operations(service)
        if verb == method and path.fullmatch(parts.path) and expected <= query
    ]
    if not found:
        raise ValueError(f"{service}: no operation is {method} {url}")
    return max(found)[1]


@cache
def _operations(service: str) -> list[tuple[str, str, re.Pattern[str], frozenset[str]]]:
    """Name, method, path and query of a service's operations."""
    model = botocore.session.get_session().get_service_model(service)
    found = []
    for name in set(model.operation_names) - set(UNLIKELY):
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        pattern = re.sub(r"\{\w+\+\}", ".+", re.sub(r"\{\w+\}", "[^/]+", path)).rstrip("/") + "/?"
        found.append((name, http["method"], re.compile(pattern), frozenset(parse_qs(query, keep_blank_values=True))))
    return found

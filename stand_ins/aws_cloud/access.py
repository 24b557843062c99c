"""Limits hosts' access to moto's S3 to what their role's policies allow, which moto itself does not check.

Keys, session tokens and their expiry are checked, not signatures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

from stand_ins.aws_cloud.evaluation import Asked

LISTING = frozenset(
    {
        *("continuation-token", "delimiter", "encoding-type", "fetch-owner", "list-type", "marker", "max-keys"),
        *("optional-object-attributes", "prefix", "start-after"),
    }
)
"""Parameters of ListObjects and ListObjectsV2."""


class Unknown(Exception):
    """A request whose required permissions are unknown."""


def listing_of(key_path: str) -> Asked | None:
    """The permission with which a request for a missing object is answered with 404 instead of 403.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Permissions".
    """
    bucket, _, key = key_path.lstrip("/").partition("/")
    return Asked("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": key}) if key else None


def asked_for(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes = b"") -> list[Asked]:
    """The permissions that a path-style request to S3 needs; `Unknown` for requests that no host has a reason to send.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
    """
    bucket, _, key = path.lstrip("/").partition("/")
    found = parse_qs(query, keep_blank_values=True)
    # A signed URL has its signature there
    options = {name: values[0] for name, values in found.items() if not name.startswith("X-Amz-")}
    if not bucket:
        raise Unknown(f"{method} /")
    if not key:
        return _of_bucket(method, f"arn:aws:s3:::{bucket}", options, body)
    asked = [Asked(f"s3:{_of_object(method, options)}", f"arn:aws:s3:::{bucket}/{key}")]
    if method == "PUT" and (source := headers.get("x-amz-copy-source")):
        asked.append(Asked("s3:GetObject", f"arn:aws:s3:::{unquote(source).lstrip('/')}"))
    return asked


def _of_bucket(method: str, bucket: str, options: Mapping[str, str], body: bytes) -> list[Asked]:
    if method == "POST" and "delete" in options:
        keys = [each.text or "" for each in ElementTree.fromstring(body).iter() if each.tag.endswith("Key")]
        return [Asked("s3:DeleteObject", f"{bucket}/{key}") for key in keys]
    if method == "GET" and "location" in options:
        return [Asked("s3:GetBucketLocation", bucket)]
    if method == "GET" and "uploads" in options:
        return [Asked("s3:ListBucketMultipartUploads", bucket)]
    if method == "HEAD" or (method == "GET" and options.keys() <= LISTING):
        return [Asked("s3:ListBucket", bucket, {"s3:prefix": options.get("prefix", "")})]
    raise Unknown(f"{method} of a bucket with {sorted(options)}")


def _of_object(method: str, options: Mapping[str, str]) -> str:
    upload, parts = "uploadId" in options, "partNumber" in options
    known = {
        ("GET", False): "GetObject",
        ("HEAD", False): "GetObject",
        ("GET", True): "ListMultipartUploadParts",
        ("PUT", False): "PutObject",
        ("POST", True): "PutObject",
        ("DELETE", True): "AbortMultipartUpload",
        ("DELETE", False): "DeleteObject",
    }
    plain = options.keys() <= {"uploadId", "partNumber", "x-id", "versionId"}
    if method == "POST" and options.keys() == {"uploads"}:
        return "PutObject"
    if method == "PUT" and upload and parts and plain:
        return "PutObject"
    if not plain or (method, upload) not in known:
        raise Unknown(f"{method} of an object with {sorted(options)}")
    return known[method, upload]


def access_key(authorization: str) -> str:
    """The access key that signed a request; empty if it is not signed."""
    found = re.search(r"Credential=([^/,\s]+)/", authorization)
    return found[1] if found else ""


def policies_of(key: str, token: str) -> tuple[list[Mapping[str, Any]], Mapping[str, Any] | None] | None:
    """Policies of the role that these credentials belong to, and its permissions boundary, if it has one; None if moto
    did not issue them, or they have expired.
    """
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.core.utils import utcnow
    from moto.iam.models import iam_backends
    from moto.sts.models import sts_backends

    for partition, backend in list(sts_backends[DEFAULT_ACCOUNT_ID].items()):
        for role in list(backend.assumed_roles):
            if role.access_key_id == key and role.session_token == token:
                if role.expiration.replace(tzinfo=None) < utcnow().replace(tzinfo=None):
                    return None
                iam, name = iam_backends[DEFAULT_ACCOUNT_ID][partition], role.role_arn.split("/")[-1]
                texts = [iam.get_role_policy(name, each)[1] for each in iam.list_role_policies(name)]
                texts += [_document(each) for each in iam.list_attached_role_policies(name)[0]]
                found = iam.get_role(name).permissions_boundary_arn
                boundary = _read(_document(iam.managed_policies[found])) if found else None
                return [_read(text) for text in texts], boundary
    return None


def _read(text: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(text) if isinstance(text, str) else text
    return found


def _document(policy: Any) -> Any:
    """The default version of a managed policy."""
    return next(each.document for each in policy.versions if each.version_id == policy.default_version_id)

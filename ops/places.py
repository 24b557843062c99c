"""Compares storages by the place that their URIs refer to: a live cluster must not seem dead because its URI is written
differently.

In doubt two places count as equal: then a dead cluster may be kept, but no live one is deleted. So endpoints are not
compared, because one server can have many names.
"""

import posixpath
from urllib.parse import unquote, urlsplit

_S3 = ("s3", "s3a", "s3n", "s3p")
"""The schemes of Flink's plugins, and s3n, which Hadoop had before s3a."""


def place(uri: str) -> str:
    """The canonical URI of a place: `s3` for all of its schemes, the bucket in lower case without user and port, the
    path without %xx, dot segments and superfluous slashes. A text that is no URI stays as it is: only another stack can
    have one, and it must not keep this one from its work.
    """
    try:
        parts = urlsplit(uri.strip())
    except ValueError:
        return uri
    scheme = "s3" if parts.scheme in _S3 else parts.scheme
    bucket = parts.netloc.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
    path = posixpath.normpath("/" + unquote(parts.path).strip("/"))
    return f"{scheme}://{bucket}{path}"

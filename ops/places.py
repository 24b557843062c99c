"""Compares storages by the place that their URIs mean, because a cluster whose storage looks like another one seems
dead there.

A doubt makes two places equal: then a cluster is spared that could have been deleted. So the endpoint is not compared,
since one server has many names.
"""

import posixpath
from urllib.parse import unquote, urlsplit

_S3 = ("s3", "s3a", "s3n", "s3p")
"""The schemes of Flink's plugins, and s3n, which Hadoop had before s3a."""


def place(uri: str) -> str:
    """The same text for all URIs of one place: `s3` for each of its schemes, the bucket in lower case without user and
    port, the path without %xx, dot segments and superfluous slashes.
    """
    parts = urlsplit(uri.strip())
    scheme = "s3" if parts.scheme in _S3 else parts.scheme
    bucket = parts.netloc.rpartition("@")[2].partition(":")[0].rstrip(".").lower()
    path = posixpath.normpath("/" + unquote(parts.path).strip("/"))
    return f"{scheme}://{bucket}{path}"

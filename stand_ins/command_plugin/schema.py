"""The inputs of each resource type, and what the official plugin refuses to copy."""

from __future__ import annotations

from collections.abc import Iterator

from stand_ins.plugin.schema import Failure, Field, Shape
from stand_ins.plugin.values import Value, is_archive, is_asset


def _check_source(value: Value) -> Iterator[Failure]:
    """What the official plugin refuses to copy: content behind a URI, and archives made of assets."""
    if is_asset(value) and "uri" in value:
        yield Failure("asset", "asset must be a path-based file asset or a text asset")
    if is_archive(value) and "path" not in value:
        yield Failure("archive", "archive must be a path to a file or directory")


_ENDPOINT = {
    "host": Field(required=True),
    "user": Field(default="root"),
    "port": Field("number", default=22),
    "password": Field(secret=True),
    "privateKey": Field(secret=True),
    "privateKeyPassword": Field(secret=True),
    "agentSocketPath": Field(),
    "dialErrorLimit": Field("number", default=10),
    "perDialTimeout": Field("number", default=15),
    "hostKey": Field(),
}
_PROXY = Shape("remote.ProxyConnection", _ENDPOINT)
_CONNECTION = Shape("remote.Connection", {**_ENDPOINT, "proxy": Field("object", shape=_PROXY)})
_COMMAND = {
    "create": Field(),
    "update": Field(),
    "delete": Field(),
    "triggers": Field("list"),
    "stdin": Field(),
    "logging": Field(),
    "environment": Field("string map"),
    "addPreviousOutputInEnv": Field("boolean"),
}

REMOTE_COMMAND = Shape(
    "remote.CommandInputs",
    {"connection": Field("object", required=True, secret=True, shape=_CONNECTION), **_COMMAND},
)
LOCAL_COMMAND = Shape(
    "local.CommandInputs",
    {
        **_COMMAND,
        "interpreter": Field("strings"),
        "dir": Field(),
        "assetPaths": Field("strings"),
        "archivePaths": Field("strings"),
    },
)
COPY_TO_REMOTE = Shape(
    "remote.CopyToRemoteInputs",
    {
        "connection": Field("object", required=True, secret=True, shape=_CONNECTION),
        "triggers": Field("list"),
        "source": Field("asset or archive", required=True, verify=_check_source),
        "remotePath": Field(required=True),
    },
)

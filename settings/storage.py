"""Settings of the storage."""

import re
from collections.abc import Mapping
from typing import Any

import pulumi

from components.flink import releases
from components.problems import Problems
from components.storage import DEFAULT_PLUGIN, PLUGINS, StorageSettings

SECRET_KEY = "storageSecretKey"

_STORAGE_URI = re.compile(r"^s3a?://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()=/-]+)?$")


def storage_settings(
    values: Mapping[str, Any], secret_key: pulumi.Output[str] | None, region: str, problems: Problems
) -> StorageSettings:
    """Settings of the storage. `region` is where the provider creates it; empty if it creates none."""
    uri = values["storageUri"].rstrip("/")
    if not _STORAGE_URI.match(uri) and (uri or not region):
        problems.add("storageUri", f"{uri!r} is not an S3 URI: expected s3://bucket/prefix")
    newer = releases.parsed(values["flinkVersion"]) >= (2, 3, 0)
    plugin = values["storagePlugin"] or DEFAULT_PLUGIN
    if plugin not in PLUGINS:
        problems.add("storagePlugin", f"{plugin!r} is unknown: expected {', '.join(PLUGINS)}")
    elif plugin == "flink-s3-fs-native" and not newer:
        problems.add(
            "storagePlugin",
            f"flink-s3-fs-native is not part of Flink {values['flinkVersion']}: expected {DEFAULT_PLUGIN}",
        )
    endpoint = values["storageEndpoint"]
    if endpoint and not re.match(r"^https?://[^/\s]+/?$", endpoint):
        problems.add(
            "storageEndpoint", f"{endpoint!r} is not the URL of a server: expected one such as http://10.0.0.5:9000"
        )
    for key in ("storageAccessKey", SECRET_KEY):
        if not re.match(r"^[\x21-\x7e]*$", values[key]) or re.search(r"['\\]", values[key]):
            problems.add(
                key, "contains a space, quote, backslash or non-ASCII character: expected a key pair without them"
            )
    has_secret = bool(values[SECRET_KEY])
    if bool(values["storageAccessKey"]) != has_secret:
        missing = "storageAccessKey" if has_secret else SECRET_KEY
        problems.add(missing, "is missing: expected both keys, or neither if the hosts have an instance profile")
    return StorageSettings(
        uri=uri, plugin=plugin, endpoint=endpoint.rstrip("/"), region=values["storageRegion"] or region or "us-east-1",
        path_style=values["storagePathStyle"], access_key=values["storageAccessKey"],
        secret_key=secret_key if has_secret else None,
    )  # fmt: skip

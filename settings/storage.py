"""Settings of the storage."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components import forms
from components.flink import releases
from components.problems import Problems, shown
from components.storage import DEFAULT_PLUGIN, PLUGINS, StorageSettings

SECRET_KEY = "storageSecretKey"


def storage_settings(
    values: Mapping[str, Any], secret_key: pulumi.Output[str] | None, region: str, problems: Problems
) -> StorageSettings:
    """Settings of the storage. `region` is where the provider creates it; empty if it creates none."""
    uri = values["storageUri"].rstrip("/")
    if uri or not region:
        problems.catch("storageUri", lambda: forms.STORAGE_URI(uri), "")
    newer = releases.parsed(values["flinkVersion"]) >= (2, 3, 0)
    plugin = values["storagePlugin"] or DEFAULT_PLUGIN
    if plugin not in PLUGINS:
        problems.add("storagePlugin", f"{shown(plugin)} is unknown: expected {', '.join(PLUGINS)}")
    elif plugin == "flink-s3-fs-native" and not newer:
        problems.add(
            "storagePlugin",
            f"flink-s3-fs-native is not part of Flink {values['flinkVersion']}: expected {DEFAULT_PLUGIN}",
        )
    endpoint = values["storageEndpoint"]
    if endpoint:
        problems.catch("storageEndpoint", lambda: forms.SERVER_URL(endpoint), "")
    if values["storageRegion"]:
        problems.catch("storageRegion", lambda: forms.REGION(values["storageRegion"]), "")
    for key in ("storageAccessKey", SECRET_KEY):
        # Not the text itself, which is a secret
        if not forms.SECRET.fits(values[key]):
            problems.add(key, f"is not {forms.SECRET.what}: expected {forms.SECRET.expected}")
    has_secret = bool(values[SECRET_KEY])
    if bool(values["storageAccessKey"]) != has_secret:
        missing = "storageAccessKey" if has_secret else SECRET_KEY
        problems.add(missing, "is missing: expected both keys, or neither if the hosts have an instance profile")
    return StorageSettings(
        uri=uri, plugin=plugin, endpoint=endpoint.rstrip("/"), region=values["storageRegion"] or region or "us-east-1",
        path_style=values["storagePathStyle"], access_key=values["storageAccessKey"],
        secret_key=secret_key if has_secret else None,
    )  # fmt: skip

"""The configuration of the AWS provider: the engine's `aws:…` values, checked and converted to an `Access`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from stand_ins.aws_plugin.aws import ATTEMPTS, Access
from stand_ins.aws_plugin.introspection import resource_shape
from stand_ins.plugin import schema
from stand_ins.plugin.schema import Failure, Shape
from stand_ins.plugin.values import Object, Value, reveal

_KNOWN = frozenset(
    {
        *("region", "accessKey", "secretKey", "token", "profile", "endpoints", "s3UsePathStyle", "defaultTags"),
        "maxRetries",
        *("skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation", "skipRequestingAccountId"),
    }
)
"""The keys that the stand-in supports or may ignore; it refuses all others of the official plugin."""
_OF_ENGINE = frozenset({"version", "pluginDownloadURL", "__internal"})

NO_REGION = (
    "Invalid or missing region. Make sure you have set your AWS region, e.g. `pulumi config set aws:region us-west-2`."
)
NO_CREDENTIALS = (
    "No valid credential sources found. Please see "
    "https://www.pulumi.com/registry/packages/aws/installation-configuration/ for more information about "
    "providing credentials."
)


def decode(config: Object) -> Object:
    """The configuration with its objects, lists and booleans decoded, which the engine sends as JSON text."""
    shape = _shape()
    plain = {name: reveal(value) for name, value in config.items() if name not in _OF_ENGINE}
    return {name: _decode(shape, name, value) for name, value in plain.items()}


def failures(config: Object) -> list[Failure]:
    """Why a decoded configuration is refused."""
    _, found = schema.check(_shape(), config)
    known = _shape().fields.keys()
    for name in sorted(config.keys() & known - _KNOWN):
        found.append(Failure(name, f"the stand-in does not support the provider's '{name}'"))
    if not region(config):
        found.append(Failure("region", NO_REGION))
    return found


def region(config: Object) -> str:
    """The region, from the same places as in the official plugin; empty if it is in none."""
    return str(config.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "")


def access(config: Object) -> Access:
    """The access to the API in a decoded configuration."""
    endpoints: dict[str, str] = {}
    for group in config.get("endpoints") or []:
        endpoints.update(group)
    return Access(
        region=region(config),
        access_key=config.get("accessKey"),
        secret_key=config.get("secretKey"),
        token=config.get("token"),
        profile=config.get("profile"),
        endpoints=endpoints,
        path_style=bool(config.get("s3UsePathStyle")),
        attempts=int(config.get("maxRetries") or ATTEMPTS),
    )


def default_tags(config: Object) -> Mapping[str, str]:
    """Tags that every resource gets."""
    return dict((config.get("defaultTags") or {}).get("tags") or {})


def _shape() -> Shape:
    return resource_shape("aws", "pulumi_aws.provider:ProviderArgs")


def _decode(shape: Shape, name: str, value: Value) -> Value:
    field = shape.fields.get(name)
    if field is None or field.kind == "string" or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value  # The check will report the wrong type.

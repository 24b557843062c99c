"""The AWS stacks against a moto server: their own files, but for where things are and how large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab.archives import Archives
from lab.paths import REPO
from lab.plugin.install import install
from lab.stack import COMMAND, Plugin, Stack

SERVICES = ("ec2", "iam", "route53", "s3", "ssm", "sts")
"""What the program uses of AWS."""

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    # Whatever the user has configured here must not be used
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that are those of no account."""


def plugins() -> Sequence[Plugin]:
    """Those of an AWS stack; the stand-ins install themselves where the official ones cannot be had."""
    # Imported here, so that this module can be read while there is no such plugin
    from tests.aws.plugin import provider

    return (
        COMMAND,
        Plugin(
            "aws", _pinned("pulumi-aws"), lambda folder: install(folder, "aws", "tests.aws.plugin"), provider.STAND_IN
        ),
        Plugin(
            "tls",
            _pinned("pulumi-tls"),
            lambda folder: install(folder, "tls", "tests.aws.plugin.tls"),
            provider.STAND_IN,
        ),
    )


def _pinned(package: str) -> str:
    """The version of a plugin is that of its SDK."""
    from importlib.metadata import version

    return f"v{version(package)}"


def base(stack: str) -> dict[str, Any]:
    """The configuration in a stack's file, as it is."""
    config: dict[str, Any] = yaml.safe_load((REPO / f"Pulumi.{stack}.yaml").read_text())["config"]
    return config


def at(endpoint: str) -> dict[str, Any]:
    """What tells the AWS provider to talk to a moto server."""
    return {
        "aws:endpoints": [dict.fromkeys(SERVICES, endpoint)],
        "aws:s3UsePathStyle": True,
        "aws:skipCredentialsValidation": True,
        "aws:skipMetadataApiCheck": True,
    }


def releases(archives: Archives, mirror: str) -> dict[str, Any]:
    """Where the hosts find what they install."""
    found = {}
    for name in ("flink", "zookeeper", "java"):
        archive = getattr(archives, name)
        found[f"flink:{name}Version"] = archive.version
        found[f"flink:{name}Url"] = f"{mirror}/{archive.path.name}"
        found[f"flink:{name}Checksum"] = f"sha512:{archive.sha512}"
    return found


def stack(name: str, folder: Path, endpoint: str, changes: Mapping[str, Any]) -> Stack:
    """The stack `name` on the moto server at `endpoint`."""
    configuration = {**base(name), **at(endpoint), **changes}
    return Stack(name, folder, configuration, plugins=plugins(), variables=VARIABLES)

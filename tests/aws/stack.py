"""The AWS stacks on a moto server: their own files, except for addresses and sizes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lab.stack import PARALLEL, Stack
from stand_ins.builds.archives import caddy
from stand_ins.plugins import AWS, COMMAND, SILENT_COMMAND, TLS
from toolbox.paths import REPO

if TYPE_CHECKING:
    from stand_ins.builds.archives import Archives

REGION = "eu-central-1"
SERVICES = ("acm", "dlm", "ec2", "elbv2", "events", "iam", "route53", "s3", "ssm", "sts")
"""The AWS services that the program uses."""

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    # The user's configuration must not be used
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""Credentials that belong to no account."""


PLUGINS = (COMMAND, AWS, TLS)
"""The versions of the SDKs; stand-ins where the official plugins cannot be downloaded."""
WITHOUT_HOSTS = (SILENT_COMMAND, AWS, TLS)
"""A plugin that does nothing runs the steps on hosts."""


PLAIN = {"flink:tls": False, "flink:frontDoor": False}
"""Stacks of tests about something else than what is installed on hosts."""


def base(stack: str) -> dict[str, Any]:
    """The configuration in a stack's file, unchanged."""
    config: dict[str, Any] = yaml.safe_load((REPO / f"Pulumi.{stack}.yaml").read_text())["config"]
    return config


def at(endpoint: str) -> dict[str, Any]:
    """Settings that direct the AWS provider to a moto server."""
    return {
        "aws:endpoints": [dict.fromkeys(SERVICES, endpoint)],
        "aws:s3UsePathStyle": True,
        "aws:skipCredentialsValidation": True,
        "aws:skipMetadataApiCheck": True,
    }


def releases(archives: Archives, mirror: str) -> dict[str, Any]:
    """The addresses from which hosts install archives."""
    found = {}
    known = {name: getattr(archives, name) for name in ("flink", "zookeeper", "java")}
    for name, archive in {**known, "caddy": caddy()}.items():
        found[f"flink:{name}Version"] = archive.version
        found[f"flink:{name}Url"] = f"{mirror}/{archive.path.name}"
        found[f"flink:{name}Checksum"] = f"sha512:{archive.sha512}"
    return found


def stack(
    name: str,
    folder: Path,
    endpoint: str,
    changes: Mapping[str, Any],
    *,
    variables: Mapping[str, str] = VARIABLES,
    secrets: Mapping[str, Any] | None = None,
    parallel: int = PARALLEL,
) -> Stack:
    """The stack `name` on the moto server at `endpoint`."""
    configuration = {**base(name), **at(endpoint), **changes}
    return Stack(name, folder, configuration, secrets=secrets, plugins=PLUGINS, variables=variables, parallel=parallel)


def limits(endpoint: str, given: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Set what AWS refuses (stand_ins/aws_cloud/limits.py), if given; and how Route 53 has answered since then."""
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(f"{endpoint}/lab/limits", body, method="GET" if body is None else "PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return dict(json.loads(answer.read()))


def set_limits(endpoint: str, **given: Any) -> None:
    """What AWS refuses from now on."""
    limits(endpoint, given)


def without_hosts(
    folder: Path,
    endpoint: str,
    changes: Mapping[str, Any] | None = None,
    *,
    secrets: Mapping[str, str] | None = None,
) -> Stack:
    """The stack `dev` on the moto server at `endpoint`, in `folder`, with steps on hosts that do nothing."""
    for plugin in WITHOUT_HOSTS:
        plugin.install(folder / "plugins")
    known = {"aws:region": REGION, "flink:operatorCidrs": ["198.51.100.0/24"], "flink:owner": "tests"}
    configuration = {**base("dev"), **PLAIN, **at(endpoint), **known, **(changes or {})}
    return Stack("dev", folder, configuration, secrets=secrets, plugins=WITHOUT_HOSTS, variables=VARIABLES)

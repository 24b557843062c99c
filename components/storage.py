"""The object store for HA metadata, checkpoints and savepoints."""

from dataclasses import dataclass, field

import pulumi

DEFAULT_PLUGIN = "flink-s3-fs-hadoop"
"""The only one with which a FileSink is exactly-once over failures (docs/decisions/0016-storage-plugin.md)."""

PLUGINS = ("flink-s3-fs-native", "flink-s3-fs-presto", "flink-s3-fs-hadoop")
"""Flink's file systems for S3; each release has them in `opt/`, the native one from 2.3 on."""


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The storage as the configuration of a stack names it; on AWS the bucket may be yet to come (`uri` is empty)."""

    uri: str
    plugin: str
    endpoint: str
    region: str
    path_style: bool
    access_key: str
    secret_key: pulumi.Output[str] | None
    """A secret; None where the hosts have an identity of their own."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The storage as the cluster uses it.

    Either both keys or none: without them the hosts have an identity of their own, such as an instance profile.
    """

    uri: str
    """Such as `s3://bucket/prefix`, without a slash at the end."""
    region: str
    """Such as `eu-central-1`; S3-compatible servers mostly take any, such as `us-east-1`."""
    plugin: str = DEFAULT_PLUGIN
    """One of PLUGINS."""
    endpoint: str = ""
    """URL of an S3-compatible server, such as `http://10.0.0.5:9000`; empty: AWS."""
    path_style: bool = False
    """Whether the bucket is in the path of URLs instead of the host name, as S3-compatible servers mostly want it."""
    access_key: pulumi.Input[str] | None = None
    secret_key: pulumi.Input[str] | None = None
    """Give it as a secret Output."""
    ready: tuple[pulumi.Resource, ...] = field(default=(), compare=False)
    """What has to exist before it is written to."""

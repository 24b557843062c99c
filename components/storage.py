"""The object store for HA metadata, checkpoints and savepoints."""

from dataclasses import dataclass, field

import pulumi

DEFAULT_PLUGIN = "flink-s3-fs-hadoop"
"""The only one with which a FileSink stays exactly-once across failures (docs/decisions/0016-storage-plugin.md)."""

PLUGINS = ("flink-s3-fs-native", "flink-s3-fs-presto", "flink-s3-fs-hadoop")
"""Flink's file systems for S3. Each release has them in `opt/`, the native one since 2.3."""


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """The storage in the configuration of a stack. `uri` is empty if the provider creates the bucket."""

    uri: str
    plugin: str
    endpoint: str
    region: str
    path_style: bool
    access_key: str
    secret_key: pulumi.Output[str] | None
    """A secret. None if the hosts have an identity of their own."""


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The storage of a cluster.

    Either both keys are set or neither: without them the hosts need an identity, such as an instance profile.
    """

    uri: str
    """Such as `s3://bucket/prefix`, without a trailing slash."""
    region: str
    """Such as `eu-central-1`. Most S3-compatible servers accept any region, such as `us-east-1`."""
    plugin: str = DEFAULT_PLUGIN
    """One of PLUGINS."""
    endpoint: str = ""
    """URL of an S3-compatible server, such as `http://10.0.0.5:9000`; empty: AWS."""
    path_style: bool = False
    """Whether URLs have the bucket in the path instead of the host name, as most S3-compatible servers require."""
    access_key: pulumi.Input[str] | None = None
    secret_key: pulumi.Input[str] | None = None
    """Pass it as a secret Output."""
    ready: tuple[pulumi.Resource, ...] = field(default=(), compare=False)
    """Resources that must exist before Flink writes to the storage."""

    @property
    def copies(self) -> str:
        """URI of the folder with copies of releases (host_scripts/copies.sh)."""
        return f"{self.uri}/archives"

    @property
    def url(self) -> str:
        """URL of its server (https://docs.aws.amazon.com/general/latest/gr/s3.html)."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.endpoint or f"https://s3.{self.region}.{domain}"

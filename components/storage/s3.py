"""S3: Amazon's, and servers that speak its protocol."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pulumi

from .. import forms
from ..flink import releases
from ..forms import Form
from ..problems import Problems, shown
from .base import Asked, Backend, Kind, proxy_options

DEFAULT_PLUGIN = "flink-s3-fs-hadoop"
"""The only one with which a FileSink stays exactly-once across failures (docs/decisions/0016-storage-plugin.md)."""

PLUGINS = ("flink-s3-fs-native", "flink-s3-fs-presto", "flink-s3-fs-hadoop")
"""Flink's file systems for S3. Each release has them in `opt/`, the native one since 2.3."""

_CANNOT = {
    "flink-s3-fs-native": "a job with a FileSink never runs again after a failure",
    "flink-s3-fs-presto": "a FileSink is refused, because the plugin has no exactly-once writer",
}
"""What a plugin cannot do (docs/decisions/0016-storage-plugin.md)."""

ENCRYPTIONS = ("sse-s3", "sse-kms")
"""How S3 encrypts what is written to it."""

_REACHED = re.compile(
    r"(?:fs\.)?(?:s3|s3a|presto\.s3|aws)\..*(?:credential|provider|role|token|key|encrypt|sse|kms|endpoint|bucket|region|"
    r"sign|request|proxy|ssl|acl|path.?style|factory)"
)
"""Options of Flink and of its plugins that may change who asks S3, where and how."""

_ENTROPY = "_entropy_"
"""https://nightlies.apache.org/flink/flink-docs-release-2.0/docs/deployment/filesystems/s3/#entropy-injection-for-s3-file-systems"""
_ENTROPY_LENGTH = 4

_SECRET_KEY = "storageSecretKey"
_KMS_KEY = Form(
    "a KMS key",
    r"(?:arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:)?(?:key/[A-Za-z0-9-]+|alias/[A-Za-z0-9/_-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    "its ARN, such as arn:aws:kms:REGION:ACCOUNT:key/ID",
)
"""https://docs.aws.amazon.com/kms/latest/developerguide/concepts.html#key-id"""
_AWS_ENDPOINT = re.compile(r"https?://s3(?:-fips)?(?:[.-]dualstack)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
"""https://docs.aws.amazon.com/general/latest/gr/s3.html"""
_DIRECTORY_BUCKET = "--x-s3"
"""How names of buckets of S3 Express One Zone end."""
_ENCRYPTION_OPTIONS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "flink-s3-fs-hadoop": {
        "sse-s3": {"fs.s3a.encryption.algorithm": "AES256"},
        "sse-kms": {"fs.s3a.encryption.algorithm": "SSE-KMS"},
    },
    "flink-s3-fs-presto": {
        "sse-s3": {"presto.s3.sse.enabled": True, "presto.s3.sse.type": "S3"},
        "sse-kms": {"presto.s3.sse.enabled": True, "presto.s3.sse.type": "KMS"},
    },
    "flink-s3-fs-native": {"sse-s3": {"s3.sse.type": "sse-s3"}, "sse-kms": {"s3.sse.type": "sse-kms"}},
}
_KEY_OPTION = {
    "flink-s3-fs-hadoop": "fs.s3a.encryption.key",
    "flink-s3-fs-presto": "presto.s3.sse.kms-key-id",
    "flink-s3-fs-native": "s3.sse.kms.key-id",
}
"""The option with the KMS key. Without it S3 uses the account's own key for S3."""


@dataclass(frozen=True, kw_only=True)
class S3(Backend):
    """Buckets on S3. Either both keys are set or neither: without them the hosts need an identity, such as an instance
    profile.
    """

    SCHEMES: ClassVar[Sequence[str]] = ("s3", "s3a")

    region: str
    """Such as `eu-central-1`. Most S3-compatible servers accept any region, such as `us-east-1`."""
    plugin: str = DEFAULT_PLUGIN
    """One of PLUGINS."""
    endpoint: str = ""
    """URL of an S3-compatible server, such as `http://10.0.0.5:9000`; empty: AWS."""
    path_style: bool = False
    """Whether URLs have the bucket in the path instead of the host name, as most S3-compatible servers require."""
    encryption: str = ""
    """One of ENCRYPTIONS; empty: as the bucket's default says."""
    kms_key: str = ""
    """With sse-kms: ARN, alias or id; empty: the account's own key for S3."""
    checkpoint_entropy: bool = False
    """Whether data of checkpoints has random names, which S3 spreads over more of its servers."""
    access_key: pulumi.Input[str] | None = None
    secret_key: pulumi.Input[str] | None = None
    """Pass it as a secret Output."""

    @property
    def plugins(self) -> Sequence[str]:
        """The plugin, one alone: two for `s3://` would conflict."""
        return (self.plugin,)

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options in Flink's config.yaml."""
        if self.plugin == "flink-s3-fs-hadoop":
            # By default S3A deletes the markers of the folders above each new file: needless requests, which some
            # servers refuse
            found = {"s3.endpoint.region": self.region, "fs.s3a.directory.marker.retention": "keep"}
        else:
            found = {"s3.region": self.region}
        style = "s3.path-style-access" if self.plugin == "flink-s3-fs-native" else "s3.path.style.access"
        return {
            **found,
            **({"s3.endpoint": self.endpoint} if self.endpoint else {}),
            **({style: True} if self.path_style else {}),
            **({"s3.entropy.key": _ENTROPY, "s3.entropy.length": _ENTROPY_LENGTH} if self.checkpoint_entropy else {}),
            **_ENCRYPTION_OPTIONS[self.plugin].get(self.encryption, {}),
            **({_KEY_OPTION[self.plugin]: self.kms_key} if self.kms_key else {}),
        }

    @property
    def entropy(self) -> str:
        """The key of the options."""
        return _ENTROPY if self.checkpoint_entropy else ""

    def through(self, proxy: str) -> Mapping[str, Any]:
        """The options of Hadoop's S3A for a proxy (fs.s3a.proxy.*). Other plugins reach the storage directly."""
        if self.plugin != "flink-s3-fs-hadoop":
            return {}
        return proxy_options("fs.s3a", proxy)

    @property
    def without_proxy(self) -> str:
        """Only Hadoop's S3A has one."""
        if self.plugin == "flink-s3-fs-hadoop":
            return ""
        return f"{self.plugin} reaches the storage directly; flink-s3-fs-hadoop uses a proxy"

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """The key pair, which the AWS SDK reads from the environment."""
        if self.access_key is None or self.secret_key is None:
            return {}
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def server(self, uri: str) -> str:
        """URL of the server (https://docs.aws.amazon.com/general/latest/gr/s3.html)."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.endpoint or f"https://s3.{self.region}.{domain}"

    def host_look(self, uri: str, options: Collection[str]) -> Mapping[str, str | bool] | None:
        """As the plugin reaches it, unless the stack's own options may have changed that."""
        bucket = urlsplit(uri).netloc
        if bucket.endswith(_DIRECTORY_BUCKET) or any(map(_REACHED.match, options)):
            return None
        return {
            "server": self.server(uri),
            "region": self.region,
            "pathStyle": self.path_style,
            "encryption": self.encryption,
            "kmsKey": self.kms_key,
            # Without an endpoint S3A asks Amazon's SDK for "global bucket access"
            "followsRegion": self.plugin == DEFAULT_PLUGIN and not self.endpoint,
        }

    @property
    def signing_region(self) -> str:
        """The region of the bucket, if hosts have an identity to sign with."""
        return "" if self.secrets else self.region

    @property
    def no_copies(self) -> str:
        """Keys are the daemons' only."""
        if not self.secrets:
            return ""
        return "needs hosts with an instance profile, and there are access keys: expected no storageAccessKey, or false"


def _read(asked: Asked) -> S3:
    values, problems = asked.values, asked.problems
    plugin = values["storagePlugin"] or DEFAULT_PLUGIN
    if plugin not in PLUGINS:
        problems.add("storagePlugin", f"{shown(plugin)} is unknown: expected {', '.join(PLUGINS)}")
    elif plugin == "flink-s3-fs-native" and releases.parsed(values["flinkVersion"]) < (2, 3, 0):
        problems.add(
            "storagePlugin",
            f"flink-s3-fs-native is not part of Flink {values['flinkVersion']}: expected {DEFAULT_PLUGIN}",
        )
    elif cannot := _CANNOT.get(plugin):
        problems.warn("storagePlugin", f"with {plugin} {cannot}; {DEFAULT_PLUGIN} has no such limit")
    endpoint, region = values["storageEndpoint"], values["storageRegion"]
    if endpoint:
        problems.catch("storageEndpoint", lambda: forms.SERVER_URL(endpoint), "")
    if region:
        problems.catch("storageRegion", lambda: forms.REGION(region), "")
    _check_endpoint(endpoint, region or asked.region, problems)
    _check_buckets(asked, plugin)
    _check_encryption(values, endpoint, problems)
    _check_entropy(asked)
    access_key, secret_key = _keys(asked)
    return S3(
        plugin=plugin,
        endpoint=endpoint.rstrip("/"),
        region=region or asked.region or "us-east-1",
        path_style=values["storagePathStyle"],
        encryption=values["storageEncryption"],
        kms_key=values["storageKmsKey"],
        checkpoint_entropy=values["checkpointEntropy"],
        access_key=access_key,
        secret_key=secret_key,
    )


def _check_endpoint(endpoint: str, region: str, problems: Problems) -> None:
    """Signatures name a region: Amazon's endpoints accept only their own."""
    found = _AWS_ENDPOINT.fullmatch(endpoint.rstrip("/"))
    if found and found["region"] != region:
        said = f"is {shown(region)}" if region else "is not set"
        expected = found["region"]
        problems.add("storageRegion", f"{said}, and storageEndpoint is in {expected}: expected {expected}")


def _check_buckets(asked: Asked, plugin: str) -> None:
    for key, uri in asked.places.items():
        bucket = urlsplit(uri).netloc
        if "." in bucket and not asked.values["storagePathStyle"]:
            asked.problems.add(
                key,
                f"{shown(bucket)} has a dot: as the name of a host it fits no certificate of S3's; expected "
                "storagePathStyle: true, or a bucket without a dot",
            )
        if bucket.endswith(_DIRECTORY_BUCKET) and plugin != "flink-s3-fs-native":
            asked.problems.add(
                key,
                f"{shown(bucket)} is a directory bucket (S3 Express One Zone), which {plugin} cannot use: expected "
                "storagePlugin: flink-s3-fs-native, or a general purpose bucket",
            )


def _check_encryption(values: Mapping[str, Any], endpoint: str, problems: Problems) -> None:
    encryption, key = values["storageEncryption"], values["storageKmsKey"]
    if encryption and encryption not in ENCRYPTIONS:
        problems.add("storageEncryption", f"{shown(encryption)} is unknown: expected {' or '.join(ENCRYPTIONS)}")
    if encryption == "sse-kms" and endpoint.startswith("http://"):
        # Amazon's SDK refuses to send the name of a key in plain text, and S3 to answer
        problems.add("storageEndpoint", f"{shown(endpoint)} is plain text: storageEncryption: sse-kms needs https://")
    if key:
        problems.catch("storageKmsKey", lambda: _KMS_KEY(key), "")
        if encryption != "sse-kms":
            problems.add("storageKmsKey", "has no effect: expected storageEncryption: sse-kms as well, or no key")


def _check_entropy(asked: Asked) -> None:
    place = next((key for key in ("checkpointsUri", "storageUri") if asked.values[key]), "")
    if asked.values["checkpointEntropy"] and place and place not in asked.places:
        found = shown(asked.values[place])
        asked.problems.add(
            "checkpointEntropy", f"has no effect, because checkpoints are not on S3 ({place}: {found}): expected false"
        )


def _keys(asked: Asked) -> tuple[pulumi.Input[str] | None, pulumi.Input[str] | None]:
    """Access key and secret key; none if hosts have an identity of their own."""
    access, secret = asked.values["storageAccessKey"], asked.values[_SECRET_KEY]
    for key in ("storageAccessKey", _SECRET_KEY):
        asked.check_secret(key, forms.SECRET)
    if bool(access) != bool(secret):
        missing = "storageAccessKey" if secret else _SECRET_KEY
        asked.problems.add(missing, "is missing: expected both keys, or neither if the hosts have an instance profile")
    return access or None, pulumi.Output.secret(secret) if secret else None


KIND = Kind(
    title="S3",
    schemes=S3.SCHEMES,
    uri=forms.STORAGE_URI,
    keys=(
        "storagePlugin",
        "storageEndpoint",
        "storageRegion",
        "storagePathStyle",
        "storageEncryption",
        "storageKmsKey",
        "checkpointEntropy",
        "storageAccessKey",
        _SECRET_KEY,
    ),
    secrets=(_SECRET_KEY,),
    owned=(r"s3\.(access-key|secret-key|endpoint|region|endpoint\.region|path-style-access|path\.style\.access)",),
    read=_read,
)

"""OSS, Alibaba Cloud's object storage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pulumi

from .. import forms
from .base import LOCAL_FILES, Asked, Backend, Kind, proxy_options

PLUGIN = "flink-oss-fs-hadoop"
"""Flink's file system for OSS. Each release has it in `opt/`."""

_ACCESS_KEY, _SECRET_KEY = "ossAccessKey", "ossSecretKey"


@dataclass(frozen=True, kw_only=True)
class Oss(Backend):
    """Buckets on OSS. Flink's plugin cannot use the RAM role of a machine: none of the SDK's classes for it has a
    constructor that `fs.oss.credentials.provider` can call. So a key pair is needed.
    """

    SCHEMES: ClassVar[Sequence[str]] = ("oss",)

    endpoint: str
    """URL of the bucket's region, such as `https://oss-cn-hangzhou-internal.aliyuncs.com`."""
    access_key: pulumi.Input[str]
    secret_key: pulumi.Input[str]
    """Pass it as a secret Output."""

    @property
    def plugins(self) -> Sequence[str]:
        """The only one."""
        return (PLUGIN,)

    @property
    def options(self) -> Mapping[str, Any]:
        """Its options in Flink's config.yaml. Hadoop's configuration replaces `${env.…}`, wherever it is from."""
        return {
            "fs.oss.endpoint": self.endpoint,
            "fs.oss.accessKeyId": "${env.OSS_ACCESS_KEY_ID}",
            "fs.oss.accessKeySecret": "${env.OSS_ACCESS_KEY_SECRET}",
            # Files are here until they are complete. The default is below /tmp, which may be in memory
            "fs.oss.buffer.dir": "/var/lib/flink/tmp/oss",
        }

    @property
    def hadoop(self) -> Mapping[str, str]:
        """Its local file system by name."""
        return LOCAL_FILES

    def through(self, proxy: str) -> Mapping[str, Any]:
        """The options of Hadoop's client for a proxy."""
        return proxy_options("fs.oss", proxy)

    @property
    def without_proxy(self) -> str:
        """It uses one."""
        return ""

    @property
    def secrets(self) -> Mapping[str, pulumi.Input[str]]:
        """The key pair, by the names that Alibaba's own tools read."""
        return {"OSS_ACCESS_KEY_ID": self.access_key, "OSS_ACCESS_KEY_SECRET": self.secret_key}

    def server(self, uri: str) -> str:
        """The endpoint."""
        return self.endpoint

    @property
    def hints(self) -> Mapping[str, str]:
        """What is expected, by what OSS says."""
        return {
            "does not exist in our records|AccessKeyId is disabled": "expected the AccessKey ID of a RAM user, enabled "
            "(ossAccessKey)",
            "signature we calculated does not match": "expected the secret of this AccessKey ID (ossSecretKey)",
            "request time and the current time": "expected that this host's clock is right (chrony)",
            "must be addressed using the specified endpoint": "expected the endpoint of the bucket's region "
            "(ossEndpoint)",
            "specified bucket does not exist": "expected a bucket of this name in the region of ossEndpoint",
            "no right|[Ff]orbidden|AccessDenied|not authorized": "expected a RAM user with the rights that "
            "docs/storage.md names",
            "UnknownHost|ConnectException|SocketTimeout|no answer": f"expected that this host reaches {self.endpoint} "
            "(ossEndpoint, httpProxy)",
        }


def _read(asked: Asked) -> Oss:
    values, problems = asked.values, asked.problems
    endpoint = values["ossEndpoint"]
    if endpoint:
        problems.catch("ossEndpoint", lambda: forms.SERVER_URL(endpoint), "")
    else:
        expected = "expected the URL of the bucket's region, such as https://oss-cn-hangzhou-internal.aliyuncs.com"
        problems.add("ossEndpoint", f"is missing: {expected}")
    for key in (_ACCESS_KEY, _SECRET_KEY):
        asked.check_secret(key, forms.SECRET)
        if not values[key]:
            problems.add(
                key,
                "is missing: expected both keys of a RAM user, because Flink's plugin cannot use the role of a machine",
            )
    return Oss(
        endpoint=endpoint.rstrip("/"),
        access_key=values[_ACCESS_KEY],
        secret_key=pulumi.Output.secret(values[_SECRET_KEY]),
    )


KIND = Kind(
    title="OSS",
    schemes=Oss.SCHEMES,
    uri=forms.OSS_URI,
    keys=("ossEndpoint", _ACCESS_KEY, _SECRET_KEY),
    secrets=(_SECRET_KEY,),
    owned=(r"fs\.oss\.(endpoint|accessKeyId|accessKeySecret|securityToken|credentials\.provider|buffer\.dir)",),
    read=_read,
)

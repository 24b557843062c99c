"""The AWS API as in the provider's configuration: clients, what they refuse, and error texts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from stand_ins.aws_plugin.resource import Refused
from stand_ins.plugin.values import Object

if TYPE_CHECKING:
    from botocore.model import OperationModel

# boto3 and botocore are imported where they are first needed: the plugin then answers the engine 0.3 s sooner.

THREADS = 64
"""Parallel calls; urllib3 keeps as many connections."""
_FIRST_DELAY, _BACKOFF, _LONGEST_DELAY = 0.1, 1.5, 3.0
"""Seconds between the requests of `Session.until`."""
ATTEMPTS = 25
"""Attempts of a request by default, as by the official plugin (`maxRetries`)."""
_GONE = ("NotFound", "NoSuchEntity", "NoSuchBucket", "NoSuchHostedZone", "NoSuchKey")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Access:
    """The endpoint and the credentials: the part of the provider's configuration that the stand-in supports."""

    region: str
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    profile: str | None = None
    endpoints: dict[str, str] = field(default_factory=dict)
    path_style: bool = False
    attempts: int = ATTEMPTS


class Session:
    """The clients of one configuration. Each is created once: that takes 0.15 s for a large service such as EC2."""

    def __init__(self, access: Access) -> None:
        self.region = access.region
        self._access = access
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._cancelled = threading.Event()

    def client(self, service: str) -> Any:
        """The boto3 client of a service; it refuses values that are not in an enumeration."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._make(service)
            return self._clients[service]

    @cached_property
    def account(self) -> str:
        """The account's id."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> str:
        """`aws`, for ARNs."""
        return str(self._boto.get_partition_for_region(self.region))

    def has_credentials(self) -> bool:
        """Whether there are credentials: in the configuration, the environment, or the files of AWS's tools."""
        # Like the official plugin, which queries the metadata service only if that is configured.
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        return self._boto.get_credentials() is not None

    def knows_region(self) -> bool:
        """Whether AWS has a region with this name."""
        return self.region in self._boto.get_available_regions("ec2", self._partition_or_default())

    def until(self, what: str, done: Callable[[], T | None], seconds: float = 600) -> T:
        """Ask repeatedly until the answer is not `None`; `Refused` after the time limit, or when cancelled."""
        deadline = time.monotonic() + seconds
        delay = _FIRST_DELAY
        while (answer := done()) is None:
            if time.monotonic() > deadline:
                raise Refused(f"timeout while waiting for {what} ({seconds:g} s)")
            if self._cancelled.wait(delay):
                raise Refused(f"cancelled while waiting for {what}")
            delay = min(delay * _BACKOFF, _LONGEST_DELAY)
        return answer

    def cancel(self) -> None:
        """End every wait."""
        self._cancelled.set()

    @cached_property
    def _boto(self) -> Any:
        import boto3

        access = self._access
        return boto3.Session(
            access.access_key, access.secret_key, access.token, self.region, profile_name=access.profile
        )

    def _partition_or_default(self) -> str:
        from botocore.exceptions import UnknownRegionError

        try:
            return self.partition
        except UnknownRegionError:
            return "aws"

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            max_pool_connections=THREADS,
            # As the official plugin's SDK: delays that double, and no quota of retries
            retries={"mode": "legacy", "total_max_attempts": self._access.attempts},
            s3={"addressing_style": "path"} if self._access.path_style else {},
        )
        client = self._boto.client(service, endpoint_url=self._access.endpoints.get(service), config=config)
        client.meta.events.register("before-parameter-build", _check_enumerations)
        client.meta.events.register("after-call", _note_service)
        return client


def is_gone(error: Exception) -> bool:
    """Whether this error of AWS means that the object does not exist."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and any(mark in error.response["Error"]["Code"] for mark in _GONE)


def describe(error: Exception) -> str | None:
    """The error text of the AWS SDK of the official plugin; `None` if this is not an error of AWS."""
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, ClientError):
        response = error.response
        meta = response.get("ResponseMetadata", {})
        service = response["Error"].get("_service", "AWS")
        return (
            f"operation error {service}: {error.operation_name}, https response error "
            f"StatusCode: {meta.get('HTTPStatusCode')}, RequestID: {meta.get('RequestId')}, "
            f"api error {response['Error']['Code']}: {response['Error'].get('Message', '')}"
        )
    return str(error) if isinstance(error, BotoCoreError) else None


def _note_service(model: OperationModel, parsed: Object, **_: Any) -> None:
    if "Error" in parsed:
        parsed["Error"]["_service"] = model.service_model.service_id


def _check_enumerations(params: Object, model: OperationModel, **_: Any) -> None:
    """AWS refuses a value that its model does not list; moto accepts most of them."""
    if model.input_shape is not None:
        for path, value, allowed in _outside(model.input_shape, params, ""):
            raise Refused(
                f"operation error {model.service_model.service_id}: {model.name}, api error "
                + _refusal(path, value, allowed)
            )


def _refusal(path: str, value: str, allowed: list[str]) -> str:
    if "t3.micro" in allowed:
        return f"InvalidInstanceType: The following supplied instance types do not exist: [{value}]"
    shown = ", ".join(allowed[:20]) + (", …" if len(allowed) > 20 else "")
    return f"InvalidParameterValue: Invalid value '{value}' for {path}: one of {shown}"


def _outside(shape: Any, value: Any, path: str) -> Iterator[tuple[str, str, list[str]]]:
    """The values that are not in their enumeration, with their path and the allowed values."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name, item in value.items():
            if name in shape.members:
                yield from _outside(shape.members[name], item, f"{path}.{name}" if path else name)
    elif kind == "list" and isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _outside(shape.member, item, f"{path}[{index}]")
    elif kind == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _outside(shape.key, key, path)
            yield from _outside(shape.value, item, f"{path}.{key}")
    elif kind == "string" and isinstance(value, str) and shape.enum and value not in shape.enum:
        yield path, value, list(shape.enum)

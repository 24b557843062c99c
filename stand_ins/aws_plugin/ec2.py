"""What the types of EC2 share: tags, waiting, and refusing inputs that the stand-in does not support."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from stand_ins.aws_plugin import tags
from stand_ins.aws_plugin.aws import describe
from stand_ins.aws_plugin.resource import Aws, HalfMade, Refused, Resource, is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

IN_USE_SECONDS = float(os.environ.get("STAND_IN_IN_USE_SECONDS", "120"))
"""Seconds to wait until nothing uses an object that is being deleted; the official plugin waits longer."""


class Ec2Resource(Resource):
    """A resource of EC2 with tags."""

    supported: ClassVar[frozenset[str]]
    """The inputs that the stand-in supports, nested ones with a dot; it refuses all others of the official plugin."""

    def check(self, inputs: Object) -> list[Failure]:
        """Tags that AWS refuses, and inputs that the stand-in does not support."""
        known = self.supported | {"tags", "region"}
        return [*tags.failures(inputs), *_unsupported(inputs, known, "")]

    def found(self, id: str, state: Object, aws: Aws) -> Object:
        """The outputs of an object that was just created or changed."""
        outputs = self.read(id, state, aws)
        if outputs is None:
            raise Refused(f"{id} does not exist right after its creation")
        return outputs

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Update the tags, and everything else that the type can change, to the new inputs."""
        self.modify(id, old, new, aws)
        update_tags(id, old, new, aws)
        return self.found(id, {**old, **new}, aws)

    def modify(self, id: str, old: Object, new: Object, aws: Aws) -> None:
        """Change everything except tags."""


def _unsupported(inputs: Object, known: Iterable[str], prefix: str) -> list[Failure]:
    found = []
    for name, value in inputs.items():
        path = prefix + name
        inner = [other for other in known if other.startswith(path + ".")]
        if isinstance(value, dict) and inner:
            found.extend(_unsupported(value, known, path + "."))
        elif path not in known and value not in (None, [], {}):
            found.append(Failure(path, f"the stand-in does not support '{path}'"))
    return found


def specification(kind: str, inputs: Object) -> list[Object]:
    """`TagSpecifications` of a call that creates one object of this type; none without tags."""
    listed = tags.as_list(inputs.get("tags"))
    return [{"ResourceType": kind, "Tags": listed}] if listed else []


def update_tags(id: str, old: Object, new: Object, aws: Aws) -> None:
    """Set and remove the tags that differ between two states."""
    changed, removed = tags.changes(old, new)
    client = aws.client("ec2")
    if removed:
        client.delete_tags(Resources=[id], Tags=[{"Key": key} for key in removed])
    if changed:
        client.create_tags(Resources=[id], Tags=changed)


def tags_of(answer: Object) -> dict[str, str]:
    """The tags in EC2's description of an object."""
    return tags.as_object(answer.get("Tags") or [])


def arn(aws: Aws, what: str) -> str:
    """The ARN of an object of EC2, such as `vpc/vpc-1`."""
    return f"arn:{aws.partition}:ec2:{aws.region}:{aws.account}:{what}"


def when_unused(aws: Aws, what: str, delete: Callable[[], Any], refusal: str = "DependencyViolation") -> None:
    """Delete, and retry for as long as AWS reports that something else needs it: the error code `refusal`."""
    from botocore.exceptions import ClientError

    last = ""

    def try_it() -> bool | None:
        nonlocal last
        try:
            delete()
        except ClientError as error:
            if error.response["Error"]["Code"] != refusal:
                raise
            last = error.response["Error"]["Message"]
            return None
        return True

    try:
        aws.until(f"{what} to be unused", try_it, IN_USE_SECONDS)
    except Refused as error:
        raise Refused(f"{error}: api error {refusal}: {last}") from None


def until_unused(aws: Aws, what: str, is_unused: Callable[[], bool]) -> None:
    """Wait for as long as AWS would refuse the deletion, which moto does not."""
    try:
        aws.until(f"{what} to be unused", lambda: is_unused() or None, IN_USE_SECONDS)
    except Refused as error:
        raise Refused(f"{error}: api error DependencyViolation: {what} has a dependent object") from None


@contextmanager
def made(id: str) -> Iterator[None]:
    """For the steps after the call that created the object: if one fails, it exists, and must be in the state."""
    try:
        yield
    except Exception as error:
        raise HalfMade(describe(error) or str(error), id, {}) from error


def one(items: list[Any]) -> Any | None:
    """The only item, or `None`."""
    return items[0] if items else None


def given(**parameters: Value) -> Object:
    """The parameters of a call that are not `None`."""
    return {name: value for name, value in parameters.items() if value is not None}


def whole(value: Value) -> int | None:
    """A number in the form that AWS expects."""
    return None if value is None else int(value)


def network_failure(inputs: Object, name: str, smallest: int, largest: int) -> list[Failure]:
    """Why AWS refuses an IPv4 CIDR block: its form, host bits, or prefix length."""
    text = inputs.get(name)
    if not isinstance(text, str) or is_unknown(text):
        return []
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        return [Failure(name, f'"{text}" is not a valid IPv4 CIDR block: {error}')]
    if not largest <= network.prefixlen <= smallest:
        reason = (
            f"expected {name} to contain a network with a prefix length between {largest} and {smallest}, got {text}"
        )
        return [Failure(name, reason)]
    return []

"""The interface of the stand-in's resource types; each is a subclass of `Resource` in its module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from stand_ins.plugin.provider import OperationError
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import UNKNOWN, Object, Value

T = TypeVar("T")


class Refused(OperationError):
    """A refusal by AWS that the stand-in has to report itself; the user reads this text.

    boto3's own errors need no wrapping: the provider converts them to the official plugin's wording.
    """


class HalfMade(Refused):
    """The object exists, but a later step failed: the engine keeps it in the state, to be repaired or deleted."""

    def __init__(self, text: str, id: str, outputs: Object) -> None:
        super().__init__(text)
        self.id = id
        self.outputs = outputs


class Aws(Protocol):
    """The AWS API as in the provider's configuration."""

    region: str

    def client(self, service: str) -> Any:
        """The boto3 client of a service, always the same; it refuses values that are not in an enumeration."""

    @property
    def account(self) -> str:
        """The account's id."""

    @property
    def partition(self) -> str:
        """`aws`, for ARNs."""

    def until(self, what: str, done: Callable[[], T | None], seconds: float = 600) -> T:
        """Ask repeatedly until the answer is not `None`; after the time limit `Refused`, which names `what`.

        Also raises `Refused`, at once, when the user cancels.
        """


class Resource:
    """One resource type. Stateless: many threads share one object.

    The provider handles for all types: unknown inputs, which it refuses; `tagsAll` and default tags (`inputs["tags"]`
    contains them, and `read` returns all tags); errors; secrets; and "not found" in `read` or `delete` as deleted.

    Properties are the engine's, in camelCase, without secrets and unknowns, except in `check`, where an unknown input
    is `stand_ins.plugin.values.UNKNOWN`. Numbers are floats: use `int` where AWS requires one.
    """

    token: ClassVar[str]
    """As the engine sends it: `aws:ec2/vpc:Vpc`."""
    kind: ClassVar[str]
    """As errors name it: `EC2 VPC` gives "creating EC2 VPC (my-name): …"."""
    args: ClassVar[str] = ""
    """The class of its inputs if the token does not give it: `pulumi_aws.ec2.vpc:VpcArgs`."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Top-level inputs whose change replaces the resource; or nested paths such as `rootBlockDevice.encrypted`."""
    defaults: ClassVar[Mapping[str, Value]] = {}
    """Defaults that the official plugin's Check sets, where a program can see them."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are unknown in a preview of a create (`arn` and ids), unless they are inputs that are set."""
    volatile: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Outputs that are unknown in a preview of an update that changes one of these inputs: `{"etag": ["policy"]}`."""
    secrets: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are always secret."""
    sets: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are lists whose order has no meaning: there is no difference if only the order differs."""
    autoname: ClassVar[str] = ""
    """The input that becomes the resource's name with seven hex digits if it is not set, such as `name`."""
    delete_before_replace: ClassVar[bool] = False
    """Whether the old resource must be deleted before the new one can be created."""

    def check(self, inputs: Object) -> list[Failure]:
        """Every reason why AWS, or the official plugin before it, would refuse these inputs and moto would not."""
        return []

    def replaced_by(self, old: Object, new: Object) -> frozenset[str]:
        """Inputs whose change replaces only with these values, in addition to `replaces`."""
        return frozenset()

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether a top-level input has the same meaning in two different forms, such as a policy with other spaces."""
        return False

    def preview(self, inputs: Object) -> Object:
        """Outputs, beyond the inputs, that are known before the create because they follow from the inputs."""
        return {}

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Create it and wait until it is usable; returns its id and further outputs. `name` is the URN's."""
        raise NotImplementedError

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """The actual inputs and outputs; `None` if it does not exist.

        An input that AWS does not return may be omitted (it stays as it was). An input that is not set and has AWS's
        default may be returned or not: only inputs in the program, and `tags`, count as drift.
        """
        raise NotImplementedError

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Update it from the old state to the new inputs; returns the outputs beyond the inputs."""
        raise NotImplementedError

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Delete it and wait until it is deleted. It is no error if it does not exist."""
        raise NotImplementedError


def failures_of_choice(inputs: Object, choices: Mapping[str, Sequence[str]]) -> list[Failure]:
    """Failures for inputs (dotted paths through objects) that are not one of their choices, as Terraform words them."""
    found = []
    for path, allowed in choices.items():
        value: Value = inputs
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str) and value not in allowed and not is_unknown(value):
            shown = " ".join(f'"{choice}"' for choice in allowed)
            found.append(Failure(path, f"expected {path} to be one of [{shown}], got {value}"))
    return found


def is_unknown(value: Value) -> bool:
    """Whether this value is unknown in the preview."""
    return bool(value == UNKNOWN)

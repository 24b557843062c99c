"""What a resource type of the stand-in has to say of itself; each one is a subclass of `Resource` in its module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from stand_ins.plugin.provider import OperationError
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import UNKNOWN, Object, Value

T = TypeVar("T")


class Refused(OperationError):
    """What AWS would answer no to, where it is ours to say it: the text is what the user reads.

    boto3's own errors need no wrapping: the provider turns them into the official plugin's words.
    """


class HalfMade(Refused):
    """It is there, but what was to follow failed: the engine keeps it in the state, to be repaired or removed."""

    def __init__(self, text: str, id: str, outputs: Object) -> None:
        super().__init__(text)
        self.id = id
        self.outputs = outputs


class Aws(Protocol):
    """The AWS API as the provider's configuration describes it."""

    region: str

    def client(self, service: str) -> Any:
        """The boto3 client of a service, the same one each time; it refuses values outside of an enumeration."""

    @property
    def account(self) -> str:
        """The account's id."""

    @property
    def partition(self) -> str:
        """`aws`, for ARNs."""

    def until(self, what: str, done: Callable[[], T | None], seconds: float = 600) -> T:
        """Ask again and again until the answer is not `None`; `Refused` naming what was waited for after so long.

        Ends at once, in `Refused` too, when the user cancels.
        """


class Resource:
    """One resource type. Stateless: many threads use the one object.

    The provider does for all of them: refusing unknown inputs, `tagsAll` and default tags (`inputs["tags"]` has them,
    and `read` gives all tags), errors, secrets, and taking a "not found" of `read` or `delete` for gone.

    Properties are the engine's, in camelCase, with nothing in them that is secret or unknown but in `check`, where
    an unknown input is `stand_ins.plugin.values.UNKNOWN`. Numbers are floats: use `int` where AWS wants one.
    """

    token: ClassVar[str]
    """As the engine sends it: `aws:ec2/vpc:Vpc`."""
    kind: ClassVar[str]
    """As errors name it: `EC2 VPC` makes "creating EC2 VPC (my-name): …"."""
    args: ClassVar[str] = ""
    """Where its inputs are defined if the token does not say it: `pulumi_aws.ec2.vpc:VpcArgs`."""
    replaces: ClassVar[frozenset[str]] = frozenset()
    """Top-level inputs whose change replaces; a nested path such as `rootBlockDevice.encrypted` may be named too."""
    defaults: ClassVar[Mapping[str, Value]] = {}
    """What the official plugin's Check fills in for an input that is not set, where a program can see it."""
    computed: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are unknown in a preview of a create (`arn` and `id`-like ones): inputs that are set are not."""
    volatile: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Outputs that are unknown in a preview of an update that changes one of these inputs: `{"etag": ["policy"]}`."""
    secrets: ClassVar[frozenset[str]] = frozenset()
    """Outputs that are always secret."""
    sets: ClassVar[frozenset[str]] = frozenset()
    """Inputs that are lists whose order means nothing: no difference if only the order is another."""
    autoname: ClassVar[str] = ""
    """The input that is the resource's name with seven hex digits if it is not set, such as `name`."""
    delete_before_replace: ClassVar[bool] = False
    """Whether the old one has to go before the new one can be."""

    def check(self, inputs: Object) -> list[Failure]:
        """Every reason why AWS, or the official plugin before it, would refuse these inputs and moto would not."""
        return []

    def replaced_by(self, old: Object, new: Object) -> frozenset[str]:
        """Inputs whose change replaces only with these values; `replaces` needs no mention here."""
        return frozenset()

    def same(self, name: str, old: Value, new: Value) -> bool:
        """Whether a top-level input says the same in two forms that are not equal, as a policy with other spaces."""
        return False

    def preview(self, inputs: Object) -> Object:
        """Outputs known before the create, beyond the inputs: what follows from the inputs alone."""
        return {}

    def create(self, name: str, inputs: Object, aws: Aws) -> tuple[str, Object]:
        """Make it and wait until it can be used: its id, and the outputs beyond the inputs. `name` is the URN's."""
        raise NotImplementedError

    def read(self, id: str, state: Object, aws: Aws) -> Object | None:
        """Inputs and outputs as they are now; `None` if it is gone.

        An input may be left out that AWS does not tell (it stays as it was). One that nobody set and that has AWS's
        own default may be told or not: only inputs in the program, and `tags`, count as drift.
        """
        raise NotImplementedError

    def update(self, id: str, old: Object, new: Object, aws: Aws) -> Object:
        """Bring it from the old state to the new inputs: the outputs beyond the inputs."""
        raise NotImplementedError

    def delete(self, id: str, state: Object, aws: Aws) -> None:
        """Remove it and wait until it is gone. That it is gone already is no error."""
        raise NotImplementedError


def failures_of_choice(inputs: Object, choices: Mapping[str, Sequence[str]]) -> list[Failure]:
    """Failures for inputs (dotted paths through objects) that are none of their choices, as Terraform words them."""
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
    """Whether this is a value that only the update will tell."""
    return bool(value == UNKNOWN)

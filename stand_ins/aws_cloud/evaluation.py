"""Evaluates IAM policies: whether statements allow an action on a resource, with conditions and permissions boundary.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html. moto evaluates actions, but
neither the resources of EC2 nor conditions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """One permission that a request needs: an action, a resource, and the values that conditions refer to."""

    action: str
    resource: str
    """Empty if it is not known: then only the action is compared."""
    context: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """By condition key; several values of a key with more than one, such as `aws:TagKeys`."""

    def __str__(self) -> str:
        """As in a message of AWS."""
        values = ", ".join(f"{key} {value}" for key, value in sorted(self.context.items()))
        return f"{self.action} on {self.resource}" + (f" with {values}" if values else "")


def matches(value: str, pattern: str) -> bool:
    """Whether a value matches a pattern with * and ? (brackets are literal)."""
    return fnmatchcase(value, pattern.replace("[", "[[]"))


def permitted(policies: Iterable[Policy], asked: Asked, boundary: Policy | None = None) -> bool:
    """Whether a statement allows it, none denies it, and the permissions boundary, if there is one, allows it too."""
    return all(_effects(limit, asked) == {"Allow"} for limit in (policies, *([[boundary]] if boundary else [])))


def statements(policies: Iterable[Policy], asked: Asked) -> list[Mapping[str, Any]]:
    """The statements that apply."""
    return [it for policy in policies for it in listed(policy.get("Statement")) if _applies(it, asked)]


def listed(value: Any) -> list[Any]:
    """A value of a policy that may be a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _effects(policies: Iterable[Policy], asked: Asked) -> set[str]:
    return {statement["Effect"] for statement in statements(policies, asked)}


def _applies(statement: Mapping[str, Any], asked: Asked) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    if unknown:
        raise ValueError(f"statement {statement.get('Sid')}: not evaluated here: {sorted(unknown)}")
    if not asked.resource:
        return any(matches(asked.action.lower(), action.lower()) for action in listed(statement.get("Action")))
    context = {key.lower(): listed(value) for key, value in asked.context.items()}
    return (
        any(matches(asked.action.lower(), action.lower()) for action in listed(statement.get("Action")))
        and any(matches(asked.resource, _resolved(it, context)) for it in listed(statement.get("Resource")))
        and all(
            _holds(operator, listed(expected), context.get(key.lower()))
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _resolved(pattern: str, context: Mapping[str, list[str]]) -> str:
    """A pattern with the values of its variables, such as `${aws:userid}`; without a value it matches nothing.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
    """
    return re.sub(r"\$\{([\w:]+)\}", lambda found: (context.get(found[1].lower()) or [found[0]])[0], pattern)


def _equals(value: str, expected: str) -> bool:
    return value == expected


def _same_truth(value: str, expected: str) -> bool:
    return value.lower() == expected.lower()


_COMPARE: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (_equals, True),
    "StringNotEquals": (_equals, False),
    "StringLike": (matches, True),
    "StringNotLike": (matches, False),
    "ArnEquals": (matches, True),
    "ArnLike": (matches, True),
    "ArnNotLike": (matches, False),
    "Bool": (_same_truth, True),
}
"""How a value is compared, and whether one expected value must match, or none may."""


def _holds(operator: str, expected: list[Any], values: list[str] | None) -> bool:
    """Whether a condition holds for the request's values of its key; None if the request has none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    texts = [str(each).lower() if isinstance(each, bool) else str(each) for each in expected]
    if operator == "Null":
        return (values is None) == (texts == ["true"])
    quantifier, _, plain = operator.rpartition(":")
    if_exists = plain.endswith("IfExists")
    compare, positive = _COMPARE[plain.removesuffix("IfExists")]
    if not values:
        # With IfExists, for all of none, and for what must not match, a missing key is no reason to refuse
        return if_exists or quantifier == "ForAllValues" or not positive
    found = [any(compare(value, each) for each in texts) == positive for value in values]
    return any(found) if quantifier == "ForAnyValue" else all(found)

"""The rules of a bucket's lifecycle: in the engine's form, in S3's form, and what S3 refuses.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from stand_ins.aws_plugin.resource import failures_of_choice, is_unknown
from stand_ins.plugin.schema import Failure
from stand_ins.plugin.values import Object, Value

DEFAULT_SIZE = "all_storage_classes_128K"
"""`transitionDefaultMinimumObjectSize` by default."""
_ACTIONS = (
    "abortIncompleteMultipartUpload",
    "expiration",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "transitions",
)
_NAMES = {"id": "ID"}
"""Names that differ from the API's by more than the first letter; `tag` and `tags` are handled separately."""


def failures(inputs: Object) -> Iterator[Failure]:
    """Why S3 refuses the rules."""
    rules = inputs.get("rules")
    if not isinstance(rules, list):
        return
    if not 1 <= len(rules) <= 1000:
        yield Failure("rules", f"a lifecycle has 1 to 1000 rules, got {len(rules)}")
    known = [rule for rule in rules if isinstance(rule, dict)]
    for id, count in Counter(rule.get("id") for rule in known).items():
        if count > 1:
            yield Failure(
                "rules", f"InvalidArgument: Rule ID must be unique. Found same ID for more than one rule: {id}"
            )
    for index, rule in enumerate(known):
        for failure in _rule_failures(rule):
            yield Failure(f"rules[{index}].{failure.path}", failure.reason)
    if inputs.get("transitionDefaultMinimumObjectSize", DEFAULT_SIZE) != DEFAULT_SIZE:
        yield Failure("transitionDefaultMinimumObjectSize", "the stand-in does only the default")


def _rule_failures(rule: Object) -> Iterator[Failure]:
    yield from failures_of_choice(rule, {"status": ("Enabled", "Disabled")})
    id = rule.get("id")
    if isinstance(id, str) and not 1 <= len(id) <= 255:
        yield Failure("id", f"a rule's id has 1 to 255 characters, got {len(id)}")
    if not any(rule.get(action) is not None for action in _ACTIONS):
        yield Failure("id", "InvalidRequest: At least one action needs to be specified in a rule")
    if rule.get("prefix") is not None and rule.get("filter") is not None:
        yield Failure("prefix", "MalformedXML: a rule has a filter or a prefix, not both")
    yield from _filter_failures(rule)
    yield from _expiration_failures(rule)
    for path in (
        "abortIncompleteMultipartUpload.daysAfterInitiation",
        "expiration.days",
        "noncurrentVersionExpiration.noncurrentDays",
    ):
        days = _at(rule, path)
        if isinstance(days, float | int) and days < 1:
            yield Failure(path, f"InvalidArgument: '{path.split('.')[-1]}' must be a positive integer; got {int(days)}")


def _filter_failures(rule: Object) -> Iterator[Failure]:
    chosen = rule.get("filter")
    if not isinstance(chosen, dict):
        return
    if len([value for value in chosen.values() if value is not None]) > 1:
        yield Failure("filter", "MalformedXML: a filter has one of prefix, tag, sizes, or `and` with several of them")
    tagged = chosen.get("tag") or (chosen.get("and") or {}).get("tags")
    if tagged and rule.get("abortIncompleteMultipartUpload"):
        reason = "InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with Tags."
        yield Failure("abortIncompleteMultipartUpload", reason)


def _expiration_failures(rule: Object) -> Iterator[Failure]:
    expiration = rule.get("expiration")
    if not isinstance(expiration, dict):
        return
    days, date, marker = (expiration.get(name) for name in ("days", "date", "expiredObjectDeleteMarker"))
    if len([value for value in (days, date, marker) if value]) > 1:
        yield Failure("expiration", "MalformedXML: one of days, date and expiredObjectDeleteMarker")
    elif days is None and date is None and marker is None:
        yield Failure("expiration", "MalformedXML: one of days, date and expiredObjectDeleteMarker is needed")


def _at(value: Value, path: str) -> Value:
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) and not is_unknown(value) else None
    return value


def to_api(rule: Object) -> Object:
    """A rule for a call."""
    api: Object = _to_api(rule)
    if "Filter" not in api and "Prefix" not in api:
        # A rule for all objects has an empty prefix: S3 requires one of the two.
        api["Filter"] = {"Prefix": ""}
    return api


def _to_api(value: Value) -> Any:
    if isinstance(value, list):
        return [_to_api(item) for item in value]
    if isinstance(value, float):
        return int(value)
    if not isinstance(value, dict):
        return value
    api: Object = {}
    for name, item in value.items():
        if item is None or item == []:
            continue
        if name == "tags":
            api["Tags"] = [{"Key": key, "Value": text} for key, text in sorted(item.items())]
        else:
            api[_NAMES.get(name, name[0].upper() + name[1:])] = _to_api(item)
    return api


def kept(before: list[Object], now: list[Object]) -> list[Object]:
    """The rules as output: in their old form as long as that has the same meaning."""
    if sorted(map(_normal, map(to_api, before))) == sorted(map(_normal, now)):
        return before
    return [_from_api(rule) for rule in now]


def _normal(rule: Object) -> str:
    """A canonical form: equal for all rules of the API with the same meaning."""
    return repr(_sorted({**rule, "Filter": rule.get("Filter") or {"Prefix": rule.get("Prefix", "")}, "Prefix": None}))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((name, _sorted(item)) for name, item in value.items() if item not in (None, False, [], {}))
    return sorted((_sorted(item) for item in value), key=repr) if isinstance(value, list) else value


def _from_api(value: Any) -> Value:
    if isinstance(value, list):
        return [_from_api(item) for item in value]
    if not isinstance(value, dict):
        return value if isinstance(value, bool | int | str) else value.strftime("%Y-%m-%dT%H:%M:%SZ")
    plain: Object = {}
    for name, item in value.items():
        if name == "Tags":
            plain["tags"] = {tag["Key"]: tag["Value"] for tag in item}
        else:
            plain["id" if name == "ID" else name[0].lower() + name[1:]] = _from_api(item)
    return plain

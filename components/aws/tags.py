"""Tags of the user's company: `tags`, and those of Pulumi's plugin in `aws:defaultTags`. Checked for all of AWS's
services at once, because every resource gets them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..naming import OWN_TAGS
from ..problems import Problems, shown

MOST = 50 - len(OWN_TAGS)
"""Keys besides the program's own: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""
LONGEST_KEY, LONGEST_VALUE = 128, 256

# IAM allows the fewest characters: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html. Letters of any
# language, and not only spaces
_TEXT = re.compile(r"(?! *$)[\w .:/=+@-]+")


def load(given: Mapping[str, Any], defaults: str, problems: Problems) -> dict[str, str]:
    """The tags in `given`. Invalid ones are added to `problems`; also of `defaults`, the text of `aws:defaultTags`,
    those that do not go together with them.
    """
    if len(given) > MOST:
        problems.add("tags", f"has {len(given)} keys: expected {MOST} or fewer (AWS allows 50, with the program's own)")
    for key, value in given.items():
        _check(key, value, problems)
    _check_case("tags", given, OWN_TAGS, problems)
    _check_case("tags", given, given, problems)
    _check_case("aws:defaultTags", _plugins(defaults), [*OWN_TAGS, *given], problems)
    return {str(key): str(value) for key, value in given.items()}


def _check(key: str, value: Any, problems: Problems) -> None:
    if key in OWN_TAGS:
        problems.add("tags", f"{key!r} is a tag that the program sets: expected other keys than {', '.join(OWN_TAGS)}")
    elif key.lower().startswith("aws:"):
        problems.add("tags", f"{shown(key)} begins with aws:, which is reserved for AWS: expected another key")
    elif len(key) > LONGEST_KEY or not _TEXT.fullmatch(key):
        problems.add(
            "tags",
            f"{shown(key)} is not the key of a tag: expected 1 to {LONGEST_KEY} letters, digits and . : / = + @ - _",
        )
    if not isinstance(value, str) or len(value) > LONGEST_VALUE or not _TEXT.fullmatch(value):
        problems.add(
            "tags",
            f"the value of {shown(key)}, {shown(value)}, is not that of a tag: expected a text of 1 to {LONGEST_VALUE} "
            "letters, digits and . : / = + @ - _",
        )


def _check_case(name: str, keys: Mapping[str, Any], others: Any, problems: Problems) -> None:
    """IAM compares keys of tags without their case, and refuses a role with two that are the same to it."""
    for key in keys:
        same = [other for other in others if other != key and other.lower() == key.lower()]
        # Of two keys in one object only the second is reported
        if same and (others is not keys or list(keys).index(key) > list(keys).index(same[0])):
            problems.add(name, f"{shown(key)} and {shown(same[0])} are the same to IAM: expected one way to write it")


def _plugins(text: str) -> dict[str, Any]:
    """The tags in `aws:defaultTags`, which the plugin checks itself."""
    try:
        found = json.loads(text or "{}").get("tags")
    except (ValueError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}

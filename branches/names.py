"""The name of a branch's stack. Pure functions.

The name becomes part of names on AWS: host names, a bucket, a role, security groups, files. So it contains only
characters that all of them accept, and is short enough for the most restrictive of them.
"""

import hashlib
import re
import unicodedata

from branches.errors import UsageError

PREFIX = "br-"
"""Prefix of the names of all branches' stacks, and of no long-lived one, so that a policy can match them."""

LONGEST = 40
"""Characters. A host name is `tm-999.STACK.flink.internal`, and Linux allows 64 characters (hostname(7))."""

LONGEST_TAG = 256
"""Maximum bytes of the value of a stack's tag in Pulumi Cloud (pkg/util/validation/stack.go)."""

_DIGITS = 8
_DIGEST = re.compile(rf"-[0-9a-f]{{{_DIGITS}}}$")
_PLAIN = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*(--[a-z0-9]+(-[a-z0-9]+)*)*$")

# git check-ref-format(1), for refs/heads/BRANCH
_FORBIDDEN = (
    (re.compile(r"^$"), "is empty"),
    (re.compile(r"[\x00-\x20\x7f~^:?*\[\\]"), "has a blank, a control character or one of ~ ^ : ? * [ \\"),
    (re.compile(r"\.\."), "has two dots in a row"),
    (re.compile(r"@\{"), "has @{ in it"),
    (re.compile(r"^/|/$|//"), "begins or ends with a slash, or has two in a row"),
    (re.compile(r"(^|/)\."), "has a part that begins with a dot"),
    (re.compile(r"\.lock(/|$)"), "has a part that ends with .lock"),
    (re.compile(r"\.$"), "ends with a dot"),
)


def check(branch: str) -> None:
    """Raise UsageError if git refuses this name for a branch."""
    for pattern, what in _FORBIDDEN:
        if pattern.search(branch):
            raise UsageError(
                f"branch {branch!r} {what}: git refuses such a name (git help check-ref-format); "
                "expected the branch's name as `git branch` shows it, such as feature/login"
            )


def stack(branch: str) -> str:
    """Name of the branch's stack, always the same: `feature/login` gives `br-feature--login`.

    No two branches have the same stack. If the branch cannot be derived from the name (characters other than a-z, 0-9
    and single -, or a name that is too long), or if it looks like such a case, the name ends with a digest of the
    branch. Raises UsageError if git refuses the branch's name.
    """
    check(branch)
    slug = branch.replace("/", "--")
    lossless = "--" not in branch and _PLAIN.match(slug) and not _DIGEST.search(PREFIX + slug)
    if lossless and len(PREFIX + slug) <= LONGEST:
        return PREFIX + slug
    plain = unicodedata.normalize("NFKD", branch).encode("ascii", "ignore").decode().lower()
    room = LONGEST - len(PREFIX) - _DIGITS - 1
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:room].strip("-")
    return PREFIX + "-".join(part for part in (readable, _digest(branch)[:_DIGITS]) if part)


def label(branch: str) -> str:
    """The branch as the value of a tag; its beginning and a digest if it is too long or not valid text."""
    text = branch.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if text == branch and len(text.encode()) <= LONGEST_TAG:
        return text
    end = f"…{_digest(branch)[:16]}"
    return text.encode()[: LONGEST_TAG - len(end.encode())].decode("utf-8", "ignore") + end


def _digest(branch: str) -> str:
    # A branch's name may contain any bytes; undecodable ones are surrogates here
    return hashlib.sha256(branch.encode("utf-8", "surrogateescape")).hexdigest()

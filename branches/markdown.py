"""Text that strangers may have chosen, escaped so that Markdown shows it literally. Pure functions.

Names of branches, hosts and keys, values and messages must not become Markdown, HTML, or a mention of a user.
"""

import html
import re
from collections.abc import Sequence

LIMIT = 65_536
"""Maximum characters of a comment on GitHub."""

ROOM = LIMIT - 500
"""Maximum characters of a result: a workflow adds a mark and a link."""

LONGEST_LINE = 500
"""Maximum characters of a name or message in a line."""

LONGEST_ERROR = 10_000
"""Maximum characters of a message; its beginning is the most informative part."""

_LEFT_OUT = "\n\n*{count} more lines do not fit into a comment: the log of this run contains all of them.*\n"


def code(text: str) -> str:
    """As code in a line or in a table cell, in which a pipe would end the cell."""
    text = _short(line(text)).replace("|", "\N{FULLWIDTH VERTICAL LINE}")
    fence = _fence(text, 1)
    space = " " * (text.startswith("`") or text.endswith("`"))
    return f"{fence}{space}{text}{space}{fence}"


def plain(text: str) -> str:
    """As text in a line."""
    escaped = re.sub(r"([\\`*_\[\]{}|~#])", r"\\\1", html.escape(_short(line(text)), quote=False))
    # Neither a mention nor a link: https://github.github.com/gfm/#autolinks-extension-
    escaped = re.sub(r"(?i)www(?=\.)", r"\g<0><!-- -->", escaped)
    return escaped.replace("@", "@<!-- -->").replace("://", ":<!-- -->//")


def block(text: str, language: str = "") -> str:
    """As a block of code."""
    shown = "\n".join(map(printable, text.split("\n")))
    fence = _fence(shown, 3)
    return f"{fence}{language}\n{shown}\n{fence}"


def line(text: str) -> str:
    """In one line."""
    return printable(re.sub(r"\s+", " ", text))


def printable(text: str) -> str:
    """Without unprintable characters and those that reverse or hide adjacent text."""
    return "".join(it if it.isprintable() or it == "\t" else "\N{REPLACEMENT CHARACTER}" for it in text)


def failure(what: str, error: str) -> str:
    """The comment for a failure, in place of a result."""
    shown = (
        error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}…\nThe log of this run contains the rest."
    )
    return fit(f"### {what}\n\n{block(shown)}\n")


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…"


def fit(whole: str, limit: int = ROOM) -> str:
    """As many lines as fit; an interrupted fence or fold is closed."""
    if len(whole) <= limit:
        return whole
    lines = whole.split("\n")
    room = limit - len(_LEFT_OUT.format(count=len(lines))) - 1
    kept: list[str] = []
    used = 0
    closers: list[str] = []
    for line in lines:
        opened = _after(closers, line)
        cost = len(line) + 1
        if used + cost + sum(len(closer) + 1 for closer in opened) > room:
            break
        kept.append(line)
        used += cost
        closers = opened
    left = len(lines) - len(kept)
    return "\n".join([*kept, *reversed(closers)]) + _LEFT_OUT.format(count=left)


def _after(closers: Sequence[str], line: str) -> list[str]:
    """The closing lines that are needed after this line."""
    found = list(closers)
    in_fence = bool(found) and found[-1].startswith("`")
    if in_fence:
        if line == found[-1]:
            found.pop()
    elif match := re.match(r"(```+)\w*$", line):
        found.append(match[1])
    elif line.startswith("<details>"):
        found.append("\n</details>")
    elif line == "</details>" and found:
        found.pop()
    return found


def _fence(text: str, shortest: int) -> str:
    """Backticks, one more than the longest run of them in the text."""
    return "`" * max(shortest, 1 + max((len(run) for run in re.findall("`+", text)), default=0))

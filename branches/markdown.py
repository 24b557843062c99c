"""Text that strangers may have chosen, escaped so that Markdown shows it literally. Pure functions.

Names of branches, hosts and keys, values and messages must not become Markdown, HTML, or a mention of a user.
"""

import html
import re

LIMIT = 65_536
"""Maximum characters of a comment on GitHub."""

LONGEST_ERROR = 10_000
"""Maximum characters of a message; its beginning is the most informative part."""


def code(text: str) -> str:
    """As code in a line or in a table cell, in which a pipe would end the cell."""
    text = line(text).replace("|", "\N{FULLWIDTH VERTICAL LINE}")
    fence = _fence(text, 1)
    space = " " * (text.startswith("`") or text.endswith("`"))
    return f"{fence}{space}{text}{space}{fence}"


def plain(text: str) -> str:
    """As text in a line."""
    escaped = re.sub(r"([\\`*_\[\]{}|~#])", r"\\\1", html.escape(line(text), quote=False))
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
    return f"### {what}\n\n{block(shown)}\n"


def _fence(text: str, shortest: int) -> str:
    """Backticks, one more than the longest run of them in the text."""
    return "`" * max(shortest, 1 + max((len(run) for run in re.findall("`+", text)), default=0))

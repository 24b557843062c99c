"""Text that strangers may have chosen, as Markdown that shows it and nothing else. Pure functions.

Names of branches, hosts and keys, values and messages must not become Markdown, HTML, or a mention of somebody.
"""

import html
import re

LIMIT = 65_536
"""Characters of a comment on GitHub."""

LONGEST_ERROR = 10_000
"""Characters of a message; what was said first tells most."""


def code(text: str) -> str:
    """As code in a line or in the cell of a table, which a pipe would end."""
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
    """Without what is no character, or turns or hides what stands beside it."""
    return "".join(it if it.isprintable() or it == "\t" else "\N{REPLACEMENT CHARACTER}" for it in text)


def failure(what: str, error: str) -> str:
    """A comment in place of the one that there would be."""
    shown = error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]}…\nThe log of this run has the rest."
    return f"### {what}\n\n{block(shown)}\n"


def _fence(text: str, shortest: int) -> str:
    """Backticks, one more than there are anywhere in a row."""
    return "`" * max(shortest, 1 + max((len(run) for run in re.findall("`+", text)), default=0))

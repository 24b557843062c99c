"""The program's own texts for hosts: bash and Java in `host_scripts/`, Python in `host_tool/`."""

import ast
from functools import cache

from . import resources

SCRIPTS = resources.folder("host_scripts")
TOOL = resources.folder("host_tool")
HEADER = "# Managed by Pulumi.\n"


@cache
def host_script(name: str) -> str:
    """Text of `host_scripts/NAME`."""
    return (SCRIPTS / name).read_text()


@cache
def code(name: str) -> str:
    """`host_scripts/NAME` without comments: a changed comment changes no step."""
    return without_comments(host_script(name))


def without_comments(text: str) -> str:
    """A shell script without full-line comments and empty lines, and without the end of its last line."""
    return "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))


@cache
def module(name: str) -> str:
    """`host_tool/NAME.py`, without docstrings and comments."""
    text = python_without_comments((TOOL / f"{name}.py").read_text())
    first, _, rest = text.partition("\n")
    return f"{first}\n{HEADER}{rest}" if first.startswith("#!") else f"{HEADER}{text}"


def python_without_comments(source: str) -> str:
    """The same Python program without docstrings, full-line comments and empty lines."""
    lines: list[str | None] = [*source.splitlines()]
    kept: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            kept.update(range(node.lineno, node.end_lineno or 0))
        for body in _bodies(node):
            texts = [one for one in body if _is_docstring(one)]
            for text in texts:
                lines[text.lineno - 1 : text.end_lineno] = [None] * ((text.end_lineno or 0) - text.lineno + 1)
            if len(texts) == len(body) and not isinstance(node, ast.Module):
                lines[texts[0].lineno - 1] = " " * texts[0].col_offset + "pass"
    # A line inside a string that looks like a comment is kept
    return "".join(
        f"{line}\n"
        for number, line in enumerate(lines)
        if line is not None
        and (number in kept or (line.strip() and (number == 0 or not line.lstrip().startswith("#"))))
    )


def _bodies(node: ast.AST) -> list[list[ast.stmt]]:
    return [
        body for name in ("body", "orelse", "finalbody") if isinstance(body := getattr(node, name, None), list) and body
    ]


def _is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a string: a docstring, or the description below an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )

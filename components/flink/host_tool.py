"""The host tool and the Java classes as files for hosts (docs/decisions/0020-host-tool.md).

They are plain text, so that `doctor` can show differences. Docstrings and comments are removed, because the state
contains the text of every step twice, for each host.
"""

import ast
from functools import cache

from .. import resources
from ..remote import File, host_script
from ..roles import Health, Row

FOLDER = "/usr/local/lib/flink"
HEADER = "# Managed by Pulumi.\n"

_SOURCES = resources.folder("host_tool")
_EVERYWHERE = ("__init__", "clock", "commands", "connection", "health", "identity", "output", "rest", "zookeeper")
_OF_AN_ENSEMBLE = ("ensemble",)
_WITH_FLINK_DAEMON = ("daemon",)
_WHERE_THE_STORAGE_IS_USED = ("credentials", "presign", "s3_look")
_WHERE_IT_LOGS_IN_FROM = ("cluster", "hosts", "java", "jobs", "logins", "results", "rollout")
_WHERE_IT_LEADS = ("session", "znodes")
_WITH_JOBS = (
    "artifacts",
    "configuration",
    "declared_job",
    "job_attempts",
    "job_commands",
    "job_lock",
    "job_record",
    "job_release",
    "job_savepoint_commands",
    "job_savepoints",
    "job_watch",
    "old_place",
    "python_trace",
    "store",
    "submit",
    "turns",
)
JAVA = (
    "Claim",
    "Ensemble",
    "Flink",
    "Folder",
    "HandOver",
    "JobCheckpoints",
    "JobJars",
    "JobPlan",
    "Leftovers",
    "Remains",
    "Results",
    "SqlJob",
    "SqlScript",
    "Store",
)


def files(row: Row) -> list[File]:
    """The files for hosts of a role: the tool, with the modules that it needs there."""
    modules = [*_EVERYWHERE]
    if row.daemon and row.daemon.health is Health.ENSEMBLE:
        modules += _OF_AN_ENSEMBLE
    if row.daemon and row.daemon.script:
        modules += _WITH_FLINK_DAEMON
    if row.uses_storage:
        modules += _WHERE_THE_STORAGE_IS_USED
    if row.logs_in:
        modules += [*_WHERE_IT_LOGS_IN_FROM, *_WHERE_IT_LEADS, *_WITH_JOBS]
    found = [File(path=f"{FOLDER}/flink-host", mode="0755", text=module("flink_host"))]
    found += [File(path=f"{FOLDER}/host_tool/{name}.py", text=module(name)) for name in sorted(modules)]
    if row.logs_in:
        found += [File(path=f"{FOLDER}/java/{name}.java", text=host_script(f"java/{name}.java")) for name in JAVA]
    return found


@cache
def module(name: str) -> str:
    """The text of a module, without docstrings and comments."""
    text = without_comments((_SOURCES / f"{name}.py").read_text())
    first, _, rest = text.partition("\n")
    return f"{first}\n{HEADER}{rest}" if first.startswith("#!") else f"{HEADER}{text}"


def without_comments(source: str) -> str:
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

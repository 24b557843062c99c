"""The comment about a branch's cluster, in Markdown. Pure functions."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from branches import markdown as md
from branches import stack_tags
from branches.stack_tags import Mark

JOB = "sudo -iu flink /opt/flink/bin/flink run -d /opt/flink/examples/streaming/StateMachineExample.jar"


def markdown(branch: str, stack: str, mark: Mark, outputs: Mapping[str, Any], now: datetime) -> str:
    """Addresses of the branch's cluster, commands, and its expiry. `outputs` must not contain secrets."""
    addresses = " ".join(f"<{url}>" for url in _texts(outputs.get("webUi")))
    rows = [
        ("web UI", addresses or "none"),
        ("stack", md.code(stack)),
        ("commit", md.code(mark.commit) if mark.commit else "unknown"),
        ("expires", f"{stack_tags.written(mark.expires)}, in {stack_tags.duration(mark.expires - now)}"),
    ]
    hosts = outputs.get("hosts") or {}
    if isinstance(hosts, Mapping):
        rows.insert(1, ("hosts", ", ".join(f"{len(of)} {role}" for role, of in hosts.items() if of)))
    table = "\n".join(f"| {name} | {value} |" for name, value in [("", ""), ("---", "---"), *rows])
    return (
        "\n\n".join(
            [
                f"### A cluster for branch {md.code(branch)}",
                table,
                "In a checkout of this repository, with rights on the state of the stack:",
                md.block("\n".join(_commands(branch, outputs)), "sh"),
                "`sweep` removes it after it has expired; another `up` extends its life.",
            ]
        )
        + "\n"
    )


def _commands(branch: str, outputs: Mapping[str, Any]) -> list[str]:
    lines = []
    if "login" in outputs:
        lines += ["# once: the SSH key, and the host keys", str(outputs["login"])]
    if "ssh" in outputs:
        lines += [
            "# a shell on the JobManager",
            str(outputs["ssh"]),
            "# a job",
            f"{outputs['ssh']} {shlex.quote(JOB)}",
        ]
    if "tunnel" in outputs:
        lines += ["# the web UI at http://localhost:8081, if its address is unreachable", str(outputs["tunnel"])]
    return [*lines, "# remove everything", f"python -m branches down -- {shlex.quote(branch)}"]


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def within(span: timedelta) -> str:
    """Time until or since expiry, for a table."""
    return f"{stack_tags.duration(-span)} ago" if span < timedelta() else f"in {stack_tags.duration(span)}"

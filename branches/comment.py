"""The comment about a branch's cluster, in Markdown. Pure functions."""

import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from branches import markdown as md
from branches import stack_tags
from branches.stack_tags import Mark

JOB = "sudo -iu flink /opt/flink/bin/flink run -d /opt/flink/examples/streaming/StateMachineExample.jar"

LONGEST_COMMAND = 2000
"""Maximum characters of a command. The one of `ssh` through a bastion has 400."""

SHOWN = 10
"""Maximum number of addresses, and of roles."""

_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}(/[A-Za-z0-9._/-]{0,255})?")


def markdown(branch: str, stack: str, mark: Mark, outputs: Mapping[str, Any], now: datetime) -> str:
    """Addresses of the branch's cluster, commands, and its expiry. `outputs` must not contain secrets."""
    addresses = _listed([_address(one) for one in _texts(outputs.get("webUi"))], " ")
    rows = [
        ("web UI", addresses or "none"),
        ("stack", md.code(stack)),
        ("commit", md.code(mark.commit) if mark.commit else "unknown"),
        ("expires", f"{stack_tags.written(mark.expires)}, in {stack_tags.duration(mark.expires - now)}"),
    ]
    hosts = outputs.get("hosts") or {}
    if isinstance(hosts, Mapping):
        counts = [f"{len(of)} {md.plain(str(role))}" for role, of in hosts.items() if isinstance(of, Mapping) and of]
        rows.insert(1, ("hosts", _listed(counts, ", ")))
    jobs = outputs.get("jobs") or {}
    if isinstance(jobs, Mapping) and jobs:
        shown = [_job(str(name), it) for name, it in sorted(jobs.items()) if isinstance(it, Mapping)]
        rows.insert(-1, ("jobs", _listed(shown, "; ")))
    table = "\n".join(f"| {name} | {value} |" for name, value in [("", ""), ("---", "---"), *rows])
    return md.fit(
        "\n\n".join(
            [
                f"### A cluster for branch {md.code(branch)}",
                table,
                "In a checkout of this repository, with rights on the state of the stack:",
                md.block("\n".join(_commands(branch, stack, outputs)), "sh"),
                "`sweep` removes it after it has expired; another `up` extends its life.",
            ]
        )
        + "\n"
    )


def _job(name: str, found: Mapping[str, Any]) -> str:
    """What runs, and the state that it has started from."""
    start = str(found.get("from") or "")
    said = f"{md.code(name)} {md.plain(str(found.get('state', 'unknown')))}"
    return f"{said}, started from {md.code(start)}" if start else said


def _commands(branch: str, stack: str, outputs: Mapping[str, Any]) -> list[str]:
    """Outputs are the branch's own, so only what is a line of a reasonable length is shown."""
    lines = []
    known = {key: str(outputs[key]) for key in ("login", "ssh", "tunnel") if outputs.get(key)}
    ask = {key: f"pulumi stack output {key} --stack {stack}" for key in known}
    shown = {key: text if _one_line(text) else ask[key] for key, text in known.items()}
    if "login" in shown:
        lines += ["# once: the SSH key, and the host keys", shown["login"]]
    if outputs.get("frontDoorAuthority"):
        authority = f"pulumi stack output frontDoorAuthority --stack {stack} > {stack}.pem"
        lines += ["# once: what a browser has to trust; the users are in frontDoorUsers", authority]
    if "ssh" in shown:
        lines += ["# a shell on the JobManager", shown["ssh"]]
        if shown["ssh"] == known["ssh"]:
            lines += ["# a job", f"{shown['ssh']} {shlex.quote(JOB)}"]
    if "tunnel" in shown:
        local = "https://localhost:8443" if outputs.get("frontDoorAuthority") else "http://localhost:8081"
        lines += [f"# the web UI at {local}, if its address is unreachable", shown["tunnel"]]
    return [*lines, "# remove everything", f"python -m branches down -- {shlex.quote(branch)}"]


def _one_line(text: str) -> bool:
    return len(text) <= LONGEST_COMMAND and text.isprintable()


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


def _address(text: str) -> str:
    return f"<{text}>" if _ADDRESS.fullmatch(text) else md.code(text)


def _listed(texts: Sequence[str], between: str) -> str:
    more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
    return between.join(texts[:SHOWN]) + more


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned text; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def within(span: timedelta) -> str:
    """Time until or since expiry, for a table."""
    return f"{stack_tags.duration(-span)} ago" if span < timedelta() else f"in {stack_tags.duration(span)}"

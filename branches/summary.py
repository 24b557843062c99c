"""A preview as Markdown for a pull request: the most severe changes first, limited to the size of a comment."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from branches import jobs
from branches import markdown as md
from branches.changes import Changes, Kind, Line, Resource, Verdict, by_number

VALUE = 300
"""Maximum characters of a value."""

FOLDED = 20
"""Longer lists are folded."""

_HEADS = {
    Kind.DELETE: "Deleted",
    Kind.REPLACE: "Replaced",
    Kind.RESTART: "Changed, and a daemon restarts",
    Kind.UPDATE: "Changed, nothing restarts",
    Kind.CREATE: "Created",
}


def markdown(changes: Changes, *, stack: str, limit: int = md.LIMIT) -> str:
    """The summary, in at most `limit` characters. Lines that do not fit are omitted, and the summary says so."""
    blocks = [f"### {_headline(changes, stack)}"]
    blocks += _caution(changes)
    blocks += _jobs(changes)
    blocks += _settings(changes.settings)
    for kind, head in _HEADS.items():
        if found := changes.of(kind):
            blocks += [f"#### {head}: {_number(len(found), 'resource')}", *_by_component(found)]
    blocks += _properties(changes.resources)
    return md.fit("\n\n".join(blocks) + "\n", limit)


def _headline(changes: Changes, stack: str) -> str:
    name = md.code(stack)
    if changes.verdict is Verdict.NONE:
        return f"{name}: nothing changes ({_number(changes.same, 'resource')} unchanged)"
    words = {
        Kind.DELETE: "deleted",
        Kind.REPLACE: "replaced",
        Kind.RESTART: "changed with a restart",
        Kind.UPDATE: "changed",
        Kind.CREATE: "created",
    }
    counts = [f"{len(found)} {word}" for kind, word in words.items() if (found := changes.of(kind))]
    restarts = f"; {_number(len(changes.restarts), 'daemon')} restart{'s' * (len(changes.restarts) == 1)}"
    said = f"{name}: {', '.join(counts)}{restarts if changes.restarts else ', nothing restarts'}"
    return f"{'DANGEROUS: ' * (changes.verdict is Verdict.DANGEROUS)}{said}"


def _caution(changes: Changes) -> list[str]:
    """The warnings that must be read first."""
    if not changes.warnings:
        return []
    return ["> [!CAUTION]\n" + "\n".join(f"> - {md.plain(warning)}" for warning in changes.warnings)]


def _jobs(changes: Changes) -> list[str]:
    """What becomes of the jobs and their state."""
    if not changes.jobs:
        return []
    rows = ["| job | what becomes of it and its state | changed |", "|---|---|---|"]
    for name, fate in sorted(changes.jobs.items()):
        settings = ", ".join(md.plain(one) for one in fate.changed)
        rows.append(f"| {md.code(name)} | {md.plain(fate.what)} | {settings} |")
    kinds = {one.kind for one in changes.resources if one.name.startswith(jobs.PREFIX)}
    notes = jobs.notes(changes.jobs, Kind.CREATE in kinds, Kind.DELETE in kinds)
    return ["#### Jobs", "\n".join(rows), *notes]


def _settings(lines: Sequence[Line]) -> list[str]:
    """Changed settings of the cluster, each once, as a difference grouped by file and role."""
    if not lines:
        return []
    shown: list[str] = []
    for head, found in groupby(lines, key=lambda line: line.path.rpartition(" / ")[0]):
        shown += [
            f"  {md.line(head)}:" if head else "  settings:",
            *(row for line in found for row in _minus_plus(line)),
        ]
    return [_folded("Settings that change", md.block("\n".join(shown), "diff"), len(shown), "settings")]


def _by_component(found: Sequence[Resource]) -> list[str]:
    """Resources by component: hosts with the same steps on one line, other resources by name."""
    rows = []
    for component, group in groupby(sorted(found, key=lambda one: one.component), key=lambda one: one.component):
        members = list(group)
        rows += [f"- {md.plain(component)}: {row}" for row in _rows(members)]
    return [_folded("Which", "\n".join(rows), len(rows), "lines")]


def _rows(members: Sequence[Resource]) -> list[str]:
    by_host: dict[str, list[str]] = {}
    rows = []
    for one in members:
        if one.host and one.name != one.host:
            by_host.setdefault(one.host, []).append(one.name.removeprefix(f"{one.host}-"))
        else:
            rows.append(f"{md.code(one.name)} ({md.plain(one.type.rpartition(':')[2])})")
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, steps in by_host.items():
        alike.setdefault(tuple(sorted(steps)), []).append(host)
    return rows + [f"{_hosts(hosts)}: {', '.join(md.plain(step) for step in steps)}" for steps, hosts in alike.items()]


def _hosts(names: Iterable[str]) -> str:
    """`tm-0` … `tm-19` if there are many."""
    known = sorted(names, key=by_number)
    if len(known) <= 4:
        return ", ".join(md.code(name) for name in known)
    return f"{md.code(known[0])} … {md.code(known[-1])} ({len(known)} hosts)"


def _properties(resources: Sequence[Resource]) -> list[str]:
    """Changed inputs of resources other than steps, folded."""
    rows: list[str] = []
    for one in resources:
        if one.lines and not one.type.startswith("pulumi:"):
            rows += [
                f"  {md.line(one.name)} ({md.line(one.type)}):",
                *(row for line in one.lines for row in _minus_plus(line)),
            ]
    if not rows:
        return []
    return [_folded("Inputs that change", md.block("\n".join(rows), "diff"), FOLDED + 1, "lines")]


def _minus_plus(line: Line) -> list[str]:
    name = md.line(line.path.rpartition(" / ")[2])
    rows = [f"- {name}: {_value(line.old)}"] if line.old is not None else []
    return [*rows, *([f"+ {name}: {_value(line.new)}"] if line.new is not None else [])]


def _value(value: Any) -> str:
    text = str(value).replace("\n", "\\n")
    return text if len(text) <= VALUE else f"{text[:VALUE]}… ({len(text)} characters)"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _folded(head: str, block: str, length: int, what: str) -> str:
    """Folded if it is long."""
    if length <= FOLDED:
        return block
    lines = _number(block.count("\n") + 1, "line") if what == "lines" else f"{length} lines"
    return f"<details><summary>{head} ({lines})</summary>\n\n{block}\n\n</details>"

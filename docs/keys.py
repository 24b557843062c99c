"""Generates tables of the documents from the code: `python docs/keys.py` writes them; a test fails if one is stale.

In a document a table is between `<!-- table: NAME -->` and `<!-- end of NAME -->`; the rest is written by hand.
"""

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: Python looks for `components` in docs/

import settings  # noqa: E402
from bench import downtime, encryption, endpoints, jobs, make_up, monitoring, scale, steady, ups  # noqa: E402
from components import ports  # noqa: E402
from components.flink import failover  # noqa: E402
from components.host import Role  # noqa: E402
from components.roles import ROLES  # noqa: E402
from docs import costs  # noqa: E402
from drill import faults, report  # noqa: E402

GROUPS = {
    "": "For any provider:",
    "existing": "With `provider: existing` only:",
    "aws": "With `provider: aws` only:",
}
"""The heading for the keys of each provider; an empty name is for keys of all providers."""

RESULTS = ROOT / "bench" / "results"

YOURS = ("owner", "operatorCidrs")
"""Keys that every user sets, in which no two stacks have to agree."""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _default(entry: dict[str, Any]) -> str:
    """An empty default is not shown: the description states its meaning."""
    value = entry["default"]
    if value in ("", [], {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _of(provider: str) -> str:
    """The keys that have a meaning for `provider` only."""
    rows = []
    for name, entry in settings.schema().items():
        kind = entry["type"] + (", secret" if name in settings.SECRETS else "")
        if settings.provider_keys().get(name, "") == provider:
            rows.append((f"`{name}`", kind, _default(entry), entry["description"]))
    return _table(["key", "type", "default", "meaning"], rows)


def keys() -> str:
    """Every key of a stack's configuration, from Pulumi.yaml, by its provider."""
    return "\n".join(f"{title}\n\n{_of(provider)}" for provider, title in GROUPS.items())


def _stack(name: str) -> dict[str, Any]:
    """The complete configuration of a stack: its file, and the defaults of the other keys."""
    given: dict[str, Any] = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    found = {key: given.get(f"flink:{key}", entry["default"]) for key, entry in settings.schema().items()}
    # `pulumi config set` writes every value as a string
    return {key: yaml.safe_load(value) if isinstance(value, str) and value else value for key, value in found.items()}


def stacks() -> str:
    """The differences between the two stacks on AWS."""
    dev, prod = _stack("dev"), _stack("prod")
    rows = [
        (f"`{key}`", *(_default({"default": stack[key]}) for stack in (dev, prod)))
        for key in dev
        if dev[key] != prod[key] and key not in YOURS
    ]
    return _table(["key", "`dev`", "`prod`"], rows)


def port_table(table: Sequence[ports.Port] = ports.TABLE) -> str:
    """Every port, the roles that listen on it, and who may connect, from components/ports.py."""

    def names(who: Sequence[Role | str]) -> str:
        return ", ".join(ROLES[Role(each)].title if each in list(Role) else each for each in who)

    rows = [
        (str(port.number), f"`{port.name}`", names(port.listens), names(port.clients), port.purpose)
        for port in sorted(table, key=lambda port: (port.number, port.name))
    ]
    return _table(["TCP port", "name", "listens", "may connect", "for"], rows)


def timings() -> str:
    """The timings for some failover budgets, from components/flink/failover.py."""
    budgets = (failover.MINIMUM_SECONDS, 15, 30, 60)
    made = [failover.timings(seconds) for seconds in budgets]
    rows = [(f"`{part.name}`", *(str(getattr(each, part.name)) for each in made)) for part in fields(failover.Timings)]
    return _table(["`failoverSeconds`", *(str(seconds) for seconds in budgets)], rows)


def fault_table() -> str:
    """The drill's faults, and the maximum downtime of each."""
    rows = [
        (f"`{fault.name}`", fault.what, f"{'' if fault.interrupts else 'not at all, or '}{fault.bound:.0f} s")
        for fault in faults.ALL
    ]
    return _table(["fault", "what is done", "down for at most"], rows)


def drilled() -> str:
    """The stored results of the last drill."""
    return "\n".join(report.table(report.read(RESULTS / "drill.json"))) + "\n"


def measured(lines: Callable[..., list[str]], *files: str) -> Callable[[], str]:
    """The generator of a table of stored figures."""
    return lambda: "\n".join(lines(*(RESULTS / file for file in files))) + "\n"


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "configuration keys": (ROOT / "docs" / "configuration.md", keys),
    "stacks": (ROOT / "docs" / "aws.md", stacks),
    "costs": (ROOT / "docs" / "aws.md", lambda: costs.table(costs.stored())),
    "timings": (ROOT / "docs" / "operations.md", timings),
    "ports": (ROOT / "docs" / "ports.md", port_table),
    "monitoring-ports": (ROOT / "docs" / "ports.md", lambda: port_table(ports.MONITORING)),
    "behind-ports": (ROOT / "docs" / "ports.md", lambda: port_table(ports.BEHIND)),
    "faults": (ROOT / "docs" / "drill.md", fault_table),
    "drilled": (ROOT / "docs" / "drill.md", drilled),
    "ups": (ROOT / "docs" / "bench.md", measured(ups.lines, "ups.json")),
    "ups by part": (ROOT / "docs" / "bench.md", measured(ups.cpu_lines, "ups.json", "ups-before.json")),
    "steps": (ROOT / "docs" / "bench.md", measured(ups.step_lines, "ups.json")),
    "phases": (ROOT / "docs" / "bench.md", measured(ups.phase_lines, "ups.json")),
    "starts": (ROOT / "docs" / "bench.md", measured(ups.start_lines, "ups.json")),
    "downtime": (ROOT / "docs" / "bench.md", measured(downtime.lines, "drill.json", "drill-before.json")),
    "changes": (ROOT / "docs" / "bench.md", measured(downtime.lines, "changes.json")),
    "cost of TLS": (ROOT / "docs" / "bench.md", measured(encryption.lines, "tls.json")),
    "cost of monitoring": (ROOT / "docs" / "bench.md", measured(monitoring.lines, "monitoring.json")),
    "cost of make up": (ROOT / "docs" / "bench.md", measured(make_up.lines, "make-up.json")),
    "cost of endpoints": (ROOT / "docs" / "bench.md", measured(endpoints.lines, "endpoints.json")),
    "declared jobs": (ROOT / "docs" / "bench.md", measured(jobs.lines, "jobs.json")),
    "steady": (ROOT / "docs" / "bench.md", measured(steady.lines, "steady.json")),
    "previews": (ROOT / "docs" / "bench.md", measured(scale.curve_lines, "scale.json")),
    "rollouts": (ROOT / "docs" / "bench.md", measured(scale.rollout_lines, "scale.json")),
    "many hosts": (ROOT / "docs" / "bench.md", measured(scale.hosts_lines, "scale.json")),
}
"""The document and the generator of each table."""


def written(name: str) -> str:
    """The document with the table `name`, with the current table in it. ValueError without its markers."""
    path, make = TABLES[name]
    begin, end = f"<!-- table: {name} -->\n", f"<!-- end of {name} -->\n"
    text, found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}",
        lambda _match: f"{begin}\n{make()}\n{end}",
        path.read_text(),
        flags=re.DOTALL,
    )
    if found != 1:
        raise ValueError(
            f"{path} has {found} places for the table {name!r}: expected one between {begin!r} and {end!r}"
        )
    return text


def main() -> None:
    """Write every table into its document."""
    for name, (path, _make) in TABLES.items():
        text = written(name)
        if text != path.read_text():
            path.write_text(text)
            print(f"{path.relative_to(ROOT)}: {name} written")


if __name__ == "__main__":
    main()

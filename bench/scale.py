"""`python -m bench.scale`: many hosts. `make scale` does it; root, about an hour.

    curve    previews of 10, 30, 100 and 300 workers on AWS, and one worker more than 100: moto, and hosts that only
             answer (tests/aws/scale.py)
    rollout  what the tool adds to a rollout over 100 TaskManagers: real SSH, daemons that are played
             (bench/many_restarts.py)
    hosts    60 hosts of a lab by real SSH, of which one refuses connections, one is slow and one is dead
             (bench/many_hosts.py)

The lab is removed at the end. A part that is not measured keeps its figures in the file.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from automation.command_line import ran
from bench import many_hosts, many_restarts
from bench.figures import table
from lab import prepare
from lab.lab import Lab
from stand_ins.builds import archives
from toolbox import console
from toolbox.errors import ToolError
from toolbox.parallel import command

NAME = "scale"
FILE = Path("bench/results/scale.json")
SIZES, WORKERS = ("10", "30", "100", "300"), "100"
CURVE_SECONDS = 3000


def curve() -> dict[str, Any]:
    """What tests/aws/scale.py measures. In a process of its own, because its network is another one."""
    argv = [sys.executable, "-m", "tests.aws.scale", "--sizes", *SIZES, "--create", WORKERS]
    found: dict[str, Any] = json.loads(command(argv, timeout=CURVE_SECONDS, on_line=_show).splitlines()[-1])
    return found


def _show(line: str) -> None:
    if not line.startswith("{"):
        print(line, flush=True)


def main() -> int:
    """Measure, and write the figures; the exit status is 1 on failure."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    lab = Lab(NAME)
    parser.add_argument("--workers", type=int, default=55, metavar="N", help="of the lab (default: %(default)s)")
    parser.add_argument("--json", type=Path, default=FILE, metavar="FILE", help="the figures (default: %(default)s)")
    parts: dict[str, Callable[[], Any]] = {
        "curve": curve,
        "rollout": lambda: [asdict(each) for each in many_restarts.measure(lab)],
        "hosts": lambda: asdict(many_hosts.measure(lab, archives.ensure(), chosen.workers)),
    }
    parser.add_argument("--only", choices=parts, nargs="+", default=list(parts), help="only these parts")
    chosen = parser.parse_args()
    try:
        prepare.everything()
        for part in chosen.only:
            found = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
            found[part] = parts[part]()
            chosen.json.write_text(json.dumps(found, indent=1) + "\n")
        print("\n".join(line for lines in TABLES for line in ["", *lines(chosen.json)]))
    except ToolError as error:
        console.fail("scale", str(error))
        return 1
    finally:
        lab.down()
    return 0


def curve_lines(file: Path) -> list[str]:
    """Previews, as a table in Markdown. CPU time: other programs stretch wall time."""
    points = json.loads(file.read_text()).get("curve", {}).get("curve", [])
    rows: list[list[str]] = []
    before: tuple[int, float] | None = None
    for point in points:
        workers, cpu = point["workers"], sum(point["usage"]["cpu"].values())
        more = ["", "", ""]
        if before:
            each = 1000 * (cpu - before[1]) / (workers - before[0])
            more = [f"{each:.0f}", f"x {workers / before[0]:.1f}", f"x {cpu / before[1]:.1f}"]
        before = workers, cpu
        known = [f"{workers}", f"{point['resources']:,}", f"{cpu:.1f}"]
        rows.append([*known, f"{point['usage']['peak_mib']:.0f}", *more])
    head = ["workers", "resources", "CPU s", "MiB", "CPU ms for each worker more", "workers", "CPU"]
    return table(head, rows)


def rollout_lines(file: Path) -> list[str]:
    """Rollouts, as a table in Markdown."""
    rows = [
        [
            f"{it['restart_seconds']:g} s",
            f"{it['expected']:.0f} s",
            f"{it['seconds']:.1f} s",
            f"{100 * (it['seconds'] / it['expected'] - 1):.1f} %",
            f"{it['cpu_seconds']:.1f}",
            f"{it['load']:.1f}",
        ]
        for it in json.loads(file.read_text()).get("rollout", [])
    ]
    return table(["restart and healthy", "times 100 / 10", "rollout", "the tool adds", "its CPU s", "load"], rows)


def hosts_lines(file: Path) -> list[str]:
    """The operations on many hosts, as a table in Markdown."""
    operations: Mapping[str, Any] = json.loads(file.read_text()).get("hosts", {}).get("operations", {})
    rows = [
        [
            f"`up` {what}",
            f"{it['seconds']:.0f} s",
            f"{it['steps']} on {len(it['hosts'])}",
            f"{it['others']:.0f} s" if it["others"] else "",
            f"{it['slow']:.0f} s" if it["slow"] else "",
            f"{it['rollout']:.0f} s" if it["rollout"] else "",
            ", ".join(it["failed"]),
            f"{it['load']:.0f}",
        ]
        for what, it in operations.items()
    ]
    head = ["", "seconds", "steps on hosts", "others done after", "slow one after", "rollout", "fails, names", "load"]
    return table(head, rows)


TABLES = (curve_lines, rollout_lines, hosts_lines)


if __name__ == "__main__":
    sys.exit(ran(main))
